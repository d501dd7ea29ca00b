package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unpackPrevious unpacks the data directory that scripts/release/fixture made with the
// binary of the last release, and returns its folder.
func unpackPrevious(t *testing.T) string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "previous.tar.gz"))
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	dir := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return filepath.Join(dir, "previous")
		}
		require.NoError(t, err)
		name := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			require.NoError(t, os.MkdirAll(name, 0o700))
			continue
		}
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(name, content, h.FileInfo().Mode().Perm()))
	}
}

// TestUpgrade opens the data directory of the previous release: it is migrated, and
// everything that was in it is there and works.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	previous := unpackPrevious(t)
	text, err := os.ReadFile(filepath.Join(previous, "expected"))
	require.NoError(t, err)
	version, refs, _ := strings.Cut(string(text), "\n")
	t.Log("made by", version)
	s := startServer(t, dataDir(filepath.Join(previous, "data")), "--config", filepath.Join(previous, "providers.hcl"))
	address := strings.TrimPrefix(s.url, "http://")
	git := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "git %s: %s", args[0], out)
		return string(out)
	}
	remote := func(repo, scope string) string {
		token, err := s.cli(t, "token", "--repo", repo, "--scope", scope, "--ttl", "1h")
		require.NoError(t, err)
		return "http://t:" + strings.TrimSpace(token) + "@" + address + "/" + repo + ".git"
	}

	var served strings.Builder
	for _, repo := range []string{"river/delta", "team/notes"} {
		for line := range strings.Lines(git("ls-remote", remote(repo, "git:read"), "refs/*")) {
			served.WriteString(repo + " " + line)
		}
	}
	require.Equal(t, refs, served.String(), "every ref as it was")
	clone := filepath.Join(t.TempDir(), "notes")
	git("clone", "--quiet", remote("team/notes", "git:write"), clone)
	git("-C", clone, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "--allow-empty", "-m", "After the upgrade")
	git("-C", clone, "push", "--quiet", "origin", "main")
	git("clone", "--quiet", remote("river/delta", "git:read"), filepath.Join(t.TempDir(), "delta"))

	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"the credential is stored":     {[]string{"repo", "show", "river/delta"}, "river/delta"},
		"the webhook is":               {[]string{"webhook", "list"}, "http://127.0.0.1:9/hook"},
		"the organisation is":          {[]string{"org", "list"}, "acme"},
		"its key opens what it should": {[]string{"repo", "list", "--org", "acme", "--key", filepath.Join(previous, "acme.pem")}, ""},
		"what was done is recorded":    {[]string{"audit"}, "repository.create"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := s.cli(t, tc.args...)
			require.NoError(t, err)
			require.Contains(t, out, tc.want)
		})
	}
	// The sealed credential can be opened, with the key of then: the host is gone, which
	// is what a sync says, and not that there is no credential.
	_, err = s.cli(t, "repo", "sync", "river/delta", "--wait")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "credential")
}
