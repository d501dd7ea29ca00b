package wire

import (
	"context"
	"errors"
	"net"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/headwater-git/headwater/providers"
	providerv1 "github.com/headwater-git/headwater/providers/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a provider whose every method is a field.
type fake struct {
	manifest   providers.Manifest
	configure  func(context.Context, providers.Config) error
	resolve    func(context.Context, providers.ResolveRequest) (providers.Remote, error)
	credential func(context.Context, providers.CredentialRequest) (providers.Credential, error)
	webhook    func(context.Context, providers.WebhookRequest) (providers.WebhookResult, error)
	probe      func(context.Context, providers.ProbeRequest) (providers.ProbeResult, error)
}

// registrar is a fake that also offers what a provider may leave out.
type registrar struct {
	fake
	ensure func(context.Context, providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error)
	remove func(context.Context, providers.RemoveWebhookRequest) error
	replay func(context.Context, providers.ReplayRequest) (providers.ReplayResult, error)
	list   func(context.Context, providers.ListRequest) (providers.RepositoryPage, error)
}

func (r *registrar) ListRepositories(ctx context.Context, q providers.ListRequest) (providers.RepositoryPage, error) {
	return r.list(ctx, q)
}

func (r *registrar) EnsureWebhook(ctx context.Context, q providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error) {
	return r.ensure(ctx, q)
}
func (r *registrar) RemoveWebhook(ctx context.Context, q providers.RemoveWebhookRequest) error {
	return r.remove(ctx, q)
}
func (r *registrar) ReplayDeliveries(ctx context.Context, q providers.ReplayRequest) (providers.ReplayResult, error) {
	return r.replay(ctx, q)
}

func (f *fake) Manifest() providers.Manifest { return f.manifest }
func (f *fake) Configure(ctx context.Context, c providers.Config) error {
	return f.configure(ctx, c)
}
func (f *fake) Resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	return f.resolve(ctx, r)
}
func (f *fake) Credential(ctx context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	return f.credential(ctx, r)
}
func (f *fake) ParseWebhook(ctx context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	return f.webhook(ctx, r)
}
func (f *fake) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	return f.probe(ctx, r)
}

// connect serves a service in this process and returns a client of it.
func connect(t *testing.T, register func(*grpc.Server)) *Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(MaxMessageSize))
	register(server)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	conn, err := grpc.NewClient("passthrough:///plugin", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, conn.Close())
		server.Stop()
		<-served
	})
	return NewClient(conn)
}

func serve(t *testing.T, p providers.Provider) *Client {
	t.Helper()
	return connect(t, func(s *grpc.Server) { providerv1.RegisterProviderServiceServer(s, NewServer(p, nil)) })
}

// fill sets every field of a struct to a value of its own, so that a field that
// is forgotten in a conversion shows.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(1700000000+*n, 0).UTC()))
		return
	case providers.Mode:
		v.SetString(string(providers.ModeApp))
		return
	case providers.Operation:
		v.SetString(string(providers.OpPush))
		return
	case providers.Credential:
		// Its kinds do not share all fields; TestClient_credential_header has the other one.
		v.Set(reflect.ValueOf(providers.Credential{
			Kind: providers.CredentialBasic, Username: "u", Secret: "s", ExpiresAt: time.Unix(1700000000+*n, 0).UTC(),
		}))
		return
	case providers.WebhookKind:
		v.SetString(string(providers.WebhookRenamed))
		return
	case http.Header:
		v.Set(reflect.ValueOf(http.Header{"X-One": {"a", "b"}, "X-Two": {"c"}}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.String:
		v.SetString("text-" + time.Unix(*n, 0).UTC().Format("150405"))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Int, reflect.Int64:
		v.SetInt(*n)
	default:
		panic("fill: " + v.Type().String())
	}
}

func filled[T any]() T {
	var out T
	n := int64(0)
	fill(reflect.ValueOf(&out).Elem(), &n)
	return out
}

// reveal compares secrets by what they hold; they print alike.
var reveal = cmp.Transformer("reveal", func(s providers.Secret) string { return s.Reveal() })

