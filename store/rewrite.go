package store

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

const noRewrite = "no such rewrite"

const rewriteColumns = `id, repo_id, journal_id, ref, old_id, new_id, source, actor, state, bytes,
	created_at, decided_at, decided_by, expires_at, restored, awaits_lfs`

const selectRewrite = `SELECT ` + rewriteColumns + ` FROM rewrites`

func scanRewrite(row scanner) (r core.Rewrite, err error) {
	var awaits int64
	err = row.Scan(&r.ID, &r.RepoID, &r.JournalID, &r.Ref, &r.Old, &r.New, &r.Source, &r.Actor, &r.State, &r.Bytes,
		timeColumn{&r.CreatedAt}, timeColumn{&r.DecidedAt}, &r.DecidedBy, timeColumn{&r.ExpiresAt}, &r.Restored, &awaits)
	r.AwaitsLFS = awaits != 0
	return r, err
}

// AddRewrite implements [core.RewriteStore]. KindNotFound: no such repository.
func (q *queries) AddRewrite(ctx context.Context, r core.Rewrite) error {
	awaits := 0
	if r.AwaitsLFS {
		awaits = 1
	}
	return q.exec(ctx, op{name: "add rewrite", subject: r.ID, missing: noRepository, taken: "a rewrite of this id exists already"}, `
		INSERT INTO rewrites (`+rewriteColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		r.ID, r.RepoID, r.JournalID, r.Ref, r.Old, r.New, r.Source, r.Actor, r.State, r.Bytes,
		micros(r.CreatedAt), micros(r.DecidedAt), r.DecidedBy, micros(r.ExpiresAt), r.Restored, awaits)
}

// Rewrite implements [core.RewriteStore].
func (q *queries) Rewrite(ctx context.Context, repoID, id string) (core.Rewrite, error) {
	r, err := scanRewrite(q.read.QueryRowContext(ctx, selectRewrite+` WHERE repo_id = $1 AND id = $2`, repoID, id))
	return r, op{name: "read rewrite", subject: id, missing: noRewrite}.fail(err)
}

// Rewrites implements [core.RewriteStore]. KindInvalid: the limit is not
// positive.
func (q *queries) Rewrites(ctx context.Context, f core.RewriteFilter) ([]core.Rewrite, error) {
	action := op{name: "list rewrites", subject: f.RepoID}
	if err := checkLimit(action, f.Limit); err != nil {
		return nil, err
	}
	states := ""
	if len(f.States) > 0 {
		states = list(f.States)
	}
	// Two queries, so that each is a walk along one index.
	const rest = ` AND ($3 = '' OR $3 LIKE '%,' || state || ',%') ORDER BY id DESC LIMIT $4`
	if f.Ref == "" {
		all, err := collect(ctx, q.read, scanRewrite, selectRewrite+` WHERE repo_id = $1 AND id < $2`+rest,
			f.RepoID, orLast(f.Before), states, f.Limit)
		return all, action.fail(err)
	}
	all, err := collect(ctx, q.read, scanRewrite, selectRewrite+` WHERE repo_id = $1 AND id < $2 AND ref = $5`+rest,
		f.RepoID, orLast(f.Before), states, f.Limit, f.Ref)
	return all, action.fail(err)
}

// SaveRewrite implements [core.RewriteStore].
func (q *queries) SaveRewrite(ctx context.Context, r core.Rewrite) error {
	return q.exec(ctx, op{name: "save rewrite", subject: r.ID, missing: noRewrite}, `
		UPDATE rewrites SET state = $1, journal_id = $2, new_id = $3, bytes = $4, decided_at = $5, decided_by = $6,
			expires_at = $7, restored = $8
		WHERE id = $9`,
		r.State, r.JournalID, r.New, r.Bytes, micros(r.DecidedAt), r.DecidedBy, micros(r.ExpiresAt), r.Restored, r.ID)
}

// HeldRewrites implements [core.RewriteStore], in the order of the refs. A
// dismissed one that never moved its ref counts until something newer is known
// of that ref.
func (q *queries) HeldRewrites(ctx context.Context, repoID string) ([]core.Rewrite, error) {
	// The states are literals, so that the index of held ones serves this.
	all, err := collect(ctx, q.read, scanRewrite, `
		SELECT `+rewriteColumns+` FROM rewrites r
		WHERE repo_id = $1 AND state IN ('held', 'frozen', 'dismissed')
			AND (state <> 'dismissed' OR journal_id = '')
			AND NOT EXISTS (SELECT 1 FROM rewrites n WHERE n.repo_id = r.repo_id AND n.ref = r.ref AND n.id > r.id
				AND (r.state = 'dismissed' OR n.state IN ('held', 'frozen', 'dismissed') AND n.journal_id = ''))
		ORDER BY ref`, repoID)
	return all, op{name: "list held rewrites", subject: repoID}.fail(err)
}

// ExpiredRewrites implements [core.RewriteStore], the first expired first. One
// with a zero ExpiresAt is kept for ever. KindInvalid: the limit is not
// positive.
func (q *queries) ExpiredRewrites(ctx context.Context, now time.Time, limit int) ([]core.Rewrite, error) {
	action := op{name: "list expired rewrites"}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanRewrite, selectRewrite+`
		WHERE state = 'retained' AND expires_at > 0 AND expires_at <= $1 ORDER BY expires_at LIMIT $2`, micros(now), limit)
	return all, action.fail(err)
}
