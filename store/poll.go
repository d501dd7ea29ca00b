package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/headwater-git/headwater/core"
)

// The conditions on poll_at, served and idle are those of the index, word for word.

// DuePolls implements [core.PollStore]. KindInvalid: the limit is not positive.
func (q *queries) DuePolls(ctx context.Context, now time.Time, limit int) ([]core.DueSync, error) {
	action := op{name: "list due polls"}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanDueSync, `
		SELECT repo_id, `+upstreamOfDue+`, cause, poll_at
		FROM sync_states WHERE poll_at > 0 AND served >= wanted AND idle = 0 AND poll_at <= $1
		ORDER BY poll_at LIMIT $2`, micros(now), limit)
	return all, action.fail(err)
}

// NextPollAt implements [core.PollStore]. A repository with work waiting does
// not count: its next poll is set anew after that.
func (q *queries) NextPollAt(ctx context.Context, now time.Time) (time.Time, error) {
	return q.next(ctx, op{name: "find next poll"}, `
		SELECT poll_at FROM sync_states WHERE poll_at > 0 AND served >= wanted AND idle = 0 AND poll_at > $1
		ORDER BY poll_at LIMIT 1`, micros(now))
}

// next reads a time, zero if there is no row.
func (q *queries) next(ctx context.Context, o op, query string, args ...any) (next time.Time, err error) {
	err = q.read.QueryRowContext(ctx, query, args...).Scan(timeColumn{&next})
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	return next, o.fail(err)
}

// SetPoll implements [core.PollStore]. KindNotFound: the repository is not
// synced.
func (q *queries) SetPoll(ctx context.Context, repoID string, at time.Time) error {
	return q.exec(ctx, op{name: "set poll", subject: repoID, missing: noSyncState}, `
		UPDATE sync_states SET poll_at = $1 WHERE repo_id = $2`, micros(at), repoID)
}

// Observed implements [core.PollStore]. It never takes observedAt back: a look
// may end after another one that began later. KindNotFound: the repository is
// not synced.
func (q *queries) Observed(ctx context.Context, repoID string, observedAt, pollAt time.Time) error {
	return q.exec(ctx, op{name: "record a look", subject: repoID, missing: noSyncState}, `
		UPDATE sync_states SET observed_at = CASE WHEN observed_at > $1 THEN observed_at ELSE $1 END, poll_at = $2
		WHERE repo_id = $3`, micros(observedAt), micros(pollAt), repoID)
}

// Unobserve implements [core.PollStore]. KindNotFound: the repository is not synced.
func (q *queries) Unobserve(ctx context.Context, repoID string, since time.Time) error {
	return q.exec(ctx, op{name: "take looks back", subject: repoID, missing: noSyncState}, `
		UPDATE sync_states SET observed_at = CASE WHEN observed_at > $1 THEN $1 ELSE observed_at END
		WHERE repo_id = $2`, micros(since), repoID)
}

// UnpolledRepositories implements [core.PollStore]. KindInvalid: the limit is
// not positive.
func (q *queries) UnpolledRepositories(ctx context.Context, after string, limit int) ([]string, error) {
	action := op{name: "list repositories without polls"}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanString, `
		SELECT repo_id FROM sync_states WHERE poll_at = 0 AND repo_id > $1 ORDER BY repo_id LIMIT $2`, after, limit)
	return all, action.fail(err)
}
