package middleware

import (
	"context"
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/limit"
)

// Repositories finds a repository of an organisation by its public name or its
// internal id; KindNotFound if there is none.
type Repositories interface {
	Repository(ctx context.Context, org, nameOrID string) (core.Repository, error)
}

// Access decides who sends a request and what the token opens.
type Access struct {
	Verifier     *access.Verifier
	Limiter      *limit.Limiter // nil: requests are not bounded
	Rates        *Rates         // nil: requests are not counted
	Repositories Repositories
	// Token takes the token from a request; KindUnauthenticated, with a text that
	// says how to send one, if there is none.
	Token func(r *http.Request) (string, error)
	// Identify, if it is set, says who calls in place of a token, which is not read then.
	// It is for handlers that no listener serves.
	Identify func(ctx context.Context) (access.Identity, error)

	LacksScope      string // text of a refusal, with a verb for the scope
	OtherRepository string // text of a refusal
}

// Serve serves a request with the handler once the token is verified. What the
// handler starts counts for the token's owner.
func (a *Access) Serve(x *Exchange, r *http.Request, next Handler) error {
	identity, err := a.identify(r)
	if err != nil {
		return err
	}
	return a.ServeAs(x, r, identity, next)
}

// ServeAs serves a request of somebody who is known already with the handler.
func (a *Access) ServeAs(x *Exchange, r *http.Request, identity access.Identity, next Handler) error {
	x.Identity = identity
	if err := a.Rates.Take(r.Context(), x.Header(), x.Identity); err != nil {
		return err
	}
	ctx, end := a.Limiter.Request(r.Context(), x.Identity.Caller())
	defer end()
	return next(x, r.WithContext(ctx))
}

// identify returns who sends a request.
func (a *Access) identify(r *http.Request) (access.Identity, error) {
	if a.Identify != nil {
		return a.Identify(r.Context())
	}
	token, err := a.Token(r)
	if err != nil {
		return access.Identity{}, err
	}
	return a.Verifier.Verify(r.Context(), token)
}

// Authorise is KindPermission if the token does not open the operation: it lacks the
// scope, or the server issued it for other operations. It is the one place that decides
// so, for the API, the Git remotes and tokens inside bodies alike.
func (a *Access) Authorise(id access.Identity, op access.Operation) error {
	switch {
	case op.SignedOnly && id.Issued():
		return core.Errorf(core.KindPermission, "no token that the server issued opens %s; use one that is signed with a key of the organisation", op.Name)
	case !id.Allows(op.Name):
		return core.Errorf(core.KindPermission, "the token was issued for other operations than %s", op.Name)
	case op.Scope != "" && !id.Can(op.Scope):
		return core.Errorf(core.KindPermission, a.LacksScope, op.Scope)
	}
	return nil
}

// Repository returns the repository that a request names. The organisation comes
// from the token alone, so a repository of another one cannot be named at all.
//
// A token for another repository is KindPermission, whether the named one exists
// or not: that is not the sender's business. If it exists, it is returned with
// the error, for the audit. KindNotFound is only for the token's own repository.
func (a *Access) Repository(ctx context.Context, id access.Identity, name string) (core.Repository, error) {
	repo, err := a.Repositories.Repository(ctx, id.Org, name)
	if err == nil && !a.Names(ctx, id, repo) || core.KindOf(err) == core.KindNotFound && id.Repo != name {
		return repo, core.Errorf(core.KindPermission, "%s", a.OtherRepository)
	}
	return repo, err
}

// Names reports whether a token is for a repository: by its name, its id, or a name that it
// had before it was renamed.
func (a *Access) Names(ctx context.Context, id access.Identity, repo core.Repository) bool {
	if id.Names(repo) {
		return true
	}
	if id.OrgWide() || id.Org != repo.Org {
		return false
	}
	named, err := a.Repositories.Repository(ctx, id.Org, id.Repo)
	return err == nil && named.ID == repo.ID
}

// Wanted returns the repository that a refused request named, for the audit;
// without an id if there is none of that name.
func (a *Access) Wanted(ctx context.Context, id access.Identity, name string) core.Repository {
	repo, err := a.Repositories.Repository(ctx, id.Org, name)
	if err != nil {
		return core.Repository{Org: id.Org, Name: name}
	}
	return repo
}

// BearerToken returns the token of the header Authorization in the scheme Bearer,
// "" if there is none.
func BearerToken(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") { // schemes have no case
		return ""
	}
	return token
}
