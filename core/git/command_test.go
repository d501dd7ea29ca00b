package git

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
)

func newGit(t *testing.T) *Git {
	t.Helper()
	g, err := New(t.Context(), Options{})
	require.NoError(t, err)
	return g
}

// writeScript makes a program. A fork between open and close would keep it open
// for writing in the child, and then nobody may start it.
func writeScript(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "git")
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700))
	return path
}

// scripted returns a Git whose binary is a shell script. What is not "version"
// goes to body.
func scripted(t *testing.T, body string) *Git {
	t.Helper()
	path := writeScript(t, "[ \"$1\" = version ] && echo 'git version 2.39.5' && exit\n"+body)
	g, err := New(t.Context(), Options{Path: path})
	require.NoError(t, err)
	return g
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]Version{
		"git version 2.39.5": {2, 39, 5}, "git version 2.39.5 (Apple Git-154)": {2, 39, 5}, "git version 2.50.rc1": {2, 50, 0},
		"git version 2.45.1.windows.1": {2, 45, 1}, "git version 3.0": {3, 0, 0},
	} {
		v, err := ParseVersion(s)
		require.NoError(t, err, s)
		require.Equal(t, want, v, s)
	}
	for _, s := range []string{"", "git", "git version", "git version x.y", "hg version 2.0.0"} {
		_, err := ParseVersion(s)
		require.Error(t, err, s)
	}
	require.True(t, Version{2, 40, 0}.AtLeast(MinVersion()))
	require.True(t, Version{3, 0, 0}.AtLeast(MinVersion()))
	require.False(t, Version{2, 38, 9}.AtLeast(MinVersion()))
}

func TestNew_refusesWhatCannotServe(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"old": "echo git version 2.30.2", "no git": "echo hello", "fails": "exit 1"} {
		path := writeScript(t, script+"\n")
		_, err := New(t.Context(), Options{Path: path})
		require.Error(t, err, name)
	}
	_, err := New(t.Context(), Options{Path: "/nonexistent/git"})
	require.Error(t, err)
}

func TestInvariant15_environmentIsAnAllowList(t *testing.T) {
	t.Parallel()
	g := scripted(t, "echo \"$@\"\nenv\n")
	r := Remote{URL: "https://host.example/x.git", Username: "u", Password: "s3cret-password"}
	out, err := g.Output(t.Context(), Command{
		Name: "fetch", Flags: []string{"--quiet"}, Args: []string{r.URL}, Paths: []string{"-p"}, Remote: &r,
		Config: []Config{Set("a.b", "c")}, Env: []string{"GIT_PROTOCOL=version=2"},
	})
	require.NoError(t, err)
	argv, environment, _ := strings.Cut(string(out), "\n")
	require.Equal(t, "fetch --quiet https://host.example/x.git -- -p", argv)
	require.NotContains(t, argv, "s3cret")
	require.NotContains(t, strings.ToLower(environment), "planted")
	require.NotContains(t, environment, "127.0.0.1:1", "no proxy")
	allowed := map[string]bool{
		"LC_ALL": true, "HOME": true, "XDG_CONFIG_HOME": true, "PATH": true, "TZ": true, "TMPDIR": true, "LD_LIBRARY_PATH": true,
		"SSL_CERT_FILE": true, "SSL_CERT_DIR": true, "PWD": true, "SHLVL": true, "_": true, "OLDPWD": true, // the last are the shell's
	}
	for line := range strings.SplitSeq(strings.TrimSpace(environment), "\n") {
		name, _, _ := strings.Cut(line, "=")
		require.True(t, allowed[name] || strings.HasPrefix(name, "GIT_"), line)
	}
	for _, want := range []string{
		"LC_ALL=C", "HOME=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_ALLOW_PROTOCOL=https:http", "=http.followRedirects", "=http.proxy", "=core.hooksPath", "=a.b",
		"=http.https://host.example/x.git.extraHeader", "=Authorization: Basic dTpzM2NyZXQtcGFzc3dvcmQ=", "GIT_PROTOCOL=version=2",
	} {
		require.Contains(t, environment, want)
	}
}

func TestCommand_refusesDataThatLooksLikeAnOption(t *testing.T) {
	t.Parallel()
	g := newGit(t)
	for _, arg := range []string{"-x", "--upload-pack=evil", "-", "a\x00b"} {
		require.ErrorIs(t, g.Run(t.Context(), Command{Name: "ls-remote", Args: []string{"ok", arg}}), errArgument, arg)
	}
}

