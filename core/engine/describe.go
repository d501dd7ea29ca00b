package engine

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

// describing is a store that has a repository's folder describe itself anew after
// each transaction that changed what is described: whoever changes a name or a link,
// it is through here.
type describing struct {
	core.Store
	describe func(ctx context.Context, repoID string)
}

// Tx implements [core.Store].
func (s describing) Tx(ctx context.Context, f func(q core.Queries) error) error {
	var changed []string
	if err := s.Store.Tx(ctx, func(q core.Queries) error {
		changed = nil
		return f(describingQueries{q, &changed})
	}); err != nil {
		return err
	}
	for _, id := range changed {
		s.describe(ctx, id)
	}
	return nil
}

// CreateRepository implements [core.RepositoryStore].
func (s describing) CreateRepository(ctx context.Context, r core.Repository) error {
	return s.Tx(ctx, func(q core.Queries) error { return q.CreateRepository(ctx, r) })
}

// AttachUpstream implements [core.UpstreamStore].
func (s describing) AttachUpstream(ctx context.Context, repoID string, up core.Upstream) error {
	return s.Tx(ctx, func(q core.Queries) error { return q.AttachUpstream(ctx, repoID, up) })
}

// MoveUpstream implements [core.UpstreamStore].
func (s describing) MoveUpstream(ctx context.Context, repoID string, up core.Upstream) error {
	return s.Tx(ctx, func(q core.Queries) error { return q.MoveUpstream(ctx, repoID, up) })
}

// DetachUpstream implements [core.RepositoryStore].
func (s describing) DetachUpstream(ctx context.Context, id string) error {
	return s.Tx(ctx, func(q core.Queries) error { return q.DetachUpstream(ctx, id) })
}

// SetUpstreamID implements [core.RepositoryStore].
func (s describing) SetUpstreamID(ctx context.Context, id, upstreamID string) error {
	return s.Tx(ctx, func(q core.Queries) error { return q.SetUpstreamID(ctx, id, upstreamID) })
}

// describingQueries notes which repositories a transaction describes anew.
type describingQueries struct {
	core.Queries
	changed *[]string
}

// CreateRepository implements [core.RepositoryStore].
func (q describingQueries) CreateRepository(ctx context.Context, r core.Repository) error {
	return q.note(r.ID, q.Queries.CreateRepository(ctx, r))
}

// AttachUpstream implements [core.UpstreamStore].
func (q describingQueries) AttachUpstream(ctx context.Context, repoID string, up core.Upstream) error {
	return q.note(repoID, q.Queries.AttachUpstream(ctx, repoID, up))
}

// MoveUpstream implements [core.UpstreamStore].
func (q describingQueries) MoveUpstream(ctx context.Context, repoID string, up core.Upstream) error {
	return q.note(repoID, q.Queries.MoveUpstream(ctx, repoID, up))
}

// DetachUpstream implements [core.RepositoryStore].
func (q describingQueries) DetachUpstream(ctx context.Context, id string) error {
	return q.note(id, q.Queries.DetachUpstream(ctx, id))
}

// SetUpstreamID implements [core.RepositoryStore].
func (q describingQueries) SetUpstreamID(ctx context.Context, id, upstreamID string) error {
	return q.note(id, q.Queries.SetUpstreamID(ctx, id, upstreamID))
}

// note notes a repository if the change was made.
func (q describingQueries) note(id string, err error) error {
	if err == nil {
		*q.changed = append(*q.changed, id)
	}
	return err
}

// describe writes a repository's description. What cannot be written is logged: the
// change it is about is true, and the next start writes it.
func (e *Engine) describe(ctx context.Context, repoID string) {
	if err := e.repos.Describe(context.WithoutCancel(ctx), repoID); err != nil {
		e.log.Warn("a repository's folder does not say what has changed; the next start tries again", "repo_id", repoID, "error", err)
	}
}
