package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/mux"
	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/server/middleware"
)

// Options is what the REST layer stands on. Lookup, Repositories, Credentials, Records,
// Syncs, Schedule, Verifier and Clock are required.
type Options struct {
	Lookup       middleware.Repositories // finds repositories by name or id
	Repositories Repositories
	Credentials  Credentials
	Shared       SharedCredentials // nil: there are none
	Sets         MirrorSets        // nil: there are none
	Records      Records
	Syncs        Syncs
	Schedule     Schedule
	Clock        core.Clock
	Ready        func(ctx context.Context) error // for GET /readyz: whether requests can be taken; nil: they can
	Problems     func() []string                 // for GET /readyz: what an operator has to look at all the same; nil: nothing
	Writable     func() error                    // for GET /readyz: why nothing can be written; nil: it can be
	Damages      Damages                         // nil: no repository is damaged as far as is known
	Verifier     *access.Verifier
	// Identify says who calls, in place of tokens, where another part of the server uses
	// the operations: see [middleware.Access]. It must be nil in what a listener serves.
	Identify     func(ctx context.Context) (access.Identity, error)
	Limiter      *limit.Limiter      // nil: requests are not bounded
	Rates        *middleware.Rates   // nil: requests are not counted
	Organisation Organisation        // nil: the call about the organisation is refused
	Quotas       Quotas              // nil: nothing is limited
	ReadOnly     middleware.ReadOnly // nil: writes are taken
	Content      Content             // nil: calls that read content are refused
	Commits      Commits             // nil: calls that write content are refused
	Rewrites     Rewrites            // nil: calls about rewrites are refused
	Purges       Purges              // nil: calls that forget are refused
	LFSPrunes    LFSPrunes           // nil: calls that prune are refused
	Fresh        Freshener           // nil: copies are served as they are
	Settings     Settings            // required for the calls about settings, like Plans
	Plans        Plans
	Links        Links                   // nil: repositories that exist cannot be linked to upstreams
	Ephemeral    Ephemeral               // nil: calls about ephemeral branches as a whole are refused
	Inbound      Inbound                 // nil: calls about inbound webhooks are refused
	Tokens       Tokens                  // nil: calls that issue or revoke tokens are refused
	Webhooks     Webhooks                // nil: calls about webhooks are refused
	Events       EventFeed               // nil: calls that read events are refused
	Stopping     <-chan struct{}         // closed when streams are to end; nil: they go on
	Audit        core.AuditStore         // nil: nothing is recorded
	Calls        core.IdempotencyStore   // nil: calls with an Idempotency-Key are refused
	Logger       hclog.Logger            // nil: nothing is logged
	Providers    func() []ProviderStatus // for GET /providers; nil: there are none
	PublicURL    string                  // that clients use; "" takes what each request came to
	Measure      middleware.Measure
	Version      string // of the server, for GET /healthz
	// BodyGrace and StreamGrace are how long the body of a request, and that of a
	// commit whose contents are streamed, may come in below one kilobyte a second
	// before it is cut; 0 is 10 s and one minute.
	BodyGrace, StreamGrace time.Duration
}

// server answers requests. It holds no state of its own but which calls with an
// Idempotency-Key are under way.
type server struct {
	Options
	stack    middleware.Stack
	access   middleware.Access
	underWay underWay
}

// New returns the handler of /api/, /providers, /healthz and /readyz. Every
// other path is a 404 in JSON.
func New(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	o.BodyGrace = cmp.Or(o.BodyGrace, middleware.BodyGrace)
	o.StreamGrace = cmp.Or(o.StreamGrace, middleware.StreamGrace)
	s := &server{Options: o}
	s.stack = middleware.Stack{
		IDs:      middleware.RequestIDs{Now: o.Clock.Now},
		Log:      middleware.AccessLog{Now: o.Clock.Now, Line: s.logLine},
		Recovery: middleware.Recovery{Logger: o.Logger},
		Errors:   middleware.Errors{Answer: answerError},
		Measure:  o.Measure,
	}
	s.access = middleware.Access{
		Verifier: o.Verifier, Limiter: o.Limiter, Rates: o.Rates, Repositories: o.Lookup, Token: bearerToken, Identify: o.Identify,
		LacksScope: "the token lacks the scope %q", OtherRepository: "the token is for another repository than the path",
	}
	// mux sees the escaped path, so that "team%2Fapp" stays one segment. It
	// must not clean it: a redirect would lose the body of a request, and
	// there is nothing that a path with "//" could mean.
	router := mux.NewRouter().UseEncodedPath().SkipClean(true)
	for path, methods := range byPath(operations) {
		router.Handle(path, s.handler(path, s.dispatch(methods)))
	}
	router.Handle(openAPIPath, openAPI(s.Version))
	router.HandleFunc("/healthz", s.health)
	router.HandleFunc("/readyz", s.ready)
	router.NotFoundHandler = s.handler("", func(x *middleware.Exchange, _ *http.Request) error {
		writeStatusError(x, http.StatusNotFound, core.KindNotFound, "there is nothing at this path")
		return nil
	})
	return router
}

// handler returns what serves the requests of one route; "" is no route.
func (s *server) handler(route string, serve middleware.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.stack.Serve(w, r, func(x *middleware.Exchange, r *http.Request) error {
			x.Route = route
			return serve(x, r)
		})
	})
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

// dispatch returns what serves requests to a path that has these methods.
func (s *server) dispatch(methods map[string]operation) middleware.Handler {
	return func(x *middleware.Exchange, r *http.Request) error {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet // net/http drops the body
		}
		op, ok := methods[method]
		if !ok {
			methodNotAllowed(x, methods)
			return nil
		}
		if coding := r.Header.Get("Content-Encoding"); op.in.body != nil && coding != "" && !strings.EqualFold(coding, "identity") && r.ContentLength != 0 {
			// A small body could become a large one.
			return op.shapeError(errBodyCoding)
		}
		err := s.access.Serve(x, r, func(x *middleware.Exchange, r *http.Request) error { return s.operate(x, r, op) })
		if err != nil {
			return op.shapeError(err)
		}
		return nil
	}
}

// operate serves a request whose token is verified, and records it in the audit.
func (s *server) operate(x *middleware.Exchange, r *http.Request, op operation) error {
	c := &call{w: x, r: r, identity: x.Identity, action: op.audit, grace: s.BodyGrace}
	err := s.authorise(c, op)
	if err == nil {
		err = op.checkQuery(r.URL.RawQuery)
	}
	if err == nil && op.audit.word != "" {
		err = s.ReadOnly.Check(c.ctx())
	}
	if err == nil {
		err = s.once(c, op, func() error { return op.handler()(s, c) })
	}
	s.audit(c, err)
	return err
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
