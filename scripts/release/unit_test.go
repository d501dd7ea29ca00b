package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds each wait: the machine of the tests may be busy.
const patience = 2 * time.Minute

// unit is what a .service file says of the process.
type unit struct {
	command []string
	env     []string
}

// readUnit reads the lines of a unit that decide what is started.
func readUnit(t *testing.T, name string) unit {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	var u unit
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "ExecStart":
			u.command = strings.Fields(value)
		case "Environment":
			u.env = append(u.env, strings.Fields(value)...)
		}
	}
	require.NotEmpty(t, u.command)
	return u
}

// manager stands for systemd: it opens the socket, and receives the states.
type manager struct {
	listener *net.TCPListener
	notices  *net.UnixConn
	path     string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "hw") // the path of a socket is short
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	m := &manager{path: filepath.Join(dir, "notify")}
	m.notices, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.notices.Close()) })
	m.listener, err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.listener.Close() })
	return m
}

// start starts the command of a unit below root, with the socket and an environment
// file of its own, as systemd would. It returns a function that ends it by SIGTERM.
func (m *manager) start(t *testing.T, root string, u unit, environmentFile []string) (*exec.Cmd, func()) {
	t.Helper()
	socket, err := m.listener.File()
	require.NoError(t, err)
	defer func() { require.NoError(t, socket.Close()) }()
	// LISTEN_PID must be the process itself, which only it knows before it starts.
	args := append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh", filepath.Join(root, u.command[0])}, u.command[1:]...)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/bin/sh", args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, u.env...)
	cmd.Env = append(cmd.Env, environmentFile...)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=400000", "LISTEN_FDS=1", "LISTEN_FDNAMES=headwater")
	cmd.ExtraFiles = []*os.File{socket}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	ended := false
	stop := func() {
		if ended {
			return
		}
		ended = true
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		err := cmd.Wait()
		text, _ := os.ReadFile(log.Name())
		t.Logf("%s", text)
		require.NoError(t, err)
		require.NoError(t, log.Close())
	}
	t.Cleanup(stop)
	return cmd, stop
}

// await reads states until one holds all of these assignments, and returns it.
func (m *manager) await(t *testing.T, assignments ...string) string {
	t.Helper()
	require.NoError(t, m.notices.SetReadDeadline(time.Now().Add(patience)))
	buffer := make([]byte, 4096)
	for {
		n, err := m.notices.Read(buffer)
		require.NoError(t, err, "the server did not say %s", assignments)
		state := "\n" + string(buffer[:n]) + "\n"
		found := true
		for _, a := range assignments {
			found = found && strings.Contains(state, "\n"+a)
		}
		if found {
			return state
		}
	}
}

// startForge starts the host of the quickstart and returns its folder.
func startForge(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	binary, data := filepath.Join(dir, "forge"), filepath.Join(dir, "data")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./scripts/quickstart-forge")
	build.Dir = "../.."
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	// The context of a test ends before its cleanup, which would kill the process.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "-dir", data, "-commits", "20")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait())
	})
	require.Eventually(t, func() bool { s, err := os.Stat(filepath.Join(data, "url")); return err == nil && s.Size() > 0 }, patience, 20*time.Millisecond)
	return data
}

// word reads a file of one line.
func word(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return strings.TrimSpace(string(text))
}

// mirrorAsUnit starts the packaged binary with the command line of its unit. Its
// environment file leads it elsewhere, and nothing else.
func mirrorAsUnit(t *testing.T, root string) {
	forge := startForge(t)
	u := readUnit(t, filepath.Join(root, "usr/lib/systemd/system/headwater.service"))
	require.Equal(t, []string{"/usr/bin/headwater", "serve"}, u.command)
	config, data := filepath.Join(t.TempDir(), "providers.hcl"), filepath.Join(t.TempDir(), "data")
	packaged, err := os.ReadFile(filepath.Join(root, "etc/headwater/providers.hcl"))
	require.NoError(t, err)
	block := func(rest string) string {
		return string(packaged) + "\nprovider \"gitea\" {\n" + rest + "  host \"" + strings.TrimPrefix(word(t, filepath.Join(forge, "url")), "http://") +
			"\" {\n    scheme = \"http\"\n    allow_private = true\n  }\n}\n"
	}
	require.NoError(t, os.WriteFile(config, []byte(block("")), 0o600))

	m := newManager(t)
	cmd, stop := m.start(t, root, u, []string{"HEADWATER_DATA=" + data, "HEADWATER_CONFIG=" + config})
	m.await(t, "READY=1")
	m.await(t, "WATCHDOG=1")

	headwater := func(args ...string) string {
		return command(t, []string{"HEADWATER_DATA=" + data}, filepath.Join(root, "usr/bin/headwater"), args...)
	}
	headwater("mirror", word(t, filepath.Join(forge, "clone-url")), "--provider", "gitea", "--id", "river/delta",
		"--username", word(t, filepath.Join(forge, "user")), "--password-file", filepath.Join(forge, "token"))
	token := strings.TrimSpace(headwater("token", "--repo", "river/delta", "--scope", "git:read", "--ttl", "1h"))
	address := "127.0.0.1:" + strconv.Itoa(m.listener.Addr().(*net.TCPAddr).Port)
	require.Contains(t, command(t, nil, "git", "ls-remote", "http://t:"+token+"@"+address+"/river/delta.git"), "refs/heads/main")

	require.NoError(t, os.WriteFile(config, []byte(block("  no_such_attribute = 1\n")), 0o600))
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	m.await(t, "RELOADING=1", "MONOTONIC_USEC=")
	require.Contains(t, m.await(t, "READY=1"), "The last reload failed")
	require.NoError(t, os.WriteFile(config, []byte(block("  poll = \"30s\"\n")), 0o600))
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	m.await(t, "RELOADING=1")
	require.NotContains(t, m.await(t, "READY=1"), "failed")
	require.Contains(t, command(t, nil, "git", "ls-remote", "http://t:"+token+"@"+address+"/river/delta.git"), "refs/heads/main")

	done := make(chan struct{})
	go func() { defer close(done); stop() }()
	m.await(t, "STOPPING=1")
	<-done
}
