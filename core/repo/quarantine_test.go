package repo_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
)

// TestRepos_Replace_overwritesNothing: of two repositories that go to the quarantine under
// one name the second stays where it is.
func TestRepos_Replace_overwritesNothing(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	put := func(id, text string) string {
		require.NoError(t, w.Repos.Create(t.Context(), id, "main", "sha1"))
		file := filepath.Join(w.Repos.Path(id), "mark")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	put("repo_aa11", "first")
	stays := put("repo_bb22", "second")
	replace := func(id string) error {
		fresh := filepath.Join(w.Repos.TempDir(), "fresh-"+id)
		require.NoError(t, os.Mkdir(fresh, 0o700))
		return w.Repos.Replace(t.Context(), id, fresh, "one-name", func() error { return nil })
	}
	require.NoError(t, replace("repo_aa11"))
	require.Equal(t, core.KindConflict, core.KindOf(replace("repo_bb22")))
	path, there := w.Repos.Quarantined("one-name")
	require.True(t, there)
	for file, want := range map[string]string{filepath.Join(path, "mark"): "first", stays: "second"} {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, want, string(text))
	}
}
