package store

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

// Requests fold as follows. Between TakeSync and FinishSync a run is serving the
// generation "taken". A request is waiting if "wanted" is above both "served"
// and "taken"; only with a waiting one does a new request fold, and if their
// refs differ, both become one request for all refs. FinishSync ends the run. If
// that leaves "served" below "taken", the run has failed and what it was asked
// for waits again, as a request for all refs, so that a request for another ref
// which came meanwhile cannot take its place.

const noSyncState = "the repository is not synced"

const syncColumns = `repo_id, wanted, served, tried, wanted_ref, cause, next_attempt_at, failures, runs,
	first_synced_at, last_success_at, last_error_at, last_class, last_error, digest, brake_digest, brake_since,
	observed_at, changed_at, poll_at, notice_kind, notice_class, notice_generation, upstream_state, upstream_since, skipped_refs, paused_at`

func scanSyncState(row scanner) (s core.SyncState, err error) {
	err = row.Scan(&s.RepoID, &s.Wanted, &s.Served, &s.Tried, &s.WantedRef, &s.Trigger, timeColumn{&s.NextAttemptAt}, &s.Failures, &s.Runs,
		timeColumn{&s.FirstSyncedAt}, timeColumn{&s.LastSuccessAt}, timeColumn{&s.LastErrorAt}, &s.LastClass, &s.LastError,
		&s.Digest, &s.BrakeDigest, timeColumn{&s.BrakeSince}, timeColumn{&s.ObservedAt}, timeColumn{&s.ChangedAt}, timeColumn{&s.PollAt},
		&s.Notice.Kind, &s.Notice.Class, &s.Notice.Generation, &s.UpstreamState, timeColumn{&s.UpstreamSince}, jsonColumn{&s.Skipped}, timeColumn{&s.PausedAt})
	return s, err
}

// SyncState implements [core.SyncStore].
func (q *queries) SyncState(ctx context.Context, repoID string) (core.SyncState, error) {
	s, err := scanSyncState(q.read.QueryRowContext(ctx, `SELECT `+syncColumns+` FROM sync_states WHERE repo_id = $1`, repoID))
	return s, op{name: "read sync state", subject: repoID, missing: noSyncState}.fail(err)
}

// RequestSync implements [core.SyncStore]. While wanted is beyond served, taken and
// tried, a request waits that no run has begun to serve; but for a run that ended without
// having served all, which leaves a time for the next attempt.
func (q *queries) RequestSync(ctx context.Context, repoID, trigger, ref string) (wanted int64, err error) {
	err = q.write(ctx, func(tx runner) error {
		return tx.QueryRowContext(ctx, `
			UPDATE sync_states SET
				wanted = wanted + 1,
				wanted_ref = CASE WHEN wanted > served AND wanted > taken AND wanted_ref <> $1 THEN '' ELSE $1 END,
				cause = CASE WHEN wanted > served AND wanted > taken AND wanted > tried AND next_attempt_at = 0 AND cause IN ($4, $5) THEN cause ELSE $2 END,
				next_attempt_at = 0
			WHERE repo_id = $3 RETURNING wanted`, ref, trigger, repoID, core.TriggerAPI, core.TriggerCreate).Scan(&wanted)
	})
	return wanted, op{name: "request sync", subject: repoID, missing: noSyncState}.fail(err)
}

// TakeSync implements [core.SyncStore]. If the last one taken was neither
// served nor saved, because the process died, it is taken along, with all refs.
func (q *queries) TakeSync(ctx context.Context, repoID string) (s core.SyncState, err error) {
	err = q.write(ctx, func(tx runner) error {
		// Within SET, columns have the values from before: wanted_ref moves to
		// taken_ref, from where RETURNING can still read it.
		var ref string
		row := tx.QueryRowContext(ctx, `
			UPDATE sync_states SET
				taken = wanted,
				taken_ref = CASE WHEN taken > served THEN '' ELSE wanted_ref END,
				wanted_ref = ''
			WHERE repo_id = $1 RETURNING taken_ref, `+syncColumns, repoID)
		s, err = scanSyncState(prefixed{row, &ref})
		s.WantedRef = ref
		return err
	})
	return s, op{name: "take sync", subject: repoID, missing: noSyncState}.fail(err)
}

// prefixed is a row whose first column goes to first.
type prefixed struct {
	row   scanner
	first any
}

// Scan implements scanner.
func (p prefixed) Scan(dest ...any) error {
	return p.row.Scan(append([]any{p.first}, dest...)...)
}

