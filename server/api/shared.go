package api

import (
	"context"
	"net/http"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// maxAssigned bounds the repositories of one call.
const maxAssigned = 1000

// SharedCredentials keeps the shared credentials of organisations. [*engine.Engine]
// implements it; see there for the errors.
type SharedCredentials interface {
	CreateSharedCredential(ctx context.Context, org string, q engine.SharedCredentialRequest) (core.SharedCredential, error)
	RotateSharedCredential(ctx context.Context, org, name string, username *string, secret providers.Secret, overlap time.Duration) (core.SharedCredential, error)
	CheckSharedCredential(ctx context.Context, org, name string) (core.SharedCredential, error)
	SharedCredential(ctx context.Context, org, name string) (core.SharedCredential, []core.Repository, error)
	SharedCredentials(ctx context.Context, org string) ([]core.SharedCredential, error)
	DeleteSharedCredential(ctx context.Context, org, name string) error
	AssignSharedCredential(ctx context.Context, org, name, repo string) error
	UnassignSharedCredential(ctx context.Context, org, name, repo string) error
	MayRelink(ctx context.Context, r core.Repository) error
}

var _ SharedCredentials = (*engine.Engine)(nil)

// createSharedBody is a shared credential to be stored.
type createSharedBody struct {
	Name     string `json:"name"`
	Provider string `json:"provider"`
	Host     string `json:"upstream_host"`
	Owner    string `json:"owner"`
	Username string `json:"username"`
	Password string `json:"password"`
}

// rotateSharedBody is the secret that replaces another one.
type rotateSharedBody struct {
	Username *string `json:"username"`
	Password string  `json:"password"`
	Overlap  *int64  `json:"overlap_seconds"`
}

// assignBody names repositories.
type assignBody struct {
	Repositories []string `json:"repositories"`
}

// sharedView is a shared credential in answers: never with its secret.
type sharedView struct {
	ID            string          `json:"id"`
	Name          string          `json:"name"`
	Provider      string          `json:"provider"`
	Host          string          `json:"upstream_host"`
	Owner         string          `json:"owner"`
	Username      string          `json:"username,omitempty"`
	UsedBy        int             `json:"used_by"`
	Repositories  []string        `json:"repositories,omitempty"` // names, where one is shown
	ExpiresAt     *core.Timestamp `json:"expires_at,omitempty"`
	CheckedAt     *core.Timestamp `json:"checked_at,omitempty"`
	Warning       string          `json:"warning,omitempty"`
	PreviousUntil *core.Timestamp `json:"previous_until,omitempty"`
	CreatedAt     core.Timestamp  `json:"created_at"`
	UpdatedAt     core.Timestamp  `json:"updated_at"`
}

// sharedList is the shared credentials of an organisation, by name.
type sharedList struct {
	Credentials []sharedView `json:"credentials"`
}

// assignedView says what became of each repository.
type assignedView struct {
	Assigned []string         `json:"assigned"`
	Failed   []assignmentView `json:"failed"`
}

// assignmentView is a repository that could not be assigned.
type assignmentView struct {
	Repository string `json:"repository"`
	Error      string `json:"error"`
}

// moment is a time in an answer, nil for none.
func moment(t time.Time) *core.Timestamp {
	if t.IsZero() {
		return nil
	}
	return new(core.Timestamp(t))
}

func (s *server) viewShared(c core.SharedCredential) sharedView {
	v := sharedView{
		ID: c.ID, Name: c.Name, Provider: c.Provider, Host: c.Host, Owner: c.Owner, Username: c.Username, UsedBy: c.UsedByCount,
		ExpiresAt: moment(c.ExpiresAt), CheckedAt: moment(c.CheckedAt), Warning: engine.CredentialWarning(c, s.Clock.Now()),
		CreatedAt: core.Timestamp(c.CreatedAt), UpdatedAt: core.Timestamp(c.UpdatedAt),
	}
	if c.Previous != nil {
		v.PreviousUntil = moment(c.Previous.Until)
	}
	return v
}

// shared makes an operation of a function that needs [SharedCredentials]; it is given
// the name of the path.
func shared(serve func(s *server, c *call, name string) error) func(s *server, c *call) error {
	return func(s *server, c *call) error {
		if s.Shared == nil {
			return core.Errorf(core.KindUnsupported, "this server has no shared credentials")
		}
		name, err := c.segment("credential")
		if err != nil {
			return err
		}
		return serve(s, c, name)
	}
}

func (s *server) createShared(c *call, _ string) error {
	var body createSharedBody
	if err := c.body(&body); err != nil {
		return err
	}
	if err := (credentialBody{Username: &body.Username, Password: body.Password}).check(); err != nil {
		return err
	}
	if body.Provider == "" {
		return core.Errorf(core.KindInvalid, "the field \"provider\" is required")
	}
	made, err := s.Shared.CreateSharedCredential(c.ctx(), c.identity.Org, engine.SharedCredentialRequest{
		Name: body.Name, Owner: upstream.OwnerRequest{Provider: body.Provider, Host: body.Host, Owner: body.Owner},
		Username: body.Username, Secret: providers.Secret(body.Password),
	})
	if err != nil {
		return err
	}
	c.changed = made.ID
	return c.answer(http.StatusCreated, s.viewShared(made))
}

func (s *server) listShared(c *call, _ string) error {
	all, err := s.Shared.SharedCredentials(c.ctx(), c.identity.Org)
	if err != nil {
		return err
	}
	list := sharedList{Credentials: []sharedView{}}
	for _, one := range all {
		list.Credentials = append(list.Credentials, s.viewShared(one))
	}
	return c.answer(http.StatusOK, list)
}

func (s *server) getShared(c *call, name string) error {
	one, users, err := s.Shared.SharedCredential(c.ctx(), c.identity.Org, name)
	if err != nil {
		return err
	}
	view := s.viewShared(one)
	for _, r := range users {
		view.Repositories = append(view.Repositories, r.Name)
	}
	return c.answer(http.StatusOK, view)
}

func (s *server) rotateShared(c *call, name string) error {
	var body rotateSharedBody
	if err := c.body(&body); err != nil {
		return err
	}
	if err := (credentialBody{Username: body.Username, Password: body.Password}).check(); err != nil {
		return err
	}
	overlap := engine.DefaultOverlap
	if body.Overlap != nil {
		if *body.Overlap < 0 || *body.Overlap > int64(engine.MaxOverlap/time.Second) {
			return core.Errorf(core.KindInvalid, "the field \"overlap_seconds\" is from 0 to %d", engine.MaxOverlap/time.Second)
		}
		overlap = time.Duration(*body.Overlap) * time.Second
	}
	one, err := s.Shared.RotateSharedCredential(c.ctx(), c.identity.Org, name, body.Username, providers.Secret(body.Password), overlap)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, s.viewShared(one))
}

