package access

// Scope is a permission that a token carries.
type Scope string

// The scopes. GitWrite includes GitRead; nothing else includes anything.
const (
	GitRead   Scope = "git:read"   // clone, fetch, read calls
	GitWrite  Scope = "git:write"  // push, calls that move refs, pull from the upstream
	RepoWrite Scope = "repo:write" // create, change and delete repositories and credentials
	OrgRead   Scope = "org:read"   // list the repositories of the organisation
)

// Scopes returns every scope there is.
func Scopes() []Scope { return []Scope{GitRead, GitWrite, RepoWrite, OrgRead} }

// The operations of the Git remotes, beside those of the API: what an issued token names
// to read and to write there.
const (
	GitFetch = "gitFetch" // clone, fetch and list refs
	GitPush  = "gitPush"
)

// Operation is one thing that a token can be used for.
type Operation struct {
	Name  string // in the API, or [GitFetch] or [GitPush]
	Scope Scope  // that it takes; "": any
	// SignedOnly: no token that the server issued does it, whatever that names.
	SignedOnly bool
}
