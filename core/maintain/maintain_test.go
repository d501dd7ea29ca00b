package maintain_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/maintain"
)

func TestMain(m *testing.M) { coretest.Main(m) }

const mib = 1 << 20

func TestPlan(t *testing.T) {
	t.Parallel()
	full := []maintain.Task{maintain.TaskFullRepack, maintain.TaskCommitGraph}
	geometric := []maintain.Task{maintain.TaskGeometricRepack, maintain.TaskCommitGraph}
	refs := []maintain.Task{maintain.TaskPackRefs}
	for name, tc := range map[string]struct {
		state maintain.State
		want  []maintain.Task
	}{
		"empty":                   {maintain.State{}, nil},
		"small":                   {maintain.State{Packs: 8, PackBytes: mib - 1, LooseObjects: 1024, LooseRefs: 16}, nil},
		"first mirror":            {maintain.State{Packs: 2, PackBytes: mib}, full},
		"good":                    {maintain.State{Packs: 2, PackBytes: 100 * mib, Bitmap: true, CommitGraph: true}, nil},
		"many packs":              {maintain.State{Packs: 9, PackBytes: mib, Bitmap: true}, geometric},
		"many packs, small":       {maintain.State{Packs: 9, PackBytes: 10}, geometric},
		"large may have more":     {maintain.State{Packs: 11, PackBytes: 1000 * mib, Bitmap: true}, nil},
		"but not too many":        {maintain.State{Packs: 12, PackBytes: 1000 * mib, Bitmap: true}, geometric},
		"loose objects":           {maintain.State{LooseObjects: 1025}, geometric},
		"many packs, five days":   {maintain.State{Packs: 9, PackBytes: mib, Bitmap: true, SinceFull: 121 * time.Hour}, full},
		"good, five days":         {maintain.State{Packs: 2, PackBytes: mib, Bitmap: true, SinceFull: 121 * time.Hour}, nil},
		"loose refs":              {maintain.State{LooseRefs: 17}, refs},
		"loose refs of many":      {maintain.State{LooseRefs: 40, PackedRefs: 1 << 20}, nil},
		"many loose refs of many": {maintain.State{LooseRefs: 67, PackedRefs: 1 << 20}, refs},
		"all":                     {maintain.State{PackBytes: mib, LooseRefs: 100}, append(append([]maintain.Task{}, full...), refs...)},
	} {
		require.Equal(t, tc.want, maintain.Plan(tc.state), name)
	}
}

// filled makes a repository of a few MiB, with loose objects, packs and refs.
func filled(w *coretest.World) core.Repository {
	w.Helper()
	r := w.Local("a")
	dir := w.Path(r)
	var in strings.Builder
	for i := range 40 {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter C <c@example.com> %d +0000\ndata 2\nm\n\nM 100644 inline f%d\ndata 50000\n", 1_700_000_000+i, i)
		state := uint32(i + 1)
		for range 50000 { // noise, so that it does not compress
			state ^= state << 13
			state ^= state >> 17
			state ^= state << 5
			in.WriteByte(byte(state))
		}
		in.WriteString("\n")
	}
	out, err := coretest.TryRun(w.Context(), dir, in.String(), "fast-import", "--quiet")
	require.NoError(w, err, out)
	return r
}

func TestService_Maintain_keepsEveryObjectAndSpeedsUpClones(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := filled(w)
	dir := w.Path(r)
	// The objects of a push between their arrival and its end: loose ones,
	// and a pack.
	tip := core.ObjectID(coretest.Run(t, dir, "rev-parse", "main"))
	loose := coretest.Commit(t, dir, "in flight", tip)
	packed := coretest.Commit(t, dir, "in flight, too", tip)
	out, err := coretest.TryRun(t.Context(), dir, string(packed)+"\n", "pack-objects", "--quiet", filepath.Join(dir, "objects/pack/pack"))
	require.NoError(t, err, out)
	coretest.Run(t, dir, "prune-packed")
	for i := range 40 {
		coretest.Run(t, dir, "update-ref", fmt.Sprint("refs/tags/v", i), string(tip))
	}

	s := maintain.New(w.Git, w.Repos, core.SystemClock{}, hclog.NewNullLogger())
	ctx, cancel := context.WithCancel(t.Context())
	var clones sync.WaitGroup
	for i := range 2 { // readers are not held up
		clones.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				out, err := coretest.TryRun(t.Context(), t.TempDir(), "", "clone", "--quiet", "--no-local", dir, fmt.Sprint(i, n))
				if err != nil {
					t.Errorf("clone during maintenance: %s", out)
				}
			}
		})
	}
	require.NoError(t, s.Maintain(t.Context(), r.ID))
	state, err := maintain.Look(dir, time.Now())
	require.NoError(t, err)
	require.True(t, state.Bitmap)
	require.True(t, state.CommitGraph)
	require.LessOrEqual(t, state.LooseRefs, 0)
	require.Positive(t, state.PackedRefs)
	require.Empty(t, maintain.Plan(state), "done is done")
	require.Positive(t, state.SinceFull, "the full repack was noted")

	// Later: small packs and loose objects.
	parent := tip
	for i := range 12 {
		id := coretest.Commit(t, dir, fmt.Sprint("later ", i), parent)
		out, err := coretest.TryRun(t.Context(), dir, string(id)+"\n", "pack-objects", "--quiet", filepath.Join(dir, "objects/pack/pack"))
		require.NoError(t, err, out)
		parent = id
	}
	coretest.Run(t, dir, "update-ref", "refs/heads/main", string(parent))
	state, err = maintain.Look(dir, time.Now())
	require.NoError(t, err)
	require.Contains(t, maintain.Plan(state), maintain.TaskGeometricRepack)
	require.NoError(t, s.Maintain(t.Context(), r.ID))
	cancel()
	clones.Wait()
	state, err = maintain.Look(dir, time.Now())
	require.NoError(t, err)
	require.True(t, state.Bitmap)
	require.Empty(t, maintain.Plan(state))
	for _, id := range []core.ObjectID{loose, packed, tip, parent} {
		require.Equal(t, "commit", coretest.Run(t, dir, "cat-file", "-t", string(id)))
	}
	coretest.Run(t, dir, "fsck", "--full")
}

func TestService_Run_looksAfterEnoughChanges(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := filled(w)
	s := maintain.New(w.Git, w.Repos, core.SystemClock{}, hclog.NewNullLogger())
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	for range 19 {
		s.Applied(r.ID, 1)
	}
	s.Applied("repo_that_is_gone", 1000)
	go func() { stopped <- s.Run(ctx) }()
	unlock, ok := w.Repos.Locks().TryMaintain(r.ID)
	require.True(t, ok, "nothing is due yet")
	require.NoError(t, s.Maintain(t.Context(), r.ID), "somebody else is at it")
	state, err := maintain.Look(w.Path(r), time.Now())
	require.NoError(t, err)
	require.False(t, state.Bitmap)
	unlock()
	s.Applied(r.ID, 1)
	require.Eventually(t, func() bool {
		state, err := maintain.Look(w.Path(r), time.Now())
		return err == nil && state.Bitmap
	}, time.Minute, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-stopped)
}

func TestLook_missingRepository(t *testing.T) {
	t.Parallel()
	_, err := maintain.Look(filepath.Join(t.TempDir(), "x"), time.Now())
	require.ErrorIs(t, err, os.ErrNotExist)
}
