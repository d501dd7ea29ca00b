// Package lfstest starts the server with which Git LFS tests its client, for tests: one
// that misbehaves on purpose. scripts/peers/lfs-build makes the program and those beside
// it, and the environment variable HEADWATER_LFS_TOOLS names their folder.
//
// What goes wrong is chosen by names of repositories, such as "expired-absolute", and by
// objects whose bytes are a word, such as "storage-download-retry-later"; the source of
// the program, t/cmd/lfstest-gitserver.go of github.com/git-lfs/git-lfs, lists them.
package lfstest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// User and Password are what every repository of a [Server] is opened with.
const (
	User     = "user"
	Password = "pass"
)

// Server is a running lfstest-gitserver. The LFS of a repository "a" is at
// URL/a.git/info/lfs; no repository has to be made first.
type Server struct {
	// URL is http://127.0.0.1:port, without a slash at the end.
	URL string
	// Host is host:port of it.
	Host string
	// Folder is where bare repositories for its git lie.
	Folder string
}

// Start starts a server and waits until it serves. At the end of the test it is ended,
// and its log is printed if the test failed.
func Start(t testing.TB) *Server {
	t.Helper()
	dir := t.TempDir()
	s := &Server{Folder: filepath.Join(dir, "repositories")}
	require.NoError(t, os.Mkdir(s.Folder, 0o700))
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	address := filepath.Join(dir, "LFSTEST_URL")
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), Tool(t, "lfstest-gitserver"))
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LFSTEST_DIR=" + s.Folder}
	for _, file := range []string{"URL", "SSL_URL", "CLIENT_CERT_URL", "CERT", "CLIENT_CERT", "CLIENT_KEY", "CLIENT_KEY_ENCRYPTED"} {
		cmd.Env = append(cmd.Env, "LFSTEST_"+file+"="+filepath.Join(dir, "LFSTEST_"+file))
	}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("lfstest-gitserver says:\n%s", said)
		}
	})
	require.Eventually(t, func() bool {
		said, err := os.ReadFile(address)
		s.URL = strings.TrimSpace(string(said))
		return err == nil && s.URL != ""
	}, time.Minute, 20*time.Millisecond, "lfstest-gitserver did not get ready")
	s.Host = strings.TrimPrefix(s.URL, "http://")
	return s
}

// Tool returns the path of a program that scripts/peers/lfs-build makes. The test fails at
// once if it is not there.
func Tool(t testing.TB, name string) string {
	t.Helper()
	const how = "run scripts/test --peers, or set HEADWATER_LFS_TOOLS to what scripts/peers/lfs-build prints"
	folder := os.Getenv("HEADWATER_LFS_TOOLS")
	require.NotEmpty(t, folder, "HEADWATER_LFS_TOOLS is not set: "+how)
	path := filepath.Join(folder, name)
	require.FileExists(t, path, how)
	return path
}
