package store

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

// openOrg is [sql.ErrNoRows] if there is no such organisation, and KindConflict if it is
// being deleted and takes nothing new.
func openOrg(ctx context.Context, tx runner, org string) error {
	var deleting int64
	if err := tx.QueryRowContext(ctx, `SELECT deleting_at FROM orgs WHERE name = $1`, org).Scan(&deleting); err != nil {
		return err
	}
	if deleting > 0 {
		return core.Errorf(core.KindConflict, "the organisation %q is being deleted", org)
	}
	return nil
}

// BeginDeleteOrg implements [core.OrgStore].
func (q *queries) BeginDeleteOrg(ctx context.Context, name string, at time.Time) error {
	action := op{name: "delete organisation", subject: name, missing: noOrganisation}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		if err := touch(ctx, tx, `
			UPDATE orgs SET deleting_at = CASE WHEN deleting_at = 0 THEN $1 ELSE deleting_at END WHERE name = $2`, micros(at), name); err != nil {
			return err
		}
		return each(ctx, tx, name, `DELETE FROM keys WHERE org = $1`, `DELETE FROM mirror_sets WHERE org = $1`, `DELETE FROM console_sessions WHERE org = $1`)
	}))
}

// FinishDeleteOrg implements [core.OrgStore]. Foreign keys take along what hangs on the
// organisation. Revocations stay: made again with the same keys, its revoked tokens are
// still revoked.
func (q *queries) FinishDeleteOrg(ctx context.Context, name string) error {
	action := op{name: "delete organisation", subject: name, missing: "no such organisation is being deleted"}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		var left int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM repositories WHERE org = $1`, name).Scan(&left); err != nil {
			return err
		}
		if left > 0 {
			return core.Errorf(core.KindConflict, "the organisation %q has %d repositories", name, left)
		}
		if err := touch(ctx, tx, `DELETE FROM orgs WHERE name = $1 AND deleting_at > 0`, name); err != nil {
			return err
		}
		return each(ctx, tx, name, `DELETE FROM events WHERE org = $1`, `DELETE FROM console_minutes WHERE org = $1`, `DELETE FROM console_sessions WHERE org = $1`)
	}))
}

// each runs statements with one parameter.
func each(ctx context.Context, tx runner, param string, statements ...string) error {
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement, param); err != nil {
			return err
		}
	}
	return nil
}
