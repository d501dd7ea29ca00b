package store

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

// AddEvents implements [core.EventStore]. It gives each event its Seq; the one
// it comes with does not count. KindConflict: an id is there already, of
// another change.
func (q *queries) AddEvents(ctx context.Context, events []core.Event) error {
	if len(events) == 0 {
		return nil
	}
	action := op{name: "add events", taken: "an event of this id exists already"}
	added := false
	err := q.writeAll(ctx, func(tx runner) error {
		// An event without a journal entry is about no ref change and never
		// a repetition: the index leaves it out. Prepared once, since a push of many
		// refs makes an event for each.
		insert, err := tx.PrepareContext(ctx, `
			INSERT INTO events (id, repo_id, org, type, journal_id, ref, payload, created_at, trace)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (journal_id, ref) WHERE journal_id <> '' DO NOTHING`)
		if err != nil {
			return err
		}
		defer insert.Close()
		for _, e := range events {
			action.subject = e.ID
			done, err := insert.ExecContext(ctx, e.ID, e.RepoID, e.Org, e.Type, e.JournalID, e.Ref, string(e.Payload), micros(e.CreatedAt), e.Trace)
			if err != nil {
				return err
			}
			n, err := done.RowsAffected()
			if err != nil {
				return err
			}
			added = added || n > 0
		}
		return nil
	})
	if err != nil {
		return action.fail(err)
	}
	if added {
		q.eventsAdded()
	}
	return nil
}

const selectEvent = `SELECT seq, id, repo_id, org, type, journal_id, ref, payload, created_at, trace FROM events`

// Events implements [core.EventStore]. KindInvalid: the limit is not positive.
func (q *queries) Events(ctx context.Context, after int64, limit int) ([]core.Event, error) {
	action := op{name: "list events"}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanEvent, selectEvent+` WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	return all, action.fail(err)
}

// EventsOf implements [core.EventFeed]. KindInvalid: the limit is not positive.
func (q *queries) EventsOf(ctx context.Context, f core.EventFilter) ([]core.Event, error) {
	action := op{name: "list events", subject: f.Org}
	if err := checkLimit(action, f.Limit); err != nil {
		return nil, err
	}
	// Two queries, so that each is a walk along one index from the position on.
	query, key := selectEvent+` WHERE org = $1 AND seq > $2 AND org = $3 ORDER BY seq LIMIT $4`, f.Org
	if f.RepoID != "" {
		query, key = selectEvent+` WHERE repo_id = $1 AND seq > $2 AND org = $3 ORDER BY seq LIMIT $4`, f.RepoID
	}
	all, err := collect(ctx, q.read, scanEvent, query, key, f.After, f.Org, f.Limit)
	return all, action.fail(err)
}

// LastSeq implements [core.EventFeed].
func (q *queries) LastSeq(ctx context.Context) (seq int64, err error) {
	// Only events up to the position are ever deleted, so without any left the
	// last one is at the position.
	// After a restore the next one is first_seq, wherever the restored ones end.
	err = q.read.QueryRowContext(ctx, `
		SELECT MAX(seq) FROM (
			SELECT COALESCE((SELECT seq FROM events ORDER BY seq DESC LIMIT 1), (SELECT seq FROM outbox)) AS seq
			UNION ALL SELECT first_seq - 1 FROM restores WHERE id = 1
		) both_ends`).Scan(&seq)
	return seq, op{name: "find the last event"}.fail(err)
}

// FirstSeq implements [core.EventFeed].
func (q *queries) FirstSeq(ctx context.Context) (seq int64, err error) {
	err = q.read.QueryRowContext(ctx, `
		SELECT MAX(seq) FROM (
			SELECT COALESCE((SELECT seq FROM events ORDER BY seq LIMIT 1), (SELECT seq FROM outbox) + 1) AS seq
			UNION ALL SELECT first_seq FROM restores WHERE id = 1
		) both_ends`).Scan(&seq)
	return seq, op{name: "find the first event"}.fail(err)
}

// DeleteEvents implements [core.EventFeed]. It looks at the oldest events only:
// those are in the order of their creation, so the first that is too young has
// none before it that is old enough, but for a clock that was set back; then
// they are deleted later. KindInvalid: the limit is not positive.
func (q *queries) DeleteEvents(ctx context.Context, before time.Time, limit int) (int, error) {
	return q.deleteSome(ctx, op{name: "delete events"}, limit, `
		DELETE FROM events WHERE seq IN (
			SELECT seq FROM (
				SELECT seq, created_at FROM events WHERE seq <= (SELECT seq FROM outbox) ORDER BY seq LIMIT $2
			) oldest WHERE created_at < $1)`, micros(before))
}

func scanEvent(row scanner) (e core.Event, err error) {
	err = row.Scan(&e.Seq, &e.ID, &e.RepoID, &e.Org, &e.Type, &e.JournalID, &e.Ref, &e.Payload, timeColumn{&e.CreatedAt}, &e.Trace)
	return e, err
}
