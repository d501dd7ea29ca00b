package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/providers"
)

// Credentials keeps the stored credentials of repositories.
type Credentials interface {
	// CreateCredential: KindConflict if there is one, KindInvalid for a repository
	// without upstream or with one that uses no stored credential.
	CreateCredential(ctx context.Context, repo core.Repository, q engine.CredentialRequest) (core.Credential, error)
	// UpdateCredential: a nil username keeps the old one.
	UpdateCredential(ctx context.Context, org, id string, q engine.CredentialRequest) (core.Credential, error)
	DeleteCredential(ctx context.Context, org, id string) error
}

// credentialBody is the body of every credential call.
type credentialBody struct {
	ID       string  `json:"id"`      // update and delete on legacy routes
	RepoID   string  `json:"repo_id"` // create on legacy routes: internal id or public name
	Username *string `json:"username"`
	Password string  `json:"password"`
	// Provider or UpstreamHost say which host it is for, on create and update
	// where there is no upstream.
	Provider     string `json:"provider"`
	UpstreamHost string `json:"upstream_host"`
}

// check refuses what could not travel in HTTP Basic, or could say more than
// one line to git's credential protocol.
func (b credentialBody) check() error {
	if b.Password == "" {
		return core.Errorf(core.KindInvalid, "the field \"password\" is required")
	}
	if strings.ContainsFunc(b.Password, isControl) {
		return core.Errorf(core.KindInvalid, "the field \"password\" must not hold control characters")
	}
	if b.Username != nil && (strings.Contains(*b.Username, ":") || strings.ContainsFunc(*b.Username, isControl)) {
		return core.Errorf(core.KindInvalid, "the field \"username\" must not hold ':' or control characters")
	}
	return nil
}

func (b credentialBody) request() engine.CredentialRequest {
	return engine.CredentialRequest{Username: b.Username, Secret: providers.Secret(b.Password), Provider: b.Provider, Host: b.UpstreamHost}
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// credentialView is a credential in answers: never with its secret.
type credentialView struct {
	ID        string         `json:"id"`
	Shared    string         `json:"shared,omitempty"` // name of the shared credential that it is
	Username  string         `json:"username,omitempty"`
	Host      string         `json:"upstream_host,omitempty"` // the only one that it is sent to
	CreatedAt core.Timestamp `json:"created_at"`
	UpdatedAt core.Timestamp `json:"updated_at"`
}

func viewCredential(c core.Credential) credentialView {
	return credentialView{ID: c.ID, Shared: c.Shared, Username: c.Username, Host: c.Host, CreatedAt: core.Timestamp(c.CreatedAt), UpdatedAt: core.Timestamp(c.UpdatedAt)}
}

func (s *server) createCredential(c *call) error {
	var body credentialBody
	if err := c.body(&body); err != nil {
		return err
	}
	// The token says which repository it is; the body may only agree.
	if body.RepoID != "" && body.RepoID != c.repo.ID && body.RepoID != c.repo.Name {
		return core.Errorf(core.KindPermission, "the token is for another repository than the field \"repo_id\"")
	}
	if err := body.check(); err != nil {
		return err
	}
	credential, err := s.Credentials.CreateCredential(c.ctx(), c.repo, body.request())
	if err != nil {
		return err
	}
	c.changed = credential.ID
	return c.answer(http.StatusCreated, viewCredential(credential))
}

func (s *server) updateCredential(c *call) error {
	var body credentialBody
	if err := c.body(&body); err != nil {
		return err
	}
	id, err := s.credentialID(c, body)
	if err != nil {
		return err
	}
	if err := body.check(); err != nil {
		return err
	}
	credential, err := s.Credentials.UpdateCredential(c.ctx(), c.identity.Org, id, body.request())
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, viewCredential(credential))
}

func (s *server) deleteCredential(c *call) error {
	var body credentialBody
	if err := c.body(&body); err != nil {
		return err
	}
	id, err := s.credentialID(c, body)
	if err != nil {
		return err
	}
	if err := s.Credentials.DeleteCredential(c.ctx(), c.identity.Org, id); err != nil {
		return err
	}
	return c.answer(http.StatusNoContent, nil)
}

// credentialID returns the id of the path, else that of the body. A token
// for one repository opens the credential of that one only; for every other
// the answer is that there is none.
func (s *server) credentialID(c *call, body credentialBody) (string, error) {
	id, err := c.segment("id")
	if err != nil {
		return "", err
	}
	if id == "" {
		id = body.ID
	}
	if id == "" {
		return "", core.Errorf(core.KindInvalid, "the field \"id\" is required")
	}
	c.changed = id
	if c.repo.ID == "" {
		return id, nil // an organisation-wide token; the engine checks the organisation
	}
	credential, err := s.Records.CredentialByRepo(c.ctx(), c.repo.ID)
	if core.KindOf(err) == core.KindNotFound || err == nil && credential.ID != id {
		return "", core.Errorf(core.KindNotFound, "there is no such credential")
	}
	return id, err
}
