package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/headwater-git/headwater/core"
)

const noOrganisation = "no such organisation"

// OrgLimits implements [core.LimitStore].
func (q *queries) OrgLimits(ctx context.Context, org string) (l core.OrgLimits, err error) {
	err = q.read.QueryRowContext(ctx, `SELECT limits FROM orgs WHERE name = $1`, org).Scan(jsonColumn{&l})
	return l, op{name: "read limits", subject: org, missing: noOrganisation}.fail(err)
}

// SetOrgLimits implements [core.LimitStore]. KindInvalid: they cannot be meant.
func (q *queries) SetOrgLimits(ctx context.Context, org string, l core.OrgLimits) error {
	if err := l.Validate(); err != nil {
		return err
	}
	action := op{name: "set limits", subject: org, missing: noOrganisation}
	body, err := json.Marshal(l)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `UPDATE orgs SET limits = $1 WHERE name = $2`, string(body), org)
}

// OrgUsage implements [core.LimitStore].
func (q *queries) OrgUsage(ctx context.Context, org string) (u core.OrgUsage, err error) {
	err = q.read.QueryRowContext(ctx, `
		SELECT COALESCE(sum(CASE WHEN deleted_at = 0 THEN 1 ELSE 0 END), 0), COALESCE(sum(disk_bytes), 0) FROM repositories WHERE org = $1`, org).
		Scan(&u.Repositories, &u.DiskBytes)
	return u, op{name: "read usage", subject: org}.fail(err)
}

// RetryTooLarge implements [core.LimitStore].
func (q *queries) RetryTooLarge(ctx context.Context, org string) (ids []string, err error) {
	err = q.write(ctx, func(tx runner) error {
		ids, err = collect(ctx, tx, scanString, `
			UPDATE sync_states SET next_attempt_at = 0
			WHERE served < wanted AND last_class = $1 AND repo_id IN (SELECT id FROM repositories WHERE org = $2) RETURNING repo_id`,
			core.ClassTooLarge, org)
		return err
	})
	return ids, op{name: "retry syncs", subject: org}.fail(err)
}

// readOnlySwitch is the name of the row of [core.ReadOnlyMode].
const readOnlySwitch = "read-only"

// ReadOnly implements [core.SwitchStore].
func (q *queries) ReadOnly(ctx context.Context) (m core.ReadOnlyMode, err error) {
	err = q.read.QueryRowContext(ctx, `SELECT since, text FROM switches WHERE name = $1`, readOnlySwitch).Scan(timeColumn{&m.Since}, &m.Reason)
	if errors.Is(err, sql.ErrNoRows) {
		return core.ReadOnlyMode{}, nil
	}
	return m, op{name: "read the read-only mode"}.fail(err)
}

// SetReadOnly implements [core.SwitchStore].
func (q *queries) SetReadOnly(ctx context.Context, m core.ReadOnlyMode) error {
	action := op{name: "switch the read-only mode"}
	return action.fail(q.write(ctx, func(tx runner) error {
		query, args := `DELETE FROM switches WHERE name = $1`, []any{readOnlySwitch}
		if m.On() {
			query = `INSERT INTO switches (name, since, text) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET since = excluded.since, text = excluded.text`
			args = append(args, micros(m.Since), m.Reason)
		}
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	}))
}
