package providers

import (
	"errors"
	"fmt"
	"time"
)

// Code says what kind of failure a provider met.
type Code string

// The codes of provider errors.
const (
	CodeNotFound         Code = "not_found"
	CodeUnauthenticated  Code = "unauthenticated"
	CodePermissionDenied Code = "permission_denied"
	CodeRateLimited      Code = "rate_limited"
	CodeUnavailable      Code = "unavailable"
	CodeInvalidConfig    Code = "invalid_config"
	CodeInvalidArgument  Code = "invalid_argument"
	CodeUnsupported      Code = "unsupported"
	CodeSignatureInvalid Code = "signature_invalid"
	CodeRevoked          Code = "revoked" // the grant existed and is gone: App suspended or removed
)

// Reason says more about a grant that does not open a repository than the code
// does: what an operator has to do differs, and so does what the server shows.
type Reason string

// The reasons. All of them can end without a change here, when somebody at the
// host changes the grant.
const (
	ReasonSuspended   Reason = "suspended"    // the App's installation is suspended
	ReasonUninstalled Reason = "uninstalled"  // the App is not, or no longer, installed on the owner
	ReasonNotIncluded Reason = "not_included" // the installation works and does not include the repository
	ReasonDeleted     Reason = "deleted"      // the grant works and the host has no such repository any more
)

// Error is the error of a provider. Message is one sentence for a user: what
// the host said and what to do; it never holds a secret.
type Error struct {
	Code       Code
	Message    string
	RetryAfter time.Duration // zero: unknown
	HTTPStatus int           // of the host's answer; zero: none
	Reason     Reason        // "" when the code says it all
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// Errorf makes an [*Error].
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// ReasonOf returns the reason of the outermost [*Error] in err's chain, "" if
// there is none.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// CodeOf returns the code of the outermost [*Error] in err's chain, and
// [CodeUnavailable] for any other error; "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeUnavailable
}
