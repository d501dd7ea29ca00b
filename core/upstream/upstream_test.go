package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// resolver answers with what it was given, and counts.
type resolver struct {
	mu    sync.Mutex
	addrs []netip.Addr
	asked int
}

func (r *resolver) set(addrs ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addrs = nil
	for _, a := range addrs {
		r.addrs = append(r.addrs, netip.MustParseAddr(a))
	}
}

func (r *resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if len(r.addrs) == 0 {
		return nil, errors.New("no such host")
	}
	return r.addrs, nil
}

func refused(status hosterror.Error) error { return fmt.Errorf("list: %w", &status) }

func TestService_Do_retriesOnceWithAFreshCredential(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	var fresh []bool
	same := false
	w.Plugin.CredentialFunc = func(_ context.Context, q providers.CredentialRequest) (providers.Credential, error) {
		fresh = append(fresh, q.Fresh)
		require.GreaterOrEqual(t, q.MinValidity, time.Minute)
		secret := providers.Secret("token-1")
		if q.Fresh && !same {
			secret = "token-2"
		}
		return providers.Credential{Kind: providers.CredentialBasic, Username: "u", Secret: secret}, nil
	}
	no := refused(hosterror.Error{Class: core.ClassAuth, Status: 401, HostText: "bad token"})
	for name, tc := range map[string]struct {
		answers []error
		same    bool
		calls   int
		err     error
	}{
		"good":                   {[]error{nil}, false, 1, nil},
		"refused, then good":     {[]error{no, nil}, false, 2, nil},
		"refused twice":          {[]error{no, no, nil}, false, 2, no},
		"nothing fresher":        {[]error{no, nil}, true, 1, no},
		"not shown to the token": {[]error{refused(hosterror.Error{Class: core.ClassNotFound, Status: 404}), nil}, false, 2, nil},
		"server error is none":   {[]error{refused(hosterror.Error{Class: core.ClassUnavailable, Status: 503}), nil}, false, 1, nil},
		"git's own words":        {[]error{&git.ExitError{Name: "fetch", Code: 128, Stderr: "fatal: Authentication failed for 'https://h/x'"}, nil}, false, 2, nil},
	} {
		fresh, same = nil, tc.same
		var tokens []string
		err := w.Upstreams.Do(t.Context(), r, providers.OpPush, func(remote git.Remote) error {
			tokens = append(tokens, remote.Password.Reveal())
			return tc.answers[len(tokens)-1]
		})
		require.Len(t, tokens, tc.calls, name)
		require.Equal(t, []string{"token-1", "token-2"}[:tc.calls], tokens, name)
		if tc.err != nil {
			require.Equal(t, tc.err, err, name)
		}
		if tc.calls == 2 {
			require.Equal(t, []bool{false, true}, fresh, name)
		}
	}
}

func TestService_Do_anonymousIsNotRetried(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	c, err := w.Store.CredentialByRepo(t.Context(), r.ID)
	require.NoError(t, err)
	require.NoError(t, w.Store.DeleteCredential(t.Context(), c.ID))
	calls := 0
	require.Error(t, w.Upstreams.Do(t.Context(), r, providers.OpFetch, func(remote git.Remote) error {
		calls++
		require.True(t, remote.Anonymous())
		return refused(hosterror.Error{Class: core.ClassAuth, Status: 401})
	}))
	require.Equal(t, 1, calls)
}

func TestInvariant16_rotatedCredentialIsUsedAtOnce(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	id := w.ForgeCommit(r, "refs/heads/main", "one")
	refs := func() error {
		adv, err := w.Upstreams.Refs(t.Context(), r, []string{"refs/heads/"})
		if err == nil {
			require.Equal(t, id, adv.Refs["refs/heads/main"])
		}
		return err
	}
	require.NoError(t, refs())
	w.Forge.RevokeTokens()
	err := refs()
	class, text := upstream.Classify(err)
	require.Equal(t, core.ClassAuth, class)
	require.NotEmpty(t, text)
	c, err := w.Store.CredentialByRepo(t.Context(), r.ID)
	require.NoError(t, err)
	old := c.Secret.Reveal()
	c.Secret = w.Forge.Stored().Secret
	require.NoError(t, w.Store.UpdateCredential(t.Context(), c))
	require.NoError(t, refs())
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, c), old)
}

