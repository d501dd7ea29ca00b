package push_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// otherRef is the reason for a ref that no upstream would get.
const otherRef = "the upstream would not get this ref: only branches and tags are mirrored, and what the repository's include patterns name; notes stay here"

func TestService_Write_resultsByName(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main", "refs/heads/keep", "refs/tags/v1")
	b.setPolicy(`[["closed", ["no-push"]], ["refs/tags/*", ["no-force-push"]], ["signed", ["verify-sig"]]]`)
	for name, tc := range map[string]struct {
		update core.RefUpdate
		kind   core.Kind
		reason string
	}{
		"internal":             {core.RefUpdate{Name: "refs/internal/upstream/heads/x", New: id}, core.KindPermission, "this ref is internal to the server"},
		"other namespace":      {core.RefUpdate{Name: "refs/namespaces/x/refs/heads/x", New: id}, core.KindPermission, "this ref is internal to the server"},
		"HEAD":                 {core.RefUpdate{Name: "HEAD", New: id}, core.KindInvalid, "not a full ref name"},
		"bad name":             {core.RefUpdate{Name: "refs/heads/a..b", New: id}, core.KindInvalid, ""},
		"option":               {core.RefUpdate{Name: "-refs/heads/a", New: id}, core.KindInvalid, ""},
		"excluded prefix":      {core.RefUpdate{Name: "refs/pull/1/head", New: id}, core.KindPermission, "refs/pull belongs to the upstream and is not mirrored"},
		"other ref":            {core.RefUpdate{Name: "refs/meta/config", New: id}, core.KindPermission, otherRef},
		"stash":                {core.RefUpdate{Name: "refs/stash", New: id}, core.KindPermission, otherRef},
		"change":               {core.RefUpdate{Name: "refs/changes/01/1/1", New: id}, core.KindPermission, otherRef},
		"tracking ref":         {core.RefUpdate{Name: "refs/remotes/origin/main", New: id}, core.KindPermission, otherRef},
		"deleted other ref":    {core.RefUpdate{Name: "refs/stash", Old: id}, core.KindPermission, otherRef},
		"no-push":              {core.RefUpdate{Name: "refs/heads/closed", New: id}, core.KindPermission, "denied by policy"},
		"no-push of a delete":  {core.RefUpdate{Name: "refs/heads/closed", Old: id}, core.KindPermission, "denied by policy"},
		"deleted tag":          {core.RefUpdate{Name: "refs/tags/v1", Old: id}, core.KindPermission, "denied by policy"},
		"signatures":           {core.RefUpdate{Name: "refs/heads/signed", New: id}, core.KindPermission, "denied by policy: this server cannot verify signatures yet (verify-sig)"},
		"stale":                {core.RefUpdate{Name: "refs/heads/main", New: id}, core.KindStale, "stale, fetch first"},
		"conflict":             {core.RefUpdate{Name: "refs/heads/main/x", New: id}, core.KindConflict, "the name conflicts with another ref (one is a folder of the other)"},
		"deleted twice":        {core.RefUpdate{Name: "refs/heads/gone", Old: id}, core.KindStale, "stale, fetch first"},
		"missing object":       {core.RefUpdate{Name: "refs/heads/new", New: core.ObjectID(strings.Repeat("1", 40))}, core.KindInvalid, "the new value is missing or is not a commit"},
		"delete of the absent": {core.RefUpdate{Name: "refs/heads/gone"}, core.KindInvalid, "the ref does not exist"},
	} {
		for _, atomic := range []bool{false, true} {
			results := b.write(r, atomic, tc.update)
			require.Equal(t, tc.kind, results[0].Kind, name)
			require.NotEmpty(t, results[0].Reason, name)
			if tc.reason != "" {
				require.Equal(t, tc.reason, results[0].Reason, name)
			}
		}
	}
	require.Empty(t, b.Events(r))
	require.Zero(t, b.Forge.Count(forgetest.KindPush), "invariant 2: nothing went upstream")
	b.inSync(r)
}

