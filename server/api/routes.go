package api

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"
	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/limit"
)

// Options is what the REST layer stands on. Repositories and Verifier are
// required.
type Options struct {
	Repositories engine.Repositories
	Verifier     *access.Verifier
	Limiter      *limit.Limiter          // nil: requests are not bounded
	Content      Content                 // nil: calls that read content are refused
	Commits      Commits                 // nil: calls that write content are refused
	Rewrites     Rewrites                // nil: calls about rewrites are refused
	Fresh        Freshener               // nil: copies are served as they are
	Settings     Settings                // required for the calls about settings
	Links        Links                   // nil: repositories that exist cannot be linked to upstreams
	Ephemeral    Ephemeral               // nil: calls about ephemeral branches as a whole are refused
	Inbound      Inbound                 // nil: calls about inbound webhooks are refused
	Webhooks     Webhooks                // nil: calls about webhooks are refused
	Events       EventFeed               // nil: calls that read events are refused
	Stopping     <-chan struct{}         // closed when streams are to end; nil: they go on
	Audit        core.AuditStore         // nil: nothing is recorded
	Logger       hclog.Logger            // nil: nothing is logged
	Providers    func() []ProviderStatus // for GET /providers; nil: there are none
	PublicURL    string                  // that clients use; "" takes what each request came to
	Version      string                  // of the server, for GET /healthz
}

// server answers requests. It holds no state of its own.
type server struct {
	Options
}

// target says what a route is about, and so what the claim "repo" must be.
type target int

const (
	organisation  target = iota // the claim names no single repository
	newRepository               // the claim is the name of a repository to be
	oneRepository               // the claim means a repository that exists
	anything                    // the claim does not matter
	// credentialID is oneRepository or, as SDKs have it for credentials,
	// organisation.
	credentialID
	// organisationOrRepository sees all of the organisation with the scope
	// org:read, or one repository with git:read.
	organisationOrRepository
)

// anyScope stands for "a valid token will do".
const anyScope access.Scope = ""

// operation is one thing that the API can do, with both of its routes.
type operation struct {
	method    string
	legacy    string // "": it has none
	preferred string
	scope     access.Scope
	target    target
	serve     func(s *server, c *call) error
}

