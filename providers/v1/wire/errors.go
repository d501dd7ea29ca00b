package wire

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
	providerv1 "github.com/headwater-git/headwater/providers/v1"
)

// errorCodes pairs the codes of the contract with what travels. The gRPC code
// is for tools that look at the traffic; the detail is what counts.
var errorCodes = []struct {
	code providers.Code
	wire providerv1.ErrorCode
	grpc codes.Code
}{
	{providers.CodeNotFound, providerv1.ErrorCode_ERROR_CODE_NOT_FOUND, codes.NotFound},
	{providers.CodeUnauthenticated, providerv1.ErrorCode_ERROR_CODE_UNAUTHENTICATED, codes.Unauthenticated},
	{providers.CodePermissionDenied, providerv1.ErrorCode_ERROR_CODE_PERMISSION_DENIED, codes.PermissionDenied},
	{providers.CodeRateLimited, providerv1.ErrorCode_ERROR_CODE_RATE_LIMITED, codes.ResourceExhausted},
	{providers.CodeUnavailable, providerv1.ErrorCode_ERROR_CODE_UNAVAILABLE, codes.Unavailable},
	{providers.CodeInvalidConfig, providerv1.ErrorCode_ERROR_CODE_INVALID_CONFIG, codes.FailedPrecondition},
	{providers.CodeInvalidArgument, providerv1.ErrorCode_ERROR_CODE_INVALID_ARGUMENT, codes.InvalidArgument},
	{providers.CodeUnsupported, providerv1.ErrorCode_ERROR_CODE_UNSUPPORTED, codes.Unimplemented},
	{providers.CodeSignatureInvalid, providerv1.ErrorCode_ERROR_CODE_SIGNATURE_INVALID, codes.Unauthenticated},
	{providers.CodeRevoked, providerv1.ErrorCode_ERROR_CODE_REVOKED, codes.PermissionDenied},
}

// TransportError says that a call got no answer of the provider: the process
// died, hung or spoke nonsense. The supervisor acts on it; it never travels
// further than package host.
type TransportError struct {
	Code codes.Code
	Text string
}

// Error returns the code and the text of the gRPC status.
func (e *TransportError) Error() string { return fmt.Sprintf("plugin call: %s: %s", e.Code, e.Text) }

// toStatus converts an error of the provider. An error that is not a
// [*providers.Error] is taken as unavailable, as the contract says.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	var e *providers.Error
	if !errors.As(err, &e) {
		e = &providers.Error{Code: providers.CodeUnavailable, Message: err.Error()}
		if errors.Is(err, context.DeadlineExceeded) {
			e.Message = "the host did not answer in time"
		}
	}
	detail := &providerv1.ProviderError{
		Code:       providerv1.ErrorCode_ERROR_CODE_UNAVAILABLE,
		Message:    text(e.Message),
		HttpStatus: int32(e.HTTPStatus),
		Reason:     text(string(e.Reason)),
	}
	if e.RetryAfter > 0 {
		detail.RetryAfter = durationpb.New(e.RetryAfter)
	}
	grpcCode := codes.Unavailable
	for _, c := range errorCodes {
		if c.code == e.Code {
			detail.Code, grpcCode = c.wire, c.grpc
		}
	}
	st, detailErr := status.New(grpcCode, detail.Message).WithDetails(detail)
	if detailErr != nil {
		return status.Error(codes.Internal, "the error of the provider cannot be encoded")
	}
	return st.Err()
}

// fromStatus converts the error of a call: to a [*providers.Error] if the
// provider spoke, and to a [*TransportError] otherwise.
func fromStatus(err error) error {
	if err == nil {
		return nil
	}
	st := status.Convert(err)
	for _, d := range st.Details() {
		detail, ok := d.(*providerv1.ProviderError)
		if !ok {
			continue
		}
		e := &providers.Error{
			Code:       providers.CodeUnavailable, // also for codes of a newer contract
			Message:    netguard.PlainText(detail.GetMessage()),
			RetryAfter: max(0, detail.GetRetryAfter().AsDuration()).Truncate(time.Millisecond),
			HTTPStatus: int(detail.GetHttpStatus()),
			Reason:     providers.Reason(detail.GetReason()),
		}
		for _, c := range errorCodes {
			if c.wire == detail.GetCode() {
				e.Code = c.code
			}
		}
		return e
	}
	if st.Code() == codes.Unimplemented {
		return providers.Errorf(providers.CodeUnsupported, "the plugin does not offer this")
	}
	return &TransportError{Code: st.Code(), Text: st.Message()}
}