func TestClient_roundTrip_everyField(t *testing.T) {
	t.Parallel()
	var config providers.Config
	var resolve providers.ResolveRequest
	var credential providers.CredentialRequest
	var webhook providers.WebhookRequest
	var probe providers.ProbeRequest
	c := serve(t, &fake{
		manifest:  filled[providers.Manifest](),
		configure: func(_ context.Context, r providers.Config) error { config = r; return nil },
		resolve: func(_ context.Context, r providers.ResolveRequest) (providers.Remote, error) {
			resolve = r
			return filled[providers.Remote](), nil
		},
		credential: func(_ context.Context, r providers.CredentialRequest) (providers.Credential, error) {
			credential = r
			return filled[providers.Credential](), nil
		},
		webhook: func(_ context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
			webhook = r
			return filled[providers.WebhookResult](), nil
		},
		probe: func(_ context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
			probe = r
			return filled[providers.ProbeResult](), nil
		},
	})
	ctx := t.Context()

	gotManifest, err := c.Manifest(ctx, "1.2.3")
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(filled[providers.Manifest](), gotManifest, reveal))

	require.NoError(t, c.Configure(ctx, filled[providers.Config]()))
	require.Empty(t, cmp.Diff(filled[providers.Config](), config, reveal))

	gotRemote, err := c.Resolve(ctx, filled[providers.ResolveRequest]())
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(filled[providers.ResolveRequest](), resolve, reveal))
	require.Empty(t, cmp.Diff(filled[providers.Remote](), gotRemote, reveal))

	gotCredential, err := c.Credential(ctx, filled[providers.CredentialRequest]())
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(filled[providers.CredentialRequest](), credential, reveal))
	require.Empty(t, cmp.Diff(filled[providers.Credential](), gotCredential, reveal))

	gotWebhook, err := c.ParseWebhook(ctx, filled[providers.WebhookRequest]())
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(filled[providers.WebhookRequest](), webhook, reveal))
	require.Empty(t, cmp.Diff(filled[providers.WebhookResult](), gotWebhook, reveal))

	gotProbe, err := c.Probe(ctx, filled[providers.ProbeRequest]())
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(filled[providers.ProbeRequest](), probe, reveal))
	require.Empty(t, cmp.Diff(filled[providers.ProbeResult](), gotProbe, reveal))
}

func TestClient_roundTrip_registrar(t *testing.T) {
	t.Parallel()
	var ensure providers.EnsureWebhookRequest
	var remove providers.RemoveWebhookRequest
	var replay providers.ReplayRequest
	var list providers.ListRequest
	c := serve(t, &registrar{
		ensure: func(_ context.Context, r providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error) {
			ensure = r
			return filled[providers.RegisteredWebhook](), nil
		},
		remove: func(_ context.Context, r providers.RemoveWebhookRequest) error { remove = r; return nil },
		replay: func(_ context.Context, r providers.ReplayRequest) (providers.ReplayResult, error) {
			replay = r
			return filled[providers.ReplayResult](), nil
		},
		list: func(_ context.Context, r providers.ListRequest) (providers.RepositoryPage, error) {
			list = r
			return filled[providers.RepositoryPage](), nil
		},
	})
	hook, err := c.EnsureWebhook(t.Context(), filled[providers.EnsureWebhookRequest]())
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(filled[providers.EnsureWebhookRequest](), ensure, reveal))
	require.Empty(t, cmp.Diff(filled[providers.RegisteredWebhook](), hook, reveal))

	require.NoError(t, c.RemoveWebhook(t.Context(), filled[providers.RemoveWebhookRequest]()))
	require.Empty(t, cmp.Diff(filled[providers.RemoveWebhookRequest](), remove, reveal))

	result, err := c.ReplayDeliveries(t.Context(), filled[providers.ReplayRequest]())
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(filled[providers.ReplayRequest](), replay, reveal))
	require.Empty(t, cmp.Diff(filled[providers.ReplayResult](), result, reveal))

	page, err := c.ListRepositories(t.Context(), filled[providers.ListRequest]())
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(filled[providers.ListRequest](), list, reveal))
	require.Empty(t, cmp.Diff(filled[providers.RepositoryPage](), page, reveal))
}

func TestClient_registrar_errors(t *testing.T) {
	t.Parallel()
	refused := &providers.Error{Code: providers.CodePermissionDenied, Message: "not yours", HTTPStatus: 403}
	c := serve(t, &registrar{
		ensure: func(context.Context, providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error) {
			return providers.RegisteredWebhook{}, refused
		},
		remove: func(context.Context, providers.RemoveWebhookRequest) error { return refused },
		replay: func(context.Context, providers.ReplayRequest) (providers.ReplayResult, error) {
			return providers.ReplayResult{}, refused
		},
	})
	_, err := c.EnsureWebhook(t.Context(), providers.EnsureWebhookRequest{})
	require.Empty(t, cmp.Diff(error(refused), err))
	require.Empty(t, cmp.Diff(error(refused), c.RemoveWebhook(t.Context(), providers.RemoveWebhookRequest{})))
	_, err = c.ReplayDeliveries(t.Context(), providers.ReplayRequest{})
	require.Empty(t, cmp.Diff(error(refused), err))
}