func TestInvariant19_everyContactIsCheckedAnew(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	dns := &resolver{}
	discover := discovery.New("test")
	t.Cleanup(discover.CloseIdle)
	s := upstream.New(w.Plugin, w.Store, dns, discover)
	w.Plugin.Edit(func(_ *providers.Manifest, p *providers.HostPolicy) {
		*p = providers.HostPolicy{Host: "git.example.org", Scheme: "https"}
	})
	r := core.Repository{ID: "repo_x", Upstream: &core.Upstream{Instance: "test", Mode: providers.ModePublic, Host: "git.example.org", Owner: "o", Name: "n"}}
	w.Plugin.ResolveFunc = func(_ context.Context, q providers.ResolveRequest) (providers.Remote, error) {
		return providers.Remote{URL: "https://" + q.Locator.Host + "/o/n.git", Host: q.Locator.Host}, nil
	}
	open := func() (git.Remote, error) { return s.Open(t.Context(), r, providers.OpFetch, false) }

	dns.set("93.184.216.34", "2606:2800:220:1::1")
	remote, err := open()
	require.NoError(t, err)
	require.Equal(t, []netip.Addr{netip.MustParseAddr("93.184.216.34"), netip.MustParseAddr("2606:2800:220:1::1")}, remote.Addrs)
	// The name flips; one bad address among good ones is enough.
	for _, inside := range []string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "0.0.0.0", "100.64.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"} {
		dns.set("93.184.216.34", inside)
		_, err = open()
		require.Equal(t, core.KindPermission, core.KindOf(err), inside)
		class, _ := upstream.Classify(err)
		require.Equal(t, core.ClassRefused, class, inside)
		called := false
		require.Error(t, s.Do(t.Context(), r, providers.OpFetch, func(git.Remote) error { called = true; return nil }))
		require.False(t, called)
	}
	dns.set()
	_, err = open()
	require.Equal(t, core.KindUpstreamUnavailable, core.KindOf(err))
	dns.set("93.184.216.34")
	before := dns.asked
	_, err = open()
	require.NoError(t, err)
	require.Equal(t, before+1, dns.asked, "resolved once, and not remembered")
	// The operator allows the private network, not the cloud's metadata.
	w.Plugin.Edit(func(_ *providers.Manifest, p *providers.HostPolicy) { p.AllowPrivate = true })
	dns.set("10.0.0.1")
	_, err = open()
	require.NoError(t, err)
	dns.set("169.254.169.254")
	_, err = open()
	require.Equal(t, core.KindPermission, core.KindOf(err))
}

func TestService_Open_refusesBadURLsOfAProvider(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	for url, kind := range map[string]core.Kind{
		"https://" + w.Forge.Host() + "/x.git":            core.KindPermission, // the policy says http
		"http://user:s3cret@" + w.Forge.Host() + "/x.git": core.KindInternal,
		"ssh://" + w.Forge.Host() + "/x.git":              core.KindPermission,
		"file:///etc":                                     core.KindInternal,
		"::":                                              core.KindInternal,
		"http://other.example/x.git":                      core.KindPermission, // by its own policy: https
	} {
		w.Plugin.ResolveFunc = func(context.Context, providers.ResolveRequest) (providers.Remote, error) {
			return providers.Remote{URL: url}, nil
		}
		_, err := w.Upstreams.Open(t.Context(), r, providers.OpFetch, false)
		require.Equal(t, kind, core.KindOf(err), "%s: %v", url, err)
		require.NotContains(t, err.Error(), "s3cret")
	}
	// Below the path that the operator has named, and nowhere beside it.
	w.Plugin.Edit(func(_ *providers.Manifest, policy *providers.HostPolicy) { policy.BasePath = "/git" })
	for path, kind := range map[string]core.Kind{"/git/x.git": "", "/x.git": core.KindPermission, "/gitx/x.git": core.KindPermission, "/git": core.KindPermission} {
		w.Plugin.ResolveFunc = func(context.Context, providers.ResolveRequest) (providers.Remote, error) {
			return providers.Remote{URL: "http://" + w.Forge.Host() + path}, nil
		}
		_, err := w.Upstreams.Open(t.Context(), r, providers.OpFetch, false)
		require.Equal(t, kind, core.KindOf(err), "%s: %v", path, err)
	}
}