func TestService_Write_resultsKeepTheirOwnReasons(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	updates := []core.RefUpdate{
		{Name: "refs/heads/good", New: id},
		{Name: "refs/internal/x", New: id},
		{Name: "HEAD", New: id},
		{Name: "refs/notes/good", New: id},
	}
	require.Equal(t, []string{"atomic push failed", "this ref is internal to the server", "not a full ref name", "atomic push failed"},
		reasons(b.write(r, true, updates...)))
	require.Empty(t, b.Events(r))
	require.Equal(t, []string{"", "this ref is internal to the server", "not a full ref name", ""}, reasons(b.write(r, false, updates...)))
	require.Equal(t, []string{"refs/heads/good", "refs/notes/good"}, b.Events(r))
	require.NotContains(t, b.Forge.Refs(coretest.ForgePath(r)), "refs/notes/good", "notes are ours")
	b.inSync(r)
}

func TestService_Write_forcePushPolicy(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Local("a")
	clone, one := b.seed(r, "refs/heads/main")
	two := coretest.Commit(t, clone, "two", one)
	other := coretest.Commit(t, clone, "other")
	for ref, id := range map[string]core.ObjectID{"refs/x/1": two, "refs/x/2": other} {
		b.install(r, clone, ref, id)
	}
	b.setPolicy(`[["*", ["no-force-push"]]]`)
	move := func(from, to core.ObjectID) string {
		return b.write(r, false, core.RefUpdate{Name: "refs/heads/main", Old: from, New: to})[0].Reason
	}
	require.Equal(t, "denied by policy", move(one, other))
	require.Equal(t, "denied by policy", move(one, ""))
	require.Empty(t, move(one, two))
	require.Equal(t, "denied by policy", move(two, one))
}

func TestService_Write_publicModeTakesLocalRefsOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	b.Plugin.Edit(func(m *providers.Manifest, _ *providers.HostPolicy) { m.Mode = providers.ModePublic })
	require.Equal(t, []string{"upstream is read-only in public mode", "upstream is read-only in public mode", ""},
		reasons(b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id}, core.RefUpdate{Name: "refs/tags/x", New: id}, core.RefUpdate{Name: "refs/notes/x", New: id})))
	b.Plugin.Edit(func(m *providers.Manifest, _ *providers.HostPolicy) {
		m.Mode, m.Capabilities.PushHTTPS, m.Capabilities.PushUnsupported = providers.ModeGeneric, false, "this host takes pushes over SSH only"
	})
	require.Equal(t, "this host takes pushes over SSH only", b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id})[0].Reason)
	require.Zero(t, b.Forge.Count(forgetest.KindPushDiscover))
}

func TestInvariant13_renameToFolderInOneSession(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	for _, synced := range []bool{false, true} {
		r := b.Local(fmt.Sprint("local", synced))
		if synced {
			r = b.Synced("synced")
		}
		_, id := b.seed(r, "refs/heads/a", "refs/heads/main")
		// A bystander that is stale must not make the rename look impossible.
		results := b.write(r, false,
			core.RefUpdate{Name: "refs/heads/a", Old: id}, core.RefUpdate{Name: "refs/heads/a/b", New: id}, core.RefUpdate{Name: "refs/heads/main", New: id})
		require.Equal(t, []string{"", "", "stale, fetch first"}, reasons(results), "synced %v", synced)
		require.Equal(t, map[string]core.ObjectID{"refs/heads/a/b": id, "refs/heads/main": id}, b.Refs(r))
		if synced {
			b.inSync(r)
		}
	}
}

// newLateConflict returns a bench in which the branch "late" comes up between the
// check of a session and its refs, once its repository and id are given.
func newLateConflict(t *testing.T) (b *bench, arm func(r core.Repository, id core.ObjectID)) {
	t.Helper()
	late := func() {}
	b = newBench(t, coretest.Options{Failpoint: func(name string) {
		if name == "journal-sent" {
			late()
		}
	}}, push.Options{})
	return b, func(r core.Repository, id core.ObjectID) {
		late = func() { coretest.Run(t, b.Path(r), "update-ref", "refs/heads/late", string(id)) }
	}
}

