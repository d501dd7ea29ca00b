package engine_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// bench is an engine in a world of its own.
type bench struct {
	*coretest.World
	*engine.Engine
	stop func()
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{World: coretest.NewWorld(t, coretest.Options{})}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// start makes an engine on what is on the disk, recovers and runs it.
func (b *bench) start() {
	b.Helper()
	e, err := engine.New(engine.Options{
		DataDir: b.Dir, Git: b.World.Git, Store: b.Store, Plugins: b.Plugin, Clock: b.Clock, Logger: hclog.NewNullLogger(), Agent: "test",
	})
	require.NoError(b, err)
	require.NoError(b, e.Recover(context.Background()))
	b.Engine, b.World.Repos = e, e.Services().Repos
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- e.Run(ctx) }()
	done := false
	b.stop = func() {
		if done {
			return
		}
		done = true
		cancel()
		require.NoError(b, <-stopped)
		require.NoError(b, e.Close())
	}
}

// pull asks for a sync.
func (b *bench) pull(r core.Repository) {
	b.Helper()
	_, err := b.Services().Schedule.Request(b.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(b, err)
}

// sync asks for a sync, waits for it and returns its error.
func (b *bench) sync(r core.Repository) error {
	b.Helper()
	parts := b.Services()
	generation, err := parts.Schedule.Request(b.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(b, err)
	return parts.Schedule.Wait(b.Context(), r.ID, generation)
}

// create makes a repository that follows "acme/NAME" of the forge.
func (b *bench) create(name string) core.Repository {
	b.Helper()
	r, err := b.CreateRepository(b.Context(), engine.CreateRequest{Org: coretest.Org, Name: name, Upstream: &engine.UpstreamRequest{
		Provider: "loopback", Owner: coretest.Org, Name: name,
	}})
	require.NoError(b, err)
	return r
}

func TestEngine_lifeOfASyncedRepository(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	b.Forge.CreateRepo("acme/a", true)
	r := b.create("a")
	require.Zero(t, b.Forge.Count(), "a generic upstream is not contacted at creation")
	require.NoError(t, b.CheckReady(ctx, r), "nothing is under way")
	one := b.ForgeCommit(r, "refs/heads/main", "one")

	stored := b.Forge.Stored()
	c, err := b.CreateCredential(ctx, r, engine.CredentialRequest{Username: &stored.Username, Secret: stored.Secret})
	require.NoError(t, err)
	_, err = b.CreateCredential(ctx, r, engine.CredentialRequest{Secret: "y"})
	require.Equal(t, core.KindConflict, core.KindOf(err))
	entered, release := make(chan struct{}, 10), make(chan struct{})
	b.Forge.Inject(forgetest.Fault{Times: 1, Before: func() { entered <- struct{}{}; <-release }})
	b.pull(r)
	<-entered
	require.Equal(t, core.KindSyncing, core.KindOf(b.CheckReady(ctx, r)))
	st, err := b.SyncStatus(ctx, r)
	require.NoError(t, err)
	require.True(t, st.Running)
	close(release)
	require.NoError(t, b.sync(r))
	require.NoError(t, b.CheckReady(ctx, r))
	require.Equal(t, one, b.Refs(r)["refs/heads/main"])

	// A push gets the refs that are there now.
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	b.Services().Mirror.BeforePush(ctx, r)
	// It gives up waiting after two seconds, which a machine under load may need.
	require.Eventually(t, func() bool { return b.Refs(r)["refs/heads/main"] == two }, time.Minute, 10*time.Millisecond)

	r, err = b.SetDefaultBranch(ctx, r, "refs/heads/main")
	require.NoError(t, err)
	_, err = b.SetDefaultBranch(ctx, r, "nothing")
	require.Equal(t, core.KindNotFound, core.KindOf(err))
	runs, err := b.Store.Runs(ctx, r.ID, "", 10)
	require.NoError(t, err)
	require.NotEmpty(t, runs)

	rotated := b.Forge.Stored()
	_, err = b.UpdateCredential(ctx, coretest.Org, c.ID, engine.CredentialRequest{Secret: rotated.Secret})
	require.NoError(t, err)
	_, err = b.UpdateCredential(ctx, "other", c.ID, engine.CredentialRequest{Secret: "x"})
	require.Equal(t, core.KindNotFound, core.KindOf(err))
	require.Equal(t, core.KindNotFound, core.KindOf(b.DeleteCredential(ctx, "other", c.ID)))
	b.Forge.RevokeToken(stored.Secret.Reveal())
	require.NoError(t, b.sync(r))

	require.NoError(t, b.Detach(ctx, r))
	require.NoError(t, b.Detach(ctx, r), "again")
	require.NoError(t, b.CheckReady(ctx, r))
	r = b.Reload(r)
	require.Nil(t, r.Upstream)
	require.Equal(t, two, b.Refs(r)["refs/heads/main"], "the content stays")
	results, err := b.Services().Push.Write(ctx, push.Session{Repo: r, Source: core.SourceAPI, Updates: []core.RefUpdate{{Name: "refs/heads/ours", New: one}}})
	require.NoError(t, err)
	require.True(t, results[0].OK())

	_, err = b.DeleteRepository(ctx, r, true)
	require.NoError(t, err)
	_, err = b.World.Repos.Repository(ctx, coretest.Org, "a")
	require.Equal(t, core.KindNotFound, core.KindOf(err))
}

func TestEngine_CreateRepository_refuses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	_, err := b.CreateRepository(ctx, engine.CreateRequest{Org: coretest.Org, Name: "a"})
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		request engine.CreateRequest
		kind    core.Kind
	}{
		"taken":       {engine.CreateRequest{Name: "a"}, core.KindConflict},
		"bad name":    {engine.CreateRequest{Name: "../a"}, core.KindInvalid},
		"bad branch":  {engine.CreateRequest{Name: "b", DefaultBranch: "-x"}, core.KindInvalid},
		"bad host":    {engine.CreateRequest{Name: "b", Upstream: &engine.UpstreamRequest{Provider: "loopback", Host: "http://x"}}, core.KindInvalid},
		"inside":      {engine.CreateRequest{Name: "b", Upstream: &engine.UpstreamRequest{Provider: "loopback", Host: "169.254.169.254"}}, core.KindInvalid},
		"bad pinned":  {engine.CreateRequest{Name: "b", Upstream: &engine.UpstreamRequest{Provider: "loopback", DefaultBranch: "a..b"}}, core.KindInvalid},
		"unknown org": {engine.CreateRequest{Org: "nobody", Name: "b"}, core.KindNotFound},
	} {
		if tc.request.Org == "" {
			tc.request.Org = coretest.Org
		}
		_, err := b.CreateRepository(ctx, tc.request)
		require.Equal(t, tc.kind, core.KindOf(err), "%s: %v", name, err)
	}
	found, err := filepath.Glob(filepath.Join(b.Dir, "repos", "*", "*", "*.git"))
	require.NoError(t, err)
	require.Len(t, found, 1, "what was refused leaves no folder")
	left, err := os.ReadDir(filepath.Join(b.Dir, "tmp"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestEngine_CreateCredential_refusesWhatNoHeaderCanHold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.create("a")
	for user, secret := range map[string]providers.Secret{"a:b": "x", "a\n": "x", "a": "", "b": "x\r\ny", "c": "x\x00"} {
		_, err := b.CreateCredential(t.Context(), r, engine.CredentialRequest{Username: &user, Secret: secret})
		require.Equal(t, core.KindInvalid, core.KindOf(err), "%q", user)
	}
	_, err := b.CreateCredential(t.Context(), r, engine.CredentialRequest{Secret: "x", Host: "elsewhere.example.test"})
	require.Equal(t, core.KindInvalid, core.KindOf(err), "the upstream is at another host")
}

// Deleting and detaching in the middle of a sync end it, and nothing of it comes after.
func TestEngine_deleteAndDetachDuringASync(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(b *bench, r core.Repository) error{
		"delete": func(b *bench, r core.Repository) error {
			_, err := b.DeleteRepository(context.Background(), r, true)
			return err
		},
		"detach": func(b *bench, r core.Repository) error { return b.Detach(context.Background(), r) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Forge.CreateRepo("acme/a", false)
			r := b.create("a")
			b.ForgeCommit(r, "refs/heads/main", "one")
			entered := make(chan struct{}, 10)
			b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Stall: true, Before: func() { entered <- struct{}{} }})
			b.pull(r)
			<-entered
			begin := time.Now()
			require.NoError(t, end(b, r))
			require.Less(t, time.Since(begin), 15*time.Second)
			if name == "detach" {
				require.Empty(t, b.Refs(b.Reload(r)))
				return
			}
			require.NoDirExists(t, b.Repos.Path(r.ID))
			b.stop()
			require.NoDirExists(t, b.Repos.Path(r.ID))
		})
	}
}