func (s *server) checkShared(c *call, name string) error {
	one, err := s.Shared.CheckSharedCredential(c.ctx(), c.identity.Org, name)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, s.viewShared(one))
}

func (s *server) deleteShared(c *call, name string) error {
	if err := s.Shared.DeleteSharedCredential(c.ctx(), c.identity.Org, name); err != nil {
		return err
	}
	return c.answer(http.StatusNoContent, nil)
}

func (s *server) assignShared(c *call, name string) error {
	return s.assignment(c, name, s.Shared.AssignSharedCredential)
}

func (s *server) unassignShared(c *call, name string) error {
	return s.assignment(c, name, s.Shared.UnassignSharedCredential)
}

// assignment does something with each repository of a call. One that fails does not
// keep the others; if all of them do, the call fails as the first one.
func (s *server) assignment(c *call, name string, do func(ctx context.Context, org, name, repo string) error) error {
	var body assignBody
	if err := c.body(&body); err != nil {
		return err
	}
	if n := len(body.Repositories); n == 0 || n > maxAssigned {
		return core.Errorf(core.KindInvalid, "the field \"repositories\" names 1 to %d repositories", maxAssigned)
	}
	view := assignedView{Assigned: []string{}, Failed: []assignmentView{}}
	var first error
	for _, repo := range body.Repositories {
		err := do(c.ctx(), c.identity.Org, name, repo)
		switch {
		case err == nil:
			view.Assigned = append(view.Assigned, repo)
			continue
		case core.KindOf(err) == core.KindInternal || c.ctx().Err() != nil:
			return err
		case first == nil:
			first = err
		}
		view.Failed = append(view.Failed, assignmentView{Repository: repo, Error: err.Error()})
	}
	if len(view.Assigned) == 0 {
		return first
	}
	return c.answer(http.StatusOK, view)
}
