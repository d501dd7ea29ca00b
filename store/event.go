package store

import (
	"context"

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
	err := q.writeAll(ctx, func(tx runner) error {
		for _, e := range events {
			action.subject = e.ID
			// An event without a journal entry is told of no ref change and
			// never a repetition: the index leaves it out.
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO events (id, repo_id, org, type, journal_id, ref, payload, created_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
				ON CONFLICT (journal_id, ref) WHERE journal_id <> '' DO NOTHING`,
				e.ID, e.RepoID, e.Org, e.Type, e.JournalID, e.Ref, string(e.Payload), micros(e.CreatedAt)); err != nil {
				return err
			}
		}
		return nil
	})
	return action.fail(err)
}

// Events implements [core.EventStore]. KindInvalid: the limit is not positive.
func (q *queries) Events(ctx context.Context, after int64, limit int) ([]core.Event, error) {
	action := op{name: "list events"}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanEvent, `
		SELECT seq, id, repo_id, org, type, journal_id, ref, payload, created_at
		FROM events WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	return all, action.fail(err)
}

func scanEvent(row scanner) (e core.Event, err error) {
	err = row.Scan(&e.Seq, &e.ID, &e.RepoID, &e.Org, &e.Type, &e.JournalID, &e.Ref, &e.Payload, timeColumn{&e.CreatedAt})
	return e, err
}
