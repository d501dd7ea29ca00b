package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/builtin"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// TestMain lets the test binary be a plugin process, as the program itself is.
func TestMain(m *testing.M) {
	if served, err := builtin.Serve(os.Args); served {
		os.Exit(report(os.Stderr, err))
	}
	os.Exit(m.Run())
}

// testServer is a server of one test, run by the serve command itself.
type testServer struct {
	dir  dataDir
	url  string
	log  *lockedBuffer
	stop func() error // ends it and returns what serve returned
}

// lockedBuffer is a buffer that a server writes while a test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns everything written so far.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// startServer runs "serve" with args on a fresh data directory, or on the one
// given, and waits until it says that it listens. It is stopped with the test.
func startServer(t *testing.T, dir dataDir, args ...string) *testServer {
	t.Helper()
	if dir == "" {
		dir = dataDir(filepath.Join(t.TempDir(), "data"))
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	reader, writer := io.Pipe()
	s := &testServer{dir: dir, log: &lockedBuffer{}}
	cmd := newRoot(noEnv)
	cmd.SetArgs(append([]string{"serve", "--data", string(dir), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-level", "debug"}, args...))
	cmd.SetOut(writer)
	cmd.SetErr(s.log)
	ended := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		_ = writer.CloseWithError(io.EOF)
		ended <- err
	}()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { require.NoError(t, s.stop()) })

	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		if _, url, ok := strings.Cut(lines.Text(), "is listening on "); ok {
			s.url = url
		}
		if strings.HasPrefix(lines.Text(), "Next:") {
			break
		}
	}
	require.NotEmpty(t, s.url, "the server did not start: %s", s.log)
	return s
}

// cli runs a client command on the server and returns its standard output.
func (s *testServer) cli(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, errs, err := runCLI(t, noEnv, append(args, "--data", string(s.dir))...)
	t.Logf("headwater %s\n%s%s", strings.Join(args, " "), out, errs)
	return out, err
}

// startForge starts a host that looks like Gitea with a private repository
// river/delta, and returns the path of a providers.hcl that allows it and of a
// file with its token.
func startForge(t *testing.T) (forge *forgetest.TestForge, config, token string) {
	t.Helper()
	forge = forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	forge.CreateRepo("river/delta", true)
	forge.Seed("river/delta", forgetest.SeedOptions{Commits: 20, Branches: 2, Tags: 1})
	dir := t.TempDir()
	config, token = filepath.Join(dir, "providers.hcl"), filepath.Join(dir, "token")
	block := "provider \"gitea\" {\n  host \"" + forge.Host() + "\" {\n    scheme = \"http\"\n    allow_private = true\n  }\n}\n"
	require.NoError(t, os.WriteFile(config, []byte(block), 0o600))
	require.NoError(t, os.WriteFile(token, []byte(forge.Token()+"\n"), 0o600))
	return forge, config, token
}