func TestClient_parseWebhook_unknownKindIsIgnored(t *testing.T) {
	t.Parallel()
	var asked providers.WebhookRequest
	c := serve(t, &fake{webhook: func(_ context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
		asked = r
		return providers.WebhookResult{Verified: true, Kind: "made_up"}, nil
	}})
	result, err := c.ParseWebhook(t.Context(), providers.WebhookRequest{})
	require.NoError(t, err)
	require.Nil(t, asked.Repository, "the address of the whole instance belongs to no repository")
	require.Equal(t, providers.WebhookResult{Verified: true, Kind: providers.WebhookIgnored}, result)
}

func TestClient_roundTrip_zero(t *testing.T) {
	t.Parallel()
	var resolve providers.ResolveRequest
	c := serve(t, &fake{
		resolve: func(_ context.Context, r providers.ResolveRequest) (providers.Remote, error) {
			resolve = r
			return providers.Remote{DefaultBranch: "caf\xe9"}, nil
		},
		credential: func(context.Context, providers.CredentialRequest) (providers.Credential, error) {
			return providers.Credential{Kind: providers.CredentialNone}, nil
		},
		probe: func(context.Context, providers.ProbeRequest) (providers.ProbeResult, error) {
			return providers.ProbeResult{}, nil
		},
	})
	remote, err := c.Resolve(t.Context(), providers.ResolveRequest{})
	require.NoError(t, err)
	require.Nil(t, resolve.Stored)
	require.Equal(t, "caf\uFFFD", remote.DefaultBranch, "what a host sent must not make the answer unsendable")
	credential, err := c.Credential(t.Context(), providers.CredentialRequest{})
	require.NoError(t, err)
	require.Equal(t, providers.Credential{Kind: providers.CredentialNone}, credential)
	require.True(t, credential.ExpiresAt.IsZero())
	probe, err := c.Probe(t.Context(), providers.ProbeRequest{})
	require.NoError(t, err)
	require.True(t, probe.RateResetAt.IsZero())
}

func TestClient_errors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		give error
		want *providers.Error
	}{
		"untyped":     {errors.New("boom"), &providers.Error{Code: providers.CodeUnavailable, Message: "boom"}},
		"deadline":    {context.DeadlineExceeded, &providers.Error{Code: providers.CodeUnavailable, Message: "the host did not answer in time"}},
		"goWords":     {providers.Errorf(providers.CodeUnavailable, "h cannot be reached: dial tcp 192.0.2.1:443: i/o timeout"), &providers.Error{Code: providers.CodeUnavailable, Message: "h cannot be reached: no answer came in time"}},
		"unknownCode": {providers.Errorf("made_up", "m"), &providers.Error{Code: providers.CodeUnavailable, Message: "m"}},
		"notUTF8":     {providers.Errorf(providers.CodeNotFound, "caf\xe9"), &providers.Error{Code: providers.CodeNotFound, Message: "caf\uFFFD"}},
		"allFields": {
			&providers.Error{Code: providers.CodeRateLimited, Message: "slow down", RetryAfter: 90 * time.Second, HTTPStatus: 429, Reason: providers.ReasonSuspended},
			&providers.Error{Code: providers.CodeRateLimited, Message: "slow down", RetryAfter: 90 * time.Second, HTTPStatus: 429, Reason: providers.ReasonSuspended},
		},
		"wrapped": {
			errors.Join(errors.New("context"), providers.Errorf(providers.CodeRevoked, "suspended")),
			&providers.Error{Code: providers.CodeRevoked, Message: "suspended"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := serve(t, &fake{resolve: func(context.Context, providers.ResolveRequest) (providers.Remote, error) {
				return providers.Remote{}, c.give
			}})
			_, err := client.Resolve(t.Context(), providers.ResolveRequest{})
			var got *providers.Error
			require.ErrorAs(t, err, &got)
			require.Empty(t, cmp.Diff(c.want, got))
		})
	}
	for _, c := range errorCodes {
		t.Run(string(c.code), func(t *testing.T) {
			t.Parallel()
			give := providers.Errorf(c.code, "m")
			require.Equal(t, c.grpc, status.Code(toStatus(give)))
			require.Empty(t, cmp.Diff(error(give), fromStatus(toStatus(give))))
		})
	}
	require.NoError(t, fromStatus(toStatus(nil)))
}

