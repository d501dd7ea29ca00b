package engine

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/upstream"
)

// How long a read waits for a look at the upstream: one that would rather be
// served after it, and one that demands the look.
const (
	revalidateTimeout = 3 * time.Second
	demandTimeout     = 15 * time.Second
)

// noticeAge is how old a copy must be before a fetch says so, where nobody has
// set another age. Quiet repositories are looked at every eight hours.
const noticeAge = 24 * time.Hour

// retryStale is the Retry-After of an answer whose copy cannot be made fresh.
const retryStale = 5 * time.Second

// retryPaused is that of an answer whose copy is not made fresh before a person acts.
const retryPaused = 5 * time.Minute

// Freshness returns how fresh the copy is, by what is known already: it never
// asks the upstream.
func (e *Engine) Freshness(ctx context.Context, r core.Repository, d core.Demand) (core.Freshness, error) {
	f, _, err := e.freshness(ctx, r, d)
	return f, err
}

// freshness returns how fresh the copy is, and the demand with the
// repository's own in it.
func (e *Engine) freshness(ctx context.Context, r core.Repository, d core.Demand) (core.Freshness, core.Demand, error) {
	if r.Upstream == nil {
		return core.Freshness{}, d, nil
	}
	state, err := e.store.SyncState(ctx, r.ID)
	if core.KindOf(err) == core.KindNotFound {
		return core.Freshness{}, d, nil // detached meanwhile
	}
	if err != nil {
		return core.Freshness{}, d, err
	}
	settings, err := e.store.Settings(ctx, r.ID)
	if err != nil {
		return core.Freshness{}, d, err
	}
	d = d.Or(settings.Demand())
	now := e.clock.Now()
	f := core.Freshness{
		Synced: true, ObservedAt: state.ObservedAt, Digest: state.Digest, State: state.UpstreamState,
		Failing: state.Failures > 0 || !state.UpstreamState.Readable(),
		Class:   state.LastClass, Reason: state.LastError,
	}
	if !state.PausedAt.IsZero() {
		f.Paused, f.Failing, f.Class, f.Reason = true, false, "", ""
	}
	limit := noticeAge
	if d.MaxStaleness != nil {
		limit = *d.MaxStaleness
	}
	if f.ObservedAt.IsZero() {
		f.Stale = true
		return f, d, nil
	}
	f.Staleness = max(now.Sub(f.ObservedAt), 0)
	f.Stale = f.Staleness > limit
	return f, d, nil
}

// Confirm makes the copy as fresh as the demand, the request's filled up with
// the repository's own, wants it, and returns how fresh it is. With the policy
// "serve" nobody is asked. With "revalidate" the upstream is looked at for up to
// three seconds. With "fail" it is for longer, and a copy that stays too old is
// KindNotFresh. A copy that is young enough is never looked at.
func (e *Engine) Confirm(ctx context.Context, r core.Repository, d core.Demand) (core.Freshness, error) {
	asked := e.clock.Now()
	f, d, err := e.freshness(ctx, r, d)
	if err != nil || !f.Synced || d.MaxStaleness == nil || d.Policy == core.FreshServe {
		return f, err
	}
	// Nothing that was seen before the call is young enough for a demand of zero.
	if !f.Stale && *d.MaxStaleness > 0 {
		return f, nil
	}
	if f.Paused {
		// Whoever paused it wants no look; who demands one is refused without waiting.
		f.Stale = true
		if d.Policy == core.FreshFail {
			return f, &core.Error{Kind: core.KindNotFresh, Message: f.Notice() + "; fresher was demanded", RetryAfter: retryPaused}
		}
		return f, nil
	}
	wait := revalidateTimeout
	if d.Policy == core.FreshFail {
		wait = demandTimeout
	}
	lookCtx, cancel := context.WithTimeout(ctx, wait)
	lookErr := e.looker.Look(lookCtx, r)
	cancel()
	if err := ctx.Err(); err != nil {
		return f, context.Cause(ctx)
	}
	if f, _, err = e.freshness(ctx, r, d); err != nil {
		return f, err
	}
	f.Looked = true
	f.Stale = f.ObservedAt.Before(asked.Add(-*d.MaxStaleness))
	if !f.Stale {
		return f, nil
	}
	if f.Reason == "" && lookErr != nil {
		f.Class, f.Reason = upstream.Classify(lookErr)
	}
	f.Failing = f.Failing || lookErr != nil
	if d.Policy != core.FreshFail {
		return f, nil
	}
	return f, &core.Error{Kind: core.KindNotFresh, Message: f.Notice() + "; fresher was demanded", Err: lookErr, RetryAfter: retryStale}
}
