package core

import (
	"context"
	"time"
)

// Triggers of a run that a user requested. Those of the server's own are in
// core/schedule.
const (
	TriggerAPI    = "api"    // pull-upstream
	TriggerCreate = "create" // a public or App repository was made
)

// SyncStore keeps sync states and runs.
type SyncStore interface {
	SyncState(ctx context.Context, repoID string) (SyncState, error)
	// RequestSync raises Wanted and returns it. A request for another ref than
	// a waiting one widens that to all refs. It clears NextAttemptAt: a person
	// or webhook that asks is served at once, whatever the back-off. A waiting
	// request of a user ([TriggerAPI], [TriggerCreate]) that no run has tried keeps its trigger,
	// so that the run which serves it is run as that user's.
	RequestSync(ctx context.Context, repoID, trigger, ref string) (int64, error)
	// TakeSync starts serving: it returns the state as of now, and clears
	// WantedRef so that later requests start afresh.
	TakeSync(ctx context.Context, repoID string) (SyncState, error)
	// FinishSync ends the run that TakeSync began, and writes what it found out. It
	// leaves out what others write: Wanted, WantedRef and Trigger (RequestSync and
	// TakeSync), PollAt (SetPoll and Observed), Notice (SetNotice), and UpstreamState
	// and UpstreamSince (SetUpstreamState).
	FinishSync(ctx context.Context, s SyncState) error
	// SetDigest sets Digest; "" forgets it. A write session does: the copy is no longer
	// what was listed.
	SetDigest(ctx context.Context, repoID, digest string) error
	// SetNotice sets Notice, whether the run that it is about has ended or not.
	SetNotice(ctx context.Context, repoID string, n SyncNotice) error
	// PostponeSync sets NextAttemptAt alone, if there is work waiting.
	PostponeSync(ctx context.Context, repoID string, at time.Time) error
	// DueSyncs lists repositories that are not paused, with Served < Wanted and NextAttemptAt zero
	// or not after now, oldest NextAttemptAt first, at most limit.
	DueSyncs(ctx context.Context, now time.Time, limit int) ([]DueSync, error)
	// NextSyncAt returns the earliest NextAttemptAt after now of a repository that is not paused
	// with Served < Wanted, and the zero time if there is none.
	NextSyncAt(ctx context.Context, now time.Time) (time.Time, error)

	StartRun(ctx context.Context, r Run) error
	FinishRun(ctx context.Context, r Run) error
	// Runs lists runs newest first, with ids below before ("" for the newest).
	Runs(ctx context.Context, repoID, before string, limit int) ([]Run, error)
	// InterruptRuns marks unfinished runs as interrupted; called once at start.
	InterruptRuns(ctx context.Context, at time.Time) (int, error)
}
