package githubapp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/githubapp"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/plugintest"
)

const repo = "acme/Widget"

func appAttributes(f *forgetest.Forge) map[string]any {
	return map[string]any{"app_id": forgetest.AppID, "private_key": string(f.AppKey())}
}

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	plugintest.Run(t, githubapp.New, plugintest.Fixture{
		HostKind:   forgetest.HostGitHub,
		Attributes: appAttributes,
		KnownHosts: true,
		BadAttributes: map[string]map[string]any{
			"app_id":           {"private_key": "x"},
			"private_key":      {"app_id": 1, "private_key": "planted-0dd5ecre7-must-not-be-seen"},
			"private_key_file": {"app_id": 1, "private_key_file": "/nonexistent/key.pem"},
			"installation_id":  {"app_id": 1, "private_key": "x", "installation_id": -1},
		},
	})
}

// configured returns a provider for a forge with one private repository.
func configured(t *testing.T, o forgetest.ForgeOptions, edit func(map[string]any)) (*forgetest.TestForge, providers.Provider) {
	t.Helper()
	f := forgetest.StartForge(t, o)
	f.CreateRepo(repo, true)
	f.CreateRepo("acme/other", true)
	attributes := appAttributes(f.Forge)
	if edit != nil {
		edit(attributes)
	}
	p := githubapp.New()
	require.NoError(t, configure(t, p, attributes, f.HostPolicy()))
	return f, p
}

func configure(t *testing.T, p providers.Provider, attributes map[string]any, hosts ...providers.HostPolicy) error {
	t.Helper()
	raw, err := json.Marshal(attributes)
	require.NoError(t, err)
	return p.Configure(t.Context(), providers.Config{Instance: "github-app", Attributes: raw, Hosts: hosts})
}

func remoteOf(f *forgetest.TestForge) providers.Remote {
	return providers.Remote{URL: f.CloneURL(repo), Host: f.Host(), Path: repo}
}

func locatorOf(f *forgetest.TestForge) providers.Locator {
	owner, name, _ := strings.Cut(repo, "/")
	return providers.Locator{Host: f.Host(), Owner: owner, Name: name}
}

// opens reports the status that the forge gives to a fetch of a repository.
func opens(t *testing.T, f *forgetest.TestForge, path string, c providers.Credential, service string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.CloneURL(path)+"/info/refs?service="+service, nil)
	require.NoError(t, err)
	request.SetBasicAuth(c.Username, c.Secret.Reveal())
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}

func TestProvider_Credential_oneRepository(t *testing.T) {
	t.Parallel()
	for _, byID := range []bool{false, true} {
		f, p := configured(t, forgetest.ForgeOptions{}, nil)
		remote := remoteOf(f)
		if byID {
			remote.UpstreamID = f.RepoID(repo)
		}
		fetch, err := p.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpFetch})
		require.NoError(t, err)
		require.Equal(t, "x-access-token", fetch.Username)
		require.InDelta(t, time.Hour, time.Until(fetch.ExpiresAt), float64(time.Minute))
		require.Equal(t, http.StatusOK, opens(t, f, repo, fetch, "git-upload-pack"))
		require.Equal(t, http.StatusNotFound, opens(t, f, "acme/other", fetch, "git-upload-pack"))
		require.Equal(t, http.StatusForbidden, opens(t, f, repo, fetch, "git-receive-pack"), "a token to fetch must not push")
		push, err := p.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpPush})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, opens(t, f, repo, push, "git-receive-pack"))
		require.Equal(t, http.StatusNotFound, opens(t, f, "acme/other", push, "git-receive-pack"))
	}
}

