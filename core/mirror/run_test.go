package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/providers/forgetest"
)

func TestInvariant05_noChangeIsOneListing(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	require.Empty(t, b.Events(r), "a first mirror is one fact, not one per ref")
	b.Forge.ForgetRequests()
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, 1, b.Forge.Count(forgetest.KindListRefs))
	require.Zero(t, b.Forge.Count(forgetest.KindFetch))
	require.Equal(t, "unchanged", b.Runs(r)[0].Outcome)

	// Our own push comes back as a webhook: a look, no fetch, no event.
	require.True(t, b.Write(r, core.RefUpdate{Name: "refs/heads/x", New: one})[0].OK())
	require.Equal(t, []string{"refs/heads/x"}, b.Events(r))
	b.Forge.ForgetRequests()
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, 1, b.Forge.Count(forgetest.KindListRefs))
	require.Zero(t, b.Forge.Count(forgetest.KindFetch))
	require.Equal(t, "unchanged", b.Runs(r)[0].Outcome)
	require.Len(t, b.Events(r), 1)
	b.RequireEqual(r)
}

func TestInvariant12_refsOfTheHostAreNeitherListedNorFetched(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r := b.Synced("a")
	b.Forge.Seed(coretest.ForgePath(r), forgetest.SeedOptions{Commits: 20, Branches: 8, Tags: 3, PullRefs: 5})
	require.NoError(t, b.Sync(r, ""))
	b.RequireEqual(r)
	require.Len(t, b.Refs(r, "refs/"), 2*12)
	require.Empty(t, b.Forge.Listed("refs/pull/"))
}

func TestInvariant11_headIsFollowed(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	head := func(r core.Repository) string {
		branch := b.Reload(r).DefaultBranch
		require.Equal(t, "refs/heads/"+branch, coretest.Run(t, b.Path(r), "symbolic-ref", "HEAD"), "disk and store agree")
		return branch
	}
	r := b.Synced("a")
	b.ForgeCommit(r, "refs/heads/trunk", "one")
	b.ForgeGit(r, "symbolic-ref", "HEAD", "refs/heads/trunk")
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "trunk", head(r))

	// Renamed; the old one is gone at once.
	b.ForgeGit(r, "branch", "-m", "trunk", "next")
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "next", head(r))
	b.RequireEqual(r)

	// Unborn: the old one stays, for want of another.
	b.ForgeCommit(r, "refs/heads/other", "two")
	b.ForgeGit(r, "symbolic-ref", "HEAD", "refs/heads/unborn")
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "next", head(r))
	b.ForgeGit(r, "update-ref", "-d", "refs/heads/next")
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "next", head(r))
	require.Contains(t, b.Refs(r), "refs/heads/next", "a default branch does not vanish without a successor")
	b.ForgeCommit(r, "refs/heads/unborn", "three")
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "unborn", head(r))
	b.RequireEqual(r)

	// Detached.
	b.ForgeGit(r, "update-ref", "--no-deref", "HEAD", b.Forge.Ref(coretest.ForgePath(r), "refs/heads/other"))
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "unborn", head(r))

	// Pinned here.
	require.NoError(t, b.Repos.SetHead(t.Context(), r.ID, "other", func(q core.Queries) error {
		return errors.Join(q.PinDefaultBranch(t.Context(), r.ID, "other"), q.SetDefaultBranch(t.Context(), r.ID, "other"))
	}))
	b.ForgeGit(r, "symbolic-ref", "HEAD", "refs/heads/unborn")
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "other", head(r))
	b.ForgeGit(r, "update-ref", "-d", "refs/heads/other")
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "unborn", head(r), "the pinned branch is gone")
}

