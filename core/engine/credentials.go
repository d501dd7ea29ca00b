package engine

import (
	"context"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// checkCredential refuses what could not be sent in an HTTP header.
func checkCredential(username string, secret providers.Secret) error {
	if secret == "" {
		return core.Errorf(core.KindInvalid, "password is required")
	}
	if strings.ContainsAny(username, ":\r\n\x00") {
		return core.Errorf(core.KindInvalid, "username must not contain a colon or a control character")
	}
	if strings.ContainsAny(secret.Reveal(), "\r\n\x00") {
		return core.Errorf(core.KindInvalid, "password must be one line")
	}
	return nil
}

// CredentialRequest is a credential as a caller gives it.
type CredentialRequest struct {
	Username *string // nil: none, or the one of before
	Secret   providers.Secret
	// Provider or Host say which host it is for, where there is no upstream yet.
	Provider, Host string
}

// hostOf returns the host that a credential of the repository is for: that of
// the upstream, else the one that the caller names, else stored. Errors:
// KindInvalid if the caller names another than the upstream's.
func (e *Engine) hostOf(ctx context.Context, r core.Repository, q CredentialRequest, stored string) (string, error) {
	named := ""
	if q.Provider != "" || q.Host != "" {
		var err error
		if named, err = e.upstreams.HostFor(ctx, q.Provider, q.Host); err != nil {
			return "", err
		}
	}
	switch {
	case r.Upstream == nil && named == "":
		return stored, nil
	case r.Upstream == nil:
		return named, nil
	case named != "" && !strings.EqualFold(named, r.Upstream.Host):
		return "", core.Errorf(core.KindInvalid, "the repository's upstream is at %s, so a credential for %s is of no use; leave upstream_host out", r.Upstream.Host, named)
	}
	return r.Upstream.Host, nil
}

// CreateCredential stores the credential of a repository. Without an upstream it
// is kept for one, and is sent to no other host than it was stored for.
// KindConflict: there is one. KindInvalid: the upstream uses no stored credential.
func (e *Engine) CreateCredential(ctx context.Context, r core.Repository, q CredentialRequest) (core.Credential, error) {
	if r.Upstream != nil && r.Upstream.Mode != providers.ModeGeneric {
		return core.Credential{}, core.Errorf(core.KindInvalid, "this repository's upstream uses no stored credential")
	}
	username := ""
	if q.Username != nil {
		username = *q.Username
	}
	if err := checkCredential(username, q.Secret); err != nil {
		return core.Credential{}, err
	}
	host, err := e.hostOf(ctx, r, q, "")
	if err != nil {
		return core.Credential{}, err
	}
	if shared, err := e.store.SharedCredentialOf(ctx, r.ID); err == nil {
		return core.Credential{}, core.Errorf(core.KindConflict, "the repository uses the shared credential %q of the organisation; a token of the organisation takes it away first", shared.Name)
	} else if core.KindOf(err) != core.KindNotFound {
		return core.Credential{}, err
	}
	c := e.newCredential(r.ID, host, username, q.Secret)
	if err := e.store.CreateCredential(ctx, c); err != nil {
		if core.KindOf(err) == core.KindConflict {
			return core.Credential{}, &core.Error{Kind: core.KindConflict, Message: "the repository has a credential already; update that one", Err: err}
		}
		return core.Credential{}, err
	}
	e.tryWith(ctx, r)
	return c, nil
}

// tryWith looks at the upstream, if there is one, with a new credential.
func (e *Engine) tryWith(ctx context.Context, r core.Repository) {
	if r.Upstream != nil {
		e.checkInbound(ctx, r.ID)
		e.retryWith(ctx, r.ID)
	}
}

// retryWith has a failing sync tried with a new credential. That is stored
// already, so a failure here is for the log.
func (e *Engine) retryWith(ctx context.Context, repoID string) {
	if err := e.monitor.CredentialChanged(context.WithoutCancel(ctx), repoID); err != nil && core.KindOf(err) != core.KindNotFound {
		e.log.Error("cannot try the new credential at once; the next retry uses it", "repo_id", repoID, "error", err)
	}
}

// credential returns the organisation's credential with the id, and its
// repository.
func (e *Engine) credential(ctx context.Context, org, id string) (core.Credential, core.Repository, error) {
	missing := core.Errorf(core.KindNotFound, "no such credential")
	c, err := e.store.CredentialByID(ctx, id)
	if core.KindOf(err) == core.KindNotFound {
		return core.Credential{}, core.Repository{}, missing
	}
	if err != nil {
		return core.Credential{}, core.Repository{}, err
	}
	r, err := e.store.RepositoryByID(ctx, c.RepoID)
	if err != nil || r.Org != org {
		return core.Credential{}, core.Repository{}, missing
	}
	return c, r, nil
}

func (e *Engine) newCredential(repoID, host, username string, secret providers.Secret) core.Credential {
	now := e.clock.Now()
	return core.Credential{ID: core.NewID("ggc", now), RepoID: repoID, Host: host, Username: username, Secret: secret, CreatedAt: now, UpdatedAt: now}
}

// UpdateCredential replaces a credential; a nil username keeps the old one.
func (e *Engine) UpdateCredential(ctx context.Context, org, id string, q CredentialRequest) (core.Credential, error) {
	c, r, err := e.credential(ctx, org, id)
	if err != nil {
		return core.Credential{}, err
	}
	if q.Username != nil {
		c.Username = *q.Username
	}
	if err := checkCredential(c.Username, q.Secret); err != nil {
		return core.Credential{}, err
	}
	if c.Host, err = e.hostOf(ctx, r, q, c.Host); err != nil {
		return core.Credential{}, err
	}
	c.Secret, c.UpdatedAt = q.Secret, e.clock.Now()
	if err := e.store.UpdateCredential(ctx, c); err != nil {
		return core.Credential{}, err
	}
	e.tryWith(ctx, r)
	return c, nil
}

// DeleteCredential deletes a credential.
func (e *Engine) DeleteCredential(ctx context.Context, org, id string) error {
	_, r, err := e.credential(ctx, org, id)
	if err != nil {
		return err
	}
	if r.Upstream == nil {
		return e.store.DeleteCredential(ctx, id)
	}
	gone := e.inbound.Leaving(ctx, r)
	if err := e.store.DeleteCredential(ctx, id); err != nil {
		return err
	}
	gone()
	e.checkInbound(ctx, r.ID)
	return nil
}