func TestProvider_Credential_cache(t *testing.T) {
	t.Parallel()
	f, p := configured(t, forgetest.ForgeOptions{TokenLife: 10 * time.Minute}, nil)
	request := providers.CredentialRequest{Remote: remoteOf(f), Operation: providers.OpFetch, MinValidity: 5 * time.Minute}
	ask := func() string {
		t.Helper()
		c, err := p.Credential(t.Context(), request)
		require.NoError(t, err)
		return c.Secret.Reveal()
	}
	first := ask()
	f.ForgetRequests()
	require.Equal(t, first, ask())
	require.Zero(t, f.Count(), "a cached token needs no request")

	request.Fresh = true
	second := ask()
	require.NotEqual(t, first, second)
	request.Fresh = false
	require.Equal(t, second, ask(), "the fresh token takes the place of the old")

	request.MinValidity = 20 * time.Minute
	_, err := p.Credential(t.Context(), request)
	require.Equal(t, providers.CodeUnsupported, providers.CodeOf(err))
}

// TestProvider_Resolve_asksOnce: the server asks before writes who answers under
// a name, so that is one request while a token is good.
func TestProvider_Resolve_asksOnce(t *testing.T) {
	t.Parallel()
	f, p := configured(t, forgetest.ForgeOptions{}, nil)
	locator := locatorOf(f)
	locator.ID = f.RepoID(repo)
	ask := func() {
		t.Helper()
		remote, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: true})
		require.NoError(t, err)
		require.Equal(t, locator.ID, remote.UpstreamID)
	}
	ask()
	f.ForgetRequests()
	ask()
	require.Equal(t, 1, f.Count())
	// Anybody sees a public one, with the App installed or not.
	setPrivate(f, repo, false)
	ask()
	f.Uninstall("acme")
	_, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: true})
	require.Equal(t, providers.CodeRevoked, providers.CodeOf(err))
}

func TestProvider_Credential_nearExpiry(t *testing.T) {
	t.Parallel()
	f, p := configured(t, forgetest.ForgeOptions{TokenLife: 30 * time.Second}, nil)
	request := providers.CredentialRequest{Remote: remoteOf(f), Operation: providers.OpFetch}
	first, err := p.Credential(t.Context(), request)
	require.NoError(t, err)
	second, err := p.Credential(t.Context(), request)
	require.NoError(t, err)
	require.NotEqual(t, first.Secret.Reveal(), second.Secret.Reveal(), "a token about to expire must not be handed out again")
}

func TestProvider_Credential_refusals(t *testing.T) {
	t.Parallel()
	otherKey := func(t *testing.T) string {
		f := forgetest.StartForge(t, forgetest.ForgeOptions{})
		return string(f.AppKey())
	}
	tests := map[string]struct {
		attributes func(*testing.T, map[string]any)
		forge      func(*forgetest.TestForge)
		op         providers.Operation
		code       providers.Code
		message    string
	}{
		"suspended": {
			forge: func(f *forgetest.TestForge) { f.SuspendInstallation("acme", true) },
			code:  providers.CodeRevoked, message: "suspended for acme",
		},
		"not installed": {
			forge: func(f *forgetest.TestForge) { f.Uninstall("acme") },
			code:  providers.CodePermissionDenied, message: "install the App on acme",
		},
		"permission to push not granted": {
			forge: func(f *forgetest.TestForge) { f.RestrictInstallation("acme", true) }, op: providers.OpPush,
			code: providers.CodePermissionDenied, message: "Contents: read and write",
		},
		"another App's key": {
			attributes: func(t *testing.T, a map[string]any) { a["private_key"] = otherKey(t) },
			code:       providers.CodeInvalidConfig, message: "check app_id",
		},
		"another App's id": {
			attributes: func(_ *testing.T, a map[string]any) { a["app_id"] = 1 },
			code:       providers.CodeInvalidConfig, message: "check app_id",
		},
		"wrong installation_id": {
			attributes: func(_ *testing.T, a map[string]any) { a["installation_id"] = 99 },
			code:       providers.CodeInvalidConfig, message: "installation_id",
		},
		"primary rate limit": {
			forge: func(f *forgetest.TestForge) {
				f.Inject(forgetest.Fault{Status: http.StatusForbidden, Header: http.Header{
					"X-Ratelimit-Limit": {"60"}, "X-Ratelimit-Remaining": {"0"},
					"X-Ratelimit-Reset": {strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10)},
				}})
			},
			code: providers.CodeRateLimited, message: "limits requests",
		},
		"secondary rate limit": {
			forge: func(f *forgetest.TestForge) {
				f.Inject(forgetest.Fault{Status: http.StatusForbidden, RetryAfter: time.Minute,
					Body: `{"message":"You have exceeded a secondary rate limit","documentation_url":"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"}`})
			},
			code: providers.CodeRateLimited, message: "limits requests",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, p := configured(t, forgetest.ForgeOptions{}, func(a map[string]any) {
				if test.attributes != nil {
					test.attributes(t, a)
				}
			})
			if test.forge != nil {
				test.forge(f)
			}
			op := test.op
			if op == "" {
				op = providers.OpFetch
			}
			_, err := p.Credential(t.Context(), providers.CredentialRequest{Remote: remoteOf(f), Operation: op})
			require.Equal(t, test.code, providers.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, test.message)
			if test.code == providers.CodeRateLimited {
				var e *providers.Error
				require.ErrorAs(t, err, &e)
				require.InDelta(t, time.Minute, e.RetryAfter, float64(2*time.Second))
			}
		})
	}
}

