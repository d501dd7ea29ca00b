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
	c := &call{w: rec, r: r, action: op.audit}
	err := s.authorise(c, op)
	// Known also when the call is refused, for the log.
	rec.org, rec.subject = c.identity.Org, c.identity.Subject
	if err == nil {
		ctx, end := s.Limiter.Request(r.Context(), c.identity.Caller())
		defer end()
		c.r = r.WithContext(ctx)
		err = op.handler()(s, c)
	}
	s.audit(c, err)
	if err != nil {
		rec.fail(r, op.shapeError(err))
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
