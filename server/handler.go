package server

import (
	"net/http"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers/config"
	"github.com/headwater-git/headwater/server/api"
	"github.com/headwater-git/headwater/server/githttp"
	"github.com/headwater-git/headwater/server/inbound"
)

// newHandler returns what serves every request: webhooks from hosts, Git
// remotes, and for all other paths the REST API.
func (s *Server) newHandler(o Options, cfg *config.Config) http.Handler {
	verifier := access.NewVerifier(s.store, o.Clock).WithAuthenticator(o.Authenticate)
	rest := s.newREST(o, cfg, verifier)
	remotes := s.newRemotes(o, verifier)
	hooks := inbound.New(inbound.Options{Receiver: s.engine.Inbound(), Logger: o.Logger})
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
func (s *Server) newREST(o Options, cfg *config.Config, verifier *access.Verifier) http.Handler {
	return api.New(api.Options{
		Repositories: s.engine,
		Credentials:  s.engine,
		Syncs:        s.engine,
		Clock:        o.Clock,
		Ready:        s.engine.Ready,
		Verifier:     verifier,
		Limiter:      s.engine.Limiter(),
		Content:      s.engine.Content(),
		Commits:      s.engine.Commit(),
		Rewrites:     s.engine.Rewrites(),
		Fresh:        s.engine,
		Settings:     s.engine,
		Links:        s.engine,
		Ephemeral:    s.engine.Ephemeral(),
		Inbound:      s.engine,
		Webhooks:     s.engine.Events(),
		Events:       s.engine.Events(),
		Stopping:     s.drain.ending,
		Audit:        s.store,
		Logger:       o.Logger,
		Providers:    func() []api.ProviderStatus { return providerStatus(cfg, s.catalog, s.engine.Inbound().Replays()) },
		PublicURL:    o.PublicURL,
		Version:      o.Version,
	})
}

// newRemotes returns the Git remotes.
func (s *Server) newRemotes(o Options, verifier *access.Verifier) http.Handler {
	return githttp.New(githttp.Options{
		Repositories: s.engine,
		Fresh:        s.engine,
		Copies:       s.engine,
		Fetches:      s.engine.Serve(),
		Pushes:       s.engine.Push(),
		Verifier:     verifier,
		Limiter:      s.engine.Limiter(),
		Logger:       o.Logger,
		StatusOf:     api.StatusOf,
		FetchGrace:   o.FetchGrace,
		PushGrace:    o.PushGrace,
	})
}
