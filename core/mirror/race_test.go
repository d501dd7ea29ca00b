package mirror_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/core/schedule"
)

// A push and a sync, interleaved at every step of both: the public ref never
// moves backwards, the push is told the truth, and in the end all agree.
func TestInvariant01_pushAgainstSync(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"listed", "opened", "sync-fetched", "sync-journal-sent", "sync-recorded"} {
		for _, moved := range []bool{false, true} { // by somebody else, on another branch
			t.Run(fmt.Sprint(at, " other moved ", moved), func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				var act func()
				take := func() {
					mu.Lock()
					f := act
					act = nil
					mu.Unlock()
					if f != nil {
						f()
					}
				}
				b := mirrortest.New(t, coretest.Options{Failpoint: func(name string) {
					if name == at {
						take()
					}
				}})
				r, one := b.Mirrored("a")
				two := coretest.Commit(t, b.Path(r), "two", one)
				hook := func() error { take(); return nil }
				switch at {
				case "listed":
					b.OnListed(hook)
				case "opened":
					b.OnOpened(hook)
				}
				// The sync has something to do in any case.
				b.ForgeGit(r, "update-ref", "refs/heads/other", string(one))
				if moved {
					b.ForgeGit(r, "update-ref", "refs/heads/x", string(one))
				}
				mu.Lock()
				act = func() {
					if res := b.Write(r, core.RefUpdate{Name: "refs/heads/main", Old: one, New: two}); !res[0].OK() {
						t.Errorf("push refused: %s", res[0].Reason)
					}
					if at := b.Refs(r)["refs/heads/main"]; at != two {
						t.Errorf("the next read shows %s", at)
					}
				}
				mu.Unlock()
				require.NoError(t, b.Sync(r, ""))
				require.Equal(t, two, b.Refs(r)["refs/heads/main"], "backwards")
				b.Settle(r)
				b.RequireEqual(r)
				events := b.Events(r)
				n := 0
				for _, ref := range events {
					if ref == "refs/heads/main" {
						n++
					}
				}
				require.Equal(t, 1, n, "told once: %v", events)
				require.NoError(t, b.Sync(r, ""))
				require.Equal(t, "unchanged", b.Runs(r)[0].Outcome)
				require.Len(t, b.Events(r), len(events))
			})
		}
	}
}

// The same, from the push's side: a whole sync runs at each step of a push.
func TestInvariant01_syncInsideAPush(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"journal-sent", "upstream-accepted", "refs-applied"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			var b *mirrortest.Bench
			var r core.Repository
			armed := false
			b = mirrortest.New(t, coretest.Options{Failpoint: func(name string) {
				if !armed || name != at {
					return
				}
				armed = false
				if at == "refs-applied" {
					// The write lock is held: the run can only begin.
					_, _ = b.Schedule.Request(context.Background(), r.ID, schedule.TriggerAPI, "")
					return
				}
				if err := b.Sync(r, ""); err != nil {
					t.Errorf("sync: %v", err)
				}
			}})
			var one core.ObjectID
			r, one = b.Mirrored("a")
			two := coretest.Commit(t, b.Path(r), "two", one)
			b.ForgeGit(r, "update-ref", "refs/heads/other", string(one))
			armed = true
			require.True(t, b.Write(r, core.RefUpdate{Name: "refs/heads/main", Old: one, New: two})[0].OK())
			require.Equal(t, two, b.Refs(r)["refs/heads/main"])
			b.Settle(r)
			b.RequireEqual(r)
			require.ElementsMatch(t, []string{"refs/heads/main", "refs/heads/other"}, b.Events(r))
		})
	}
}

// An upstream that goes on after it was listed: what was listed comes first, and
// the rest with the next run.
func TestService_upstreamThatMovesAfterTheListing(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	var three core.ObjectID
	b.OnceListed(func() { three = b.ForgeCommit(r, "refs/heads/main", "three", two) })
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, two, b.Refs(r)["refs/heads/main"])
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, three, b.Refs(r)["refs/heads/main"])
	b.RequireEqual(r)
	b.ForgeGit(r, "update-ref", "refs/heads/main", string(two))
	require.NoError(t, b.Sync(r, ""))
	b.RequireEqual(r)
}

