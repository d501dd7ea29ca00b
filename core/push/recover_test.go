package push_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// crash is what a failpoint panics with in place of the end of the process.
type crash struct{}

// newCrashBench is a bench that crashes at a failpoint until it is disarmed.
func newCrashBench(t *testing.T, at string) (b *bench, disarm func()) {
	t.Helper()
	return newCrashBenchWith(t, at, coretest.Options{})
}

// newCrashBenchWith is newCrashBench with a world of these options.
func newCrashBenchWith(t *testing.T, at string, o coretest.Options) (b *bench, disarm func()) {
	t.Helper()
	var off atomic.Bool
	o.Failpoint = func(name string) {
		if name == at && !off.Load() {
			panic(crash{})
		}
	}
	return newBench(t, o, push.Options{}), func() { off.Store(true) }
}

// restarted opens everything anew and runs both recoveries.
func (b *bench) restarted() {
	b.Helper()
	b.Open()
	require.NoError(b, b.Repos.Recover(b.Context()))
	b.restart(push.Options{})
	require.NoError(b, b.push.Survey(b.Context()))
	b.settle()
}

// The crash matrix of a push: wherever the process ends, the next one makes
// here equal to upstream or asks for a sync that does, and tells of every
// change once. With both commit points.
func TestInvariant17_crashAnywhereInAPush(t *testing.T) {
	t.Parallel()
	for order, sqlFirst := range coretest.CommitPoints {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			crashAnywhereInAPush(t, sqlFirst)
		})
	}
}