func TestInvariant02_conflictFoundLateMovesNothing(t *testing.T) {
	t.Parallel()
	b, arm := newLateConflict(t)
	r := b.Local("a")
	_, id := b.seed(r, "refs/heads/a", "refs/heads/main")
	arm(r, id)
	results := b.write(r, false, core.RefUpdate{Name: "refs/heads/a", Old: id}, core.RefUpdate{Name: "refs/heads/late/b", New: id})
	require.False(t, results[0].OK())
	require.False(t, results[1].OK())
	require.Equal(t, map[string]core.ObjectID{"refs/heads/a": id, "refs/heads/late": id, "refs/heads/main": id}, b.Refs(r))
	require.Empty(t, b.Events(r))
	require.Equal(t, []core.JournalState{core.JournalDropped}, b.Journal(r))
}

// A name that another ref excludes is found before anything moves, also beside a
// deletion, and the rest is done.
func TestService_Write_conflictsAreFoundAhead(t *testing.T) {
	t.Parallel()
	var processes coretest.Processes
	b := newBench(t, coretest.Options{Logger: processes.Logger()}, push.Options{})
	r := b.Local("a")
	_, id := b.seed(r, "refs/heads/a", "refs/heads/main", "refs/heads/kept/x", "refs/heads/gone")
	const conflict = "the name conflicts with another ref (one is a folder of the other)"
	updates := []core.RefUpdate{
		{Name: "refs/heads/a", Old: id}, {Name: "refs/heads/a/b", New: id}, // makes room for the next
		{Name: "refs/heads/main/b", New: id}, {Name: "refs/heads/kept", New: id},
		{Name: "refs/heads/new", New: id}, {Name: "refs/heads/new/b", New: id},
		{Name: "refs/heads/gone", Old: core.ObjectID(strings.Repeat("1", 40))}, {Name: "refs/heads/gone/b", New: id},
		{Name: "refs/heads/none", New: core.ObjectID(strings.Repeat("2", 40))},
	}
	want := []string{"", "", conflict, conflict, "", conflict, "stale, fetch first", conflict, "the new value is missing or is not a commit"}
	processes.Take()
	require.Equal(t, want, reasons(b.write(r, false, updates...)))
	require.LessOrEqual(t, total(processes.Take()), 10)

	// The same among hundreds.
	many := named(400, "many", "", id)
	many = append(many, core.RefUpdate{Name: "refs/heads/main/c", New: id})
	for i, reason := range reasons(b.write(r, false, many...)) {
		require.Equal(t, i == 400, reason != "", reason)
	}
	require.LessOrEqual(t, total(processes.Take()), 5)
	require.Len(t, b.Refs(r), 405)
	coretest.Run(t, b.Path(r), "fsck", "--strict")
}

func TestService_Write_lockTimeout(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{LockTimeout: 30 * time.Millisecond})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	unlock, err := b.Repos.Locks().LockRef(t.Context(), r.ID, "refs/heads/x", nil)
	require.NoError(t, err)
	defer unlock()
	var notified []string
	s := b.session(r)
	s.Updates, s.Notify = []core.RefUpdate{{Name: "refs/heads/x", New: id}}, func(line string) { notified = append(notified, line) }
	results, err := b.push.Write(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, core.KindLocked, results[0].Kind)
	require.Equal(t, []string{"waiting for another update of the same refs"}, notified)
	require.Empty(t, b.Journal(r))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = b.push.Write(ctx, s)
	require.ErrorIs(t, err, context.Canceled, "the client is gone: no result")
}

func TestInvariant04_staleBaseNeverOverwrites(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	clone, one := b.seed(r, "refs/heads/main")
	mine := coretest.Commit(t, clone, "mine", one)
	b.install(r, clone, "refs/x/mine", mine)
	theirs := b.ForgeCommit(r, "refs/heads/main", "theirs", one)
	results := b.write(r, false, core.RefUpdate{Name: "refs/heads/main", Old: one, New: mine})
	require.Equal(t, core.KindStale, results[0].Kind)
	require.Equal(t, "upstream has changed, fetch first", results[0].Reason)
	require.Equal(t, theirs, b.UpstreamRefs(r)["refs/heads/main"])
	require.Equal(t, one, b.Refs(r)["refs/heads/main"])
	require.Positive(t, b.wanted.Load(), "the copy is behind")
	require.Equal(t, []core.JournalState{core.JournalDropped}, b.Journal(r))
	require.Empty(t, b.Events(r))
}

