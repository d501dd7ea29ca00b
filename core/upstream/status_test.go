package upstream_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/providertest"
)

const mainRef = "refs/heads/main"

// Types of events.
const (
	started   = core.EventSyncStarted
	succeeded = core.EventSyncSucceeded
	failed    = core.EventSyncFailed
	away      = core.EventUpstreamUnavailable
	back      = core.EventUpstreamRecovered
)

// hostAPI answers Resolve as the API of the forge does: by stable id where one
// is given, else by path.
type hostAPI struct {
	forge *forgetest.TestForge

	mu       sync.Mutex
	paths    []string // that there may be repositories at
	archived bool
	byName   bool  // it has no question by id
	err      error // answer of the API to everything
	nameErr  error // to questions by name
	asked    int
}

func (a *hostAPI) set(change func(a *hostAPI)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(a)
}

func (a *hostAPI) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func (a *hostAPI) resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	if !r.Contact {
		return (&providertest.Loopback{}).Resolve(ctx, r)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if a.err != nil {
		return providers.Remote{}, a.err
	}
	if a.nameErr != nil && r.Locator.ID == "" {
		return providers.Remote{}, a.nameErr
	}
	if a.byName && r.Locator.ID != "" {
		return providers.Remote{}, providers.Errorf(providers.CodeNotFound, "no such page")
	}
	for _, path := range append(slices.Clone(a.paths), r.Locator.Owner+"/"+r.Locator.Name) {
		id, err := a.forge.Forge.RepoID(path)
		if err != nil || r.Locator.ID != "" && r.Locator.ID != id || r.Locator.ID == "" && path != r.Locator.Owner+"/"+r.Locator.Name {
			continue
		}
		return providers.Remote{
			URL: "http://" + r.Locator.Host + "/" + path + ".git", Host: r.Locator.Host, Path: path, UpstreamID: id, Archived: a.archived, PushSupported: true,
		}, nil
	}
	return providers.Remote{}, providers.Errorf(providers.CodeNotFound, "%s/%s is not there", r.Locator.Owner, r.Locator.Name)
}

// newStatusBench is a bench whose forge has an API with stable ids.
func newStatusBench(t *testing.T) (*mirrortest.Bench, *hostAPI) {
	t.Helper()
	b := mirrortest.New(t, coretest.Options{})
	api := &hostAPI{forge: b.Forge}
	b.Plugin.ResolveFunc = api.resolve
	b.Plugin.Edit(func(m *providers.Manifest, _ *providers.HostPolicy) { m.Capabilities.StableIDs = true })
	return b, api
}

// check announces that something became of the upstream, and lets the server
// find out what.
func check(b *mirrortest.Bench, r core.Repository) {
	b.Helper()
	require.NoError(b, b.Monitor.CheckUpstream(context.Background(), r.ID))
	b.WaitIdle(r)
}

func TestInvariant25_renameIsFollowed(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"webhook", "redirect", "look"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b, api := newStatusBench(t)
			r, one := b.Mirrored("a")
			r = b.Reload(r)
			require.Equal(t, b.Forge.RepoID("acme/a"), r.Upstream.ID, "learnt at the first mirror")
			had := len(b.EventTypes(r))
			b.Forge.RenameRepo("acme/a", "other/b")
			api.set(func(a *hostAPI) { a.paths = []string{"other/b"} })
			switch how {
			case "webhook":
				check(b, r)
			case "redirect":
				b.Announce(r)
				b.WaitIdle(r)
			case "look":
				b.Configure(r, core.Settings{Poll: "1m"})
			}
			now := b.Reload(r)
			require.Equal(t, "other", now.Upstream.Owner)
			require.Equal(t, "b", now.Upstream.Name)
			require.Equal(t, r.Upstream.ID, now.Upstream.ID)
			require.Contains(t, now.Upstream.URL, "/other/b.git")
			moves := slices.DeleteFunc(b.EventTypes(r)[had:], func(typ string) bool { return typ != core.EventUpstreamMoved })
			require.Len(t, moves, 1)
			require.Equal(t, map[string]any{"owner": "acme", "name": "a", "url": r.Upstream.URL}, b.LastEvent(r, core.EventUpstreamMoved)["old"])
			require.Equal(t, map[string]any{"owner": "other", "name": "b", "url": now.Upstream.URL}, b.LastEvent(r, core.EventUpstreamMoved)["new"])
			s := b.State(r)
			require.Zero(t, s.Failures)
			require.Zero(t, s.UpstreamState)
			b.ForgeCommit(now, mainRef, "two", one)
			require.NoError(t, b.Sync(now, ""))
			b.RequireEqual(now)
		})
	}
}

