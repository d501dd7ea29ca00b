package server

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/token"
	"github.com/headwater-git/headwater/server/api"
	"github.com/headwater-git/headwater/server/console"
	"github.com/headwater-git/headwater/server/explorer"
	"github.com/headwater-git/headwater/server/githttp"
	"github.com/headwater-git/headwater/server/inbound"
	"github.com/headwater-git/headwater/server/lfshttp"
	"github.com/headwater-git/headwater/server/middleware"
)

// newHandler returns what serves every request: webhooks from hosts, Git
// remotes, the console, and for all other paths the REST API.
func (s *Server) newHandler(ctx context.Context, o Options) (http.Handler, error) {
	verifier := access.NewVerifier(s.store, o.Clock).WithAuthenticator(o.Authenticate).WithRevocations(s.store).
		WithLooked(func(found bool) { s.metrics.Cached(engine.CacheKeys, found) })
	if err := verifier.Load(ctx); err != nil {
		return nil, err
	}
	rates := middleware.NewRates(s.engine.Services().Quotas.Limits, o.Clock)
	rest := api.New(s.restOptions(o, verifier, rates))
	pages, err := s.newConsole(o, verifier, rates)
	if err != nil {
		return nil, err
	}
	remotes := s.newRemotes(o, verifier, rates)
	objects := s.newLFS(o, verifier, rates)
	hooks := inbound.New(inbound.Options{Receiver: s.engine.Services().Inbound, Logger: o.Logger, Measure: s.metrics.Request})
	reading := explorer.New(func() []byte { return api.Document(o.Version) })
	surfaces := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case githttp.Match(r):
			remotes.ServeHTTP(w, r)
		case lfshttp.Match(r):
			objects.ServeHTTP(w, r)
		case inbound.Match(r):
			hooks.ServeHTTP(w, r)
		case console.Match(r):
			pages.ServeHTTP(w, r)
		case explorer.Match(r):
			reading.ServeHTTP(w, r)
		case browsesRoot(r):
			// Relative, since a proxy may have put a path in front.
			w.Header().Set("Location", strings.TrimPrefix(console.Prefix, "/")+"/")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusFound)
		default:
			rest.ServeHTTP(w, r)
		}
	})
	return s.drain.wrap(s.tracing.Wrap(middleware.Pace(forwarded(cors(surfaces, o.CORSOrigins), o.TrustedProxies), cmp.Or(o.FetchGrace, middleware.BodyGrace)))), nil
}

// browsesRoot reports whether a person's browser asks for the address of the server.
// Programs are answered by the API, that there is nothing.
func browsesRoot(r *http.Request) bool {
	return r.URL.Path == "/" && r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// restOptions are what the REST API stands on.
func (s *Server) restOptions(o Options, verifier *access.Verifier, rates *middleware.Rates) api.Options {
	parts := s.engine.Services()
	return api.Options{
		Lookup:       parts.Repos,
		Repositories: s.engine,
		Credentials:  s.engine,
		Shared:       s.engine,
		Sets:         parts.Sets,
		Records:      s.store,
		Syncs:        s.engine,
		Schedule:     parts.Schedule,
		Clock:        o.Clock,
		Ready:        parts.Readiness.Check,
		Problems:     parts.Readiness.Problems,
		Writable:     parts.Readiness.Writable,
		Damages:      parts.Rebuild,
		Verifier:     verifier,
		Limiter:      parts.Limiter,
		Rates:        rates,
		ReadOnly:     s.store.ReadOnly,
		Content:      parts.Content,
		Quotas:       parts.Quotas,
		Organisation: s.store,
		Commits:      parts.Commit,
		Rewrites:     parts.Rewrites,
		Purges:       parts.Purges,
		LFSPrunes:    parts.LFSPrune,
		Fresh:        s.engine,
		Settings:     s.engine,
		Plans:        parts.Mirror,
		Links:        s.engine,
		Ephemeral:    parts.Ephemeral,
		Inbound:      parts.Inbound,
		Tokens:       token.New(token.Options{Store: s.store, Clock: o.Clock, Operation: api.Operation, Changed: verifier.Outdate}),
		Webhooks:     parts.Events,
		Events:       parts.Events,
		Stopping:     s.drain.ending,
		Audit:        s.store,
		Calls:        s.store,
		Logger:       o.Logger,
		Providers:    func() []api.ProviderStatus { return providerStatus(s.catalog, parts.Inbound.Replays()) },
		PublicURL:    o.PublicURL,
		Version:      o.Version,
		Measure:      s.metrics.Request,
		BodyGrace:    o.FetchGrace,
		StreamGrace:  o.PushGrace,
	}
}

// newRemotes returns the Git remotes.
func (s *Server) newRemotes(o Options, verifier *access.Verifier, rates *middleware.Rates) http.Handler {
	parts := s.engine.Services()
	return githttp.New(githttp.Options{
		Measure:      s.metrics.Request,
		Lookup:       parts.Repos,
		Repositories: s.engine,
		Fresh:        s.engine,
		Mirror:       parts.Mirror,
		Copies:       parts.Repos,
		Fetches:      parts.Serve,
		Pushes:       parts.Push,
		Verifier:     verifier,
		Public:       parts.Public,
		Limiter:      parts.Limiter,
		Rates:        rates,
		ReadOnly:     s.store.ReadOnly,
		Logger:       o.Logger,
		StatusOf:     api.StatusOf,
		FetchGrace:   o.FetchGrace,
		PushGrace:    o.PushGrace,
	})
}

// newLFS returns Git LFS below the remotes.
func (s *Server) newLFS(o Options, verifier *access.Verifier, rates *middleware.Rates) http.Handler {
	parts := s.engine.Services()
	return lfshttp.New(lfshttp.Options{
		Objects:  parts.LFS,
		Lookup:   parts.Repos,
		Verifier: verifier,
		Audit:    s.store,
		Clock:    o.Clock,
		Limiter:  parts.Limiter,
		Rates:    rates,
		Measure:  s.metrics.Request,
		ReadOnly: s.store.ReadOnly,
		Base:     func(r *http.Request) string { return api.Base(o.PublicURL, r) },
		Logger:   o.Logger,
		StatusOf: api.StatusOf,
		Grace:    o.PushGrace,
	})
}