// operations is the whole API.
var operations = []operation{
	{http.MethodPost, "/api/v1/repos", "/api/repos", access.RepoWrite, newRepository, (*server).createRepository},
	{http.MethodGet, "/api/v1/repos", "/api/repos", access.OrgRead, organisation, (*server).listRepositories},
	// SDKs send git:read; any token for the repository may know that it exists.
	{http.MethodGet, "/api/v1/repo", "/api/repos/{name}", anyScope, oneRepository, (*server).getRepository},
	{http.MethodPatch, "/api/v1/repo", "/api/repos/{name}", access.RepoWrite, oneRepository, (*server).updateRepository},
	{http.MethodDelete, "/api/v1/repos/delete", "/api/repos/{name}", access.RepoWrite, oneRepository, (*server).deleteRepository},
	{http.MethodPost, "/api/v1/repos/base", "/api/repos/{name}/base", access.RepoWrite, oneRepository, (*server).attach},
	{http.MethodPut, "/api/v1/repos/base", "/api/repos/{name}/base", access.RepoWrite, oneRepository, (*server).repoint},
	{http.MethodDelete, "/api/v1/repos/base", "/api/repos/{name}/base", access.GitWrite, oneRepository, (*server).detach},
	{http.MethodPost, "/api/v1/repos/pull-upstream", "/api/repos/{name}/pull-upstream", access.GitWrite, oneRepository, (*server).pullUpstream},
	{http.MethodGet, "/api/v1/repos/settings", "/api/repos/{name}/settings", access.GitRead, oneRepository, (*server).getSettings},
	{http.MethodPatch, "/api/v1/repos/settings", "/api/repos/{name}/settings", access.RepoWrite, oneRepository, (*server).updateSettings},
	{http.MethodGet, "/api/v1/repos/sync", "/api/repos/{name}/sync", access.GitRead, oneRepository, (*server).getSync},
	{http.MethodGet, "/api/v1/repos/sync/runs", "/api/repos/{name}/sync/runs", access.GitRead, oneRepository, (*server).listRuns},
	{http.MethodPost, "/api/v1/repos/ensure", "/api/repos/{name}/ensure", access.GitRead, oneRepository, (*server).ensure},
	{http.MethodPost, "/api/v1/repos/git-credentials", "/api/repos/{name}/git-credentials", access.RepoWrite, oneRepository, (*server).createCredential},
	{http.MethodPut, "/api/v1/repos/git-credentials", "", access.RepoWrite, credentialID, (*server).updateCredential},
	{http.MethodPut, "", "/api/repos/{name}/git-credentials/{id}", access.RepoWrite, oneRepository, (*server).updateCredential},
	{http.MethodDelete, "/api/v1/repos/git-credentials", "", access.RepoWrite, credentialID, (*server).deleteCredential},
	{http.MethodDelete, "", "/api/repos/{name}/git-credentials/{id}", access.RepoWrite, oneRepository, (*server).deleteCredential},
	{http.MethodGet, "/api/v1/repos/inbound-webhook", "/api/repos/{name}/inbound-webhook", access.RepoWrite, oneRepository, (*server).getInboundWebhook},
	{http.MethodPost, "/api/v1/repos/inbound-webhook", "/api/repos/{name}/inbound-webhook", access.RepoWrite, oneRepository, (*server).rotateInboundWebhook},
	{http.MethodGet, "/api/v1/repos/files", "/api/repos/{name}/files", access.GitRead, oneRepository, reader((*server).listFiles)},
	{http.MethodGet, "/api/v1/repos/files/metadata", "/api/repos/{name}/files/metadata", access.GitRead, oneRepository, reader((*server).listMetadata)},
	{http.MethodGet, "/api/v1/repos/file", "/api/repos/{name}/file", access.GitRead, oneRepository, reader((*server).getFile)},
	{http.MethodPost, "/api/v1/repos/archive", "/api/repos/{name}/archive", access.GitRead, oneRepository, reader((*server).archive)},
	{http.MethodPost, "/api/v1/repos/grep", "/api/repos/{name}/grep", access.GitRead, oneRepository, reader((*server).grep)},
	{http.MethodGet, "/api/v1/repos/blame", "/api/repos/{name}/blame", access.GitRead, oneRepository, reader((*server).blame)},
	{http.MethodGet, "/api/v1/repos/commits", "/api/repos/{name}/commits", access.GitRead, oneRepository, reader((*server).listCommits)},
	{http.MethodGet, "/api/v1/repos/commit", "/api/repos/{name}/commit", access.GitRead, oneRepository, reader((*server).getCommit)},
	{http.MethodGet, "/api/v1/repos/diff", "/api/repos/{name}/diff", access.GitRead, oneRepository, reader((*server).commitDiff)},
	{http.MethodGet, "/api/v1/repos/branches", "/api/repos/{name}/branches", access.GitRead, oneRepository, reader((*server).listBranches)},
	// The legacy family is documented without the two "get" routes.
	{http.MethodGet, "/api/v1/repos/branch", "/api/repos/{name}/branch", access.GitRead, oneRepository, reader((*server).getBranch)},
	{http.MethodGet, "/api/v1/repos/branches/diff", "/api/repos/{name}/branches/diff", access.GitRead, oneRepository, reader((*server).branchDiff)},
	{http.MethodGet, "/api/v1/repos/merge/preview", "/api/repos/{name}/merge/preview", access.GitRead, oneRepository, reader((*server).previewMerge)},
	{http.MethodGet, "/api/v1/repos/tags", "/api/repos/{name}/tags", access.GitRead, oneRepository, reader((*server).listTags)},
	{http.MethodGet, "/api/v1/repos/tag", "/api/repos/{name}/tag", access.GitRead, oneRepository, reader((*server).getTag)},
	{http.MethodGet, "/api/v1/repos/notes", "/api/repos/{name}/notes", access.GitRead, oneRepository, reader((*server).getNote)},
	{http.MethodGet, "/api/v1/repos/notes/refs", "/api/repos/{name}/notes/refs", access.GitRead, oneRepository, reader((*server).listNotesRefs)},
	{http.MethodPost, legacyCommitPack, "/api/repos/{name}/commit-pack", access.GitWrite, oneRepository, writer((*server).commitFiles)},
	{http.MethodPost, legacyDiffCommit, "/api/repos/{name}/diff-commit", access.GitWrite, oneRepository, writer((*server).commitPatch)},
	{http.MethodPost, legacyRestore, "/api/repos/{name}/restore-commit", access.GitWrite, oneRepository, writer((*server).restoreCommit)},
	// The name that the first published clients used.
	{http.MethodPost, legacyReset, "/api/repos/{name}/reset-commits", access.GitWrite, oneRepository, writer((*server).restoreCommit)},
	{http.MethodPost, "/api/v1/repos/branches/create", "/api/repos/{name}/branches/create", access.GitWrite, oneRepository, writer((*server).createBranch)},
	{http.MethodDelete, "/api/v1/repos/branches", "/api/repos/{name}/branches", access.GitWrite, oneRepository, writer((*server).deleteBranch)},
	{http.MethodPost, "/api/v1/repos/merge", "/api/repos/{name}/merge", access.GitWrite, oneRepository, writer((*server).merge)},
	{http.MethodPost, "/api/v1/repos/tags", "/api/repos/{name}/tags", access.GitWrite, oneRepository, writer((*server).createTag)},
	{http.MethodDelete, "/api/v1/repos/tags", "/api/repos/{name}/tags", access.GitWrite, oneRepository, writer((*server).deleteTag)},
	{http.MethodDelete, "", "/api/repos/{name}/tags/{tag}", access.GitWrite, oneRepository, writer((*server).deleteTag)},
	{http.MethodPost, legacyNotes, "/api/repos/{name}/notes", access.GitWrite, oneRepository, writer((*server).writeNote)},
	{http.MethodDelete, legacyNotes, "/api/repos/{name}/notes", access.GitWrite, oneRepository, writer((*server).deleteNote)},
	{http.MethodGet, "/api/v1/repos/rewrites", "/api/repos/{name}/rewrites", access.GitRead, oneRepository, (*server).listRewrites},
	{http.MethodGet, "/api/v1/repos/rewrites/{id}", "/api/repos/{name}/rewrites/{id}", access.GitRead, oneRepository, (*server).getRewrite},
	{http.MethodPost, "/api/v1/repos/rewrites/{id}/restore", "/api/repos/{name}/rewrites/{id}/restore", access.GitWrite, oneRepository, (*server).restoreRewrite},
	{http.MethodPost, "/api/v1/repos/rewrites/{id}/approve", "/api/repos/{name}/rewrites/{id}/approve", access.GitWrite, oneRepository, decide(Rewrites.Approve)},
	{http.MethodPost, "/api/v1/repos/rewrites/{id}/dismiss", "/api/repos/{name}/rewrites/{id}/dismiss", access.GitWrite, oneRepository, decide(Rewrites.Dismiss)},
	{http.MethodGet, "/api/v1/repos/ephemeral/orphans", "/api/repos/{name}/ephemeral/orphans", access.GitRead, oneRepository, reader((*server).listOrphans)},
	{http.MethodPost, "/api/v1/webhooks", "/api/webhooks", access.RepoWrite, organisation, webhooks((*server).createWebhook)},
	{http.MethodGet, "/api/v1/webhooks", "/api/webhooks", access.OrgRead, organisation, webhooks((*server).listWebhooks)},
	{http.MethodGet, "/api/v1/webhooks/{webhook}", "/api/webhooks/{webhook}", access.OrgRead, organisation, webhooks((*server).getWebhook)},
	{http.MethodPatch, "/api/v1/webhooks/{webhook}", "/api/webhooks/{webhook}", access.RepoWrite, organisation, webhooks((*server).updateWebhook)},
	{http.MethodDelete, "/api/v1/webhooks/{webhook}", "/api/webhooks/{webhook}", access.RepoWrite, organisation, webhooks((*server).deleteWebhook)},
	{http.MethodPost, "/api/v1/webhooks/{webhook}/ping", "/api/webhooks/{webhook}/ping", access.RepoWrite, organisation, webhooks((*server).pingWebhook)},
	{http.MethodGet, "/api/v1/webhooks/{webhook}/deliveries", "/api/webhooks/{webhook}/deliveries", access.OrgRead, organisation, webhooks((*server).listDeliveries)},
	{http.MethodGet, "/api/v1/webhooks/{webhook}/deliveries/{delivery}", "/api/webhooks/{webhook}/deliveries/{delivery}", access.OrgRead, organisation, webhooks((*server).getDelivery)},
	{http.MethodPost, "/api/v1/webhooks/{webhook}/deliveries/{delivery}/redeliver", "/api/webhooks/{webhook}/deliveries/{delivery}/redeliver", access.RepoWrite, organisation, webhooks((*server).redeliver)},
	{http.MethodGet, "/api/v1/events", "/api/events", access.GitRead, organisationOrRepository, (*server).listEvents},
	{http.MethodGet, "/api/v1/audit", "/api/audit", access.OrgRead, organisation, (*server).listAudit},
	{http.MethodGet, "/api/v1/repos/audit", "/api/repos/{name}/audit", access.RepoWrite, oneRepository, (*server).listRepositoryAudit},
	{http.MethodGet, "", "/providers", access.OrgRead, anything, (*server).listProviders},
	{http.MethodPost, "", "/providers/{name}/replay", access.RepoWrite, organisation, (*server).replayDeliveries},
}

