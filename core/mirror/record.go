package mirror

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// record writes the outcome of the run, when to try again or look next, and
// what there is to tell, in one transaction. With stopped, the run was ended
// from outside.
func (s *Service) record(ctx context.Context, x *run, failure error, stopped bool) error {
	x.FinishedAt = s.clock.Now()
	final := false
	if failure != nil {
		var ce *classError
		final = errors.As(failure, &ce) && ce.final
		x.Outcome = outcomeFailed
		x.Class, x.Error = classify(failure)
		if x.Class == core.ClassDiverged {
			x.Outcome = outcomeHeld
		}
		if stopped {
			x.Outcome, x.Class, x.Error = outcomeInterrupted, "", errShutdown.Error()
		}
	}
	if x.again && failure == nil {
		x.await = slices.ContainsFunc(x.left, func(ref string) bool { return s.repos.Locks().RefLocked(x.RepoID, ref) })
		defer func() {
			if x.await {
				s.await(x.RepoID, x.left)
			}
		}()
	}
	var settled []core.Expectation
	if failure == nil && x.Ref == "" {
		settled = s.settle(ctx, x.RepoID, x.open, x.listed.Refs, x.before)
	}
	var pollAt time.Time
	err := s.store.Tx(ctx, func(q core.Queries) error {
		state, err := q.SyncState(ctx, x.RepoID)
		if core.KindOf(err) == core.KindNotFound {
			return s.recordDetached(ctx, q, x)
		}
		if err != nil {
			return err
		}
		before := state
		if failure != nil || state.Notice.Pending() || state.Failures > 0 || troubleOf(state).away() {
			x.rowed = true
		}
		if x.begun || x.rowed {
			state.Runs++
		}
		x.update(&state, failure, stopped, final)
		if err := unexpect(ctx, q, x.RepoID, settled); err != nil {
			return err
		}
		if state.PollAt, err = s.schedule.NextLook(ctx, q, x.repo, state, x.taken.PollAt); err != nil {
			return err
		}
		pollAt = state.PollAt
		events, err := x.tell(&state, final)
		if err != nil {
			return err
		}
		if !stopped {
			more, err := s.recordUpstreamStatus(ctx, q, x, before, &state, failure, final)
			if err != nil {
				return err
			}
			events = append(events, more...)
		}
		if err := q.SaveSync(ctx, state); err != nil {
			return err
		}
		if err := x.writeRow(ctx, q); err != nil {
			return err
		}
		return q.AddEvents(ctx, events)
	})
	if err == nil {
		s.schedule.Notify(schedule.Look, pollAt)
	}
	level := hclog.Info
	if !x.begun && !x.rowed {
		level = hclog.Debug // a look that found nothing
	}
	s.log.Log(level, "sync finished", "repo_id", x.RepoID, "run_id", x.ID, "trigger", x.Trigger, "outcome", x.Outcome, "class", x.Class,
		"created", x.RefsCreated, "updated", x.RefsUpdated, "deleted", x.RefsDeleted, "bytes", x.Bytes,
		"duration", x.FinishedAt.Sub(x.StartedAt), "host_text", x.Error)
	return err
}

// recordDetached ends a run whose repository was detached or deleted meanwhile:
// then the run is gone, too.
func (s *Service) recordDetached(ctx context.Context, q core.Queries, x *run) error {
	if !x.begun {
		return nil
	}
	if err := q.FinishRun(ctx, x.Run); core.KindOf(err) != core.KindNotFound {
		return err
	}
	return nil
}

// writeRow writes the row of a run, if it has one or is worth one. One that
// nobody asked for and that found nothing to do is not.
func (x *run) writeRow(ctx context.Context, q core.Queries) error {
	if !x.begun {
		if !x.rowed || x.Outcome == outcomeInterrupted {
			return nil
		}
		if err := q.StartRun(ctx, x.Run); err != nil {
			return err
		}
	}
	return q.FinishRun(ctx, x.Run)
}

