package githubapp_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// setPrivate is Forge.SetPrivate of a repository that is there.
func setPrivate(f *forgetest.TestForge, path string, private bool) {
	if err := f.SetPrivate(path, private); err != nil {
		panic(err)
	}
}

// TestProvider_states changes what the App may see, checks that the plugin says
// why, changes it back, and checks that the repository opens again by itself.
func TestProvider_states(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change, back func(*forgetest.TestForge)
		byPath       bool // nothing but the path is known
		code         providers.Code
		reason       providers.Reason
		message      string
	}{
		"suspended": {
			change: func(f *forgetest.TestForge) { f.SuspendInstallation("acme", true) },
			back:   func(f *forgetest.TestForge) { f.SuspendInstallation("acme", false) },
			code:   providers.CodeRevoked, reason: providers.ReasonSuspended, message: "suspended for acme",
		},
		"uninstalled": {
			change: func(f *forgetest.TestForge) { f.Uninstall("acme") },
			back:   func(f *forgetest.TestForge) { f.Install("acme") },
			code:   providers.CodeRevoked, reason: providers.ReasonUninstalled, message: "no longer installed on acme",
		},
		"never installed": {
			change: func(f *forgetest.TestForge) { f.Uninstall("acme") },
			back:   func(f *forgetest.TestForge) { f.Install("acme") },
			byPath: true,
			code:   providers.CodePermissionDenied, reason: providers.ReasonUninstalled, message: "install the App on acme",
		},
		"taken out of the installation": {
			change: func(f *forgetest.TestForge) { f.SelectRepositories("acme", "acme/other") },
			back:   func(f *forgetest.TestForge) { f.SelectRepositories("acme") },
			code:   providers.CodeRevoked, reason: providers.ReasonNotIncluded, message: "does not include acme/Widget",
		},
		"never in the installation": {
			change: func(f *forgetest.TestForge) { f.SelectRepositories("acme", "acme/other") },
			back:   func(f *forgetest.TestForge) { f.SelectRepositories("acme", repo) },
			byPath: true,
			code:   providers.CodePermissionDenied, reason: providers.ReasonNotIncluded, message: "does not include acme/Widget",
		},
		"taken out, and public": {
			change: func(f *forgetest.TestForge) {
				f.SelectRepositories("acme", "acme/other")
				setPrivate(f, repo, false)
			},
			back: func(f *forgetest.TestForge) { f.SelectRepositories("acme") },
			code: providers.CodeRevoked, reason: providers.ReasonNotIncluded, message: "has no access to acme/Widget",
		},
		"transferred to where the App is not": {
			change: func(f *forgetest.TestForge) { f.RenameRepo(repo, "beta/Widget") },
			back:   func(f *forgetest.TestForge) { f.Install("beta") },
			code:   providers.CodeNotFound, reason: providers.ReasonDeleted, message: "or transferred to an owner that the GitHub App is not installed on",
		},
		"transferred to where the App is not, and public": {
			change: func(f *forgetest.TestForge) {
				f.RenameRepo(repo, "beta/Widget")
				setPrivate(f, "beta/Widget", false)
			},
			back: func(f *forgetest.TestForge) { f.Install("beta") },
			code: providers.CodeRevoked, reason: providers.ReasonNotIncluded, message: "no access to beta/Widget, which belongs to beta now: install the App on beta",
		},
		"transferred, and the old owner has gone": {
			change: func(f *forgetest.TestForge) {
				f.RenameRepo(repo, "beta/Widget")
				setPrivate(f, "beta/Widget", false)
				f.Uninstall("acme")
			},
			back: func(f *forgetest.TestForge) { f.Install("beta") },
			code: providers.CodeRevoked, reason: providers.ReasonUninstalled, message: "acme/Widget is beta/Widget now, and the GitHub App is not installed there: install the App on beta at ",
		},
		"transferred to where the App is suspended": {
			change: func(f *forgetest.TestForge) {
				f.RenameRepo(repo, "beta/Widget")
				f.Install("beta")
				f.SuspendInstallation("beta", true)
			},
			back: func(f *forgetest.TestForge) { f.SuspendInstallation("beta", false) },
			code: providers.CodeRevoked, reason: providers.ReasonSuspended, message: "suspended for beta",
		},
		"no such App": {
			change: func(f *forgetest.TestForge) {
				f.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindAPI}, Status: http.StatusNotFound, Body: `{"message":"Integration not found"}`})
			},
			back: func(f *forgetest.TestForge) { f.ClearFaults() },
			code: providers.CodeInvalidConfig, message: "has no GitHub App 4242",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, p := configured(t, forgetest.ForgeOptions{}, nil)
			remote, locator := remoteOf(f), locatorOf(f)
			if !test.byPath {
				remote.UpstreamID = f.RepoID(repo)
				locator.ID = remote.UpstreamID
			}
			credential := providers.CredentialRequest{Remote: remote, Operation: providers.OpFetch, Fresh: true}
			_, err := p.Credential(t.Context(), credential)
			require.NoError(t, err)

			test.change(f)
			_, err = p.Credential(t.Context(), credential)
			require.Equal(t, test.code, providers.CodeOf(err), "%v", err)
			require.Equal(t, test.reason, providers.ReasonOf(err), "%v", err)
			require.ErrorContains(t, err, test.message)
			_, resolveErr := p.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: true})
			require.Equal(t, err, resolveErr)
			probe, probeErr := p.Probe(t.Context(), providers.ProbeRequest{Remote: remote})
			require.NoError(t, probeErr)
			require.True(t, probe.Reachable)
			require.False(t, probe.CanPull)
			require.Equal(t, err.Error(), probe.Message)

			test.back(f)
			_, err = p.Credential(t.Context(), credential)
			require.NoError(t, err)
		})
	}
}

