package api

import (
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/engine"
)

// copies reports whether the base is a repository of this server, to begin
// with its content.
func (b baseRepo) copies() bool { return b.Operation == "fork" || b.Operation == "snapshot" }

// copyRequest turns a fork or snapshot into the engine's words. Who asks must
// show a token that opens the source, of the same organisation. Errors:
// KindInvalid; KindPermission for the token; KindNotFound for the source.
func (s *server) copyRequest(c *call, body createBody) (*engine.CopyRequest, error) {
	b := body.BaseRepo
	switch strings.ToLower(b.Provider) {
	case "", "code", "code.storage", "headwater":
	default:
		return nil, core.Errorf(core.KindInvalid, `base_repo.operation %q is for repositories of this server; use the provider "code"`, b.Operation)
	}
	if b.Name == "" {
		return nil, core.Errorf(core.KindInvalid, "base_repo.name is required")
	}
	if b.Auth.Token == "" {
		return nil, core.Errorf(core.KindInvalid, "base_repo.auth.token is required: a token with git:read for the source repository")
	}
	opens, err := s.Verifier.Verify(c.ctx(), b.Auth.Token.Reveal())
	switch {
	case core.KindOf(err) == core.KindUnauthenticated:
		// Not 401: the caller's own token is fine.
		return nil, core.Errorf(core.KindPermission, "base_repo.auth.token: %s", core.MessageOf(err))
	case err != nil:
		return nil, err
	case opens.Org != c.identity.Org:
		return nil, core.Errorf(core.KindPermission, "base_repo.auth.token is of another organisation")
	}
	// It gives the content away whole, as a clone does.
	if err := s.access.Authorise(opens, access.Operation{Name: access.GitFetch, Scope: access.GitRead}); err != nil {
		return nil, core.Errorf(core.KindPermission, "base_repo.auth.token: %s", core.MessageOf(err))
	}
	source, err := s.Lookup.Repository(c.ctx(), c.identity.Org, b.Name)
	if err != nil && core.KindOf(err) != core.KindNotFound {
		return nil, err
	}
	if err == nil && !s.access.Names(c.ctx(), opens, source) || err != nil && opens.Repo != b.Name {
		return nil, core.Errorf(core.KindPermission, "base_repo.auth.token is for another repository than base_repo.name")
	}
	if err != nil {
		return nil, err
	}
	from := &engine.CopyRequest{
		From: source, Revision: b.Ref, Snapshot: b.Operation == "snapshot",
		Initial: commit.Signed{Message: body.InitialCommit.Message, Author: body.InitialCommit.Author.person()},
	}
	if b.SHA != "" && !from.Snapshot {
		if !core.ObjectID(b.SHA).Valid() {
			return nil, core.Errorf(core.KindInvalid, "base_repo.sha must be the full id of a commit")
		}
		from.Revision = b.SHA
	}
	return from, nil
}