func TestClient_credential_header(t *testing.T) {
	t.Parallel()
	answer := providers.Credential{Kind: providers.CredentialHeader, Header: "Authorization", Secret: "Bearer t", ExpiresAt: time.Unix(1700000000, 0).UTC()}
	c := serve(t, &fake{credential: func(context.Context, providers.CredentialRequest) (providers.Credential, error) { return answer, nil }})
	got, err := c.Credential(t.Context(), providers.CredentialRequest{})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(answer, got, reveal))
	for name, bad := range map[string][2]string{
		"another line": {"Authorization", "x\r\nHost: elsewhere.example"}, "no name": {"", "x"}, "no value": {"Authorization", ""},
		"name of two lines": {"A\nB", "x"}, "frames the request": {"content-length", "0"}, "another host": {"Host", "elsewhere.example"},
		"not ASCII": {"Authorization", "Bearer caf\u00e9"}, "colon in the name": {"A: b", "x"},
	} {
		answer.Header, answer.Secret = bad[0], providers.Secret(bad[1])
		_, err := c.Credential(t.Context(), providers.CredentialRequest{})
		require.Equal(t, providers.CodeUnavailable, providers.CodeOf(err), name)
		require.NotContains(t, err.Error(), "elsewhere")
	}
}

func TestClient_credential_unknownKind(t *testing.T) {
	t.Parallel()
	c := serve(t, &fake{credential: func(context.Context, providers.CredentialRequest) (providers.Credential, error) {
		return providers.Credential{Kind: "ssh"}, nil
	}})
	_, err := c.Credential(t.Context(), providers.CredentialRequest{})
	require.Equal(t, providers.CodeUnsupported, providers.CodeOf(err))
	_, err = fromCredential(&providerv1.CredentialResponse{})
	require.Equal(t, providers.CodeUnsupported, providers.CodeOf(err))
}

func TestClient_unimplemented_isUnsupported(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*Client{
		"olderPlugin": connect(t, func(s *grpc.Server) {
			providerv1.RegisterProviderServiceServer(s, providerv1.UnimplementedProviderServiceServer{})
		}),
		"providerWithout": serve(t, &fake{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.EnsureWebhook(t.Context(), providers.EnsureWebhookRequest{})
			requireUnsupported(t, err)
			requireUnsupported(t, c.RemoveWebhook(t.Context(), providers.RemoveWebhookRequest{}))
			_, err = c.ReplayDeliveries(t.Context(), providers.ReplayRequest{})
			requireUnsupported(t, err)
			_, err = c.ListRepositories(t.Context(), providers.ListRequest{})
			requireUnsupported(t, err)
		})
	}
}

// requireUnsupported checks that the provider said it itself: an untyped failure
// would be taken as a broken plugin.
func requireUnsupported(t *testing.T, err error) {
	t.Helper()
	var got *providers.Error
	require.ErrorAs(t, err, &got)
	require.Equal(t, providers.CodeUnsupported, got.Code)
}

func TestClient_transportError(t *testing.T) {
	t.Parallel()
	for _, code := range []codes.Code{codes.Unavailable, codes.Internal, codes.ResourceExhausted, codes.DeadlineExceeded} {
		var broken *TransportError
		require.ErrorAs(t, fromStatus(status.Error(code, "x")), &broken)
		require.Equal(t, code, broken.Code)
	}
}

func TestServer_panic(t *testing.T) {
	t.Parallel()
	log := &testWriter{lines: make(chan string, 10)}
	s := NewServer(&fake{resolve: func(context.Context, providers.ResolveRequest) (providers.Remote, error) {
		panic("planted-secret")
	}}, hclog.New(&hclog.LoggerOptions{Output: log}))
	_, err := s.Resolve(t.Context(), &providerv1.ResolveRequest{})
	require.ErrorContains(t, fromStatus(err), "the plugin panicked in Resolve")
	line := <-log.lines
	require.Contains(t, line, "a value of type string")
	require.NotContains(t, line, "planted-secret")
	require.Equal(t, "runtime error: index out of range [1] with length 0", func() (out string) {
		defer func() { out = panicText(recover()) }()
		return []string{}[len(log.lines)+1]
	}())
}

type testWriter struct{ lines chan string }

func (w *testWriter) Write(p []byte) (int, error) {
	w.lines <- string(p)
	return len(p), nil
}

func TestServer_deadline_hasMargin(t *testing.T) {
	t.Parallel()
	var left time.Duration
	s := NewServer(&fake{resolve: func(ctx context.Context, _ providers.ResolveRequest) (providers.Remote, error) {
		deadline, ok := ctx.Deadline()
		require.True(t, ok)
		left = time.Until(deadline)
		return providers.Remote{}, nil
	}}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := s.Resolve(ctx, &providerv1.ResolveRequest{})
	require.NoError(t, err)
	require.Greater(t, left, 50*time.Second)
	require.LessOrEqual(t, left, 58*time.Second)
}
