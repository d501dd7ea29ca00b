package plugintest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// asError returns the error of the contract in err.
func asError(t *testing.T, err error) *providers.Error {
	t.Helper()
	var e *providers.Error
	require.True(t, errors.As(err, &e), "%v", err)
	return e
}

func (s *suite) testCredential(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	remote := sc.resolve(t)
	ask := func(op providers.Operation, stored *providers.StoredCredential) (providers.Credential, error) {
		return sc.provider.Credential(t.Context(), providers.CredentialRequest{
			Remote: remote, Operation: op, Stored: stored, MinValidity: 5 * time.Minute,
		})
	}
	_, err := ask("steal", sc.stored())
	requireCode(t, err, providers.CodeInvalidArgument)

	c, err := ask(providers.OpFetch, sc.stored())
	require.NoError(t, err)
	switch {
	case c.Kind == providers.CredentialNone:
		require.Empty(t, c.Username)
		require.Empty(t, c.Secret)
	case c.Kind == providers.CredentialHeader:
		require.NotEmpty(t, c.Header)
		require.NotEmpty(t, c.Secret)
		require.Empty(t, c.Username)
	default:
		require.Equal(t, providers.CredentialBasic, c.Kind)
		require.NotEmpty(t, c.Username)
		require.NotEmpty(t, c.Secret)
	}
	if !c.ExpiresAt.IsZero() {
		require.Greater(t, time.Until(c.ExpiresAt), 5*time.Minute, "MinValidity was five minutes")
	}
	if sc.manifest.Mode != providers.ModeGeneric {
		return
	}
	if sc.manifest.Capabilities.AnonymousFetch {
		c, err := ask(providers.OpFetch, nil)
		require.NoError(t, err)
		require.Equal(t, providers.CredentialNone, c.Kind)
	}
	c, err = ask(providers.OpFetch, &providers.StoredCredential{Secret: plantedSecret})
	require.NoError(t, err)
	if c.Kind == providers.CredentialHeader {
		require.Contains(t, c.Secret.Reveal(), plantedSecret)
		require.Contains(t, c.Secret.Parts(), providers.Secret(plantedSecret), "what is cut out of texts is the last word of the header")
	} else {
		require.Equal(t, plantedSecret, c.Secret.Reveal())
		require.NotEmpty(t, c.Username, "hosts want some user name with a token")
	}
	requireSecret(t, plantedSecret, c)

	for name, stored := range map[string]*providers.StoredCredential{
		"no secret":           {Username: forgetest.User},
		"line break in token": {Secret: plantedSecret + "\nhost=evil.example"},
		"line break in name":  {Username: "a\nb", Secret: plantedSecret},
		"colon in name":       {Username: "a:b", Secret: plantedSecret},
	} {
		_, err := ask(providers.OpFetch, stored)
		requireCode(t, err, providers.CodeInvalidArgument)
		requireSecret(t, plantedSecret, err)
		require.Error(t, err, name)
	}
	require.Zero(t, sc.forge.Count(), "a stored credential is handed on without asking the host")
}

func (s *suite) testCredentialFresh(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	request := providers.CredentialRequest{Remote: sc.resolve(t), Operation: providers.OpFetch, Stored: sc.stored()}
	first, err := sc.provider.Credential(t.Context(), request)
	require.NoError(t, err)
	if sc.manifest.Mode == providers.ModeApp {
		sc.forge.RevokeTokens()
	}
	request.Fresh = true
	second, err := sc.provider.Credential(t.Context(), request)
	require.NoError(t, err)
	if sc.manifest.Mode == providers.ModeApp {
		require.NotEqual(t, first.Secret.Reveal(), second.Secret.Reveal(), "the refused credential came back")
		require.NoError(t, sc.forge.SetPrivate(sc.repo, true))
	}
	c := forgetest.NewGitClient(t, sc.forge)
	c.Authorize(second)
	c.Run("ls-remote", request.Remote.URL)
}

func (s *suite) testCapabilities(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	s.testWriting(t, sc, providers.OpPush)
	if sc.manifest.Capabilities.LFS {
		s.testWriting(t, sc, providers.OpLFSWrite)
		// What opens the git of a repository opens its large files, too.
		request := providers.CredentialRequest{Remote: sc.resolve(t), Operation: providers.OpFetch, Stored: sc.stored()}
		fetch, err := sc.provider.Credential(t.Context(), request)
		require.NoError(t, err)
		request.Operation = providers.OpLFS
		lfs, err := sc.provider.Credential(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, fetch.Kind, lfs.Kind)
	}
}

