package store

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

const runColumns = `id, repo_id, cause, ref, is_first, started_at, finished_at, outcome, class, error,
	refs_created, refs_updated, refs_deleted, bytes, refs_forced, refs_held, phases`

// StartRun implements [core.SyncStore]. KindNotFound: no such repository.
func (q *queries) StartRun(ctx context.Context, r core.Run) error {
	action := op{name: "start run", subject: r.ID, missing: noRepository, taken: "a run of this id exists already"}
	phases, err := encode(r.Phases)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		INSERT INTO sync_runs (`+runColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		r.ID, r.RepoID, r.Trigger, r.Ref, bit(r.First), micros(r.StartedAt), micros(r.FinishedAt), r.Outcome, r.Class, r.Error,
		r.RefsCreated, r.RefsUpdated, r.RefsDeleted, r.Bytes, r.RefsForced, r.RefsHeld, phases)
}

// FinishRun implements [core.SyncStore]. It writes what a run finds out; what
// StartRun wrote stays.
func (q *queries) FinishRun(ctx context.Context, r core.Run) error {
	action := op{name: "finish run", subject: r.ID, missing: "no such run"}
	phases, err := encode(r.Phases)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		UPDATE sync_runs SET finished_at = $1, outcome = $2, class = $3, error = $4,
			refs_created = $5, refs_updated = $6, refs_deleted = $7, bytes = $8, refs_forced = $9, refs_held = $10, phases = $11
		WHERE id = $12`,
		micros(r.FinishedAt), r.Outcome, r.Class, r.Error, r.RefsCreated, r.RefsUpdated, r.RefsDeleted, r.Bytes,
		r.RefsForced, r.RefsHeld, phases, r.ID)
}

// Runs implements [core.SyncStore]. KindInvalid: the limit is not positive.
func (q *queries) Runs(ctx context.Context, repoID, before string, limit int) ([]core.Run, error) {
	action := op{name: "list runs", subject: repoID}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanRun, `
		SELECT `+runColumns+`
		FROM sync_runs WHERE repo_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, repoID, orLast(before), limit)
	return all, action.fail(err)
}

func scanRun(row scanner) (r core.Run, err error) {
	err = row.Scan(&r.ID, &r.RepoID, &r.Trigger, &r.Ref, &r.First, timeColumn{&r.StartedAt}, timeColumn{&r.FinishedAt},
		&r.Outcome, &r.Class, &r.Error, &r.RefsCreated, &r.RefsUpdated, &r.RefsDeleted, &r.Bytes,
		&r.RefsForced, &r.RefsHeld, jsonColumn{&r.Phases})
	return r, err
}

// InterruptRuns implements [core.SyncStore]. What the runs were serving waits
// again, as if they had failed.
func (q *queries) InterruptRuns(ctx context.Context, at time.Time) (n int, err error) {
	err = q.writeAll(ctx, func(tx runner) error {
		if _, err := tx.ExecContext(ctx, `
			UPDATE sync_states SET
				wanted_ref = CASE WHEN taken > served THEN '' ELSE wanted_ref END,
				taken = 0, taken_ref = ''
			WHERE taken > 0`); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `
			UPDATE sync_runs SET finished_at = $1, outcome = 'interrupted' WHERE finished_at = 0`, micros(at))
		if err != nil {
			return err
		}
		affected, err := result.RowsAffected()
		n = int(affected)
		return err
	})
	return n, op{name: "interrupt runs"}.fail(err)
}
