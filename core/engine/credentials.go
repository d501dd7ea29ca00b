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

// CreateCredential implements [Repositories].
func (e *Engine) CreateCredential(ctx context.Context, r core.Repository, username string, secret providers.Secret) (core.Credential, error) {
	switch {
	case r.Upstream == nil:
		return core.Credential{}, core.Errorf(core.KindInvalid, "no upstream configured for this repository, so it needs no credential")
	case r.Upstream.Mode != providers.ModeGeneric:
		return core.Credential{}, core.Errorf(core.KindInvalid, "this repository's upstream uses no stored credential")
	}
	if err := checkCredential(username, secret); err != nil {
		return core.Credential{}, err
	}
	c := e.newCredential(r.ID, username, secret)
	if err := e.store.CreateCredential(ctx, c); err != nil {
		if core.KindOf(err) == core.KindConflict {
			return core.Credential{}, &core.Error{Kind: core.KindConflict, Message: "the repository has a credential already; update that one", Err: err}
		}
		return core.Credential{}, err
	}
	e.checkInbound(ctx, r.ID)
	e.retryWith(ctx, r.ID)
	return c, nil
}

// retryWith has a failing sync tried with a new credential. That is stored
// already, so a failure here is for the log.
func (e *Engine) retryWith(ctx context.Context, repoID string) {
	if err := e.sync.CredentialChanged(context.WithoutCancel(ctx), repoID); err != nil && core.KindOf(err) != core.KindNotFound {
		e.log.Error("cannot try the new credential at once; the next retry uses it", "repo_id", repoID, "error", err)
	}
}

// credential returns the organisation's credential with the id.
func (e *Engine) credential(ctx context.Context, org, id string) (core.Credential, error) {
	missing := core.Errorf(core.KindNotFound, "no such credential")
	c, err := e.store.CredentialByID(ctx, id)
	if core.KindOf(err) == core.KindNotFound {
		return core.Credential{}, missing
	}
	if err != nil {
		return core.Credential{}, err
	}
	r, err := e.store.RepositoryByID(ctx, c.RepoID)
	if err != nil || r.Org != org {
		return core.Credential{}, missing
	}
	return c, nil
}

func (e *Engine) newCredential(repoID, username string, secret providers.Secret) core.Credential {
	now := e.clock.Now()
	return core.Credential{ID: core.NewID("ggc", now), RepoID: repoID, Username: username, Secret: secret, CreatedAt: now, UpdatedAt: now}
}

// UpdateCredential implements [Repositories].
func (e *Engine) UpdateCredential(ctx context.Context, org, id string, username *string, secret providers.Secret) (core.Credential, error) {
	c, err := e.credential(ctx, org, id)
	if err != nil {
		return core.Credential{}, err
	}
	if username != nil {
		c.Username = *username
	}
	if err := checkCredential(c.Username, secret); err != nil {
		return core.Credential{}, err
	}
	c.Secret, c.UpdatedAt = secret, e.clock.Now()
	if err := e.store.UpdateCredential(ctx, c); err != nil {
		return core.Credential{}, err
	}
	e.checkInbound(ctx, c.RepoID)
	e.retryWith(ctx, c.RepoID)
	return c, nil
}

// DeleteCredential implements [Repositories].
func (e *Engine) DeleteCredential(ctx context.Context, org, id string) error {
	c, err := e.credential(ctx, org, id)
	if err != nil {
		return err
	}
	r, err := e.store.RepositoryByID(ctx, c.RepoID)
	if err != nil {
		return err
	}
	gone := e.inbound.Leaving(ctx, r)
	if err := e.store.DeleteCredential(ctx, id); err != nil {
		return err
	}
	gone()
	e.checkInbound(ctx, r.ID)
	return nil
}

// CredentialByRepo implements [Repositories].
func (e *Engine) CredentialByRepo(ctx context.Context, r core.Repository) (core.Credential, error) {
	return e.store.CredentialByRepo(ctx, r.ID)
}
