// Package publicread decides which repositories are read without a token.
//
// Such a request names a repository and no organisation. A repository is served so if
//
//   - its setting public_read is on, and its organisation may have that;
//   - its upstream is public now: it is linked in the public mode of its provider, or its
//     host says so when it is asked with the stored credential;
//   - no other repository of the server has the name, or had it before a rename, in
//     whatever organisation and with whatever settings. Git asks without its token first:
//     where two had the name, the remote of one organisation would bring the content of
//     another one.
//
// Everything else is as if there were no such repository.
package publicread

import (
	"context"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// Store is what this package needs of [core.Store].
type Store interface {
	RepositoriesOfAnyOrg(ctx context.Context, name string, limit int) ([]core.Repository, error)
	Settings(ctx context.Context, repoID string) (core.Settings, error)
	SyncState(ctx context.Context, repoID string) (core.SyncState, error)
	Visibility(ctx context.Context, repoID string) (core.Visibility, error)
}

// Limits returns what an organisation may do.
type Limits func(ctx context.Context, org string) (core.OrgLimits, error)

// Service finds repositories that are read without a token. It is safe for concurrent
// use.
type Service struct {
	store  Store
	limits Limits
}

// New returns a service.
func New(store Store, limits Limits) *Service { return &Service{store, limits} }

// Find returns the repository that a name means to whoever has no token; false: none. An
// error says that the store does not answer.
func (s *Service) Find(ctx context.Context, name string) (core.Repository, bool, error) {
	named, err := s.store.RepositoriesOfAnyOrg(ctx, name, 2)
	if err != nil || len(named) != 1 || named[0].Name != name {
		return core.Repository{}, false, err
	}
	r := named[0]
	settings, err := s.store.Settings(ctx, r.ID)
	if err != nil || !settings.PublicRead {
		return core.Repository{}, false, err
	}
	why, err := s.refusal(ctx, r)
	return r, err == nil && why == "", err
}

// Check is KindConflict if a repository could not be read without a token as it is, and
// KindPermission if its organisation may not have that. It is for whoever switches it on.
func (s *Service) Check(ctx context.Context, r core.Repository) error {
	limits, err := s.limits(ctx, r.Org)
	if err != nil {
		return err
	}
	if limits.NoPublicRead {
		return core.Errorf(core.KindPermission, "public_read: the operator does not let the organisation %q have repositories that are read without a token", r.Org)
	}
	why, err := s.refusal(ctx, r)
	if err != nil {
		return err
	}
	if why != "" {
		return core.Errorf(core.KindConflict, "public_read: %s", why)
	}
	named, err := s.store.RepositoriesOfAnyOrg(ctx, r.Name, 2)
	if err != nil {
		return err
	}
	if len(named) > 1 {
		return core.Errorf(core.KindConflict, "public_read: a URL names no organisation, and %q is the name of another repository of this server, or was; rename this one first (headwater repo rename)", r.Name)
	}
	return nil
}

// refusal says why a repository is not read without a token although it is set so; "":
// it is.
func (s *Service) refusal(ctx context.Context, r core.Repository) (string, error) {
	if r.Upstream == nil {
		return "only a mirror of a public upstream can be read without a token, and the repository follows no upstream", nil
	}
	limits, err := s.limits(ctx, r.Org)
	if err != nil || limits.NoPublicRead {
		return "the operator forbids it", err
	}
	state, err := s.store.SyncState(ctx, r.ID)
	if err != nil {
		return "", err
	}
	if !state.UpstreamState.Readable() {
		return "the upstream is " + state.UpstreamState.Word() + ", as its host said last", nil
	}
	if r.Upstream.Mode == providers.ModePublic {
		return "", nil // it is read without a credential, and state says that it still can be
	}
	seen, err := s.store.Visibility(ctx, r.ID)
	switch {
	case err != nil:
		return "", err
	case seen == core.VisibilityPrivate:
		return r.Upstream.Host + " says that the upstream is private", nil
	case seen != core.VisibilityPublic:
		return r.Upstream.Host + " does not say whether the upstream is public; a credential that opens its API may help", nil
	}
	return "", nil
}
