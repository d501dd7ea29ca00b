package store

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

// DeleteJournal implements [core.RetentionStore]. KindInvalid: the limit is not
// positive.
func (q *queries) DeleteJournal(ctx context.Context, before time.Time, limit int) (int, error) {
	return q.deleteSome(ctx, op{name: "delete journal entries"}, limit, `
		DELETE FROM journal WHERE id IN (
			SELECT id FROM journal WHERE state IN ('applied', 'dropped') AND closed_at < $1 ORDER BY closed_at LIMIT $2)`,
		micros(before))
}

// DeleteRuns implements [core.RetentionStore]. KindInvalid: the limit is not
// positive, or keep is negative.
func (q *queries) DeleteRuns(ctx context.Context, before time.Time, keep, limit int) (int, error) {
	action := op{name: "delete runs"}
	if err := checkLimit(action, limit); err != nil {
		return 0, err
	}
	if keep < 0 {
		return 0, &core.Error{Kind: core.KindInvalid, Op: action.name, Message: "the number of runs to keep is negative"}
	}
	// This walks over the last runs of every repository, so it is done before
	// the write lock is taken. What it finds cannot change until then: finished
	// runs only get older, and newer ones only push them further back.
	ids, err := collect(ctx, q.read, scanString, `
		SELECT s.id FROM (
			SELECT r.id AS repo_id,
				(SELECT k.id FROM sync_runs k WHERE k.repo_id = r.id ORDER BY k.id DESC LIMIT 1 OFFSET $1) AS newest
			FROM repositories r
		) old JOIN sync_runs s ON s.repo_id = old.repo_id AND s.id <= old.newest
		WHERE s.finished_at > 0 AND s.finished_at < $2 LIMIT $3`, keep, micros(before), limit)
	if err != nil || len(ids) == 0 {
		return 0, action.fail(err)
	}
	n := 0
	err = q.writeAll(ctx, func(tx runner) error {
		for _, id := range ids {
			result, err := tx.ExecContext(ctx, `DELETE FROM sync_runs WHERE id = $1`, id)
			if err != nil {
				return err
			}
			affected, err := result.RowsAffected()
			if err != nil {
				return err
			}
			n += int(affected)
		}
		return nil
	})
	if err != nil {
		return 0, action.fail(err)
	}
	return n, nil
}
