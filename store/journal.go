package store

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

const selectJournal = `
	SELECT id, repo_id, namespace, source, actor, upstream, state, updates, created_at, closed_at FROM journal`

func scanJournal(row scanner) (e core.JournalEntry, err error) {
	err = row.Scan(&e.ID, &e.RepoID, &e.Namespace, &e.Source, &e.Actor, &e.Upstream, &e.State, jsonColumn{&e.Updates},
		timeColumn{&e.CreatedAt}, timeColumn{&e.ClosedAt})
	return e, err
}

// OpenJournal implements [core.JournalStore]. KindNotFound: no such repository.
func (q *queries) OpenJournal(ctx context.Context, e core.JournalEntry) error {
	action := op{name: "open journal entry", subject: e.ID, missing: noRepository, taken: "a journal entry of this id exists already"}
	updates, err := encode(e.Updates)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		INSERT INTO journal (id, repo_id, namespace, source, actor, upstream, state, updates, created_at, closed_at)
		SELECT $1, id, $3, $4, $5, $6, $7, $8, $9, $10 FROM repositories WHERE id = $2 AND deleted_at = 0`,
		e.ID, e.RepoID, e.Namespace, e.Source, e.Actor, bit(e.Upstream), e.State, updates, micros(e.CreatedAt), micros(e.ClosedAt))
}

// CloseJournal implements [core.JournalStore].
func (q *queries) CloseJournal(ctx context.Context, id string, state core.JournalState, updates []core.RefUpdate, at time.Time) error {
	action := op{name: "close journal entry", subject: id, missing: "no such journal entry"}
	text, err := encode(updates)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		UPDATE journal SET state = $1, updates = $2, closed_at = $3 WHERE id = $4`, state, text, micros(at), id)
}

// OpenJournals implements [core.JournalStore].
func (q *queries) OpenJournals(ctx context.Context) ([]core.JournalEntry, error) {
	// The states are literals, so that the index of open entries serves this.
	all, err := collect(ctx, q.read, scanJournal, selectJournal+` WHERE state IN ('sent', 'lagging') ORDER BY id`)
	return all, op{name: "list open journal entries"}.fail(err)
}

// Journal implements [core.JournalStore]. KindInvalid: the limit is not positive.
func (q *queries) Journal(ctx context.Context, repoID string, limit int) ([]core.JournalEntry, error) {
	action := op{name: "list journal entries", subject: repoID}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanJournal, selectJournal+` WHERE repo_id = $1 ORDER BY id DESC LIMIT $2`, repoID, limit)
	return all, action.fail(err)
}

// EphemeralJournal implements [core.JournalStore]. KindInvalid: the limit is not
// positive.
func (q *queries) EphemeralJournal(ctx context.Context, repoID, after string, limit int) ([]core.JournalEntry, error) {
	action := op{name: "list journal entries of ephemeral branches", subject: repoID}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	// The namespace is a literal, so that the index of those entries serves this.
	all, err := collect(ctx, q.read, scanJournal, selectJournal+`
		WHERE repo_id = $1 AND namespace = 'ephemeral' AND id > $2 ORDER BY id LIMIT $3`, repoID, after, limit)
	return all, action.fail(err)
}