func TestInvariant17_restartGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Forge.CreateRepo("acme/a", false)
	r := b.create("a")
	b.ForgeCommit(r, "refs/heads/main", "one")
	entered := make(chan struct{}, 10)
	b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Times: 1, Stall: true, Before: func() { entered <- struct{}{} }})
	b.pull(r)
	<-entered
	b.stop()
	b.start()
	require.NoError(t, b.sync(r))
	require.Equal(t, b.UpstreamRefs(r), b.Refs(r))
	require.NoError(t, os.Rename(b.Repos.TempDir(), b.Dir+"/away"))
	ready := b.Services().Readiness
	require.Equal(t, core.KindResource, core.KindOf(ready.Writable()), "nothing can be written")
	require.NoError(t, ready.Check(t.Context()), "reads go on")
	require.Len(t, ready.Problems(), 1)
	require.NoError(t, os.Rename(b.Dir+"/away", b.Repos.TempDir()))
}

func TestInvariant09_upstreamDownReadsWork(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Forge.CreateRepo("acme/a", false)
	r := b.create("a")
	one := b.ForgeCommit(r, "refs/heads/main", "one")
	require.NoError(t, b.sync(r))
	require.NoError(t, b.Forge.Close())
	require.Error(t, b.sync(r))
	b.Services().Mirror.BeforePush(t.Context(), r) // bounded, and no error for the client
	require.NoError(t, b.CheckReady(t.Context(), r))
	require.NoError(t, b.Repos.Current(t.Context(), r))
	require.Equal(t, one, b.Refs(r)["refs/heads/main"])
	st, err := b.SyncStatus(t.Context(), r)
	require.NoError(t, err)
	require.NotEmpty(t, st.LastError, "and it says so")
	require.Equal(t, core.ClassNetwork, st.LastClass)
}

