package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// smallDisk names the folder of the small disk to the test that runs on it.
const smallDisk = "HEADWATER_TEST_SMALL_DISK"

// onSmallDisk runs the test t anew in a process of its own, with a disk of 32 MB that
// nobody else sees (a tmpfs in a mount namespace), and returns its folder to that one;
// "" to the process that has only started it.
func onSmallDisk(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv(smallDisk); dir != "" {
		require.NoError(t, syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
		require.NoError(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"))
		return dir
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), smallDisk+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		// Whoever may not mount may within a user namespace, see user_namespaces(7).
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return ""
}

// fill writes a file until the disk takes not one byte more.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	block := make([]byte, 64<<10)
	for err == nil {
		_, err = f.Write(block)
		if err != nil && len(block) > 1 {
			block, err = block[:len(block)/2], nil
		}
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, f.Close())
}

// get returns the status and the body of an answer.
func (s *testServer) get(t *testing.T, path string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, s.url+path, http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, errors.Join(err, resp.Body.Close()))
	return resp.StatusCode, string(body)
}

// A disk without one free byte: the server starts, after a kill too, and serves reads;
// writes are answered as failed, with the sentence that helps; readiness and doctor say
// so; and with free space all goes on by itself.
func TestServe_fullDisk(t *testing.T) { //nolint:paralleltest // it is a process of its own
	dir := onSmallDisk(t)
	if dir == "" {
		return
	}
	data := dataDir(filepath.Join(dir, "data"))
	s := startServer(t, data)
	_, err := s.cli(t, "repo", "create", "team/one")
	require.NoError(t, err)
	secret, err := s.cli(t, "token", "--repo", "team/one", "--scope", "git:write")
	require.NoError(t, err)
	token, work := strings.TrimSpace(secret), t.TempDir()
	for _, args := range [][]string{{"init", "--quiet", "-b", "main"}, {"commit", "--quiet", "--allow-empty", "-m", "one"}, {"push", "--quiet", s.url + "/team/one.git", "main"}} {
		out, err := gitAt(t, work, token, args...)
		require.NoError(t, err, out)
	}
	require.NoError(t, s.stop())

	fill(t, filepath.Join(dir, "filled"))
	s = startServer(t, data)
	remote := s.url + "/team/one.git"
	out, err := gitAt(t, t.TempDir(), token, "clone", "--quiet", remote, "copy")
	require.NoError(t, err, out)
	status, body := s.get(t, "/readyz")
	require.Equal(t, http.StatusOK, status, "reads must not be taken away")
	require.Contains(t, body, `"status":"read-only"`)
	require.Contains(t, body, "no space is left on the disk of the folder tmp of the data directory")
	status, body = s.get(t, "/readyz?writes=true")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, `"resource"`)
	out, err = gitAt(t, work, token, "commit", "--quiet", "--allow-empty", "-m", "two")
	require.NoError(t, err, out)
	out, err = gitAt(t, work, token, "push", "--quiet", remote, "main")
	require.Error(t, err)
	require.Contains(t, out, "no space is left on the disk")
	_, err = s.cli(t, "repo", "create", "team/two")
	require.ErrorContains(t, err, "its disk is full", "not that no server runs")
	_, err = s.cli(t, "repo", "create", "team/two", "--server", s.url, "--key", data.keyFile())
	require.ErrorContains(t, err, "no space is left on the disk")
	found, _, err := runCLI(t, noEnv, "doctor", "--data", string(data))
	require.Error(t, err)
	require.Contains(t, found, "the disk has 0 MiB left")

	require.NoError(t, os.Remove(filepath.Join(dir, "filled")))
	require.Eventually(t, func() bool {
		_, body := s.get(t, "/readyz")
		return bytes.Contains([]byte(body), []byte(`"status":"ready"`))
	}, time.Minute, 50*time.Millisecond)
	out, err = gitAt(t, work, token, "push", "--quiet", remote, "main")
	require.NoError(t, err, out)
}
