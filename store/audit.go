package store

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

const auditColumns = `id, org, repo_id, repo_name, at, subject, actor_org, key_id, remote_addr, user_agent,
	action, target, credential, host_login, updates, outcome, message, token_id, token_hash`

func scanAudit(row scanner) (e core.AuditEntry, err error) {
	err = row.Scan(&e.ID, &e.Org, &e.RepoID, &e.RepoName, timeColumn{&e.At}, &e.Actor.Subject, &e.Actor.Org, &e.Actor.KeyID,
		&e.Actor.RemoteAddr, &e.Actor.UserAgent, &e.Action, &e.Target, &e.Credential, &e.HostLogin, jsonColumn{&e.Updates}, &e.Outcome, &e.Message,
		&e.Actor.TokenID, &e.Actor.TokenHash)
	return e, err
}

// AddAudit implements [core.AuditStore].
func (q *queries) AddAudit(ctx context.Context, e core.AuditEntry) error {
	action := op{name: "add audit entry", subject: e.ID, taken: "an audit entry of this id exists already"}
	updates, err := encode(e.Updates)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		INSERT INTO audit (`+auditColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
		e.ID, e.Org, e.RepoID, e.RepoName, micros(e.At), e.Actor.Subject, e.Actor.Org, e.Actor.KeyID,
		e.Actor.RemoteAddr, e.Actor.UserAgent, e.Action, e.Target, e.Credential, e.HostLogin, updates, e.Outcome, e.Message,
		e.Actor.TokenID, e.Actor.TokenHash)
}

// Audit implements [core.AuditStore]. KindInvalid: the limit is not positive.
func (q *queries) Audit(ctx context.Context, f core.AuditFilter) ([]core.AuditEntry, error) {
	action := op{name: "list audit entries", subject: f.Org}
	if err := checkLimit(action, f.Limit); err != nil {
		return nil, err
	}
	const selected = `SELECT ` + auditColumns + ` FROM audit WHERE org = $1 AND id < $2
		AND ($3 = '' OR subject = $3) AND ($4 = '' OR action = $4)`
	const rest = ` ORDER BY id DESC LIMIT $5`
	if f.RepoID == "" {
		all, err := collect(ctx, q.read, scanAudit, selected+rest, f.Org, orLast(f.Before), f.Actor, f.Action, f.Limit)
		return all, action.fail(err)
	}
	// The second condition is what the index has.
	all, err := collect(ctx, q.read, scanAudit, selected+` AND repo_id = $6 AND repo_id <> ''`+rest,
		f.Org, orLast(f.Before), f.Actor, f.Action, f.Limit, f.RepoID)
	return all, action.fail(err)
}
