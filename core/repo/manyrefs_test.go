package repo_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/repo"
)

// A kill at any step of a change of more than 200 refs, some of which have files of
// their own: no ref is lost, each change has one event, no lock stays, and what did not
// happen can be done again.
func TestInvariant17_killInAChangeOfManyRefs(t *testing.T) {
	t.Parallel()
	type snapshot struct{ step, dir string }
	var (
		w         *coretest.World
		snapshots []snapshot
		armed     bool
	)
	copies := t.TempDir()
	w = coretest.NewWorld(t, coretest.Options{Failpoint: func(step string) {
		if armed {
			s := snapshot{step, filepath.Join(copies, fmt.Sprint(len(snapshots)))}
			require.NoError(t, os.CopyFS(s.dir, os.DirFS(w.Dir)))
			snapshots = append(snapshots, s)
		}
	}})
	r := w.Local("a")
	one := coretest.Commit(t, w.Path(r), "one")
	two := coretest.Commit(t, w.Path(r), "two", one)
	name := func(i int) string { return fmt.Sprintf("refs/heads/f%d/%d", i%7, i) }
	var setup, change []core.RefUpdate
	for i := range 220 {
		setup = append(setup, core.RefUpdate{Name: name(i), New: one})
		switch {
		case i < 150:
			change = append(change, core.RefUpdate{Name: name(i), Old: one, New: two})
		case i < 200:
			change = append(change, core.RefUpdate{Name: name(i), Old: one})
		default:
			change = append(change, core.RefUpdate{Name: name(i + 100), New: two})
		}
	}
	require.NoError(t, apply(w, r, setup...))
	// These get files, of which one hides what is packed.
	for _, i := range []int{3, 149, 199} {
		require.NoError(t, apply(w, r, core.RefUpdate{Name: name(i), Old: one, New: two}))
		if i != 149 {
			require.NoError(t, apply(w, r, core.RefUpdate{Name: name(i), Old: two, New: one}))
		} else {
			change[i].Old, change[i].New = two, one
		}
	}
	before, events := w.Refs(r), w.Events(r)
	after := maps.Clone(before)
	for _, u := range change {
		if delete(after, u.Name); !u.IsDelete() {
			after[u.Name] = u.New
		}
	}
	armed = true
	require.NoError(t, apply(w, r, change...))
	armed = false
	require.Equal(t, after, w.Refs(r))

	var steps []string
	for _, s := range snapshots {
		steps = append(steps, s.step)
		killed := w.At(s.dir)
		require.NoError(t, killed.Repos.Recover(t.Context()), s.step)
		require.NoError(t, filepath.WalkDir(killed.Path(r), func(path string, _ fs.DirEntry, err error) error {
			require.False(t, strings.HasSuffix(path, ".lock"), "%s: %s", s.step, path)
			return err
		}))
		here := killed.Refs(r)
		var done, rest []core.RefUpdate
		for _, u := range change {
			switch here[u.Name] {
			case u.New:
				done = append(done, u)
			case u.Old:
				rest = append(rest, u)
			default:
				t.Fatalf("%s: %s is at %q", s.step, u.Name, here[u.Name])
			}
		}
		open, err := killed.Store.OpenJournals(t.Context())
		require.NoError(t, err)
		if len(open) > 0 {
			o, err := killed.Repos.Resume(t.Context(), repo.Unfinished{Entry: open[0]}, r, repo.Answer{Accepted: done}, nil)
			require.NoError(t, err, s.step)
			require.NoError(t, o.Err, s.step)
		}
		require.Equal(t, here, killed.Refs(r), s.step)
		require.Len(t, killed.Events(r), len(events)+len(done), s.step)
		if len(rest) > 0 {
			require.NoError(t, apply(killed, r, rest...), s.step)
		}
		require.Equal(t, after, killed.Refs(r), s.step)
		want := append(append([]string(nil), events...), names(change)...)
		require.ElementsMatch(t, want, killed.Events(r), s.step)
		coretest.Run(t, killed.Path(r), "show-ref", "--verify", "--quiet", name(3))
	}
	require.Equal(t, []string{
		"journal-sent", "packed-refs-locked", "loose-refs-locked", "packed-refs-written", "loose-ref-removed", "loose-ref-removed", "loose-ref-removed",
		"loose-refs-unlocked", "refs-applied", "recorded",
	}, steps)
}

// names returns the names of the refs.
func names(updates []core.RefUpdate) []string {
	var all []string
	for _, u := range updates {
		all = append(all, u.Name)
	}
	return all
}
