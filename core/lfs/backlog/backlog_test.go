package backlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/scan"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
	"github.com/headwater-git/headwater/store/storetest"
)

func TestMain(m *testing.M) { coretest.Main(m) }

const attributes = "*.bin filter=lfs diff=lfs merge=lfs -text\n"

// bench is a service over a real repository and a real store, with a host that tests steer.
type bench struct {
	*Service
	t      *testing.T
	store  core.Store
	clock  *coretest.Clock
	dir    string
	repo   core.Repository
	host   *host
	paused time.Time

	arrived int
}

// host stands for the objects of an upstream.
type host struct {
	mu      sync.Mutex
	store   core.Store
	clock   core.Clock
	lacks   map[lfs.OID]bool
	fails   map[lfs.OID]error
	down    error
	batches [][]lfs.Pointer
}

func (h *host) Gather(ctx context.Context, repo core.Repository, objects []lfs.Pointer, _ int, done func(lfs.Pointer, error)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.batches = append(h.batches, objects)
	if h.down != nil {
		return h.down
	}
	for _, p := range objects {
		switch {
		case h.lacks[p.OID]:
			done(p, core.Errorf(core.KindNotFound, "the host does not have it"))
		case h.fails[p.OID] != nil:
			done(p, h.fails[p.OID])
		default:
			done(p, h.store.AddLFSObjects(ctx, repo.ID, []core.LFSObject{{OID: string(p.OID), Size: p.Size}}, h.clock.Now()))
		}
	}
	return nil
}

// PausedUntil implements [Hosts].
func (b *bench) PausedUntil(string) time.Time { return b.paused }

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	sealer, err := seal.LoadOrCreate(filepath.Join(dir, "seal.json"))
	require.NoError(t, err)
	b := &bench{t: t, clock: coretest.NewClock(), dir: filepath.Join(dir, "repo.git")}
	storetest.Empty(t, dir)
	db, err := store.Open(t.Context(), filepath.Join(dir, "headwater.db"), store.Options{Sealer: sealer, Clock: b.clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	b.store = db
	require.NoError(t, db.CreateOrg(t.Context(), core.Org{Name: "acme", CreatedAt: b.clock.Now()}))
	b.repo = core.Repository{
		ID: core.NewID("repo", b.clock.Now()), Org: "acme", Name: "copy", DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: b.clock.Now(),
		Upstream: &core.Upstream{Provider: "gitea", Instance: "gitea", Mode: "generic", Host: "host.example", Owner: "o", Name: "copy", URL: "https://host.example/o/copy.git"},
	}
	require.NoError(t, db.CreateRepository(t.Context(), b.repo))
	require.NoError(t, db.SaveSettings(t.Context(), b.repo.ID, core.Settings{LFS: core.LFSMirror}))
	coretest.Run(t, dir, "init", "--quiet", "--bare", b.dir)
	g, err := git.New(t.Context(), git.Options{Logger: hclog.NewNullLogger()})
	require.NoError(t, err)
	objects := catfile.NewPool(g, catfile.Options{})
	t.Cleanup(func() { require.NoError(t, objects.Close()) })
	b.host = &host{store: db, clock: b.clock, lacks: map[lfs.OID]bool{}, fails: map[lfs.OID]error{}}
	b.Service = New(Options{
		Store: db, Objects: b.host, Scanner: scan.New(g, objects), Git: g, Path: func(string) string { return b.dir }, Hosts: b, Clock: b.clock,
		Logger: hclog.NewNullLogger(), Arrived: func(context.Context, string) { b.arrived++ },
	})
	return b
}

// commit makes the commit of a branch that has these files, and no others.
func (b *bench) commit(branch string, files map[string]string) {
	b.t.Helper()
	var in strings.Builder
	fmt.Fprintf(&in, "commit %s\ncommitter C <c@example.com> 1700000000 +0000\ndata 0\ndeleteall\n", branch)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", path, len(files[path]), files[path])
	}
	out, err := coretest.TryRun(b.t.Context(), b.dir, in.String(), "fast-import", "--quiet", "--force")
	require.NoError(b.t, err, out)
}

// object is the pointer of the nth object, of n bytes.
func object(n int) lfs.Pointer {
	return lfs.Pointer{OID: lfs.OID(fmt.Sprintf("%064x", n)), Size: int64(n)}
}

