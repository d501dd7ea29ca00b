package repo_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
)

func TestRepos_Descends(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Local("a")
	dir := w.Path(r)
	root := coretest.Commit(t, dir, "root")
	line := []core.ObjectID{root}
	for i := range 40 {
		line = append(line, coretest.Commit(t, dir, fmt.Sprint(i), line[i]))
	}
	side := coretest.Commit(t, dir, "side", root)
	merge := coretest.Commit(t, dir, "merge", line[3], side)
	deep := coretest.Commit(t, dir, "deep", coretest.Commit(t, dir, "other root"), merge)
	blob := core.ObjectID(coretest.Run(t, dir, "rev-parse", string(root)+":file"))
	for name, tc := range map[string]struct {
		from, to core.ObjectID
		want     bool
	}{
		"itself":              {root, root, true},
		"parent":              {line[39], line[40], true},
		"a few back":          {line[30], line[40], true},
		"many back":           {root, line[40], true},
		"child":               {line[40], line[39], false},
		"second parent":       {side, merge, true},
		"below second parent": {side, deep, true},
		"elsewhere":           {line[10], merge, false},
		"other root":          {coretest.Commit(t, dir, "third root"), deep, false},
	} {
		got, err := w.Repos.Descends(t.Context(), r.ID, tc.from, tc.to)
		require.NoError(t, err, name)
		require.Equal(t, tc.want, got, name)
	}
	for name, to := range map[string]core.ObjectID{"missing": "1234567890123456789012345678901234567890", "no commit": blob} {
		_, err := w.Repos.Descends(t.Context(), r.ID, root, to)
		require.Error(t, err, name)
	}
}

func TestRepos_Forced_oneOrMany(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Local("a")
	dir := w.Path(r)
	root := coretest.Commit(t, dir, "root")
	on, off := coretest.Commit(t, dir, "on", root), coretest.Commit(t, dir, "off")
	for _, n := range []int{1, 30} { // 90 moves are looked at together
		var updates []core.RefUpdate
		want := map[string]bool{}
		for i := range n {
			name := func(kind string) string { return fmt.Sprintf("refs/%s-%d", kind, i) }
			updates = append(updates,
				core.RefUpdate{Name: name("heads/ff"), Old: root, New: on},
				core.RefUpdate{Name: name("heads/back"), Old: on, New: root},
				core.RefUpdate{Name: name("heads/off"), Old: on, New: off},
				core.RefUpdate{Name: name("heads/new"), New: on},
				core.RefUpdate{Name: name("heads/gone"), Old: on},
				core.RefUpdate{Name: name("tags/ff"), Old: root, New: on})
			want[name("heads/back")], want[name("heads/off")], want[name("tags/ff")] = true, true, true
		}
		got, err := w.Repos.Forced(t.Context(), r.ID, updates)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