// A failed sync waits for its time, and no look comes before that.
func TestEngine_SyncStatus_nextPollIsNeverPast(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Synced("a")
	now := b.Clock.Now().Truncate(time.Microsecond)
	_, err := b.Store.RequestSync(t.Context(), r.ID, "test", "")
	require.NoError(t, err)
	state, err := b.Store.SyncState(t.Context(), r.ID)
	require.NoError(t, err)
	state.FirstSyncedAt, state.NextAttemptAt = now, now.Add(time.Hour)
	require.NoError(t, b.Store.FinishSync(t.Context(), state))
	require.NoError(t, b.Store.SetPoll(t.Context(), r.ID, now.Add(-time.Hour)))
	status, err := b.SyncStatus(t.Context(), r)
	require.NoError(t, err)
	require.True(t, status.PollAt.Equal(now.Add(time.Hour)), status.PollAt)
	// One that is due is due now.
	state.Served, state.NextAttemptAt = state.Wanted, time.Time{}
	require.NoError(t, b.Store.FinishSync(t.Context(), state))
	status, err = b.SyncStatus(t.Context(), r)
	require.NoError(t, err)
	require.False(t, status.PollAt.Before(now), status.PollAt)
}

// The first sync begins at creation where nothing is missing for it; a generic
// upstream waits for its credential, and then for the first pull.
func TestEngine_firstSyncBegins(t *testing.T) {
	t.Parallel()
	for _, mode := range []providers.Mode{providers.ModePublic, providers.ModeApp, providers.ModeGeneric} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.Plugin.Edit(func(m *providers.Manifest, _ *providers.HostPolicy) { m.Mode = mode })
			b.Forge.CreateRepo("acme/a", false)
			r := b.create("a")
			wanted := func() int64 {
				s, err := b.Store.SyncState(t.Context(), r.ID)
				require.NoError(t, err)
				return s.Wanted
			}
			if mode != providers.ModeGeneric {
				require.EqualValues(t, 1, wanted())
				return
			}
			require.Zero(t, wanted())
			stored := b.Forge.Stored()
			_, err := b.CreateCredential(t.Context(), r, engine.CredentialRequest{Username: &stored.Username, Secret: stored.Secret})
			require.NoError(t, err)
			require.Zero(t, wanted())
			b.pull(r)
			require.EqualValues(t, 1, wanted())
		})
	}
}