// The results that a client got are of the upstream that the repository had then.
func TestService_Write_upstreamOfTheEndCounts(t *testing.T) {
	t.Parallel()
	moved := func(b *bench, r core.Repository) { // by its host, and followed
		up := *r.Upstream
		up.Name, up.URL = "renamed", strings.Replace(up.URL, "/a.git", "/renamed.git", 1)
		require.NoError(b, b.Store.MoveUpstream(b.Context(), r.ID, up))
		b.Forge.RenameRepo(coretest.ForgePath(r), coretest.Org+"/renamed")
	}
	for name, tt := range map[string]struct {
		change func(b *bench, r core.Repository)
		want   string // of the refusal; "" is none
	}{
		"the same": {func(*bench, core.Repository) {}, ""},
		"renamed":  {moved, ""},
		"re-pointed": {func(b *bench, r core.Repository) {
			up := *r.Upstream
			up.ID, up.URL = "99", strings.Replace(up.URL, "/a.git", "/other.git", 1)
			require.NoError(b, b.Store.MoveUpstream(b.Context(), r.ID, up))
		}, "linked to another upstream"},
		"detached": {func(b *bench, r core.Repository) {
			require.NoError(b, b.Store.DetachUpstream(b.Context(), r.ID))
		}, "linked to another upstream"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, coretest.Options{}, push.Options{})
			r := b.Synced("a")
			clone, one := b.seed(r, "refs/heads/main")
			known := *r.Upstream
			known.ID = "7"
			require.NoError(t, b.Store.MoveUpstream(t.Context(), r.ID, known))
			r = b.Reload(r)
			mine := coretest.Commit(t, clone, "mine", one)
			b.install(r, clone, "refs/x/mine", mine)
			tt.change(b, r)
			results := b.write(r, false, core.RefUpdate{Name: "refs/heads/main", Old: one, New: mine})
			if tt.want == "" {
				require.True(t, results[0].OK(), results[0].Reason)
				return
			}
			require.Equal(t, core.KindStale, results[0].Kind)
			require.Contains(t, results[0].Reason, tt.want)
			require.Equal(t, one, b.Refs(r)["refs/heads/main"])
			require.Equal(t, one, b.UpstreamRefs(r)["refs/heads/main"])
			require.Empty(t, b.Journal(r))
		})
	}
}

func TestInvariant02_upstreamRefusesOneOfThree(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	b.Forge.Protect(coretest.ForgePath(r), "refs/heads/protected")
	updates := []core.RefUpdate{{Name: "refs/heads/one", New: id}, {Name: "refs/heads/protected", New: id}, {Name: "refs/notes/n", New: id}}

	for i, want := range [][]string{
		{"", "protected branch hook declined", ""},
	} {
		results := b.write(r, false, updates...)
		require.Equal(t, want, reasons(results), i)
		require.Equal(t, core.KindUpstreamRejected, results[1].Kind)
	}
	b.inSync(r)
	require.Equal(t, []string{"refs/heads/one", "refs/notes/n"}, b.Events(r))
	require.Equal(t, []core.JournalState{core.JournalApplied}, b.Journal(r))

	updates[0].Name, updates[2].Name = "refs/heads/two", "refs/notes/m"
	results := b.write(r, true, updates...)
	require.Equal(t, "protected branch hook declined", results[1].Reason)
	for _, i := range []int{0, 2} {
		require.False(t, results[i].OK())
	}
	b.inSync(r)
	require.Len(t, b.Events(r), 2)
}

func TestService_Write_hostWithoutAtomicOrOptions(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{Forge: forgetest.ForgeOptions{HostKind: forgetest.HostBitbucket}}, push.Options{})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	s := b.session(r)
	s.Updates, s.PushOptions = []core.RefUpdate{{Name: "refs/heads/x", New: id}}, []string{"ci.skip"}
	results, err := b.push.Write(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, "upstream does not support push options; push without --push-option", results[0].Reason)
	require.Equal(t, core.KindUnsupported, results[0].Kind)
	b.inSync(r)
}