func TestProvider_Credential_revokedThenBack(t *testing.T) {
	t.Parallel()
	f, p := configured(t, forgetest.ForgeOptions{}, nil)
	request := providers.CredentialRequest{Remote: remoteOf(f), Operation: providers.OpFetch, Fresh: true}
	f.SuspendInstallation("acme", true)
	_, err := p.Credential(t.Context(), request)
	require.Equal(t, providers.CodeRevoked, providers.CodeOf(err))
	f.SuspendInstallation("acme", false)
	_, err = p.Credential(t.Context(), request)
	require.NoError(t, err)
}

func TestProvider_Credential_elsewhere(t *testing.T) {
	t.Parallel()
	f, p := configured(t, forgetest.ForgeOptions{}, nil)
	tests := map[string]providers.Remote{
		"URL of another host":   {URL: "http://git.example.com/acme/Widget.git", Host: f.Host(), Path: repo},
		"URL with user info":    {URL: "http://me@" + f.Host() + "/acme/Widget.git", Host: f.Host(), Path: repo},
		"host without a block":  {Host: "git.example.com", Path: repo},
		"path with a traversal": {Host: f.Host(), Path: "acme/../Widget"},
		"no path":               {Host: f.Host()},
	}
	for name, remote := range tests {
		_, err := p.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpFetch})
		require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err), "%s: %v", name, err)
	}
	require.Zero(t, f.Count(), "what the App signs must reach nobody else")
}

func TestProvider_Resolve_unconfigured(t *testing.T) {
	t.Parallel()
	p := githubapp.New()
	require.NoError(t, configure(t, p, map[string]any{}))
	for _, contact := range []bool{false, true} {
		_, err := p.Resolve(t.Context(), providers.ResolveRequest{
			Locator: providers.Locator{Owner: "acme", Name: "widget"}, Contact: contact,
		})
		require.Equal(t, providers.CodeInvalidConfig, providers.CodeOf(err))
		require.ErrorContains(t, err, "set app_id and private_key_file")
	}
}

func TestProvider_Resolve_installationID(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{})
	f.CreateRepo(repo, true)
	attributes := appAttributes(f.Forge)
	attributes["installation_id"] = f.Installation("acme")
	p := githubapp.New()
	require.NoError(t, configure(t, p, attributes, f.HostPolicy()))
	remote, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: locatorOf(f), Contact: true})
	require.NoError(t, err)
	require.Equal(t, f.RepoID(repo), remote.UpstreamID)
}

func TestProvider_Resolve_enterprise(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{TLS: true})
	f.CreateRepo(repo, true)
	p := githubapp.New()
	policy := f.HostPolicy()
	policy.APIURL = "" // https://HOST/api/v3 is the provider's own rule
	require.NoError(t, configure(t, p, appAttributes(f.Forge), policy))
	_, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: locatorOf(f), Contact: true})
	require.NoError(t, err)
	for _, r := range f.Requests() {
		require.True(t, strings.HasPrefix(r.Path, "/api/v3/"), r.Path)
	}

	policy.APIURL = f.URL() // as at api.github.com
	require.NoError(t, configure(t, p, appAttributes(f.Forge), policy))
	f.ForgetRequests()
	_, err = p.Resolve(t.Context(), providers.ResolveRequest{Locator: locatorOf(f), Contact: true})
	require.NoError(t, err)
	require.Equal(t, "/repos/acme/Widget/installation", f.Requests()[0].Path)
}

