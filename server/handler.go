package server

import (
	"net/http"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/server/api"
	"github.com/headwater-git/headwater/server/githttp"
	"github.com/headwater-git/headwater/server/inbound"
)

// newHandler returns what serves every request: webhooks from hosts, Git
// remotes, and for all other paths the REST API.
func (s *Server) newHandler(o Options) http.Handler {
	verifier := access.NewVerifier(s.store, o.Clock).WithAuthenticator(o.Authenticate)
	rest := s.newREST(o, verifier)
	remotes := s.newRemotes(o, verifier)
	hooks := inbound.New(inbound.Options{Receiver: s.engine.Services().Inbound, Logger: o.Logger})
	surfaces := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case githttp.Match(r):
			remotes.ServeHTTP(w, r)
		case inbound.Match(r):
			hooks.ServeHTTP(w, r)
		default:
			rest.ServeHTTP(w, r)
		}
	})
	return s.drain.wrap(forwarded(surfaces, o.TrustedProxies))
}

// newREST returns the REST API.
func (s *Server) newREST(o Options, verifier *access.Verifier) http.Handler {
	parts := s.engine.Services()
	return api.New(api.Options{
		Repositories: s.engine,
		Credentials:  s.engine,
		Syncs:        s.engine,
		Clock:        o.Clock,
		Ready:        s.engine.Ready,
		Problems:     s.engine.Problems,
		Damages:      s.engine,
		Verifier:     verifier,
		Limiter:      parts.Limiter,
		Content:      parts.Content,
		Commits:      parts.Commit,
		Rewrites:     parts.Rewrites,
		Purges:       parts.Purges,
		Fresh:        s.engine,
		Settings:     s.engine,
		Links:        s.engine,
		Ephemeral:    parts.Ephemeral,
		Inbound:      s.engine,
		Webhooks:     parts.Events,
		Events:       parts.Events,
		Stopping:     s.drain.ending,
		Audit:        s.store,
		Logger:       o.Logger,
		Providers:    func() []api.ProviderStatus { return providerStatus(s.catalog, parts.Inbound.Replays()) },
		PublicURL:    o.PublicURL,
		Version:      o.Version,
	})
}

// newRemotes returns the Git remotes.
func (s *Server) newRemotes(o Options, verifier *access.Verifier) http.Handler {
	parts := s.engine.Services()
	return githttp.New(githttp.Options{
		Repositories: s.engine,
		Fresh:        s.engine,
		Copies:       parts.Repos,
		Fetches:      parts.Serve,
		Pushes:       parts.Push,
		Verifier:     verifier,
		Limiter:      parts.Limiter,
		Logger:       o.Logger,
		StatusOf:     api.StatusOf,
		FetchGrace:   o.FetchGrace,
		PushGrace:    o.PushGrace,
	})
}