func TestInvariant03_lostReply(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  forgetest.Fault
		atomic bool
		reason []string // substring, "" for done
	}{
		"after the host applied it":       {forgetest.Fault{DropReply: true}, false, []string{"", ""}},
		"after it applied an atomic one":  {forgetest.Fault{DropReply: true}, true, []string{"", ""}},
		"before the host applied it":      {forgetest.Fault{Drop: true}, false, []string{"outcome unknown", ""}},
		"before it applied an atomic one": {forgetest.Fault{Drop: true}, true, []string{"outcome unknown", "atomic push failed"}},
		"server error":                    {forgetest.Fault{Status: 502, Body: "upstream on fire"}, false, []string{"outcome unknown", ""}},
		"words of refusal, but no status": {forgetest.Fault{Status: 500, Body: "access denied, maybe"}, true, []string{"outcome unknown", "atomic push failed"}},
		"slow down":                       {forgetest.Fault{Status: 429, Body: "rate limit exceeded"}, true, []string{"upstream says slow down", "atomic push failed"}},
		"forbidden":                       {forgetest.Fault{Status: 403, Body: "you may not"}, false, []string{"upstream refused the credential", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, coretest.Options{}, push.Options{})
			r := b.Synced("a")
			_, id := b.seed(r, "refs/heads/main")
			tc.fault.Kinds = []forgetest.Kind{forgetest.KindPush}
			b.Forge.Inject(tc.fault)
			results := b.write(r, tc.atomic, core.RefUpdate{Name: "refs/heads/x", New: id}, core.RefUpdate{Name: "refs/notes/x", New: id})
			for i, want := range tc.reason {
				if want == "" {
					require.Empty(t, results[i].Reason)
				} else {
					require.Contains(t, results[i].Reason, want)
				}
			}
			b.inSync(r) // the results are true, whatever they are
			_, here := b.Refs(r)["refs/heads/x"]
			require.Equal(t, tc.reason[0] == "", here)
			_, notes := b.Refs(r, "refs/notes/")["refs/notes/x"]
			require.Equal(t, tc.reason[1] == "", notes)
			// Nothing is left of it, and the same push may be tried again.
			b.settle()
			b.inSync(r)
			require.False(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/x"))
			for _, j := range b.Journal(r) {
				require.Contains(t, []core.JournalState{core.JournalApplied, core.JournalDropped}, j)
			}
		})
	}
}

func TestInvariant03_pushThatRunsOutOfTimeIsAskedAfter(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{PushTimeout: 2 * time.Second})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	// The host does the work, and then its post-receive hook hangs.
	dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(t, err)
	release := make(chan struct{})
	defer close(release)
	b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPush}, Before: func() {
		coretest.Run(t, dir, "update-ref", "refs/heads/x", string(id))
		<-release
	}})
	results := b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id})
	require.Empty(t, results[0].Reason)
	b.inSync(r)
	require.Equal(t, []string{"refs/heads/x"}, b.Events(r))
}

func TestInvariant03_unreachableWhenAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPush}, DropReply: true})
	b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindDiscover, forgetest.KindListRefs}, Status: 503})
	results := b.write(r, true, core.RefUpdate{Name: "refs/heads/x", New: id}, core.RefUpdate{Name: "refs/heads/y", New: id}, core.RefUpdate{Name: "refs/notes/x", New: id})
	for _, i := range []int{0, 1} {
		require.Equal(t, core.KindUpstreamTimeout, results[i].Kind)
		require.Contains(t, results[i].Reason, "outcome unknown")
	}
	require.Equal(t, "atomic push failed", results[2].Reason)
	require.NotContains(t, b.Refs(r), "refs/heads/x")
	require.Zero(t, b.wanted.Load(), "a sync could not do more than ask, too")
	require.Equal(t, []core.JournalState{core.JournalSent}, b.Journal(r))

	// The host is back, and says that it has them.
	b.Forge.ClearFaults()
	b.settle()
	b.inSync(r)
	require.Equal(t, id, b.Refs(r)["refs/heads/x"])
	require.ElementsMatch(t, []string{"refs/heads/x", "refs/heads/y"}, b.Events(r))
}

func TestInvariant02_upstreamDownMovesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	before := b.Refs(r, "refs/")
	require.NoError(t, b.Forge.Close())
	results := b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id}, core.RefUpdate{Name: "refs/heads/main", Old: id})
	for _, res := range results {
		require.Equal(t, core.KindUpstreamUnavailable, res.Kind)
		require.Contains(t, res.Reason, "upstream: ")
		require.NotContains(t, res.Reason, "unknown", "nothing was sent")
	}
	require.Equal(t, before, b.Refs(r, "refs/"))
	require.Equal(t, []core.JournalState{core.JournalDropped}, b.Journal(r))
}