// New returns the handler of /api/, /providers, /healthz and /readyz. Every
// other path is a 404 in JSON.
func New(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	s := &server{Options: o}
	// mux sees the escaped path, so that "team%2Fapp" stays one segment. It
	// must not clean it: a redirect would lose the body of a request, and
	// there is nothing that a path with "//" could mean.
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	for path, methods := range byPath(operations) {
		router.Handle(path, s.observe(func(rec *record, r *http.Request) {
			rec.route = path
			s.dispatch(rec, r, methods)
		}))
	}
	router.Handle(openAPIPath, openAPI(s.Version))
	router.HandleFunc("/healthz", s.health)
	router.HandleFunc("/readyz", s.ready)
	router.NotFoundHandler = s.observe(func(rec *record, r *http.Request) {
		writeStatusError(rec, http.StatusNotFound, core.KindNotFound, "there is nothing at this path")
	})
	return router
}

// byPath groups operations by path and method, so that one path can answer for
// the methods it has not.
func byPath(operations []operation) map[string]map[string]operation {
	paths := make(map[string]map[string]operation)
	for _, op := range operations {
		for _, path := range []string{op.legacy, op.preferred} {
			if path == "" {
				continue
			}
			if paths[path] == nil {
				paths[path] = make(map[string]operation)
			}
			paths[path][op.method] = op
		}
	}
	return paths
}

// dispatch serves one request to a path that exists.
func (s *server) dispatch(rec *record, r *http.Request, methods map[string]operation) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http drops the body
	}
	op, ok := methods[method]
	if !ok {
		methodNotAllowed(rec, methods)
		return
	}
	c := &call{w: rec, r: r, action: actions[op.key()]}
	err := s.authorise(c, op)
	// Known also when the call is refused, for the log.
	rec.org, rec.subject = c.identity.Org, c.identity.Subject
	if err == nil {
		ctx, end := s.Limiter.Request(r.Context(), c.identity.Caller())
		defer end()
		c.r = r.WithContext(ctx)
		err = op.serve(s, c)
	}
	s.audit(c, err)
	if err != nil {
		rec.fail(r, op.dress(err))
	}
}

// methodNotAllowed answers 405 with the methods that there are.
func methodNotAllowed(w http.ResponseWriter, methods map[string]operation) {
	var allow []string
	for method := range methods {
		allow = append(allow, method)
		if method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	w.Header().Set("Allow", strings.Join(allow, ", "))
	writeStatusError(w, http.StatusMethodNotAllowed, core.KindInvalid, "this path does not take this method")
}