func text(n int) string { return string(object(n).Encode()) }

func (b *bench) backlog() core.LFSBacklog {
	b.t.Helper()
	sum, err := b.store.LFSBacklog(b.t.Context(), b.repo.ID)
	require.NoError(b.t, err)
	return sum
}

// events returns the types of the events, with the bodies of those of a type.
func (b *bench) events(typ string) (types []string, bodies []string) {
	b.t.Helper()
	all, err := b.store.Events(b.t.Context(), 0, 100)
	require.NoError(b.t, err)
	for _, e := range all {
		types = append(types, e.Type)
		if e.Type == typ {
			bodies = append(bodies, string(e.Payload))
		}
	}
	return types, bodies
}

// TestService_mirror follows what syncs bring: each object is asked for once, in one
// batch, and the end is an event; a sync that brings no pointer asks for nothing.
func TestService_mirror(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.commit("refs/heads/main", map[string]string{".gitattributes": attributes, "a.bin": text(1), "b.bin": text(2), "again.bin": text(1), "empty.bin": ""})
	require.Zero(t, b.Work(t.Context(), b.repo.ID))
	require.Len(t, b.host.batches, 1)
	require.ElementsMatch(t, []lfs.Pointer{object(1), object(2)}, b.host.batches[0])
	sum := b.backlog()
	require.Zero(t, sum.Objects+sum.Missing)
	require.Equal(t, b.clock.Now(), sum.ScannedAt)
	types, bodies := b.events(core.EventLFSMirrored)
	require.Equal(t, []string{core.EventLFSMirrored}, types)
	require.Contains(t, bodies[0], `"objects":2`)
	require.Contains(t, bodies[0], `"bytes":3`)

	// What is on its way into the copy counts, and the same tip is not looked at again.
	b.commit(core.TrackingPrefix+"heads/next", map[string]string{".gitattributes": attributes, "b.bin": text(2), "c.bin": text(3)})
	b.Work(t.Context(), b.repo.ID)
	require.Equal(t, [][]lfs.Pointer{{object(3)}}, b.host.batches[1:])
	b.commit("refs/heads/plain", map[string]string{"a.txt": "no pointer"})
	coretest.Run(t, b.dir, "update-ref", "refs/heads/next", core.TrackingPrefix+"heads/next")
	b.Work(t.Context(), b.repo.ID)
	require.Len(t, b.host.batches, 2)

	// Another mode forgets, and a later one begins anew without fetching what is here.
	require.NoError(t, b.store.SaveSettings(t.Context(), b.repo.ID, core.Settings{}))
	require.Equal(t, never, b.Work(t.Context(), b.repo.ID))
	require.Zero(t, b.backlog())
	require.NoError(t, b.store.SaveSettings(t.Context(), b.repo.ID, core.Settings{LFS: core.LFSMirror}))
	b.Work(t.Context(), b.repo.ID)
	require.Len(t, b.host.batches, 2)
	require.NotZero(t, b.backlog().ScannedAt)
}