// testWriting asks for a credential of an operation that changes something at the host.
func (s *suite) testWriting(t *testing.T, sc *scene, operation providers.Operation) {
	t.Helper()
	request := providers.CredentialRequest{Remote: sc.resolve(t), Operation: operation, Stored: sc.stored()}
	c, err := sc.provider.Credential(t.Context(), request)
	if !sc.manifest.Capabilities.PushHTTPS {
		requireCode(t, err, providers.CodeUnsupported)
		require.Equal(t, sc.manifest.Capabilities.PushUnsupported, asError(t, err).Message)
		require.False(t, request.Remote.PushSupported)
		require.Empty(t, c)
		return
	}
	require.NoError(t, err)
	require.Contains(t, []providers.CredentialKind{providers.CredentialBasic, providers.CredentialHeader}, c.Kind)
	if sc.manifest.Mode == providers.ModeGeneric {
		request.Stored = nil
		_, err := sc.provider.Credential(t.Context(), request)
		requireCode(t, err, providers.CodeUnauthenticated)
	}
}

func (s *suite) testProbe(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	request := providers.ProbeRequest{Remote: sc.resolve(t), Stored: sc.stored()}
	result, err := sc.provider.Probe(t.Context(), request)
	require.NoError(t, err)
	require.True(t, result.Reachable)
	require.True(t, result.CanPull)
	require.NotEmpty(t, result.Message)
	require.Less(t, result.ClockSkew.Abs(), 3*time.Second)
	if !sc.manifest.Capabilities.PushHTTPS {
		require.False(t, result.CanPush)
	}

	request.Remote.Path += "-absent"
	request.Remote.URL = ""
	result, err = sc.provider.Probe(t.Context(), request)
	require.NoError(t, err)
	require.True(t, result.Reachable)
	require.False(t, result.CanPull)
	require.False(t, result.CanPush)
	require.NotEmpty(t, result.Message)

	require.NoError(t, sc.forge.Close())
	result, err = sc.provider.Probe(t.Context(), request)
	if err != nil {
		requireCode(t, err, providers.CodeUnavailable)
	} else {
		require.False(t, result.Reachable)
		require.NotEmpty(t, result.Message)
	}
}

func (s *suite) testSecrets(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	remote := sc.resolve(t)
	stored := &providers.StoredCredential{Username: forgetest.User, Secret: plantedSecret}
	for name, fault := range map[string]forgetest.Fault{
		"as it is":     {Latency: time.Nanosecond},
		"unauthorized": {Status: http.StatusUnauthorized, Echo: true},
		"forbidden":    {Status: http.StatusForbidden, Echo: true},
		"limited":      {Status: http.StatusTooManyRequests, Echo: true},
		"out of order": {Status: http.StatusInternalServerError, Echo: true},
		"dropped":      {Drop: true},
		"redirected":   {Status: http.StatusFound, Header: http.Header{"Location": {"http://x:" + plantedSecret + "@127.0.0.1/?t=" + plantedSecret}}},
	} {
		t.Run(name, func(t *testing.T) {
			defer sc.forge.Inject(fault)()
			found, resolveErr := sc.provider.Resolve(t.Context(), providers.ResolveRequest{Locator: sc.locator(), Contact: true, Stored: stored})
			result, probeErr := sc.provider.Probe(t.Context(), providers.ProbeRequest{Remote: remote, Stored: stored})
			credential, credentialErr := sc.provider.Credential(t.Context(), providers.CredentialRequest{
				Remote: remote, Operation: providers.OpFetch, Stored: stored, Fresh: true,
			})
			for _, secret := range append(sc.forge.Echoed(), plantedSecret) {
				requireSecret(t, secret, found, resolveErr, result, probeErr, credential, credentialErr)
			}
		})
	}
	locator := sc.locator()
	locator.Host = "me:" + plantedSecret + "@" + sc.forge.Host()
	_, err := sc.provider.Resolve(t.Context(), providers.ResolveRequest{Locator: locator})
	requireCode(t, err, providers.CodeInvalidArgument)
	requireSecret(t, plantedSecret, err)
}