// FinishSync implements [core.SyncStore]. A request that came during the run keeps its
// right to be served at once: then NextAttemptAt stays zero, whatever s says.
func (q *queries) FinishSync(ctx context.Context, s core.SyncState) error {
	skipped, err := encode(s.Skipped)
	if err != nil {
		return err
	}
	return q.exec(ctx, op{name: "finish sync", subject: s.RepoID, missing: noSyncState}, `
		UPDATE sync_states SET
			served = $1,
			wanted_ref = CASE WHEN taken > $1 THEN '' ELSE wanted_ref END,
			next_attempt_at = CASE WHEN taken > 0 AND wanted > taken THEN 0 ELSE CAST($2 AS BIGINT) END,
			taken = 0, taken_ref = '',
			failures = $3, runs = $4, first_synced_at = $5, last_success_at = $6, last_error_at = $7,
			last_class = $8, last_error = $9, digest = $10, brake_digest = $11,
			observed_at = $12, changed_at = $13, tried = $14, skipped_refs = $15, brake_since = $16
		WHERE repo_id = $17`,
		s.Served, micros(s.NextAttemptAt),
		s.Failures, s.Runs, micros(s.FirstSyncedAt), micros(s.LastSuccessAt), micros(s.LastErrorAt),
		s.LastClass, s.LastError, s.Digest, s.BrakeDigest,
		micros(s.ObservedAt), micros(s.ChangedAt), s.Tried, skipped, micros(s.BrakeSince), s.RepoID)
}

// SetDigest implements [core.SyncStore].
func (q *queries) SetDigest(ctx context.Context, repoID, digest string) error {
	return q.exec(ctx, op{name: "set digest", subject: repoID, missing: noSyncState}, `
		UPDATE sync_states SET digest = $1 WHERE repo_id = $2`, digest, repoID)
}

// SetNotice implements [core.SyncStore].
func (q *queries) SetNotice(ctx context.Context, repoID string, n core.SyncNotice) error {
	return q.exec(ctx, op{name: "set sync notice", subject: repoID, missing: noSyncState}, `
		UPDATE sync_states SET notice_kind = $1, notice_class = $2, notice_generation = $3 WHERE repo_id = $4`,
		n.Kind, n.Class, n.Generation, repoID)
}

// PostponeSync implements [core.SyncStore]. KindNotFound: the repository is not
// synced, or no work is waiting.
func (q *queries) PostponeSync(ctx context.Context, repoID string, at time.Time) error {
	return q.exec(ctx, op{name: "postpone sync", subject: repoID, missing: "no sync of the repository is waiting"}, `
		UPDATE sync_states SET next_attempt_at = $1 WHERE repo_id = $2 AND served < wanted`, micros(at), repoID)
}

// DueSyncs implements [core.SyncStore]. KindInvalid: the limit is not positive.
func (q *queries) DueSyncs(ctx context.Context, now time.Time, limit int) ([]core.DueSync, error) {
	action := op{name: "list due syncs"}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	// The zero time is stored as 0, which is not after any now.
	all, err := collect(ctx, q.read, scanDueSync, `
		SELECT repo_id, `+upstreamOfDue+`, cause, next_attempt_at
		FROM sync_states WHERE served < wanted AND idle = 0 AND next_attempt_at <= $1
		ORDER BY next_attempt_at, repo_id LIMIT $2`, micros(now), limit)
	return all, action.fail(err)
}

// upstreamOfDue are the columns that say which host a row of sync_states is about.
// They are subqueries and not a join, so that the order always comes from the index
// of sync_states.
const upstreamOfDue = `coalesce((SELECT u.instance FROM upstreams u WHERE u.repo_id = sync_states.repo_id), ''),
	coalesce((SELECT u.host FROM upstreams u WHERE u.repo_id = sync_states.repo_id), '')`

func scanDueSync(row scanner) (d core.DueSync, err error) {
	err = row.Scan(&d.RepoID, &d.Instance, &d.Host, &d.Trigger, timeColumn{&d.At})
	return d, err
}

// NextSyncAt implements [core.SyncStore].
func (q *queries) NextSyncAt(ctx context.Context, now time.Time) (time.Time, error) {
	return q.next(ctx, op{name: "find next sync"}, `
		SELECT next_attempt_at FROM sync_states WHERE served < wanted AND idle = 0 AND next_attempt_at > $1
		ORDER BY next_attempt_at LIMIT 1`, micros(now))
}