// An upstream that has thrown away what was listed, went on, and then back to
// it, must be followed back.
func TestService_upstreamThatGoesBackToAnOldListing(t *testing.T) {
	t.Parallel()
	for name, pull := range map[string]string{"all": "", "one ref": "main"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := mirrortest.New(t, coretest.Options{})
			r, one := b.Mirrored("a")
			two := b.ForgeCommit(r, "refs/heads/main", "two", one)
			kept := filepath.Join(t.TempDir(), "kept.git")
			b.ForgeGit(r, "clone", "--quiet", "--bare", "--template=", ".", kept)
			b.OnceListed(func() {
				b.ForgeCommit(r, "refs/heads/main", "three", one)
				b.ForgeGit(r, "prune", "--expire=now")
			})
			require.NoError(t, b.Sync(r, pull))
			b.RequireEqual(r)
			b.ForgeGit(r, "fetch", "--quiet", kept, "+main:main")
			require.NoError(t, b.Sync(r, pull))
			require.Equal(t, two, b.Refs(r)["refs/heads/main"])
			b.RequireEqual(r)
		})
	}
}

// Whatever happens at the upstream and here in between, a sync ends with equal
// refs, and a push was told the truth.
func TestService_randomHistories(t *testing.T) {
	t.Parallel()
	benches := map[bool]*mirrortest.Bench{false: mirrortest.New(t, coretest.Options{}), true: mirrortest.New(t, coretest.Options{SQLFirst: true})}
	names := []string{"a", "a/b", "a/b/c", "main", "z", "Z", "\u00e9"}
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		b := benches[rapid.Bool().Draw(rt, "SQL first")]
		r := b.Synced(fmt.Sprint("r", n))
		pool := []core.ObjectID{b.ForgeCommit(r, "refs/heads/main", "0")}
		for i := 1; i < 4; i++ {
			pool = append(pool, b.ForgeCommit(r, "refs/heads/main", fmt.Sprint(i), pool[:i%3]...))
		}
		b.ForgeGit(r, "tag", "-a", "-m", "t", "annotated")
		require.NoError(rt, b.Sync(r, ""))
		ref := func(label string) string {
			return rapid.SampledFrom([]string{"refs/heads/", "refs/tags/"}).Draw(rt, label+" kind") + rapid.SampledFrom(names).Draw(rt, label)
		}
		for range rapid.IntRange(1, 4).Draw(rt, "rounds") {
			for range rapid.IntRange(0, 5).Draw(rt, "changes") {
				id := string(rapid.SampledFrom(pool).Draw(rt, "id"))
				name := ref("ref")
				dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
				require.NoError(rt, err)
				switch rapid.IntRange(0, 4).Draw(rt, "change") {
				case 0, 1: // create, move, force; a name conflict is refused there
					_, _ = coretest.TryRun(context.Background(), dir, "", "update-ref", name, id)
				case 2:
					_, _ = coretest.TryRun(context.Background(), dir, "", "update-ref", "-d", name)
				case 3:
					b.ForgeGit(r, "symbolic-ref", "HEAD", "refs/heads/"+rapid.SampledFrom(names).Draw(rt, "head"))
				case 4: // a push through us, of what is here now
					old := b.Refs(r)[name]
					next := rapid.SampledFrom(append([]core.ObjectID{""}, pool...)).Draw(rt, "pushed")
					before := len(b.Events(r))
					res := b.Write(r, core.RefUpdate{Name: name, Old: old, New: next})[0]
					if res.OK() {
						require.Equal(rt, next, b.Refs(r)[name])
						require.Equal(rt, next, b.UpstreamRefs(r)[name])
						require.Len(rt, b.Events(r), before+1)
					} else {
						require.Equal(rt, old, b.Refs(r)[name])
					}
				}
			}
			require.NoError(rt, b.Sync(r, ""))
			want, got := b.UpstreamRefs(r), b.Refs(r)
			keep := "refs/heads/" + b.Reload(r).DefaultBranch
			if _, there := want[keep]; !there {
				delete(got, keep) // kept for want of a successor
			}
			require.Equal(rt, want, got)
		}
	})
}