func TestInvariant25_impostorIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"webhook", "push", "look", "same history"} {
		for _, found := range []bool{true, false} { // the real one can be found at its new place
			name := how
			if !found {
				name += ", out of sight"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b, api := newStatusBench(t)
				r, one := b.Mirrored("a")
				had := len(b.EventTypes(r))
				b.Forge.RenameRepo("acme/a", "other/b")
				b.Forge.CreateRepo("acme/a", true)
				var evil core.ObjectID
				if how == "same history" {
					// A fork that took the name: only its id tells.
					src, err := b.Forge.Forge.RepoDir("other/b")
					require.NoError(t, err)
					dst, err := b.Forge.Forge.RepoDir("acme/a")
					require.NoError(t, err)
					coretest.Run(t, dst, "fetch", "--quiet", src, "main:main")
					evil = b.ForgeCommit(r, mainRef, "evil", one)
				} else {
					evil = b.ForgeCommit(r, mainRef, "evil")
				}
				if found {
					api.set(func(a *hostAPI) { a.paths = []string{"other/b"} })
				}
				switch how {
				case "webhook":
					check(b, r)
				case "push":
					require.Equal(t, found, b.Sync(r, "") == nil)
				default:
					b.Configure(r, core.Settings{Poll: "1m"})
				}
				require.Equal(t, one, b.Refs(r)[mainRef], "no ref moves")
				require.NotEqual(t, evil, b.Refs(r)[mainRef])
				now := b.Reload(r)
				if found {
					require.Equal(t, "other/b", coretest.ForgePath(now))
					require.Zero(t, b.State(r).UpstreamState)
					b.RequireEqual(now)
					return
				}
				require.Equal(t, "acme/a", coretest.ForgePath(now))
				s := b.State(r)
				require.Equal(t, core.UpstreamReplaced, s.UpstreamState)
				require.Contains(t, s.LastError, "another repository")
				require.Equal(t, core.ClassMoved, s.LastClass)
				require.Contains(t, b.EventTypes(r)[had:], away)
				require.Error(t, b.Mirror.Fresh(t.Context(), now))
				notices := len(b.EventTypes(r))
				b.Pass(r, 48*time.Hour, time.Hour)
				require.Equal(t, one, b.Refs(r)[mainRef])
				more := b.EventTypes(r)[notices:]
				require.LessOrEqual(t, len(more), 1)
				require.NotContains(t, more, away, "told once")
				notices += len(more)
				// It comes into sight: followed without anybody's help.
				api.set(func(a *hostAPI) { a.paths = []string{"other/b"} })
				b.Pass(r, 8*time.Hour, time.Hour)
				require.Equal(t, "other/b", coretest.ForgePath(b.Reload(r)))
				require.Zero(t, b.State(r).UpstreamState)
				require.Equal(t, []string{core.EventUpstreamMoved, succeeded, back}, b.EventTypes(r)[notices:])
				require.Equal(t, "replaced", b.LastEvent(r, back)["state"])
				b.RequireEqual(b.Reload(r))
			})
		}
	}
}

func TestService_life_states(t *testing.T) {
	t.Parallel()
	git := []forgetest.Kind{forgetest.KindListRefs, forgetest.KindDiscover, forgetest.KindFetch}
	for name, tc := range map[string]struct {
		api   error
		fault forgetest.Fault
		anon  bool
		state core.UpstreamState
		class core.ErrorClass
		text  string
	}{
		"deleted": {
			&providers.Error{Code: providers.CodeNotFound, Message: "no such project"}, forgetest.Fault{Kinds: git, Status: 404}, false,
			core.UpstreamDeleted, core.ClassNotFound, "no such project",
		},
		"access lost": {
			&providers.Error{Code: providers.CodeUnauthenticated, Message: "bad token"}, forgetest.Fault{Kinds: git, Status: 401}, false,
			core.UpstreamRevoked, core.ClassAuth, "bad token",
		},
		"suspended": {
			&providers.Error{Code: providers.CodeRevoked, Reason: providers.ReasonSuspended, Message: "the installation is suspended"},
			forgetest.Fault{Kinds: git, Status: 403}, false, core.UpstreamSuspended, core.ClassAuth, "the installation is suspended",
		},
		"not included": {
			&providers.Error{Code: providers.CodeRevoked, Reason: providers.ReasonNotIncluded, Message: "add it"},
			forgetest.Fault{Kinds: git, Status: 404}, false, core.UpstreamRevoked, core.ClassNotFound, "add it",
		},
		"made private": {
			&providers.Error{Code: providers.CodeNotFound, Message: "not public"}, forgetest.Fault{Kinds: git, Status: 401}, true,
			core.UpstreamPrivate, core.ClassAuth, "not public",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, api := newStatusBench(t)
			r, one := b.Mirrored("a")
			had := len(b.EventTypes(r))
			if tc.anon {
				c, err := b.Store.CredentialByRepo(t.Context(), r.ID)
				require.NoError(t, err)
				require.NoError(t, b.Store.DeleteCredential(t.Context(), c.ID))
				require.NoError(t, b.Forge.SetPrivate("acme/a", false))
			}
			remove := b.Forge.Inject(tc.fault)
			api.set(func(a *hostAPI) { a.err = tc.api })
			b.Announce(r)
			b.WaitIdle(r)
			s := b.State(r)
			require.Equal(t, tc.state, s.UpstreamState, "known at once, from the host's API")
			require.Equal(t, b.Clock.Now(), s.UpstreamSince)
			require.Equal(t, tc.class, s.LastClass)
			require.Contains(t, s.LastError, tc.text)
			require.Equal(t, []string{away}, b.EventTypes(r)[had:])
			body := b.LastEvent(r, away)
			require.Equal(t, string(tc.state), body["state"])
			require.Equal(t, tc.text, body["message"])
			require.Equal(t, one, b.Refs(r)[mainRef], "the data stay")
			since := s.UpstreamSince
			b.Pass(r, 72*time.Hour, time.Hour)
			require.Equal(t, []string{away, failed}, b.EventTypes(r)[had:], "one notice, and one failure when the retries were used up")

			// Back: at once on a webhook.
			remove()
			api.set(func(a *hostAPI) { a.err = nil })
			two := b.ForgeCommit(r, mainRef, "two", one)
			b.Announce(r)
			b.WaitIdle(r)
			require.Equal(t, two, b.Refs(r)[mainRef])
			require.Zero(t, b.State(r).UpstreamState)
			require.Equal(t, []string{succeeded, back}, b.EventTypes(r)[had+2:])
			body = b.LastEvent(r, back)
			require.Equal(t, string(tc.state), body["state"])
			require.Equal(t, since.Format(time.RFC3339Nano), body["since"])
		})
	}
}