func TestService_refLimitedPull(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	b.ForgeGit(r, "update-ref", "refs/heads/feature", string(two))
	b.ForgeGit(r, "update-ref", "refs/tags/v1", string(two))
	require.NoError(t, b.Sync(r, "feature"))
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": one, "refs/heads/feature": two}, b.Refs(r))
	require.NoError(t, b.Sync(r, "v1"))
	require.NoError(t, b.Sync(r, "refs/heads/main"))
	b.RequireEqual(r)

	err := b.Sync(r, "nothing")
	require.ErrorContains(t, err, `the upstream has no branch or tag "nothing"`)
	s := b.State(r)
	require.Equal(t, core.ClassNotFound, s.LastClass)
	require.Equal(t, s.Wanted, s.Served, "asking again by ourselves would not help")
	require.NoError(t, b.Sync(r, ""))
}

func TestService_firstMirrorIsNeverLimited(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r := b.Synced("a")
	id := b.ForgeCommit(r, "refs/heads/main", "one")
	b.ForgeGit(r, "update-ref", "refs/heads/other", string(id))
	require.NoError(t, b.Sync(r, "other"))
	require.True(t, b.State(r).Ready())
	b.RequireEqual(r)
}

func TestService_massDeletionBrake(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	for i := range 12 {
		b.ForgeGit(r, "update-ref", fmt.Sprint("refs/heads/b", i), string(one))
	}
	require.NoError(t, b.Sync(r, ""))
	before := b.Refs(r)
	require.Len(t, before, 13)

	held := func() {
		t.Helper()
		err := b.Sync(r, "")
		require.ErrorContains(t, err, "held back")
		require.Equal(t, before, b.Refs(r))
		require.Equal(t, "held", b.Runs(r)[0].Outcome)
		require.Equal(t, core.ClassDiverged, b.State(r).LastClass)
	}
	// An incident: one empty listing, then all is well again.
	remove := b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindListRefs, forgetest.KindDiscover}, EmptyListing: true})
	held()
	remove()
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, before, b.Refs(r))
	// The next incident starts from nothing.
	remove = b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindListRefs, forgetest.KindDiscover}, EmptyListing: true})
	held()
	remove()
	require.NoError(t, b.Sync(r, ""))

	// More than half is deleted, and really so.
	for i := range 8 {
		b.ForgeGit(r, "update-ref", "-d", fmt.Sprint("refs/heads/b", i))
	}
	held()
	held() // a second look at once is no second opinion
	b.Clock.Advance(time.Minute)
	require.NoError(t, b.Sync(r, ""), "the second listing agrees")
	b.RequireEqual(r)
	// Half of few needs no second look.
	for i := 8; i < 12; i++ {
		b.ForgeGit(r, "update-ref", "-d", fmt.Sprint("refs/heads/b", i))
	}
	require.NoError(t, b.Sync(r, ""))
	b.RequireEqual(r)
	// All of it, really.
	b.ForgeGit(r, "update-ref", "-d", "refs/heads/main")
	before = b.Refs(r)
	held()
	b.Clock.Advance(time.Minute)
	require.NoError(t, b.Sync(r, ""))
	require.Empty(t, b.Refs(r))
}

func TestService_emptyAndSha256Upstreams(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r := b.Synced("a")
	require.NoError(t, b.Sync(r, ""))
	require.True(t, b.State(r).Ready())
	require.Empty(t, b.Refs(r))

	wide := b.Synced("wide")
	dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(wide))
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(dir))
	coretest.Run(t, b.Dir, "init", "--quiet", "--bare", "--initial-branch=main", "--object-format=sha256", dir)
	b.ForgeCommit(wide, "refs/heads/main", "one")
	require.NoError(t, b.Sync(wide, ""))
	b.RequireEqual(wide)
	require.Equal(t, "sha256", b.Reload(wide).ObjectFormat)

	// Another format later is somebody else's repository.
	b.ForgeCommit(r, "refs/heads/main", "one")
	require.NoError(t, b.Sync(r, ""))
	before := b.Refs(r)
	dir, err = b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(dir))
	coretest.Run(t, b.Dir, "init", "--quiet", "--bare", "--initial-branch=main", "--object-format=sha256", dir)
	b.ForgeCommit(r, "refs/heads/main", "one")
	require.Error(t, b.Sync(r, ""))
	require.Equal(t, before, b.Refs(r))
}

