package mirror

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/trace"
	"github.com/headwater-git/headwater/core/upstream"
)

// record writes the outcome of the run, when to retry or look next, and the events, in
// one transaction. With stopped, the run was cancelled. It returns when to look next.
func (x *run) record(ctx context.Context, failure error, stopped bool) (pollAt time.Time, err error) {
	x.FinishedAt = x.clock.Now()
	final := false // the upstream answered, and the request cannot be served
	if failure != nil {
		ce, ok := errors.AsType[*upstream.ClassifiedError](failure)
		final = ok && ce.Final
		x.fail(failure, stopped)
	}
	if x.again && failure == nil {
		x.sessionsHold = slices.ContainsFunc(x.left, func(ref string) bool { return x.repos.Locks().RefLocked(x.RepoID, ref) })
	}
	var settled []core.Expectation
	if failure == nil && x.Ref == "" {
		settled = x.settle(ctx, x.RepoID, x.open, x.listed.Refs, x.before)
	}
	x.Phases = x.phases
	err = x.store.Tx(ctx, func(q core.Queries) error {
		state, err := q.SyncState(ctx, x.RepoID)
		if core.KindOf(err) == core.KindNotFound {
			return x.recordDetached(ctx, q)
		}
		if err != nil {
			return err
		}
		before, notice := state, state.Notice
		if failure != nil || state.Notice.Pending() || state.Failures > 0 || upstream.Unreadable(state) {
			x.rowed = true
		}
		if x.begun || x.rowed {
			state.Runs++
		}
		x.update(&state, failure, stopped, final)
		if err := unexpect(ctx, q, x.RepoID, settled); err != nil {
			return err
		}
		if state.PollAt, err = x.schedule.NextLook(ctx, q, x.repo, state, x.taken.PollAt); err != nil {
			return err
		}
		pollAt = state.PollAt
		events, err := x.endEvent(&state, final)
		if err != nil {
			return err
		}
		if !stopped {
			contact := upstream.Contact{At: x.FinishedAt}
			if !final {
				contact.Failure = failure
			}
			more, err := x.inquiry.Record(ctx, q, before, &state, contact)
			if err != nil {
				return err
			}
			events = append(events, more...)
		}
		if err := q.FinishSync(ctx, state); err != nil {
			return err
		}
		if err := q.SetPoll(ctx, x.RepoID, state.PollAt); err != nil {
			return err
		}
		if state.Notice != notice {
			if err := q.SetNotice(ctx, x.RepoID, state.Notice); err != nil {
				return err
			}
		}
		if err := x.writeRow(ctx, q); err != nil {
			return err
		}
		for i := range events {
			events[i].Trace = trace.Parent(ctx)
		}
		return q.AddEvents(ctx, events)
	})
	x.logEnd()
	x.ended(x.repo, x.Run)
	return pollAt, err
}

// fail gives the run the outcome, class and text of a failure.
func (x *run) fail(failure error, stopped bool) {
	if stopped {
		x.Outcome, x.Class, x.Error = outcomeInterrupted, "", errShutdown.Error()
		return
	}
	x.Outcome = outcomeFailed
	x.Class, x.Error = upstream.Classify(failure)
	if x.Class == core.ClassDiverged {
		x.Outcome = outcomeHeld
	}
}

// logEnd logs what came of the run.
func (x *run) logEnd() {
	level := hclog.Info
	if !x.begun && !x.rowed {
		level = hclog.Debug // a look that found nothing
	}
	x.log.Log(level, "sync finished", "repo_id", x.RepoID, "run_id", x.ID, "trigger", x.Trigger, "outcome", x.Outcome, "class", x.Class,
		"created", x.RefsCreated, "updated", x.RefsUpdated, "deleted", x.RefsDeleted, "bytes", x.Bytes,
		"duration", x.FinishedAt.Sub(x.StartedAt), "host_text", x.Error)
}

// recordDetached ends a run whose repository was detached or deleted meanwhile:
// then the run is gone, too.
func (x *run) recordDetached(ctx context.Context, q core.Queries) error {
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
			if x.sessionsHold && !x.missed {
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
		state.NextAttemptAt = now.Add(schedule.Backoff(x.Class, state.Failures, upstream.RetryAfter(failure)))
	}
	if state.Wanted > x.taken.Wanted {
		state.NextAttemptAt = time.Time{} // somebody asked during the run
	}
}
