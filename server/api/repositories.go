package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/providers"
)

// Repositories makes and changes repositories. [*engine.Engine] implements it.
type Repositories interface {
	// CreateRepository returns the repository when it can be used. KindInvalid: bad
	// name, branch, provider or host. KindConflict: the name is taken (or is linked
	// already). KindPrecondition: the provider lacks its configuration. KindNotFound:
	// a public upstream that cannot be read.
	CreateRepository(ctx context.Context, r engine.CreateRequest) (core.Repository, error)
	// SetDefaultBranch: KindNotFound if the branch does not exist in a repository
	// that has branches.
	SetDefaultBranch(ctx context.Context, repo core.Repository, branch string) (core.Repository, error)
	// DeleteRepository moves it into the trash, or with now removes it. What it returns
	// is not in the trash if it is gone.
	DeleteRepository(ctx context.Context, repo core.Repository, now bool) (core.Repository, error)
	// DeletedRepository is KindNotFound if nothing of that name or id is in the trash.
	DeletedRepository(ctx context.Context, org, nameOrID string) (core.Repository, error)
	// UndeleteRepository: KindConflict if the name is taken; with "" it is the former one.
	UndeleteRepository(ctx context.Context, repo core.Repository, name string) (core.Repository, error)
	// RenameRepository: KindConflict if the name is taken, or another one had it.
	RenameRepository(ctx context.Context, repo core.Repository, name string) (core.Repository, error)
	// PurgeDeleted removes it from the trash.
	PurgeDeleted(ctx context.Context, repo core.Repository) error
	// Detach forgets link and credential and keeps the content. Idempotent.
	Detach(ctx context.Context, repo core.Repository) error
	// Pause has the upstream left alone, and Resume followed again. Both are
	// idempotent. KindInvalid: there is no upstream.
	Pause(ctx context.Context, repo core.Repository) (core.Repository, error)
	Resume(ctx context.Context, repo core.Repository) (core.Repository, error)
	// CheckReady is KindSyncing while the first sync of a synced repository runs;
	// calls about content ask it first.
	CheckReady(ctx context.Context, repo core.Repository) error
}

// Records are rows that answers show as they are. [core.Store] implements it.
type Records interface {
	Repositories(ctx context.Context, f core.RepositoryFilter) ([]core.ListedRepository, error)
	PendingLFS
	Runs(ctx context.Context, repoID, before string, limit int) ([]core.Run, error)
	Settings(ctx context.Context, repoID string) (core.Settings, error)
	CredentialByRepo(ctx context.Context, repoID string) (core.Credential, error)
	LastDamage(ctx context.Context, repoID string) (core.Damage, error)
}

// createBody is the body of a create call.
type createBody struct {
	DefaultBranch string    `json:"default_branch"`
	BaseRepo      *baseRepo `json:"base_repo"`
	InitialCommit struct {
		Message string      `json:"message"`
		Author  *personBody `json:"author"`
	} `json:"initial_commit"` // of a snapshot
}

// baseRepo is the link that a caller wishes for.
type baseRepo struct {
	Provider      string       `json:"provider"`
	Owner         string       `json:"owner"`
	Name          string       `json:"name"`
	DefaultBranch string       `json:"default_branch"`
	UpstreamHost  string       `json:"upstream_host"`
	Operation     string       `json:"operation"`
	Ref           string       `json:"ref"` // of forks and snapshots
	SHA           string       `json:"sha"` // of forks; wins over ref
	Auth          baseRepoAuth `json:"auth"`
}

// baseRepoAuth is how the base is read.
type baseRepoAuth struct {
	AuthType string           `json:"auth_type"`
	Token    providers.Secret `json:"token"` // opens the source of forks and snapshots
}

// upstream turns the link into the engine's words. The engine judges the
// provider, the host and the names.
func (b baseRepo) upstream() (*engine.UpstreamRequest, error) {
	provider := strings.ToLower(b.Provider)
	switch b.Operation {
	case "", "sync":
	default:
		return nil, core.Errorf(core.KindInvalid, "base_repo.operation %q is unknown; use \"sync\", \"fork\" or \"snapshot\"", b.Operation)
	}
	switch {
	case provider == "":
		provider = "github" // SDKs leave it out for GitHub
	case provider == "code", provider == "code.storage":
		return nil, core.Errorf(core.KindInvalid, "base_repo.provider %q names this server; it cannot be synced from itself", b.Provider)
	}
	if b.Auth.AuthType != "" && b.Auth.AuthType != "public" {
		return nil, core.Errorf(core.KindInvalid, "base_repo.auth.auth_type %q is unknown; leave it out or use \"public\"", b.Auth.AuthType)
	}
	if b.Owner == "" || b.Name == "" {
		return nil, core.Errorf(core.KindInvalid, "base_repo.owner and base_repo.name are required")
	}
	return &engine.UpstreamRequest{
		Provider: provider, Public: b.Auth.AuthType == "public",
		Owner: b.Owner, Name: b.Name, Host: b.UpstreamHost, DefaultBranch: b.DefaultBranch,
	}, nil
}

