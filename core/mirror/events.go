package mirror

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/upstream"
)

// syncEvent is the body of repo.sync.*, contract section 5.
type syncEvent struct {
	RunCount    int64           `json:"run_count"`
	IsFirstSync bool            `json:"is_first_sync"`
	StartedAt   core.Timestamp  `json:"started_at"`
	CompletedAt *core.Timestamp `json:"completed_at,omitempty"`
	Error       string          `json:"error,omitempty"`
}

// SyncEvent makes a sync event of a run. runs is the number of finished runs: for
// a start those before it, for an end with it.
func SyncEvent(r core.Repository, x core.Run, typ string, runs int64) (core.Event, error) {
	body := syncEvent{RunCount: runs, IsFirstSync: x.First, StartedAt: core.EventTime(x.StartedAt)}
	at := x.StartedAt
	if typ != core.EventSyncStarted {
		at = x.FinishedAt
		body.CompletedAt = new(core.EventTime(at))
	}
	if typ == core.EventSyncFailed {
		body.Error = x.Class.Describe(x.Error) // never empty, as receivers require
	}
	return core.RepositoryEvent(r, typ, body, at)
}

// begin writes the row of the run, and tells of its start unless that would be
// a repetition. A run that no user requested has its event only once it has found
// something to do, so an echo of our own push and a look that finds no change
// leave neither row nor event.
func (x *run) begin(ctx context.Context) error {
	if x.begun {
		return nil
	}
	x.begun = true
	if !x.userInitiated && x.taken.Notice.Pending() {
		return x.store.StartRun(ctx, x.Run) // a retry
	}
	e, err := SyncEvent(x.repo, x.Run, core.EventSyncStarted, x.taken.Runs)
	if err != nil {
		return err
	}
	now := core.SyncNotice{Kind: core.NoticeStarted, Generation: x.taken.Wanted}
	return x.store.Tx(ctx, func(q core.Queries) error {
		if err := q.StartRun(ctx, x.Run); err != nil {
			return err
		}
		if err := q.SetNotice(ctx, x.RepoID, now); err != nil {
			return err
		}
		return q.AddEvents(ctx, []core.Event{e})
	})
}

// end returns the type of the event that tells of the end of the run, "" if
// it needs none. state is after the run; final is a failure that no
// retry can mend.
func (x *run) endType(before core.SyncNotice, state core.SyncState, final bool) string {
	switch x.Outcome {
	case outcomeInterrupted:
		return "" // it goes on
	case outcomeFailed, outcomeHeld:
		again := before.Kind == core.NoticeFailed && upstream.OutageClass(before.Class) == upstream.OutageClass(x.Class)
		switch {
		case x.userInitiated, final && before.Pending():
			return core.EventSyncFailed
		case again:
			return ""
		case before.Kind == core.NoticeFailed, state.Failures >= upstream.FailuresNotified:
			return core.EventSyncFailed
		}
		return ""
	}
	if x.userInitiated || before.Pending() {
		return core.EventSyncSucceeded
	}
	return ""
}

// endEvent returns the event of the run's end, if there is one, and notes it in the
// state.
func (x *run) endEvent(state *core.SyncState, final bool) ([]core.Event, error) {
	typ := x.endType(state.Notice, *state, final)
	if typ == "" {
		return nil, nil
	}
	state.Notice = core.SyncNotice{Kind: core.NoticeDone, Generation: x.taken.Wanted}
	if typ == core.EventSyncFailed && !final {
		state.Notice.Kind, state.Notice.Class = core.NoticeFailed, x.Class
	}
	e, err := SyncEvent(x.repo, x.Run, typ, state.Runs)
	return []core.Event{e}, err
}

// headChanged makes the event of a default branch that followed the upstream's;
// names are short.
func headChanged(r core.Repository, to string, at time.Time) (core.Event, error) {
	return core.RepositoryEvent(r, core.EventDefaultBranchChanged, struct {
		Old string `json:"old"`
		New string `json:"new"`
	}{r.DefaultBranch, to}, at)
}
