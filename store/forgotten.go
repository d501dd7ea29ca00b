package store

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

// forgetBatch is how many ids are written in one transaction: a purge may bring a
// million, and other writers wait meanwhile.
const forgetBatch = 1000

// Forget implements [core.ForgottenStore].
func (q *queries) Forget(ctx context.Context, repoID string, ids []core.ObjectID, at time.Time) error {
	for begin := 0; begin < len(ids); begin += forgetBatch {
		err := q.write(ctx, func(tx runner) error {
			for _, id := range ids[begin:min(begin+forgetBatch, len(ids))] {
				_, err := tx.ExecContext(ctx, `
					INSERT INTO forgotten (repo_id, object_id, forgotten_at) VALUES ($1, $2, $3)
					ON CONFLICT (repo_id, object_id) DO NOTHING`, repoID, id, micros(at))
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return op{name: "forget objects", subject: repoID, missing: noRepository}.fail(err)
		}
	}
	return nil
}

// Forgotten implements [core.ForgottenStore].
func (q *queries) Forgotten(ctx context.Context, repoID string, ids []core.ObjectID) ([]core.ObjectID, error) {
	var found []core.ObjectID
	for _, id := range ids {
		one, err := collect(ctx, q.read, scanString, `SELECT object_id FROM forgotten WHERE repo_id = $1 AND object_id = $2`, repoID, id)
		if err != nil {
			return nil, op{name: "look for forgotten objects", subject: repoID}.fail(err)
		}
		if len(one) > 0 {
			found = append(found, id)
		}
	}
	return found, nil
}

// AnyForgotten implements [core.ForgottenStore].
func (q *queries) AnyForgotten(ctx context.Context, repoID string) (bool, error) {
	found, err := collect(ctx, q.read, scanString, `SELECT object_id FROM forgotten WHERE repo_id = $1 LIMIT 1`, repoID)
	return len(found) > 0, op{name: "look for forgotten objects", subject: repoID}.fail(err)
}