func TestClassify_providerErrors(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	for code, want := range map[providers.Code]core.ErrorClass{
		providers.CodeNotFound: core.ClassNotFound, providers.CodeUnauthenticated: core.ClassAuth, providers.CodePermissionDenied: core.ClassRevoked,
		providers.CodeRevoked: core.ClassRevoked, providers.CodeRateLimited: core.ClassRateLimited, providers.CodeUnavailable: core.ClassNetwork,
		providers.CodeUnsupported: core.ClassRefused, providers.CodeInvalidArgument: core.ClassRefused,
	} {
		w.Plugin.ResolveFunc = func(context.Context, providers.ResolveRequest) (providers.Remote, error) {
			return providers.Remote{}, &providers.Error{Code: code, Message: "the host's words", RetryAfter: time.Minute}
		}
		_, err := w.Upstreams.Refs(t.Context(), r, []string{"HEAD"})
		class, text := upstream.Classify(err)
		require.Equal(t, want, class, code)
		require.Equal(t, "the host's words", text, code)
		var ce *core.Error
		require.ErrorAs(t, err, &ce)
		require.Equal(t, time.Minute, ce.RetryAfter)
	}
	r.Upstream.Instance = "gone"
	_, err := w.Upstreams.Manifest(t.Context(), *r.Upstream)
	require.Equal(t, core.KindPrecondition, core.KindOf(err))
	r.Upstream = nil
	_, err = w.Upstreams.Open(t.Context(), r, providers.OpFetch, false)
	require.Equal(t, core.KindInvalid, core.KindOf(err))
}

func TestService_Link(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	up, _, err := w.Upstreams.Link(t.Context(), upstream.LinkRequest{Provider: " LoopBack ", Owner: "o/p", Name: "n"})
	require.NoError(t, err)
	require.Equal(t, w.Forge.Host(), up.Host)
	require.Equal(t, "loopback", up.Provider)
	require.Zero(t, w.Forge.Count(), "a generic upstream is not contacted")
	for host, kind := range map[string]core.Kind{
		"http://x": core.KindInvalid, "user@x.example": core.KindInvalid, "127.0.0.1": core.KindInvalid, "localhost": core.KindInvalid,
		"169.254.169.254": core.KindInvalid, "0x7f.1": core.KindInvalid,
	} {
		_, _, err := w.Upstreams.Link(t.Context(), upstream.LinkRequest{Provider: "loopback", Owner: "o", Name: "n", Host: host})
		require.Equal(t, kind, core.KindOf(err), host)
	}
}

// A caller whose repository was pointed elsewhere since it was read must not
// carry the new credential to the old host.
func TestService_Open_credentialOfAnotherLink(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	stale := w.Reload(r)
	elsewhere := *stale.Upstream
	elsewhere.Host = "elsewhere.example"
	require.NoError(t, w.Store.MoveUpstream(t.Context(), r.ID, elsewhere))
	asked := false
	w.Plugin.CredentialFunc = func(context.Context, providers.CredentialRequest) (providers.Credential, error) {
		asked = true
		return providers.Credential{Kind: providers.CredentialNone}, nil
	}
	_, err := w.Upstreams.Open(t.Context(), stale, providers.OpFetch, false)
	require.Equal(t, core.KindConflict, core.KindOf(err))
	require.False(t, asked)
}