func crashAnywhereInAPush(t *testing.T, sqlFirst bool) {
	steps := map[string]bool{ // whether the change has happened by then
		"objects-received": false, "journal-sent": false, "upstream-accepted": true, "refs-deleted": true, "refs-applied": true, "recorded": true,
	}
	if sqlFirst {
		steps["sql-committed"] = true
	}
	for at, happened := range steps {
		for _, synced := range []bool{true, false} {
			t.Run(fmt.Sprint(at, " synced ", synced), func(t *testing.T) {
				t.Parallel()
				b, disarm := newCrashBenchWith(t, at, coretest.Options{SQLFirst: sqlFirst})
				r := b.Local("local")
				if synced {
					r = b.Synced("a")
				}
				_, id := b.seed(r, "refs/heads/main", "refs/heads/old")
				s := b.session(r)
				s.Updates = []core.RefUpdate{{Name: "refs/heads/x", New: id}, {Name: "refs/heads/old", Old: id}}
				if at == "objects-received" || at == "upstream-accepted" && !synced {
					disarm() // not on the way of this session
				}
				func() {
					defer func() { _ = recover() }()
					_, _ = b.push.Write(context.WithoutCancel(t.Context()), s)
				}()
				disarm()
				b.restarted()
				refs := b.Refs(r)
				switch {
				case synced:
					b.inSync(r)
				case at == "refs-deleted" && !sqlFirst:
					// The part that happened has its event; the rest is not made up.
					require.Equal(t, map[string]core.ObjectID{"refs/heads/main": id}, refs)
					require.Equal(t, []string{"refs/heads/old"}, b.Events(r))
				}
				if happened && (synced || sqlFirst || at != "refs-deleted") {
					require.Equal(t, map[string]core.ObjectID{"refs/heads/main": id, "refs/heads/x": id}, refs)
					require.ElementsMatch(t, []string{"refs/heads/x", "refs/heads/old"}, b.Events(r))
				}
				open, err := b.Store.OpenJournals(t.Context())
				require.NoError(t, err)
				require.Empty(t, open)
				entries := b.audit(r)
				require.Len(t, entries, 1, "one session, one audit entry")
				require.Equal(t, "t", entries[0].Actor.Subject)
				if happened {
					require.NotEmpty(t, entries[0].Updates)
				}
				events := len(b.Events(r))
				b.restarted()
				require.Len(t, b.Events(r), events, "one event each")
				require.False(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/x"))
			})
		}
	}
}

func TestService_Recover_upstreamCannotBeAsked(t *testing.T) {
	t.Parallel()
	b, disarm := newCrashBench(t, "upstream-accepted")
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	s := b.session(r)
	s.Updates = []core.RefUpdate{{Name: "refs/heads/x", New: id}}
	require.Panics(t, func() { _, _ = b.push.Write(t.Context(), s) })
	disarm()
	remove := b.Forge.Inject(forgetest.Fault{Status: 503})
	b.Open()
	b.restart(push.Options{})
	require.NoError(t, b.push.Recover(t.Context()))
	require.Equal(t, []core.JournalState{core.JournalSent}, b.Journal(r), "nobody knows, so nobody says")
	require.True(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/x"))
	require.Equal(t, []string{"refs/heads/x"}, b.push.Unsettled(r.ID))
	require.NotContains(t, b.Refs(r), "refs/heads/x")
	remove()
	b.settle()
	b.inSync(r)
	require.Equal(t, id, b.Refs(r)["refs/heads/x"])
	require.Equal(t, []string{"refs/heads/x"}, b.Events(r))
	require.False(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/x"))
	require.Empty(t, b.push.Unsettled(r.ID))
}

func TestService_Recover_oneBadRepositoryDoesNotBlockTheOthers(t *testing.T) {
	t.Parallel()
	b, disarm := newCrashBench(t, "journal-sent")
	bad, good := b.Local("bad"), b.Local("good")
	_, one := b.seed(bad, "refs/heads/main")
	_, two := b.seed(good, "refs/heads/main")
	for r, id := range map[*core.Repository]core.ObjectID{&bad: one, &good: two} {
		s := b.session(*r)
		s.Updates = []core.RefUpdate{{Name: "refs/heads/x", New: id}}
		require.Panics(t, func() { _, _ = b.push.Write(t.Context(), s) })
	}
	disarm()
	// The events of what is recovered come from the refs that are in place.
	coretest.Run(t, b.Path(good), "update-ref", "refs/heads/x", string(two))
	require.NoError(t, os.RemoveAll(b.Path(bad)))
	b.Open()
	b.restart(push.Options{})
	require.Error(t, b.push.Recover(t.Context()))
	require.Equal(t, []string{"refs/heads/x"}, b.Events(good))
	require.Equal(t, []core.JournalState{core.JournalSent}, b.Journal(bad), "left for later")
}

// Recovery runs beside new sessions and must not take theirs for a dead one's.
func TestService_Recover_leavesLiveSessionsAlone(t *testing.T) {
	t.Parallel()
	var b *bench
	b = newBench(t, coretest.Options{Failpoint: func(name string) {
		if name == "journal-sent" {
			if err := b.push.Recover(context.Background()); err != nil {
				panic(err)
			}
		}
	}}, push.Options{})
	require.NoError(t, b.push.Survey(t.Context()))
	r := b.Local("a")
	_, id := b.seed(r, "refs/heads/main")
	require.True(t, b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id})[0].OK())
	require.Equal(t, []core.JournalState{core.JournalApplied}, b.Journal(r))
	require.Len(t, b.Events(r), 1)
}

// An entry of very many refs must be settled like any other.
func TestService_Recover_hugeEntry(t *testing.T) {
	t.Parallel()
	b, disarm := newCrashBench(t, "refs-applied")
	r := b.Local("a")
	_, id := b.seed(r, "refs/heads/main")
	s := b.session(r)
	const n = 1200
	for i := range n { // together longer than a command line may be
		s.Updates = append(s.Updates, core.RefUpdate{Name: fmt.Sprintf("refs/tags/%s%d", strings.Repeat(strings.Repeat("x", 240)+"/", 8), i), New: id})
	}
	require.Panics(t, func() { _, _ = b.push.Write(t.Context(), s) })
	disarm()
	b.restarted()
	require.Len(t, b.Refs(r), n+1)
	require.Equal(t, []core.JournalState{core.JournalApplied}, b.Journal(r))
}
