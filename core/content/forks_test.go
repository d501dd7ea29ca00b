package content

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
)

// TestService_forks counts the git processes that reads start.
func TestService_forks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	f.commit("one", "a/b", "x\n", "c", "y\n")
	f.commit("two", "c", "z\n")
	f.run("notes", "add", "--message=n", "main")
	f.run("tag", "v1")

	path, err := exec.LookPath("git")
	require.NoError(t, err)
	log, script := filepath.Join(t.TempDir(), "log"), filepath.Join(t.TempDir(), "git")
	require.NoError(t, os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\necho \"$1\" >>'%s'\nexec '%s' \"$@\"\n", log, path), 0o700))
	g, err := git.New(t.Context(), git.Options{Path: script})
	require.NoError(t, err)
	pool := catfile.NewPool(g, catfile.Options{})
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	s := New(Options{Git: g, Objects: pool, Path: func(string) string { return f.dir }, TempDir: f.temp})
	started := func() []string {
		data, err := os.ReadFile(log)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(log, nil, 0o600))
		return strings.Fields(string(data))
	}
	file := func() error {
		found, err := s.File(t.Context(), f.repo, At{}, "a/b")
		if err != nil {
			return err
		}
		r := found.Open(t.Context())
		_, err = io.ReadAll(r)
		return err
	}
	require.NoError(t, file())
	require.Equal(t, []string{"version", "cat-file", "rev-list"}, started(), "the first read of all")

	for _, tt := range []struct {
		name string
		read func() error
		want []string
	}{
		{"file", file, nil},
		{"commit", func() error { _, err := s.Commit(t.Context(), f.repo, at("main~1")); return err }, nil},
		{"branch", func() error { _, err := s.Branch(t.Context(), f.repo, core.Default, "main"); return err }, nil},
		{"tag", func() error { _, err := s.Tag(t.Context(), f.repo, "v1"); return err }, nil},
		{"note", func() error { _, err := s.Note(t.Context(), f.repo, "main", ""); return err }, nil},
		{"files", func() error {
			files, err := s.Files(t.Context(), f.repo, FilesRequest{})
			if err == nil {
				_, err = files.Walk(t.Context(), func(Entry) error { return nil })
			}
			return err
		}, nil},
		{"metadata", func() error {
			files, err := s.Files(t.Context(), f.repo, FilesRequest{})
			if err == nil {
				_, _, err = files.Metadata(t.Context(), func(FileMetadata) error { return nil })
			}
			return err
		}, []string{"log"}},
		{"commits", func() error { _, err := s.Commits(t.Context(), f.repo, CommitsRequest{Limit: 5}); return err }, []string{"rev-list"}},
		{"branches", func() error {
			_, _, err := s.Branches(t.Context(), f.repo, core.Default, RefsPage{Limit: 5})
			return err
		}, nil},
		{"diff", func() error {
			d, err := s.CommitDiff(t.Context(), f.repo, CommitDiffRequest{Head: at("main")})
			if err == nil {
				d.all(t)
			}
			return err
		}, []string{"diff-tree"}},
		{"search", func() error { _, err := s.Grep(t.Context(), f.repo, GrepRequest{Pattern: "x"}); return err }, []string{"grep"}},
	} {
		require.NoError(t, tt.read(), tt.name)
		if got := started(); len(tt.want)+len(got) > 0 {
			require.Equal(t, tt.want, got, tt.name)
		}
	}
}