func TestService_life_archived(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, one := b.Mirrored("a")
	had := len(b.EventTypes(r))
	api.set(func(a *hostAPI) { a.archived = true })
	check(b, r)
	require.Equal(t, core.UpstreamArchived, b.State(r).UpstreamState)
	require.Equal(t, []string{away}, b.EventTypes(r)[had:])
	two := b.ForgeCommit(r, mainRef, "two", one)
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, two, b.Refs(r)[mainRef], "it can be read")
	require.Equal(t, core.UpstreamArchived, b.State(r).UpstreamState)
	require.Equal(t, []string{started, succeeded}, b.EventTypes(r)[had+1:])
	api.set(func(a *hostAPI) { a.archived = false })
	check(b, r)
	require.Zero(t, b.State(r).UpstreamState)
	require.Equal(t, []string{back}, b.EventTypes(r)[had+3:])
}

// The API may be closed to a credential that opens git.
func TestService_life_gitWorksWhateverTheAPISays(t *testing.T) {
	t.Parallel()
	for code, retry := range map[providers.Code]time.Duration{
		providers.CodePermissionDenied: 0, providers.CodeUnavailable: 0, providers.CodeRateLimited: 6 * time.Hour,
	} {
		t.Run(string(code), func(t *testing.T) {
			t.Parallel()
			b, api := newStatusBench(t)
			api.set(func(a *hostAPI) { a.err = &providers.Error{Code: code, Message: "no", RetryAfter: retry} })
			r, one := b.Mirrored("a")
			require.Empty(t, b.Reload(r).Upstream.ID)
			had := len(b.EventTypes(r))
			check(b, r)
			two := b.ForgeCommit(r, mainRef, "two", one)
			b.Announce(r)
			b.Pass(r, 2*time.Second, time.Second)
			require.Equal(t, two, b.Refs(r)[mainRef])
			require.Equal(t, []string{started, succeeded}, b.EventTypes(r)[had:])
			if retry > 0 {
				require.Equal(t, 1, api.count(), "its limit is kept")
			}
			api.set(func(a *hostAPI) { a.err = nil })
			b.Configure(r, core.Settings{Poll: "1h"})
			b.Pass(r, 30*time.Hour, 30*time.Minute)
			require.NotEmpty(t, b.Reload(r).Upstream.ID, "asked once a day")
			require.LessOrEqual(t, api.count(), 6)
		})
	}
}

func TestService_CredentialChanged(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	fresh := b.Synced("b")
	require.NoError(t, b.Monitor.CredentialChanged(t.Context(), fresh.ID))
	require.Zero(t, b.State(fresh).Wanted, "its first sync is asked for by a pull")
	b.Forge.RevokeTokens()
	require.NoError(t, b.Monitor.CredentialChanged(t.Context(), r.ID))
	b.WaitIdle(r)
	require.Equal(t, core.ClassAuth, b.State(r).LastClass, "one that does not work shows at once")
	two := b.ForgeCommit(r, mainRef, "two", one)
	require.Error(t, b.Sync(r, ""))
	c, err := b.Store.CredentialByRepo(t.Context(), r.ID)
	require.NoError(t, err)
	c.Secret = b.Forge.Stored().Secret
	require.NoError(t, b.Store.UpdateCredential(t.Context(), c))
	require.NoError(t, b.Monitor.CredentialChanged(t.Context(), r.ID))
	b.WaitIdle(r)
	require.Equal(t, two, b.Refs(r)[mainRef])
}
