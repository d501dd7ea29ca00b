package wire

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/providers"
	providerv1 "github.com/headwater-git/headwater/providers/v1"
)

// Server is a plugin's end of the connection: it serves a provider.
//
// A panic in one call is answered as an error and the process lives on. The
// contract makes that sound, because a provider keeps no state that a call cut
// short could leave half done; and dying would be worse, because one repository
// that makes a plugin panic would take the calls of all others down with it and
// put the whole instance into back-off, again and again. What a recovered call
// may leave behind, a locked mutex, shows as a hang, and the server replaces a
// process that hangs.
type Server struct {
	providerv1.UnimplementedProviderServiceServer
	impl   providers.Provider
	logger hclog.Logger
}

// NewServer makes a server of a provider. A nil logger logs nothing.
func NewServer(impl providers.Provider, logger hclog.Logger) *Server {
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	return &Server{impl: impl, logger: logger}
}

var _ providerv1.ProviderServiceServer = (*Server)(nil)

// answer runs one call of the provider under its deadline, turns a panic into
// an error, and an error into a status.
func answer[T any](ctx context.Context, s *Server, method string, call func(context.Context) (T, error)) (out T, err error) {
	ctx, cancel := withMargin(ctx)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			s.logger.Error("provider panicked", "method", method, "panic", panicText(p), "stack", string(debug.Stack()))
			err = toStatus(providers.Errorf(providers.CodeUnavailable, "the plugin panicked in %s; its log says where", method))
		}
	}()
	out, err = call(ctx)
	return out, toStatus(err)
}

// withMargin moves the deadline forward a little, so that a provider which
// respects its context, but whose host is slow, can say so in time. One that
// stays silent until the real deadline hangs, and is treated accordingly.
func withMargin(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	margin := min(time.Until(deadline)/5, 2*time.Second)
	return context.WithDeadline(ctx, deadline.Add(-margin))
}

// panicText describes a panic without its value, which may be anything a
// provider had in its hands; the values of the runtime are harmless.
func panicText(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a value of type %T", p)
}

// Manifest implements the service.
func (s *Server) Manifest(ctx context.Context, _ *providerv1.ManifestRequest) (*providerv1.ManifestResponse, error) {
	return answer(ctx, s, "Manifest", func(context.Context) (*providerv1.ManifestResponse, error) {
		return &providerv1.ManifestResponse{Manifest: toManifest(s.impl.Manifest())}, nil
	})
}

// Configure implements the service.
func (s *Server) Configure(ctx context.Context, r *providerv1.ConfigureRequest) (*providerv1.ConfigureResponse, error) {
	return answer(ctx, s, "Configure", func(ctx context.Context) (*providerv1.ConfigureResponse, error) {
		return &providerv1.ConfigureResponse{}, s.impl.Configure(ctx, fromConfig(r))
	})
}

// Resolve implements the service.
func (s *Server) Resolve(ctx context.Context, r *providerv1.ResolveRequest) (*providerv1.ResolveResponse, error) {
	return answer(ctx, s, "Resolve", func(ctx context.Context) (*providerv1.ResolveResponse, error) {
		remote, err := s.impl.Resolve(ctx, fromResolveRequest(r))
		if err != nil {
			return nil, err
		}
		return &providerv1.ResolveResponse{Remote: toRemote(remote)}, nil
	})
}

// Credential implements the service.
func (s *Server) Credential(ctx context.Context, r *providerv1.CredentialRequest) (*providerv1.CredentialResponse, error) {
	return answer(ctx, s, "Credential", func(ctx context.Context) (*providerv1.CredentialResponse, error) {
		credential, err := s.impl.Credential(ctx, fromCredentialRequest(r))
		if err != nil {
			return nil, err
		}
		return toCredential(credential)
	})
}

// ParseWebhook implements the service.
func (s *Server) ParseWebhook(ctx context.Context, r *providerv1.ParseWebhookRequest) (*providerv1.ParseWebhookResponse, error) {
	return answer(ctx, s, "ParseWebhook", func(ctx context.Context) (*providerv1.ParseWebhookResponse, error) {
		result, err := s.impl.ParseWebhook(ctx, fromWebhookRequest(r))
		if err != nil {
			return nil, err
		}
		return toWebhookResult(result), nil
	})
}

// Probe implements the service.
func (s *Server) Probe(ctx context.Context, r *providerv1.ProbeRequest) (*providerv1.ProbeResponse, error) {
	return answer(ctx, s, "Probe", func(ctx context.Context) (*providerv1.ProbeResponse, error) {
		result, err := s.impl.Probe(ctx, fromProbeRequest(r))
		if err != nil {
			return nil, err
		}
		return toProbeResult(result), nil
	})
}

// EnsureWebhook implements the service.
func (s *Server) EnsureWebhook(ctx context.Context, r *providerv1.EnsureWebhookRequest) (*providerv1.EnsureWebhookResponse, error) {
	impl, ok := s.impl.(providers.WebhookRegistrar)
	if !ok {
		return s.UnimplementedProviderServiceServer.EnsureWebhook(ctx, r)
	}
	return answer(ctx, s, "EnsureWebhook", func(ctx context.Context) (*providerv1.EnsureWebhookResponse, error) {
		hook, err := impl.EnsureWebhook(ctx, fromEnsureWebhookRequest(r))
		if err != nil {
			return nil, err
		}
		return toRegisteredWebhook(hook), nil
	})
}

// RemoveWebhook implements the service.
func (s *Server) RemoveWebhook(ctx context.Context, r *providerv1.RemoveWebhookRequest) (*providerv1.RemoveWebhookResponse, error) {
	impl, ok := s.impl.(providers.WebhookRegistrar)
	if !ok {
		return s.UnimplementedProviderServiceServer.RemoveWebhook(ctx, r)
	}
	return answer(ctx, s, "RemoveWebhook", func(ctx context.Context) (*providerv1.RemoveWebhookResponse, error) {
		if err := impl.RemoveWebhook(ctx, fromRemoveWebhookRequest(r)); err != nil {
			return nil, err
		}
		return &providerv1.RemoveWebhookResponse{}, nil
	})
}

// ReplayDeliveries implements the service.
func (s *Server) ReplayDeliveries(ctx context.Context, r *providerv1.ReplayDeliveriesRequest) (*providerv1.ReplayDeliveriesResponse, error) {
	impl, ok := s.impl.(providers.DeliveryReplayer)
	if !ok {
		return s.UnimplementedProviderServiceServer.ReplayDeliveries(ctx, r)
	}
	return answer(ctx, s, "ReplayDeliveries", func(ctx context.Context) (*providerv1.ReplayDeliveriesResponse, error) {
		result, err := impl.ReplayDeliveries(ctx, fromReplayRequest(r))
		if err != nil {
			return nil, err
		}
		return toReplayResult(result), nil
	})
}

// ListRepositories implements the service.
func (s *Server) ListRepositories(ctx context.Context, r *providerv1.ListRepositoriesRequest) (*providerv1.ListRepositoriesResponse, error) {
	impl, ok := s.impl.(providers.RepositoryLister)
	if !ok {
		return s.UnimplementedProviderServiceServer.ListRepositories(ctx, r)
	}
	return answer(ctx, s, "ListRepositories", func(ctx context.Context) (*providerv1.ListRepositoriesResponse, error) {
		page, err := impl.ListRepositories(ctx, fromListRequest(r))
		if err != nil {
			return nil, err
		}
		return toRepositoryPage(page), nil
	})
}