func TestInvariant01_applyThatFailsAfterTheUpstreamTookIt(t *testing.T) {
	t.Parallel()
	lock := ""
	b := newBench(t, coretest.Options{Failpoint: func(name string) {
		if name == "upstream-accepted" && lock != "" {
			if err := os.WriteFile(lock, nil, 0o600); err != nil {
				panic(err)
			}
		}
	}}, push.Options{})
	r := b.Synced("a")
	clone, id := b.seed(r, "refs/heads/main")
	lock = filepath.Join(b.Path(r), "refs/heads/x.lock")
	coretest.Run(t, clone, "update-ref", "refs/heads/x", string(id))
	out, err := b.client(clone, r, "refs/heads/x")
	require.NoError(t, err, out)
	require.Contains(t, out, "remote: warning: the upstream has your push, but the local copy is behind; a sync is scheduled")
	require.Equal(t, id, b.UpstreamRefs(r)["refs/heads/x"])
	require.Equal(t, []core.JournalState{core.JournalLagging}, b.Journal(r))
	require.Positive(t, b.wanted.Load())
	require.Empty(t, b.Events(r))

	// A restart removes the lock and leaves the rest to a sync, which tells of it.
	lock = ""
	b.Open()
	require.NoError(t, b.Repos.Recover(t.Context()))
	b.restart(push.Options{})
	b.wanted.Store(0)
	require.NoError(t, b.push.Recover(t.Context()))
	require.Positive(t, b.wanted.Load())
	require.Equal(t, []core.JournalState{core.JournalDropped}, b.Journal(r))
	require.False(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/x"))
	require.NoFileExists(t, filepath.Join(b.Path(r), "refs/heads/x.lock"))
}

func TestService_Write_storeThatFailsAfterTheRefsMoved(t *testing.T) {
	t.Parallel()
	var b *bench
	full := true
	b = newBench(t, coretest.Options{Failpoint: func(name string) {
		if full && name == "refs-applied" {
			b.Store.Fail(errors.New("disk full"))
		}
	}}, push.Options{})
	r := b.Local("a")
	_, id := b.seed(r, "refs/heads/main")
	results := b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id})
	full = false
	require.True(t, results[0].OK(), "it did move")
	require.Equal(t, id, b.Refs(r)["refs/heads/x"])
	b.Store.Fail(nil)
	require.Equal(t, []core.JournalState{core.JournalSent}, b.Journal(r))
	require.Empty(t, b.audit(r), "it belongs to the journal entry, which recovery closes")
	b.restarted()
	entries := b.audit(r)
	require.Len(t, entries, 1)
	require.Equal(t, core.OutcomeOK, entries[0].Outcome)
	require.Equal(t, []core.RefUpdate{{Name: "refs/heads/x", New: id}}, entries[0].Updates)
}

func TestService_Write_concurrentPushes(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	clone, one := b.seed(r, "refs/heads/main", "refs/heads/other")
	const n = 4
	ids := make([]core.ObjectID, n)
	for i := range n {
		ids[i] = coretest.Commit(t, clone, fmt.Sprint("c", i), one)
		b.install(r, clone, fmt.Sprint("refs/x/", i), ids[i])
	}
	var mu sync.Mutex
	var done sync.WaitGroup
	won := 0
	for i := range n {
		done.Go(func() {
			s := b.session(r)
			// The same branch for all, and one of its own for each.
			s.Updates = []core.RefUpdate{{Name: "refs/heads/main", Old: one, New: ids[i]}, {Name: fmt.Sprint("refs/heads/own-", i), New: ids[i]}}
			results, err := b.push.Write(context.WithoutCancel(t.Context()), s)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || !results[1].OK() {
				t.Errorf("push %d: %v %v", i, err, results)
				return
			}
			if results[0].OK() {
				won++
			} else if results[0].Kind != core.KindStale {
				t.Errorf("push %d: %v", i, results[0])
			}
		})
	}
	done.Wait()
	require.Equal(t, 1, won)
	b.inSync(r)
	require.Len(t, b.Events(r), n+1)
}