// TestService_missingAndFailing has the host lack one object and fail at another: both
// stay with the reason, come when the host has them, and hold up nothing.
func TestService_missingAndFailing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.host.lacks[object(1).OID] = true
	b.host.fails[object(2).OID] = core.Errorf(core.KindUpstreamUnavailable, "the storage is away")
	b.commit("refs/heads/main", map[string]string{".gitattributes": attributes, "dir/a.bin": text(1), "b.bin": text(2), "c.bin": text(3)})
	at := b.Work(t.Context(), b.repo.ID)
	rows, err := b.store.PendingLFS(t.Context(), b.repo.ID, true, "", 10)
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, "dir/a.bin", rows[0].Path)
	require.True(t, rows[0].Missing)
	require.Equal(t, core.ClassNotFound, rows[0].Class)
	require.Equal(t, "b.bin", rows[1].Path)
	require.Equal(t, core.ClassNetwork, rows[1].Class)
	require.Equal(t, "the storage is away", rows[1].Error)
	require.Equal(t, rows[1].NextAt, at, "what may come in seconds is tried first")
	require.Less(t, rows[1].NextAt, rows[0].NextAt)
	sum := b.backlog()
	require.Equal(t, []int64{1, 2, 1, 1}, []int64{sum.Objects, sum.Bytes, sum.Failing, sum.Missing})
	types, bodies := b.events(core.EventLFSMissing)
	require.Equal(t, []string{core.EventLFSMissing}, types)
	require.Contains(t, bodies[0], "dir/a.bin")

	for range 2 {
		b.clock.Advance(time.Hour)
		b.Work(t.Context(), b.repo.ID)
	}
	types, bodies = b.events(core.EventLFSFailed)
	require.Equal(t, []string{core.EventLFSMissing, core.EventLFSFailed}, types, "the third failure, and nothing is missing anew")
	require.Contains(t, bodies[0], "the storage is away")
	delete(b.host.fails, object(2).OID)
	b.clock.Advance(time.Hour)
	b.Work(t.Context(), b.repo.ID)
	types, bodies = b.events(core.EventLFSMirrored)
	require.Len(t, types, 3)
	require.Contains(t, bodies[0], `"missing":1`)

	// A person who asks for a sync does not wait.
	delete(b.host.lacks, object(1).OID)
	b.Changed(b.repo.ID)
	b.Hurry(b.repo.ID)
	// Not even where the store failed when they asked.
	away := &awayStore{Store: b.Service.o.Store}
	b.Service.o.Store = away
	require.Equal(t, b.clock.Now().Add(errorPause), b.Work(t.Context(), b.repo.ID))
	b.Service.o.Store = away.Store
	require.Zero(t, b.Work(t.Context(), b.repo.ID))
	require.Zero(t, b.backlog().Missing)
}

// awayStore is a store that cannot be written to.
type awayStore struct{ Store }

func (*awayStore) HurryLFSPending(context.Context, string) error { return errors.New("disk I/O error") }

// TestService_hostAway leaves a host alone that is not there, and resumes by itself.
func TestService_hostAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.commit("refs/heads/main", map[string]string{".gitattributes": attributes, "a.bin": text(1), "b.bin": text(2)})
	b.paused = b.clock.Now().Add(time.Minute)
	require.Equal(t, b.paused, b.Work(t.Context(), b.repo.ID))
	require.Empty(t, b.host.batches)
	require.Equal(t, int64(2), b.backlog().Objects, "they are known all the same")
	b.paused = time.Time{}
	b.host.down = errors.New("connection refused")
	at := b.Work(t.Context(), b.repo.ID)
	require.Greater(t, at, b.clock.Now())
	require.Equal(t, int64(2), b.backlog().Failing)
	b.host.down = nil
	b.clock.Advance(at.Sub(b.clock.Now()) + time.Minute)
	b.Work(t.Context(), b.repo.ID)
	require.Zero(t, b.backlog().Objects)

	// Neither a paused mirror nor one that was stopped asks for anything.
	b.commit("refs/heads/main", map[string]string{".gitattributes": attributes, "c.bin": text(3)})
	_, err := b.store.SetPaused(t.Context(), b.repo.ID, b.clock.Now())
	require.NoError(t, err)
	asked := len(b.host.batches)
	require.Zero(t, b.Work(t.Context(), b.repo.ID))
	require.Len(t, b.host.batches, asked)
}

// TestService_Run starts over after a stop, follows changes, and knows who is none of its.
func TestService_Run(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.commit("refs/heads/main", map[string]string{".gitattributes": attributes, "a.bin": text(1)})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	have := func(n int) func() bool {
		return func() bool {
			usage, err := b.store.LFSUsage(t.Context(), b.repo.ID)
			return err == nil && usage.Objects == int64(n)
		}
	}
	require.Eventually(t, have(1), time.Minute, 10*time.Millisecond)
	b.commit("refs/heads/main", map[string]string{".gitattributes": attributes, "a.bin": text(2)})
	b.Applied(b.repo.ID)
	require.Eventually(t, have(2), time.Minute, 10*time.Millisecond)
	require.True(t, b.Mirrors(b.repo.ID))
	require.NoError(t, b.store.SaveSettings(t.Context(), b.repo.ID, core.Settings{LFS: core.LFSOff}))
	b.Changed(b.repo.ID)
	require.Eventually(t, func() bool { return !b.Mirrors(b.repo.ID) }, time.Minute, 10*time.Millisecond)
	b.Applied(b.repo.ID)
	require.False(t, b.Mirrors(b.repo.ID))
	stop()
	require.NoError(t, <-ended)
}