func TestInvariant15_debugLogHasNoArguments(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	g, err := New(t.Context(), Options{Logger: hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug})})
	require.NoError(t, err)
	r := Remote{URL: "http://127.0.0.1:1/x.git", Username: "user-name", Password: "s3cret-password"}
	err = g.Run(t.Context(), Command{Name: "ls-remote", Args: []string{r.URL}, Remote: &r})
	var exit *ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 128, exit.Code)
	require.NotContains(t, fmt.Sprintf("%v %+v %s", err, exit, exit.Stderr), "s3cret")
	require.Contains(t, log.String(), "command=ls-remote")
	require.NotContains(t, log.String(), "s3cret")
	require.NotContains(t, log.String(), "dXNlci1uYW1l")
}

func TestProcess_boundedOutput(t *testing.T) {
	t.Parallel()
	g := scripted(t, "yes 0123456789abcdef | head -c 1000000 >&2\nexit 3\n")
	err := g.Run(t.Context(), Command{Name: "x"})
	var exit *ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 3, exit.Code)
	require.Len(t, exit.Stderr, stderrLimit)
	_, err = scripted(t, "yes | head -c 70000000\n").Output(t.Context(), Command{Name: "x"})
	require.ErrorContains(t, err, "larger than")
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil && !zombie(pid) }

func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// started waits for the pids that a script writes into a file.
func started(t *testing.T, path string, n int) []int {
	t.Helper()
	var pids []int
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(path)
		pids = nil
		for f := range strings.FieldsSeq(string(text)) {
			pid, perr := strconv.Atoi(f)
			require.NoError(t, perr)
			pids = append(pids, pid)
		}
		return err == nil && len(pids) == n && strings.HasSuffix(string(text), "\n")
	}, time.Minute, 5*time.Millisecond)
	return pids
}

func TestProcess_cancelEndsTheWholeGroup(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		trap string // of leader and grandchild
		min  time.Duration
		max  time.Duration
	}{
		"that obeys":              {"", 0, 8 * time.Second},
		"that ignores the signal": {"trap '' TERM", killGrace, killGrace + 30*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pidfile := filepath.Join(t.TempDir(), "pids")
			g := scripted(t, tc.trap+"\nsh -c '"+strings.ReplaceAll(tc.trap, "'", `'\''`)+"\nwhile :; do sleep 1; done' &\necho $$ $! > "+pidfile+"\nwhile :; do sleep 1; done\n")
			ctx, cancel := context.WithCancelCause(t.Context())
			var out bytes.Buffer
			p, err := g.Start(ctx, Command{Name: "x", Stdout: &out})
			require.NoError(t, err)
			pids := started(t, pidfile, 2)
			begin := time.Now()
			why := fmt.Errorf("client is gone")
			cancel(why)
			require.ErrorIs(t, p.Wait(), why)
			took := time.Since(begin)
			require.GreaterOrEqual(t, took, tc.min)
			require.Less(t, took, tc.max)
			for _, pid := range pids {
				require.Eventually(t, func() bool { return !alive(pid) }, time.Minute, 5*time.Millisecond, "process %d is left", pid)
			}
		})
	}
}

func TestGit_Start_contextThatHasEnded(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, newGit(t).Run(ctx, Command{Name: "version"}), context.Canceled)
}

func TestProcess_backgroundYields(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		return // only Linux tells of another process's priority this way
	}
	out, err := scripted(t, "sleep 0.2; nice\n").Output(t.Context(), Command{Name: "x", Background: true})
	require.NoError(t, err)
	nice, err := strconv.Atoi(strings.TrimSpace(string(out)))
	require.NoError(t, err)
	require.GreaterOrEqual(t, nice, 10)
}

func TestProtocolEnv_passesKnownVersionsOnly(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"GIT_PROTOCOL=version=2"}, ProtocolEnv("version=2"))
	require.Equal(t, []string{"GIT_PROTOCOL=version=1"}, ProtocolEnv("version=1"))
	for _, h := range []string{"", "version=0", "version=2:x", "version=2\nLD_PRELOAD=x"} {
		require.Nil(t, ProtocolEnv(h), h)
	}
}

func TestTailWriter_keepsTheEnd(t *testing.T) {
	t.Parallel()
	var tail bytes.Buffer
	w := TailWriter(&tail)
	for i := range 20000 {
		line := fmt.Sprintf("line %d\n", i)
		n, err := w.Write([]byte(line))
		require.NoError(t, err)
		require.Equal(t, len(line), n)
	}
	require.LessOrEqual(t, tail.Len(), 2*stderrLimit)
	require.True(t, strings.HasSuffix(tail.String(), "line 19999\n"))
}