// update brings the state up to the end of the run.
func (x *run) update(state *core.SyncState, failure error, stopped, final bool) {
	now := x.FinishedAt
	state.BrakeDigest, state.BrakeSince = x.brake.digest, x.brake.since
	if failure != nil && x.fetched {
		state.Digest = ""
	}
	switch {
	case failure == nil:
		state.Failures, state.LastClass, state.LastError = 0, "", ""
		state.LastSuccessAt = now
		if x.RefsCreated+x.RefsUpdated+x.RefsDeleted > 0 || x.headed || x.First {
			state.ChangedAt = now
		}
		if state.FirstSyncedAt.IsZero() {
			state.FirstSyncedAt = now
		}
		state.NextAttemptAt = time.Time{}
		state.Digest = x.digest
		if x.Ref == "" {
			state.Skipped = x.skipped
		}
		if x.watch.Any() {
			state.Digest = "" // the listing does not show what sessions moved since
		}
		if x.again {
			// Not all was served: look once more, when the sessions that
			// were in the way have finished or have had time to.
			state.NextAttemptAt = now.Add(againPause)
			if x.await && !x.missed {
				state.NextAttemptAt = now.Add(awaitPause)
			}
			break
		}
		state.Served, state.Tried = x.taken.Wanted, x.taken.Wanted
		if x.Ref == "" {
			state.ObservedAt = core.Later(state.ObservedAt, x.listedAt)
		}
	case stopped: // no fault of the upstream's: at once, when somebody runs again
		state.NextAttemptAt = time.Time{}
	default:
		state.Tried = x.taken.Wanted
		state.LastErrorAt, state.LastClass, state.LastError = now, x.Class, x.Error
		if final {
			// The upstream answered: it is the request that cannot be served.
			state.Served, state.NextAttemptAt = x.taken.Wanted, time.Time{}
			break
		}
		state.Failures++
		state.NextAttemptAt = now.Add(schedule.Backoff(x.Class, state.Failures, retryAfter(failure)))
	}
	if state.Wanted > x.taken.Wanted {
		state.NextAttemptAt = time.Time{} // somebody asked during the run
	}
}

// recordUpstreamStatus notes what became of the upstream, and returns what that is worth
// telling.
func (s *Service) recordUpstreamStatus(ctx context.Context, q core.Queries, x *run, before core.SyncState, state *core.SyncState, failure error, final bool) ([]core.Event, error) {
	if final {
		failure = nil // it answered
	}
	anonymous := false
	if failure != nil && x.repo.Upstream.Mode != providers.ModeApp {
		_, err := q.CredentialByRepo(ctx, x.RepoID)
		if anonymous = core.KindOf(err) == core.KindNotFound; err != nil && !anonymous {
			return nil, err
		}
	}
	is, message := x.stateAfter(*state, failure, anonymous)
	if is != state.UpstreamState {
		state.UpstreamState, state.UpstreamSince = is, x.FinishedAt
		if _, err := q.SetUpstreamState(ctx, x.RepoID, is, x.FinishedAt); err != nil {
			return nil, err
		}
		s.log.Info("the upstream's state changed", "repo_id", x.RepoID, "from", before.UpstreamState.Word(), "to", is.Word(), "host_text", message)
	}
	return upstreamEvents(x.repo, before, *state, message, x.FinishedAt)
}

// classify returns the class and the redacted sentence of a failed run.
func classify(err error) (core.ErrorClass, string) {
	var ce *classError
	if errors.As(err, &ce) {
		return ce.class, ce.text
	}
	if _, ok := repo.IsRefError(err); ok {
		return core.ClassInternal, "a ref could not be written: " + hosterror.Redact(err.Error())
	}
	return upstream.Classify(err)
}

// retryAfter returns what the host asked for, if anything.
func retryAfter(err error) time.Duration {
	var re *hosterror.Error
	if errors.As(err, &re) {
		return re.RetryAfter
	}
	if e, ok := errors.AsType[*core.Error](err); ok {
		return e.RetryAfter
	}
	return 0
}
