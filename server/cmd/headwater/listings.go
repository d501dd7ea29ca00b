package main

import (
	"context"

	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

// The listings of the API, each page by page and with the token that it takes.

// repos lists the organisation's repositories that a filter selects, in its order.
func (c *client) repos(ctx context.Context, f repoFilter, each func(rest.Repository) error) error {
	return pages(noLimit, func(limit int, cursor *string) (page[rest.Repository], error) {
		p, err := c.ListRepositories(ctx, &rest.ListRepositoriesParams{
			Q: optional(f.query), State: optional(f.state), Class: optional(f.class), Host: optional(f.host), Provider: optional(f.provider), Sort: optional(f.sort),
			Limit: &limit, Cursor: cursor,
		}, c.as(orgClaim, access.OrgRead))
		return page[rest.Repository]{p.Repos, p.HasMore, p.NextCursor}, err
	}, each)
}

// runs lists the runs of a repository's sync, newest first, up to a limit.
func (c *client) runs(ctx context.Context, name string, limit int, each func(rest.SyncRun) error) error {
	return pages(limit, func(limit int, cursor *string) (page[rest.SyncRun], error) {
		p, err := c.ListSyncRuns(ctx, name, &rest.ListSyncRunsParams{Limit: &limit, Cursor: cursor}, c.as(name, access.GitRead))
		return page[rest.SyncRun]{p.Runs, p.HasMore, p.NextCursor}, err
	}, each)
}

// pendingLFS lists the LFS objects that a mirror has still to fetch, by id.
func (c *client) pendingLFS(ctx context.Context, name string, failed bool, each func(rest.PendingLFS) error) error {
	return pages(noLimit, func(limit int, cursor *string) (page[rest.PendingLFS], error) {
		p, err := c.ListPendingLFS(ctx, name, &rest.ListPendingLFSParams{Failed: &failed, Limit: &limit, Cursor: cursor}, c.as(name, access.GitRead))
		return page[rest.PendingLFS]{p.Objects, p.HasMore, p.NextCursor}, err
	}, each)
}

// rewrites lists the rewrites of a repository, newest first.
func (c *client) rewrites(ctx context.Context, name, ref, state string, each func(rest.Rewrite) error) error {
	return pages(noLimit, func(limit int, cursor *string) (page[rest.Rewrite], error) {
		query := rest.ListRewritesParams{Ref: optional(ref), State: optional(state), Limit: &limit, Cursor: cursor}
		p, err := c.ListRewrites(ctx, name, &query, c.as(name, access.GitRead))
		return page[rest.Rewrite]{p.Rewrites, p.HasMore, p.NextCursor}, err
	}, each)
}

// deliveries lists the newest deliveries of a webhook, at most limit.
func (c *client) deliveries(ctx context.Context, webhook string, limit int, each func(rest.Delivery) error) error {
	return pages(limit, func(limit int, cursor *string) (page[rest.Delivery], error) {
		p, err := c.ListDeliveries(ctx, webhook, &rest.ListDeliveriesParams{Limit: &limit, Cursor: cursor}, c.as(orgClaim, access.OrgRead))
		return page[rest.Delivery]{p.Deliveries, p.HasMore, p.NextCursor}, err
	}, each)
}

// revocations lists what is revoked in the organisation, newest first.
func (c *client) revocations(ctx context.Context, each func(rest.Revocation) error) error {
	return pages(noLimit, func(limit int, cursor *string) (page[rest.Revocation], error) {
		p, err := c.ListRevocations(ctx, &rest.ListRevocationsParams{Limit: &limit, Cursor: cursor}, c.as(orgClaim, access.OrgRead))
		return page[rest.Revocation]{p.Revocations, p.HasMore, p.NextCursor}, err
	}, each)
}

// auditQuery selects audit entries.
type auditQuery struct {
	repo, actor, action string // "" is all
	limit               int
}

// audit lists audit entries, newest first.
func (c *client) audit(ctx context.Context, q auditQuery, each func(rest.AuditEntry) error) error {
	return pages(q.limit, func(limit int, cursor *string) (page[rest.AuditEntry], error) {
		var p rest.AuditList
		var err error
		if q.repo == "" {
			query := rest.ListAuditParams{Actor: optional(q.actor), Action: optional(q.action), Limit: &limit, Cursor: cursor}
			p, err = c.ListAudit(ctx, &query, c.as(orgClaim, access.OrgRead))
		} else {
			query := rest.ListRepositoryAuditParams{Actor: optional(q.actor), Action: optional(q.action), Limit: &limit, Cursor: cursor}
			p, err = c.ListRepositoryAudit(ctx, q.repo, &query, c.as(q.repo, access.RepoWrite))
		}
		return page[rest.AuditEntry]{p.Entries, p.HasMore, p.NextCursor}, err
	}, each)
}
