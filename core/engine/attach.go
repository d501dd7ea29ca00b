package engine

import (
	"context"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/mirror"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// LinkPlan is what linking a repository to an upstream does, or would do.
type LinkPlan struct {
	Repository core.Repository // as it is afterwards
	Refs       mirror.Plan     // what its first sync from there does to refs
}

// Attach links a local repository to an upstream, with a credential if one is
// given, else with the stored one if that was stored for the same host, and asks for the first sync; with dry, it only says what that would do.
// The upstream must be readable now. Errors: KindConflict if there is an upstream
// already or its objects have another format than what is here; else as
// [Engine.CreateRepository] and [upstream.Failure] have them.
func (e *Engine) Attach(ctx context.Context, r core.Repository, u UpstreamRequest, c *providers.StoredCredential, dry bool) (LinkPlan, error) {
	if r.Upstream != nil {
		return LinkPlan{}, core.Errorf(core.KindConflict, "the repository has an upstream already; re-point it, or detach it first")
	}
	var kept string // id of the stored credential that stays
	plan, err := e.plan(ctx, r, u, c, func(up core.Upstream) (*providers.StoredCredential, error) {
		stored, id, err := e.storedFor(ctx, r, up)
		kept = id
		return stored, err
	})
	if err != nil || dry {
		return plan, err
	}
	var refs []git.Ref
	if e.rebuild.Check(r) == nil {
		if refs, err = e.git.Refs(ctx, e.repos.Path(r.ID)); err != nil {
			return LinkPlan{}, err
		}
	} // else there is no content, and the first sync brings it
	err = e.monitor.Attach(ctx, r, *plan.Repository.Upstream, len(refs) > 0, func(q core.Queries) error {
		return e.replaceCredential(ctx, q, plan.Repository, kept, c)
	})
	if err != nil {
		return LinkPlan{}, err
	}
	return e.linked(ctx, plan)
}

// Repoint gives a synced repository another upstream and asks for the first sync
// from there; with dry, it only says what that would do. Settings, rewrites, notes
// and ephemeral branches stay. The stored credential stays only if none is given
// and the new upstream is at the same host: another host must never see it.
// Errors: KindInvalid if there is no upstream; else as [Engine.Attach].
func (e *Engine) Repoint(ctx context.Context, r core.Repository, u UpstreamRequest, c *providers.StoredCredential, dry bool) (LinkPlan, error) {
	if r.Upstream == nil {
		return LinkPlan{}, core.Errorf(core.KindInvalid, "no upstream configured for this repository; attach it to one")
	}
	var kept string // id of the stored credential that stays
	plan, err := e.plan(ctx, r, u, c, func(up core.Upstream) (*providers.StoredCredential, error) {
		if up.Instance != r.Upstream.Instance {
			return nil, nil
		}
		stored, id, err := e.storedFor(ctx, r, up)
		kept = id
		return stored, err
	})
	if err != nil || dry {
		return plan, err
	}
	gone := e.inbound.Leaving(ctx, r)
	err = e.monitor.Repoint(ctx, r, *plan.Repository.Upstream, func(q core.Queries) error {
		if err := q.DeleteInboundWebhook(ctx, r.ID); err != nil && core.KindOf(err) != core.KindNotFound {
			return err
		}
		return e.replaceCredential(ctx, q, plan.Repository, kept, c)
	})
	if err != nil {
		return LinkPlan{}, err
	}
	gone()
	return e.linked(ctx, plan)
}

// plan finds the upstream and what a sync from it would do. Without a credential
// it is looked at with what stored returns; nil: with none.
func (e *Engine) plan(
	ctx context.Context, r core.Repository, u UpstreamRequest, c *providers.StoredCredential,
	stored func(up core.Upstream) (*providers.StoredCredential, error),
) (LinkPlan, error) {
	if c != nil {
		if err := checkCredential(c.Username, c.Secret); err != nil {
			return LinkPlan{}, err
		}
	}
	if u.DefaultBranch != "" {
		if err := core.ValidateBranchName(u.DefaultBranch); err != nil {
			return LinkPlan{}, err
		}
	}
	up, _, err := e.upstreams.Link(ctx, upstream.LinkRequest{
		Provider: u.Provider, Public: u.Public, Owner: u.Owner, Name: u.Name, Host: u.Host,
	})
	if err != nil {
		return LinkPlan{}, err
	}
	up.DefaultBranch = u.DefaultBranch
	switch {
	case c == nil && stored != nil:
		if c, err = stored(up); err != nil {
			return LinkPlan{}, err
		}
	case c != nil && up.Mode != providers.ModeGeneric:
		return LinkPlan{}, core.Errorf(core.KindInvalid, "this upstream uses no stored credential: leave username and password out")
	}
	settings, err := e.store.Settings(ctx, r.ID)
	if err != nil {
		return LinkPlan{}, err
	}
	r.Upstream = &up
	refs, err := e.sync.PlanFrom(ctx, e.upstreams.With(c), r, settings)
	if err != nil {
		return LinkPlan{}, err
	}
	return LinkPlan{Repository: r, Refs: refs}, nil
}

// linked has the new upstream followed and returns the plan with the repository
// as it is now.
func (e *Engine) linked(ctx context.Context, plan LinkPlan) (LinkPlan, error) {
	r := plan.Repository
	e.checkInbound(ctx, r.ID)
	if err := e.monitor.RequestLinked(ctx, r.ID); err != nil {
		return LinkPlan{}, err
	}
	e.log.Info("repository linked to an upstream", "repo_id", r.ID, "provider", r.Upstream.Instance, "host", r.Upstream.Host)
	var err error
	plan.Repository, err = e.store.RepositoryByID(ctx, r.ID)
	return plan, err
}

// storedFor returns the repository's stored credential and its id, if it was
// stored for the host of an upstream: whoever attaches a repository must not be
// able to have it sent elsewhere.
func (e *Engine) storedFor(ctx context.Context, r core.Repository, up core.Upstream) (*providers.StoredCredential, string, error) {
	stored, err := e.store.CredentialByRepo(ctx, r.ID)
	if core.KindOf(err) == core.KindNotFound {
		return nil, "", nil
	}
	// A shared one opens other repositories of the host, too, which whoever attaches
	// this one may not read.
	if err != nil || stored.Shared != "" || up.Mode != providers.ModeGeneric || !strings.EqualFold(up.Host, stored.Host) {
		return nil, "", err
	}
	return &providers.StoredCredential{Username: stored.Username, Secret: stored.Secret}, stored.ID, nil
}

// replaceCredential puts the given credential, if there is one, in the place of
// the stored one, unless that is to be kept; r is the repository as it will be.
// It is part of a transaction.
func (e *Engine) replaceCredential(ctx context.Context, q core.Queries, r core.Repository, kept string, c *providers.StoredCredential) error {
	stored, err := q.CredentialByRepo(ctx, r.ID)
	switch {
	case core.KindOf(err) == core.KindNotFound:
	case err != nil:
		return err
	case stored.ID == kept && strings.EqualFold(stored.Host, r.Upstream.Host):
		return nil
	case stored.Shared != "":
		if err := q.UnassignSharedCredential(ctx, r.ID); err != nil {
			return err
		}
	default:
		if err := q.DeleteCredential(ctx, stored.ID); err != nil {
			return err
		}
	}
	if c == nil {
		return nil
	}
	return q.CreateCredential(ctx, e.newCredential(r.ID, r.Upstream.Host, c.Username, c.Secret))
}