func TestService_firstMirrorResumes(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r := b.Synced("a")
	b.Forge.Seed(coretest.ForgePath(r), forgetest.SeedOptions{Commits: 300, Branches: 30, Tags: 5, FileSize: 2000})
	fetches := 0
	b.OnOpened(func() error {
		fetches++
		if fetches == 2 {
			b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Drop: true})
		}
		return nil
	})
	require.Error(t, b.Sync(r, ""))
	require.False(t, b.State(r).Ready())
	require.Empty(t, b.Refs(r), "all or nothing for readers")
	require.NotEmpty(t, b.Refs(r, core.TrackingPrefix), "the first step stays")
	first := b.Runs(r)[0]
	require.Equal(t, core.ClassNetwork, first.Class, first.Error)
	kept := coretest.Run(t, b.Path(r), "count-objects", "-v")
	require.Contains(t, kept, "packs: 1")

	// Meanwhile a branch became a folder: what the first try left must not be in the way.
	b.ForgeGit(r, "branch", "-m", "main", "main/next")
	b.ForgeGit(r, "symbolic-ref", "HEAD", "refs/heads/main/next")
	b.Forge.ClearFaults()
	b.OnOpened(nil)
	b.Halt()
	b.Open()
	b.Start()
	require.NoError(t, b.Sync(r, ""))
	b.RequireEqual(r)
	require.Less(t, b.Runs(r)[0].Bytes, int64(100_000), "the 300 commits were here already")
	require.Equal(t, "main/next", b.Reload(r).DefaultBranch)
}

func TestInvariant14_thousandFailuresThenSuccess(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	var mu sync.Mutex
	failures := 0
	down := errors.New("down")
	b.OnListed(func() error {
		mu.Lock()
		defer mu.Unlock()
		if failures++; failures <= 50 {
			return &core.Error{Kind: core.KindUpstreamUnavailable, Message: "the host is away", Err: down}
		}
		return nil
	})
	s := b.State(r)
	s.Failures = 950 // those before were no different
	require.NoError(t, b.Store.FinishSync(t.Context(), s))
	_, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(t, err)
	most := 0
	deadline := time.Now().Add(3 * time.Minute)
	for b.State(r).Served < b.State(r).Wanted {
		require.True(t, time.Now().Before(deadline), "%+v", b.State(r))
		most = max(most, b.State(r).Failures)
		n, more := b.Clock.Timers()
		if n > 0 {
			b.Clock.Advance(11 * time.Minute) // the longest pause for a host that is away
			continue
		}
		select {
		case <-more:
		case <-time.After(time.Millisecond):
		}
	}
	require.Equal(t, two, b.Refs(r)["refs/heads/main"])
	require.GreaterOrEqual(t, most, 990)
	s = b.State(r)
	require.Zero(t, s.Failures)
	require.Empty(t, s.LastError)
	require.Equal(t, []string{started, succeeded, started, failed, away, succeeded, back}, b.EventTypes(r), "one notice, one recovery")
	require.Len(t, b.Runs(r), 52)
}