func TestProvider_Resolve_archived(t *testing.T) {
	t.Parallel()
	f, p := configured(t, forgetest.ForgeOptions{}, nil)
	require.NoError(t, f.SetArchived(repo, true))
	remote, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: locatorOf(f), Contact: true})
	require.NoError(t, err)
	require.True(t, remote.Archived)
	require.False(t, remote.PushSupported)
}

func TestProvider_Configure_keys(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{})
	block, _ := pem.Decode(f.AppKey())
	rsaKey, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(rsaKey)
	require.NoError(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ecDER, err := x509.MarshalPKCS8PrivateKey(ec)
	require.NoError(t, err)
	encode := func(der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	file := filepath.Join(t.TempDir(), "app.pem")
	require.NoError(t, os.WriteFile(file, f.AppKey(), 0o600))
	tests := map[string]struct {
		attributes map[string]any
		message    string // of the error; "": none
	}{
		"PKCS#1":         {map[string]any{"app_id": 1, "private_key": string(f.AppKey())}, ""},
		"PKCS#8":         {map[string]any{"app_id": 1, "private_key": encode(pkcs8)}, ""},
		"file":           {map[string]any{"app_id": 1, "private_key_file": file}, ""},
		"file and text":  {map[string]any{"app_id": 1, "private_key_file": file, "private_key": "x"}, "exclude each other"},
		"elliptic curve": {map[string]any{"app_id": 1, "private_key": encode(ecDER)}, "another kind"},
		"not PEM":        {map[string]any{"app_id": 1, "private_key": "secret"}, "no PEM block"},
		"no key":         {map[string]any{"app_id": 1}, "private_key_file must be set"},
		"fraction":       {map[string]any{"app_id": 1.5, "private_key_file": file}, `"app_id" of provider "github-app" must be a number`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := configure(t, githubapp.New(), test.attributes)
			if test.message == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, providers.CodeInvalidConfig, providers.CodeOf(err))
			require.ErrorContains(t, err, test.message)
		})
	}
}

func TestProvider_Probe_permissions(t *testing.T) {
	t.Parallel()
	f, p := configured(t, forgetest.ForgeOptions{}, nil)
	result, err := p.Probe(t.Context(), providers.ProbeRequest{Remote: remoteOf(f)})
	require.NoError(t, err)
	require.True(t, result.CanPush)
	require.Equal(t, 5000, result.RateLimit)
	require.Equal(t, 4987, result.RateRemaining)
	require.False(t, result.RateResetAt.IsZero())
	f.RestrictInstallation("acme", true)
	result, err = p.Probe(t.Context(), providers.ProbeRequest{Remote: remoteOf(f)})
	require.NoError(t, err)
	require.True(t, result.CanPull)
	require.False(t, result.CanPush)
}

func TestProvider_Credential_renamed(t *testing.T) {
	t.Parallel()
	f, p := configured(t, forgetest.ForgeOptions{}, nil)
	remote := remoteOf(f)
	remote.UpstreamID = f.RepoID(repo)
	f.RenameRepo(repo, "acme/renamed")
	c, err := p.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpFetch})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, opens(t, f, "acme/renamed", c, "git-upload-pack"))

	remote.UpstreamID = ""
	_, err = p.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpFetch})
	require.Equal(t, providers.CodeUnavailable, providers.CodeOf(err))
	require.ErrorContains(t, err, "moved")

	// An impostor takes the old name; the token is for the id.
	f.CreateRepo(repo, true)
	remote.UpstreamID = f.RepoID("acme/renamed")
	c, err = p.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpFetch, Fresh: true})
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, opens(t, f, repo, c, "git-upload-pack"))
}