func TestProvider_states_deleted(t *testing.T) {
	t.Parallel()
	for name, selected := range map[string]bool{"all repositories are installed": false, "some are": true} {
		f, p := configured(t, forgetest.ForgeOptions{}, nil)
		locator := locatorOf(f)
		locator.ID = f.RepoID(repo)
		if selected {
			f.SelectRepositories("acme", repo, "acme/other")
		}
		require.NoError(t, f.DeleteRepo(repo))
		_, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: true})
		if selected { // GitHub does not tell a deleted one from one that was taken out
			require.Equal(t, providers.CodeRevoked, providers.CodeOf(err), name)
			require.Equal(t, providers.ReasonNotIncluded, providers.ReasonOf(err), name)
			continue
		}
		require.Equal(t, providers.CodeNotFound, providers.CodeOf(err), "%s: %v", name, err)
		require.Equal(t, providers.ReasonDeleted, providers.ReasonOf(err), name)

		// Another repository takes the name: it is not the one that was followed.
		f.CreateRepo(repo, true)
		_, err = p.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: true})
		require.Equal(t, providers.CodeNotFound, providers.CodeOf(err), "%s: %v", name, err)
		locator.ID = ""
		_, err = p.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: true})
		require.NoError(t, err)
	}
}

// TestProvider_states_hostFails holds that a host which does not answer
// never passes for one that says no.
func TestProvider_states_hostFails(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]providers.Code{
		http.StatusBadGateway: providers.CodeUnavailable, http.StatusTooManyRequests: providers.CodeRateLimited,
	} {
		f, p := configured(t, forgetest.ForgeOptions{}, nil)
		remote := remoteOf(f)
		remote.UpstreamID = f.RepoID(repo)
		f.Uninstall("acme")
		f.ForgetRequests()
		ask := func() error {
			_, err := p.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpFetch})
			return err
		}
		require.Equal(t, providers.ReasonUninstalled, providers.ReasonOf(ask()))
		requests := f.Count()
		for n := range requests - 1 { // the last one asks whether the repository is public
			served := 0
			remove := f.Inject(forgetest.Fault{Before: func() { served++ }, Times: n})
			if n == 0 {
				remove()
			}
			f.Inject(forgetest.Fault{Status: status, Times: 1})
			err := ask()
			require.Equal(t, code, providers.CodeOf(err), "request %d: %v", n, err)
			require.Empty(t, providers.ReasonOf(err), "request %d: %v", n, err)
			f.ClearFaults()
		}
	}
}

