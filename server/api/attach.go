package api

import (
	"context"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/providers"
)

// Links links repositories that exist to upstreams. [*engine.Engine] implements
// it; see there for the errors.
type Links interface {
	Attach(ctx context.Context, repo core.Repository, u engine.UpstreamRequest, c *providers.StoredCredential, dry bool) (engine.LinkPlan, error)
	Repoint(ctx context.Context, repo core.Repository, u engine.UpstreamRequest, c *providers.StoredCredential, dry bool) (engine.LinkPlan, error)
}

// linkBody is the body of calls that link a repository to an upstream.
type linkBody struct {
	BaseRepo *baseRepo `json:"base_repo"`
	Username *string   `json:"username"` // with the password: the credential to store
	Password string    `json:"password"`
}

// credential returns the one of the body, nil if there is none.
func (b linkBody) credential() (*providers.StoredCredential, error) {
	if b.Username == nil && b.Password == "" {
		return nil, nil
	}
	if err := (credentialBody{Username: b.Username, Password: b.Password}).check(); err != nil {
		return nil, err
	}
	c := &providers.StoredCredential{Secret: providers.Secret(b.Password)}
	if b.Username != nil {
		c.Username = *b.Username
	}
	return c, nil
}

// linkedAnswer is a repository that was linked, and what that does to its refs.
// With dry_run it is as it was.
type linkedAnswer struct {
	repositoryView
	Plan planView `json:"plan"`
}

func (s *server) attach(c *call) error { return s.link(c, Links.Attach) }

func (s *server) repoint(c *call) error { return s.link(c, Links.Repoint) }

// linking is a method of [Links].
type linking func(l Links, ctx context.Context, repo core.Repository, u engine.UpstreamRequest, c *providers.StoredCredential, dry bool) (engine.LinkPlan, error)

// link links the repository of a call. With ?dry_run=true nothing is changed.
func (s *server) link(c *call, do linking) error {
	query := params{c.r.URL.Query()}
	dry, err := query.flag("dry_run")
	if err != nil {
		return err
	}
	if dry {
		c.action.word = "" // nothing is written
		if err := s.keepsShared(c); err != nil {
			return err
		}
	} else if err := s.mayRelink(c); err != nil {
		return err
	}
	if s.Links == nil {
		return core.Errorf(core.KindUnsupported, "this server cannot link repositories that exist")
	}
	var body linkBody
	if err := c.body(&body); err != nil {
		return err
	}
	if body.BaseRepo == nil {
		return core.Errorf(core.KindInvalid, "the field \"base_repo\" is required")
	}
	wish, err := body.BaseRepo.upstream()
	if err != nil {
		return err
	}
	credential, err := body.credential()
	if err != nil {
		return err
	}
	plan, err := do(s.Links, c.ctx(), c.repo, *wish, credential, dry)
	if err != nil {
		return err
	}
	repo := c.repo
	if !dry {
		repo, c.changed = plan.Repository, plan.Repository.Upstream.URL
	}
	view, err := s.repositoryView(c, repo)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, linkedAnswer{view, viewPlan(plan.Refs)})
}