// createdRepository is the answer to a creation.
type createdRepository struct {
	repositoryView
	ID      string `json:"id"` // what the oldest clients read
	Message string `json:"message"`
}

func (s *server) createRepository(c *call) error {
	var body createBody
	if err := c.body(&body); err != nil {
		return err
	}
	request := engine.CreateRequest{Org: c.identity.Org, Name: c.identity.Repo, DefaultBranch: body.DefaultBranch}
	if request.DefaultBranch == "" {
		request.DefaultBranch = c.r.URL.Query().Get("default_branch")
	}
	switch {
	case body.BaseRepo == nil:
	case body.BaseRepo.copies():
		from, err := s.copyRequest(c, body)
		if err != nil {
			return err
		}
		request.Copy = from
		// SDKs put what the caller chose for a fork into either place.
		if body.BaseRepo.DefaultBranch != "" {
			request.DefaultBranch = body.BaseRepo.DefaultBranch
		}
	default:
		upstream, err := body.BaseRepo.upstream()
		if err != nil {
			return err
		}
		request.Upstream = upstream
	}
	repo, err := s.Repositories.CreateRepository(c.ctx(), request)
	if err != nil {
		return err
	}
	c.repo = repo
	view, err := s.repositoryView(c, repo)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, createdRepository{view, repo.ID, "repository created"})
}

func (s *server) getRepository(c *call) error {
	// The row was read before the state of its sync: a sync that ended in between would
	// be shown as done beside a default branch of before it. One that changes again and
	// again is shown as it was read last.
	for try := 1; ; try++ {
		view, err := s.repositoryView(c, c.repo)
		if err != nil {
			return err
		}
		now, err := s.Lookup.Repository(c.ctx(), c.repo.Org, c.repo.ID)
		if err != nil {
			return err
		}
		if try == 3 || now.Version == c.repo.Version && now.DefaultBranch == c.repo.DefaultBranch {
			return c.answer(http.StatusOK, view)
		}
		c.repo = now
	}
}

// updateRepositoryBody is the body of a change; one field at least is required.
type updateRepositoryBody struct {
	DefaultBranch string `json:"default_branch"`
}

func (s *server) updateRepository(c *call) error {
	var body updateRepositoryBody
	if err := c.change(&body); err != nil {
		return err
	}
	if err := core.ValidateBranchName(body.DefaultBranch); err != nil {
		return err
	}
	repo, err := s.Repositories.SetDefaultBranch(c.ctx(), c.repo, body.DefaultBranch)
	if err != nil {
		return err
	}
	c.repo = repo
	return s.getRepository(c)
}

// mayRelink refuses a call that decides where pushes go, if the token's policy
// forbids any push: without its upstream a branch would be free of what the
// host allows, and behind another one it would be another branch.
func (s *server) mayRelink(c *call) error {
	if err := mayPushEverything(c, "change the upstream"); err != nil {
		return err
	}
	return s.keepsShared(c)
}

// mayPushEverything refuses to do something to a token whose policy forbids any push.
func mayPushEverything(c *call, what string) error {
	if c.identity.Policy.ForbidsPush() {
		return core.Errorf(core.KindPermission, "denied by policy: a token that may not push every ref cannot %s; use one without no-push", what)
	}
	return nil
}

// keepsShared refuses a call that would point a repository elsewhere, or try that,
// while it uses a shared credential: such a call comes with the repository's own token.
func (s *server) keepsShared(c *call) error {
	if s.Shared == nil {
		return nil
	}
	return s.Shared.MayRelink(c.ctx(), c.repo)
}

func (s *server) detach(c *call) error {
	if err := s.mayRelink(c); err != nil {
		return err
	}
	if err := s.Repositories.Detach(c.ctx(), c.repo); err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]string{"message": "repository detached"})
}

// pullUpstreamBody is the body of a pull; without a ref it is about all of them.
type pullUpstreamBody struct {
	Ref string `json:"ref"`
}

// pullUpstreamAnswer says what to wait for: the sync has ended, well or not,
// when "tried" of the repository's sync has reached Wanted.
type pullUpstreamAnswer struct {
	Message string `json:"message"`
	Wanted  int64  `json:"wanted"`
}

// pullUpstream ignores ref policies: a pull is the upstream's change, not the
// caller's. The field "after" of older clients is ignored too.
func (s *server) pullUpstream(c *call) error {
	var body pullUpstreamBody
	if err := c.body(&body); err != nil {
		return err
	}
	if err := c.synced(); err != nil {
		return err
	}
	if c.repo.Paused() {
		return core.Errorf(core.KindConflict, core.PausedSentence)
	}
	if body.Ref != "" {
		if err := core.ValidateUpstreamRef(body.Ref); err != nil {
			return err
		}
	}
	wanted, err := s.Schedule.Request(c.ctx(), c.repo.ID, schedule.TriggerAPI, body.Ref)
	if err != nil {
		return err
	}
	// SDKs demand exactly this status.
	return c.answer(http.StatusAccepted, pullUpstreamAnswer{"Repository sync initiated successfully", wanted})
}