func TestInvariant22_failuresHaveAClassAndTheHostsWords(t *testing.T) {
	t.Parallel()
	list := []forgetest.Kind{forgetest.KindDiscover, forgetest.KindListRefs}
	for name, tc := range map[string]struct {
		fault forgetest.Fault
		class core.ErrorClass
		text  string
		wait  time.Duration // at least
	}{
		"401":         {forgetest.Fault{Kinds: list, Status: 401, Body: "no such token"}, core.ClassAuth, "no such token", time.Minute},
		"403":         {forgetest.Fault{Kinds: list, Status: 403, Body: "not for you"}, core.ClassAuth, "not for you", time.Minute},
		"404":         {forgetest.Fault{Kinds: list, Status: 404, Body: "Repository not found."}, core.ClassNotFound, "Repository not found.", time.Minute},
		"429":         {forgetest.Fault{Kinds: list, Status: 429, RetryAfter: 2 * time.Hour}, core.ClassRateLimited, "", 2 * time.Hour},
		"503":         {forgetest.Fault{Kinds: list, Status: 503, Body: "back soon"}, core.ClassUnavailable, "back soon", 5 * time.Second},
		"redirect":    {forgetest.Fault{Kinds: list, Status: 302, Header: map[string][]string{"Location": {"http://127.0.0.1:1/x"}}}, core.ClassMoved, "127.0.0.1:1", time.Minute},
		"fetch 401":   {forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Status: 401}, core.ClassAuth, "", time.Minute},
		"fetch 500":   {forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Status: 500}, core.ClassUnavailable, "", 5 * time.Second},
		"fetch cut":   {forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Drop: true}, core.ClassNetwork, "", 5 * time.Second},
		"fetch moved": {forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Status: 301, Header: map[string][]string{"Location": {"http://127.0.0.1:1/x"}}}, core.ClassMoved, "", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := mirrortest.New(t, coretest.Options{})
			r, one := b.Mirrored("a")
			b.ForgeCommit(r, "refs/heads/main", "two", one)
			remove := b.Forge.Inject(tc.fault)
			require.Error(t, b.Sync(r, ""))
			remove()
			s := b.State(r)
			require.Equal(t, tc.class, s.LastClass, s.LastError)
			require.Contains(t, s.LastError, tc.text)
			require.NotEmpty(t, s.LastError)
			require.Equal(t, 1, s.Failures)
			require.False(t, s.NextAttemptAt.Before(b.Clock.Now().Add(tc.wait)), s.NextAttemptAt)
			require.Equal(t, one, b.Refs(r)["refs/heads/main"])
			require.Equal(t, "failed", b.Runs(r)[0].Outcome)
			require.NoError(t, b.Sync(r, ""), "whoever asks is served at once")
			b.RequireEqual(r)
		})
	}
}

func TestService_corruptObjectsAreNotServed(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(t, err)
	tree := coretest.Run(t, dir, "rev-parse", string(one)+"^{tree}")
	raw := "tree " + tree + "\ncommitter A <a@example.com> 1700000000 +0000\n\nno author\n"
	bad, err := coretest.TryRun(t.Context(), dir, raw, "hash-object", "-t", "commit", "--literally", "-w", "--stdin")
	require.NoError(t, err, bad)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "refs", "heads", "bad"), []byte(bad+"\n"), 0o600))
	require.Error(t, b.Sync(r, ""))
	require.Equal(t, core.ClassCorrupt, b.State(r).LastClass, b.State(r).LastError)
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": one}, b.Refs(r))
}

func TestInvariant18_thousandRequestsFoldToOneRun(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	before := len(b.Runs(r))
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.OnListed(func() error {
		once.Do(func() {
			close(entered)
			<-release
		})
		return nil
	})
	_, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(t, err)
	<-entered
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	var last int64
	for range 1000 {
		last, err = b.Schedule.Request(t.Context(), r.ID, schedule.TriggerAPI, "")
		require.NoError(t, err)
	}
	p, running := b.Mirror.Progress(r.ID)
	require.True(t, running)
	require.NotEmpty(t, p.Phase)
	close(release)
	require.NoError(t, b.Wait(r, last))
	require.Equal(t, two, b.Refs(r)["refs/heads/main"])
	require.Len(t, b.Runs(r), before+2)
}

func TestInvariant08_runThatBeganBeforeDoesNotSatisfyTheWait(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.OnListed(func() error { // the listing is old from here on
		once.Do(func() {
			close(entered)
			<-release
		})
		return nil
	})
	_, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(t, err)
	<-entered
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	gen, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(t, err)
	seen := make(chan core.ObjectID, 1)
	go func() {
		_ = b.Wait(r, gen)
		seen <- b.Refs(r)["refs/heads/main"]
	}()
	close(release)
	require.Equal(t, two, <-seen)
	require.Equal(t, gen, b.State(r).Tried)
}