func (s *suite) testCancelled(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	remote := sc.resolve(t)
	calls := map[string]func(context.Context) error{
		"Resolve": func(ctx context.Context) error {
			_, err := sc.contact(ctx)
			return err
		},
		"Probe": func(ctx context.Context) error {
			_, err := sc.provider.Probe(ctx, providers.ProbeRequest{Remote: remote, Stored: sc.stored()})
			return err
		},
		"Credential": func(ctx context.Context) error {
			_, err := sc.provider.Credential(ctx, providers.CredentialRequest{
				Remote: remote, Operation: providers.OpFetch, Stored: sc.stored(), Fresh: true,
			})
			return err
		},
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range calls {
		require.Error(t, call(gone), name)
	}
	require.Zero(t, sc.forge.Count(), "nobody was waiting for an answer")

	for name, call := range calls {
		if name == "Credential" && sc.manifest.Mode != providers.ModeApp {
			continue // it does not wait for the host
		}
		t.Run(name+" while the host stalls", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			// The caller leaves as soon as the host has the request.
			remove := sc.forge.Inject(forgetest.Fault{Stall: true, Before: cancel})
			defer remove()
			begin := time.Now()
			require.Error(t, call(ctx))
			require.Less(t, time.Since(begin), patience)
		})
	}
}

func (s *suite) testConcurrent(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	want, err := sc.contact(t.Context())
	require.NoError(t, err)
	stored := sc.stored()
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			remote, err := sc.provider.Resolve(t.Context(), providers.ResolveRequest{Locator: sc.locator(), Contact: true, Stored: stored})
			if err != nil || remote != want {
				t.Errorf("Resolve = %+v, %v; want %+v", remote, err, want)
			}
			for _, fresh := range []bool{false, true} {
				if _, err := sc.provider.Credential(t.Context(), providers.CredentialRequest{
					Remote: want, Operation: providers.OpFetch, Stored: stored, Fresh: fresh,
				}); err != nil {
					t.Errorf("Credential: %v", err)
				}
			}
			if _, err := sc.provider.Probe(t.Context(), providers.ProbeRequest{Remote: want, Stored: stored}); err != nil {
				t.Errorf("Probe: %v", err)
			}
		})
	}
	wait.Wait()
}

// testGit fetches and pushes with what the provider returns.
func (s *suite) testGit(t *testing.T, tls bool) {
	sc := s.stage(t, forgetest.ForgeOptions{TLS: tls})
	private := sc.manifest.Mode == providers.ModeApp || sc.stored() != nil
	require.NoError(t, sc.forge.SetPrivate(sc.repo, private))
	remote, err := sc.contact(t.Context())
	require.NoError(t, err)
	stored := sc.stored()
	credential := func(op providers.Operation) (providers.Credential, error) {
		return sc.provider.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: op, Stored: stored})
	}
	c := forgetest.NewGitClient(t, sc.forge)
	fetch, err := credential(providers.OpFetch)
	require.NoError(t, err)
	c.Authorize(fetch)
	c.Clone(remote.URL)
	require.Empty(t, sc.forge.Listed("refs/pull/"))

	c.Commit()
	push, err := credential(providers.OpPush)
	if !remote.PushSupported {
		requireCode(t, err, providers.CodeUnsupported)
		_, err := c.Try("push", remote.URL, "main")
		require.Error(t, err)
		return
	}
	require.NoError(t, err)
	c.Authorize(push)
	args := []string{"push", "--quiet"}
	if sc.manifest.Capabilities.AtomicPush {
		args = append(args, "--atomic")
	}
	if sc.manifest.Capabilities.PushOptions {
		args = append(args, "--push-option=ci.skip")
	}
	c.Run(append(args, remote.URL, "HEAD:refs/heads/main", "HEAD:refs/heads/new")...)
	require.Equal(t, c.Run("rev-parse", "HEAD"), sc.forge.Ref(sc.repo, "refs/heads/new")+"\n")
	require.Equal(t, c.Run("rev-parse", "HEAD"), sc.forge.Ref(sc.repo, "refs/heads/main")+"\n")
}
