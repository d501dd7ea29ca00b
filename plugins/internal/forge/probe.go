package forge

import (
	"context"
	"errors"

	"github.com/headwater-git/headwater/providers"
)

// Probed makes the result of a probe from a host's answer and from the error
// that was made of it, if any.
func Probed(ctx context.Context, a Answer, err error, canPush bool) (providers.ProbeResult, error) {
	if ctx.Err() != nil {
		return providers.ProbeResult{}, ctx.Err()
	}
	rate := RateOf(a.Header)
	result := providers.ProbeResult{
		Reachable:     a.Status != 0,
		RateLimit:     rate.Limit,
		RateRemaining: rate.Remaining,
		RateResetAt:   rate.ResetAt,
		Latency:       a.Latency,
		ClockSkew:     Skew(a),
	}
	if err != nil {
		var e *providers.Error
		if errors.As(err, &e) && e.HTTPStatus != 0 {
			result.Reachable = true // it was an answer, though none to read
		}
		result.Message = err.Error()
		return result, nil
	}
	result.CanPull, result.CanPush = true, canPush
	result.Message = "The repository can be fetched."
	if canPush {
		result.Message = "The repository can be fetched and pushed to."
	}
	return result, nil
}
