package providers

import (
	"context"
	"time"
)

// RepositoryLister is implemented by providers whose hosts list the
// repositories of an owner. See [Capabilities].
type RepositoryLister interface {
	// ListRepositories returns one page of the repositories of an owner, archived
	// ones and forks among them, in an order that new repositories do not change
	// where the host has one. Errors: CodeNotFound (there is no such owner, or
	// the credential does not show it), CodeUnauthenticated and
	// CodePermissionDenied (the credential opens no listing), CodeRevoked (the
	// App is not installed there), CodeRateLimited (the same page can be asked
	// for again after RetryAfter), CodeUnavailable, CodeInvalidArgument (the
	// owner or the cursor), CodeUnsupported (this host cannot).
	ListRepositories(ctx context.Context, r ListRequest) (RepositoryPage, error)
}

// ListRequest asks for one page of an owner's repositories.
type ListRequest struct {
	Host   string            // host or host:port; "" is the provider's default
	Owner  string            // organisation, group, workspace or user; may hold slashes
	Stored *StoredCredential // nil: what anybody, or the App, may see
	Cursor string            // Next of the page before; "" is the first page
}

// RepositoryPage is one page of an owner's repositories.
type RepositoryPage struct {
	Repositories []ListedRepository
	Next         string // cursor of the next page; "": this is the last one
	// CredentialExpiresAt is when the stored credential expires; zero if the host
	// does not say, or it does not expire.
	CredentialExpiresAt time.Time
}

// ListedRepository is one repository of a listing. The remote is as Resolve with
// Contact returns it, and always has an UpstreamID.
type ListedRepository struct {
	Remote Remote
	Fork   bool // it was made from another repository at the host
}