func TestService_triedTellsTheEndOfAFailedRun(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, _ := b.Mirrored("a")
	entered, release := make(chan struct{}, 1), make(chan struct{})
	b.Forge.Inject(forgetest.Fault{
		Kinds: []forgetest.Kind{forgetest.KindListRefs}, Times: 1, Status: 503,
		Before: func() { entered <- struct{}{}; <-release },
	})
	first, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(t, err)
	<-entered
	_, running := b.Mirror.Progress(r.ID)
	require.True(t, running)
	require.Less(t, b.State(r).Tried, first)
	close(release)
	require.Error(t, b.Wait(r, first))
	s := b.State(r)
	require.GreaterOrEqual(t, s.Tried, first)
	require.Less(t, s.Served, first)
}

func TestInvariant17_shutdownInTheMiddle(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	entered := make(chan struct{})
	var once sync.Once
	b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Times: 1, Stall: true, Before: func() { once.Do(func() { close(entered) }) }})
	_, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(t, err)
	<-entered
	b.Halt()
	require.Equal(t, "interrupted", b.Runs(r)[0].Outcome)
	s := b.State(r)
	require.Zero(t, s.Failures)
	require.Less(t, s.Served, s.Wanted)
	require.Less(t, s.Tried, s.Wanted, "whoever waits for it goes on waiting")
	require.Empty(t, s.LastClass)

	b.Open()
	b.Start()
	b.Settle(r)
	require.Equal(t, two, b.Refs(r)["refs/heads/main"])
	b.RequireEqual(r)
}

// storeRest is how long a run rests, before it ends, that the store did not take.
const storeRest = 5 * time.Second

func TestService_storeThatFailsDoesNotHammerTheHost(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, _ := b.Mirrored("a")
	b.Forge.ForgetRequests()
	entered := make(chan struct{})
	var once sync.Once
	b.OnListed(func() error {
		b.Store.Fail(errors.New("disk full"))
		once.Do(func() { close(entered) })
		return nil
	})
	gen, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(t, err)
	<-entered
	b.Clock.Await(storeRest)
	require.Equal(t, 1, b.Forge.Count(forgetest.KindListRefs))
	b.OnListed(nil)
	b.Clock.Advance(time.Minute)
	// The store takes nothing yet, or the next run might have ended well before this looks.
	require.Error(t, b.Wait(r, gen), "the run whose record was lost")
	b.Clock.Await(storeRest)
	b.Store.Fail(nil)
	b.Clock.Advance(time.Minute)
	b.Settle(r)
	b.RequireEqual(r)
}

func TestService_Wait_endsWithItsContext(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, _ := b.Mirrored("a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.Schedule.Wait(ctx, r.ID, 1_000_000), context.Canceled)
	require.Equal(t, core.KindNotFound, core.KindOf(b.Schedule.Wait(t.Context(), "repo_unknown", 1)))
}

func TestService_Wait_endsWithARunThatCouldNotBegin(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, _ := b.Mirrored("a")
	full := errors.New("disk full")
	b.Store.Fail(full)
	gen, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- b.Wait(r, gen) }()
	// A flight that fails rests for a while, and so does the next one.
	onward := func(done func() bool) {
		require.Eventually(t, func() bool {
			if n, _ := b.Clock.Timers(); n > 0 {
				b.Clock.Advance(time.Minute)
			}
			return done()
		}, 2*time.Minute, 5*time.Millisecond)
	}
	onward(func() bool { return len(ended) == 1 })
	require.ErrorIs(t, <-ended, full)
	b.Store.Fail(nil)
	onward(func() bool { s := b.State(r); return s.Served == s.Wanted })
	b.RequireEqual(r)
}

func TestInvariant21_slowHostDoesNotDelayAnother(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	other := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitHubPublic})
	b.Plugin.AddHost(other.HostPolicy())
	entered, release := make(chan struct{}, 100), make(chan struct{})
	b.Forge.Inject(forgetest.Fault{Status: 429, RetryAfter: time.Hour, Before: func() {
		entered <- struct{}{}
		<-release
	}})
	for i := range 10 {
		r := b.Synced(fmt.Sprint("slow", i))
		_, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerAPI, "")
		require.NoError(t, err)
	}
	<-entered
	fast := b.SyncedAt(other, "fast")
	require.NoError(t, b.Sync(fast, ""), "the other host has places of its own")
	require.LessOrEqual(t, len(entered), 3)
	close(release)
}