func TestProvider_Resolve_transferred(t *testing.T) {
	t.Parallel()
	for name, impostor := range map[string]bool{"old path is free": false, "old path is taken": true} {
		f, p := configured(t, forgetest.ForgeOptions{}, nil)
		locator := locatorOf(f)
		locator.ID = f.RepoID(repo)
		f.RenameRepo(repo, "beta/Renamed")
		f.Install("beta")
		if impostor {
			f.CreateRepo(repo, true)
		}
		remote, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: true})
		require.NoError(t, err, name)
		require.Equal(t, "beta/Renamed", remote.Path, name)
		require.Equal(t, locator.ID, remote.UpstreamID, name)

		old := remoteOf(f)
		old.UpstreamID = locator.ID
		c, err := p.Credential(t.Context(), providers.CredentialRequest{Remote: old, Operation: providers.OpPush})
		require.NoError(t, err, name)
		require.Equal(t, http.StatusOK, opens(t, f, "beta/Renamed", c, "git-receive-pack"), name)
		require.Equal(t, http.StatusNotFound, opens(t, f, "acme/other", c, "git-receive-pack"), name)
	}
}

func TestProvider_Resolve_visibility(t *testing.T) {
	t.Parallel()
	f, p := configured(t, forgetest.ForgeOptions{}, nil)
	for _, private := range []bool{false, true} {
		require.NoError(t, f.SetPrivate(repo, private))
		remote, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: locatorOf(f), Contact: true})
		require.NoError(t, err)
		require.Equal(t, map[bool]string{true: "private", false: "public"}[private], remote.Visibility)
	}
}

func TestProvider_Credential_clockSkew(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		skew    time.Duration // of the host's clock
		refused string        // what the error says; "": it works
	}{
		"none":                       {0, ""},
		"a little ahead":             {-50 * time.Second, ""},
		"behind, within the life":    {7 * time.Minute, ""},
		"this machine is far ahead":  {-15 * time.Minute, "ahead of that of"},
		"this machine is far behind": {time.Hour, " behind that of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, p := configured(t, forgetest.ForgeOptions{TokenLife: 3 * time.Hour}, nil)
			f.SetClockSkew(test.skew)
			_, err := p.Credential(t.Context(), providers.CredentialRequest{Remote: remoteOf(f), Operation: providers.OpFetch})
			if test.refused == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, providers.CodeInvalidConfig, providers.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, test.refused)
			require.ErrorContains(t, err, "set it right")
		})
	}
}

func TestProvider_Credential_rateLimits(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		secondary bool
		status    int
		skew      time.Duration
		left      int // requests
	}{
		"primary":                    {},
		"primary, in between":        {left: 1},
		"primary, 429":               {status: http.StatusTooManyRequests},
		"primary, by another clock":  {skew: 5 * time.Minute},
		"secondary":                  {secondary: true},
		"secondary, 429":             {secondary: true, status: http.StatusTooManyRequests},
		"secondary, by another time": {secondary: true, skew: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, p := configured(t, forgetest.ForgeOptions{}, nil)
			request := providers.CredentialRequest{Remote: remoteOf(f), Operation: providers.OpFetch, Fresh: true}
			_, err := p.Credential(t.Context(), request)
			require.NoError(t, err)
			f.SetClockSkew(test.skew)
			f.LimitRate(forgetest.RateLimit{
				Requests: test.left, Reset: time.Now().Add(test.skew + 10*time.Minute), Secondary: test.secondary, Status: test.status,
			})
			_, err = p.Credential(t.Context(), request)
			require.Equal(t, providers.CodeRateLimited, providers.CodeOf(err), "%v", err)
			var e *providers.Error
			require.ErrorAs(t, err, &e)
			require.InDelta(t, 10*time.Minute, e.RetryAfter, float64(3*time.Second))
			f.LimitRate(forgetest.RateLimit{})
			_, err = p.Credential(t.Context(), request)
			require.NoError(t, err)
		})
	}
}
