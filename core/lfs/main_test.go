package lfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
	"github.com/headwater-git/headwater/store/storetest"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// bench is a service over a real store, with an upstream that tests steer.
type bench struct {
	*Service
	t     *testing.T
	store core.Store
	clock *coretest.Clock
	up    *double
	o     Options
	local core.Repository
	copy  core.Repository // of an upstream
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	sealer, err := seal.LoadOrCreate(filepath.Join(dir, "seal.json"))
	require.NoError(t, err)
	clock := coretest.NewClock()
	storetest.Empty(t, dir)
	db, err := store.Open(t.Context(), filepath.Join(dir, "headwater.db"), store.Options{Sealer: sealer, Clock: clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.CreateOrg(t.Context(), core.Org{Name: "acme", CreatedAt: clock.Now()}))
	b := &bench{t: t, store: db, clock: clock, up: newDouble()}
	b.up.now = clock.Now
	b.local = b.repository("local", false)
	b.copy = b.repository("copy", true)
	b.o = Options{
		Dir: filepath.Join(dir, FolderName), Store: db, Clock: clock, Logger: hclog.NewNullLogger(),
		Upstream: func(context.Context, core.Repository) (Upstream, error) { return b.up, nil },
	}
	b.open()
	return b
}

// open starts a service on the folder, in the place of the one that was there.
func (b *bench) open() {
	b.t.Helper()
	s, err := New(b.o)
	require.NoError(b.t, err)
	b.Service = s
	b.t.Cleanup(func() { require.NoError(b.t, s.Close()) })
}

func (b *bench) repository(name string, synced bool) core.Repository {
	b.t.Helper()
	r := core.Repository{ID: core.NewID("repo", b.clock.Now()), Org: "acme", Name: name, DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: b.clock.Now()}
	if synced {
		r.Upstream = &core.Upstream{Provider: "gitea", Instance: "gitea", Mode: "generic", Host: "host.example", Owner: "o", Name: name, URL: "https://host.example/o/" + name + ".git"}
	}
	require.NoError(b.t, b.store.CreateRepository(b.t.Context(), r))
	return r
}

// read returns the bytes of an object as a client gets them.
func (b *bench) read(repo core.Repository, p Pointer) ([]byte, error) {
	c, err := b.Open(b.t.Context(), repo, p)
	if err != nil {
		return nil, err
	}
	if c.Blob != nil {
		defer func() { require.NoError(b.t, c.Close()) }()
		return io.ReadAll(c.Blob)
	}
	r, err := c.Stream(b.t.Context(), 0)
	if err != nil {
		return nil, err
	}
	defer func() { require.NoError(b.t, r.Close()) }()
	return io.ReadAll(r)
}

// incoming returns the names of what is not whole.
func (b *bench) incoming() []string {
	b.t.Helper()
	entries, err := os.ReadDir(filepath.Join(b.o.Dir, "incoming"))
	require.NoError(b.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// someObject returns random bytes that are always the same for a seed.
func someObject(seed byte, n int) ([]byte, Pointer) {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b, Pointer{OID: OIDOf(sha256.Sum256(b)), Size: int64(n)}
}

// double stands for the LFS of an upstream.
type double struct {
	mu      sync.Mutex
	objects map[OID][]byte
	locks   []Lock
	batches int
	gets    int

	// What goes wrong.
	down    error               // instead of any answer
	refuse  map[OID]error       // of a batch
	wrong   map[OID][]byte      // is sent in place of the object
	cutAt   int                 // bytes after which the first get breaks off
	spoiled error               // ends each get after half of the object
	gate    chan struct{}       // a get sends the second half when it is closed
	putFail func(try int) error // of a put
	puts    int
	// Of locks.
	lost    string // the answer of a change is lost: "done", and it was made, or "undone"
	late    bool   // the first listing after a change does not show it
	mute    error  // instead of a listing
	now     func() time.Time
	between func() // is called when the answer is lost
}

func newDouble() *double {
	return &double{objects: map[OID][]byte{}, refuse: map[OID]error{}, wrong: map[OID][]byte{}}
}

func (d *double) Batch(_ context.Context, op Operation, _ string, objects []Pointer) ([]Transfer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.batches++
	if d.down != nil {
		return nil, d.down
	}
	var all []Transfer
	for _, p := range objects {
		t := Transfer{Pointer: p, Err: d.refuse[p.OID]}
		_, there := d.objects[p.OID]
		t.Present = op == Upload && there
		if op == Download && !there && t.Err == nil {
			t.Err = core.Errorf(core.KindNotFound, "the host does not have it")
		}
		all = append(all, t)
	}
	return all, nil
}

func (d *double) Get(ctx context.Context, t Transfer, offset int64) (io.ReadCloser, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gets++
	if d.down != nil {
		return nil, d.down
	}
	content := d.objects[t.Pointer.OID]
	if wrong, ok := d.wrong[t.Pointer.OID]; ok {
		content = wrong
	}
	content = content[min(int(offset), len(content)):]
	if d.cutAt > 0 && d.gets == 1 {
		return io.NopCloser(io.MultiReader(bytes.NewReader(content[:d.cutAt]), brokenReader{})), nil
	}
	if d.spoiled != nil {
		return io.NopCloser(io.MultiReader(bytes.NewReader(content[:len(content)/2]), iotest.ErrReader(d.spoiled))), nil
	}
	if d.gate == nil {
		return io.NopCloser(bytes.NewReader(content)), nil
	}
	half := len(content) / 2
	return io.NopCloser(io.MultiReader(bytes.NewReader(content[:half]), &gated{ctx, d.gate}, bytes.NewReader(content[half:]))), nil
}

// gated is an empty reader that ends when a gate opens.
type gated struct {
	ctx  context.Context //nolint:containedctx // of one get
	gate chan struct{}
}

func (g *gated) Read([]byte) (int, error) {
	select {
	case <-g.gate:
		return 0, io.EOF
	case <-g.ctx.Done():
		return 0, g.ctx.Err()
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func (d *double) Put(_ context.Context, t Transfer, body io.Reader) error {
	d.mu.Lock()
	d.puts++
	try, fail := d.puts, d.putFail
	d.mu.Unlock()
	if fail != nil {
		if err := fail(try); err != nil {
			return err
		}
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.objects[t.Pointer.OID] = content
	return nil
}

func (d *double) Locks(_ context.Context, q LockQuery) ([]Lock, string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mute != nil {
		return nil, "", d.mute
	}
	if d.late {
		d.late = false
		return nil, "", nil
	}
	var found []Lock
	for _, l := range d.locks {
		if (q.Path == "" || q.Path == l.Path) && (q.ID == "" || q.ID == l.ID) {
			found = append(found, l)
		}
	}
	return found, "", d.down
}

func (d *double) Ours(_ context.Context, id, _ string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.locks, func(l Lock) bool { return l.ID == id && l.Owner == "account" }), nil
}

// lose ends a change whose answer is lost.
func (d *double) lose(undo []Lock) error {
	if d.lost == "undone" {
		d.locks = undo
	}
	if d.between != nil {
		d.between()
	}
	return errors.Join(core.Errorf(core.KindUpstreamTimeout, "the host did not answer in time"), ErrUnconfirmed)
}

func (d *double) Lock(_ context.Context, path, _ string) (Lock, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := slices.Clone(d.locks)
	for _, l := range d.locks {
		if l.Path == path {
			if d.lost != "" {
				return Lock{}, d.lose(before)
			}
			return Lock{}, &LockedError{Lock: l}
		}
	}
	l := Lock{ID: "theirs-" + path, Path: path, LockedAt: d.now(), Owner: "account"}
	d.locks = append(d.locks, l)
	if d.lost != "" {
		return Lock{}, d.lose(before)
	}
	return l, nil
}

func (d *double) Unlock(_ context.Context, id, _ string, _ bool) (Lock, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := slices.Clone(d.locks)
	for i, l := range d.locks {
		if l.ID == id {
			d.locks = append(d.locks[:i:i], d.locks[i+1:]...)
			if d.lost != "" {
				return Lock{}, d.lose(before)
			}
			return l, nil
		}
	}
	return Lock{}, core.Errorf(core.KindNotFound, "the host has no such lock")
}

// requireKind requires an error of the kind.
func requireKind(t *testing.T, want core.Kind, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, core.KindOf(err), "%v", err)
}
