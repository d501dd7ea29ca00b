package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestServe_firstStart(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	info, err := os.Stat(s.dir.keyFile())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	address, err := s.dir.address()
	require.NoError(t, err)
	require.Equal(t, s.url, address)

	for _, path := range []string{"/healthz", "/readyz"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, http.NoBody)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, path)
	}

	_, err = s.cli(t, "serve", "--listen", "127.0.0.1:0")
	require.ErrorContains(t, err, "another server", "one server per directory")
	address, err = s.dir.address()
	require.NoError(t, err)
	require.Equal(t, s.url, address, "the second one must not touch the first one's address")

	require.NoError(t, s.stop())
	_, err = s.dir.address()
	require.ErrorContains(t, err, "no server is running")
	require.NoFileExists(t, s.dir.addressFile())
}

func TestServe_tlsSelfSigned(t *testing.T) {
	t.Parallel()
	s := startServer(t, "", "--tls-self-signed")
	require.Contains(t, s.url, "https://")
	_, err := s.cli(t, "repo", "list")
	require.NoError(t, err, "the command line trusts the data directory's authority")

	_, errs, err := runCLI(t, noEnv, "repo", "list", "--server", s.url, "--key", s.dir.keyFile(), "--data", t.TempDir())
	require.Error(t, err, errs)
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, err, &unknown, "and nothing else does")

	_, _, err = runCLI(t, noEnv, "repo", "list", "--server", s.url, "--key", s.dir.keyFile(), "--data", t.TempDir(), "--ca-file", s.dir.caFile())
	require.NoError(t, err)
}

func TestServe_addressTaken(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	dir := filepath.Join(t.TempDir(), "data")
	_, _, err = runCLI(t, noEnv, "serve", "--data", dir, "--listen", l.Addr().String())
	var step *stepError
	require.ErrorAs(t, err, &step)
	require.Contains(t, step.next, "--listen 127.0.0.1:0")
	require.NoDirExists(t, dir, "nothing is made for a start that cannot be")
}

func TestServe_sealKeyTwice(t *testing.T) {
	t.Parallel()
	_, _, err := runCLI(t, envOf(map[string]string{"HEADWATER_SEAL_KEY": "planted-key"}), "serve", "--seal-key-file", "x", "--data", t.TempDir())
	require.ErrorContains(t, err, "given twice")
	require.NotContains(t, err.Error(), "planted-key")
}

func TestServe_databaseTwice(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	_, _, err := runCLI(t, envOf(map[string]string{"HEADWATER_DATABASE": "postgres://u:planted-word@db/x"}), "serve", "--database-file", "x", "--data", dir)
	require.ErrorContains(t, err, "given twice")
	require.NotContains(t, err.Error(), "planted-word")
	_, _, err = runCLI(t, envOf(map[string]string{"HEADWATER_DATABASE": "postgres://u:planted-word@127.0.0.1:1/x?connect_timeout=2"}), "serve", "--listen", "127.0.0.1:0", "--data", dir)
	require.ErrorContains(t, err, "PostgreSQL cannot be connected to")
	require.NotContains(t, err.Error(), "planted-word")
}

// slowServer is a background that takes one request and lets it finish only
// when it is drained.
type slowServer struct {
	entered  chan struct{} // closed by the first request
	draining chan struct{} // closed by Shutdown
}

func (s *slowServer) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(s.entered)
		<-s.draining
		_, _ = w.Write([]byte("pushed"))
	})
}

func (s *slowServer) Run(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (*slowServer) Reload(context.Context) error { return nil }

func (s *slowServer) Shutdown(context.Context) error {
	close(s.draining)
	return nil
}

func TestRunServer_drainsRunningRequests(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &slowServer{entered: make(chan struct{}), draining: make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- runServer(ctx, serving{server: s, listener: l, log: hclog.NewNullLogger(), drain: time.Minute})
	}()
	answered := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String())
		if err == nil {
			err = resp.Body.Close()
		}
		answered <- err
	}()
	<-s.entered
	stop()
	require.NoError(t, <-answered, "a request that runs is finished")
	require.NoError(t, <-ended)
}

// brokenServer is a background whose work ends by itself.
type brokenServer struct{ slowServer }

func (*brokenServer) Run(context.Context) error { return errors.New("disk gone") }

func TestRunServer_endsWithItsBackground(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &brokenServer{slowServer{draining: make(chan struct{})}}
	require.ErrorContains(t, runServer(t.Context(), serving{server: s, listener: l, log: hclog.NewNullLogger(), drain: time.Minute}), "disk gone")
}

func TestSelfSigned_reusedAndRenewed(t *testing.T) {
	t.Parallel()
	dir, now := filepath.Join(t.TempDir(), "tls"), time.Now()
	first, err := selfSigned(dir, now)
	require.NoError(t, err)
	info, err := os.Stat(first.key)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	original, err := os.ReadFile(first.cert)
	require.NoError(t, err)

	_, err = selfSigned(dir, now.Add(24*time.Hour))
	require.NoError(t, err)
	again, err := os.ReadFile(first.cert)
	require.NoError(t, err)
	require.Equal(t, original, again, "a good certificate is kept")

	_, err = selfSigned(dir, now.Add(selfSignedLife-time.Hour))
	require.NoError(t, err)
	renewed, err := os.ReadFile(first.cert)
	require.NoError(t, err)
	require.NotEqual(t, original, renewed, "one about to expire is replaced")
}

func TestSelfSigned_verifies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files, err := selfSigned(dir, time.Now())
	require.NoError(t, err)
	pair, err := tls.LoadX509KeyPair(files.cert, files.key)
	require.NoError(t, err)
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(ca))
	for host, good := range map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "git.example.org": false} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots})
		require.Equal(t, good, err == nil, host)
	}
}

func TestBaseURL_forms(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, addr string
		secure     bool
		want       string
	}{
		{"loopback", "127.0.0.1:8080", false, "http://127.0.0.1:8080"},
		{"tls", "127.0.0.1:8443", true, "https://127.0.0.1:8443"},
		{"every address", "0.0.0.0:8080", false, "http://127.0.0.1:8080"},
		{"every address, IPv6", "[::]:8080", false, "http://127.0.0.1:8080"},
		{"IPv6", "[::1]:8080", false, "http://[::1]:8080"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			addr, err := net.ResolveTCPAddr("tcp", tc.addr)
			require.NoError(t, err)
			require.Equal(t, tc.want, baseURL(addr, tc.secure))
		})
	}
}

func TestShellQuote_forms(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":             "''",
		"/var/lib/hw":  "/var/lib/hw",
		"a b":          "'a b'",
		"it's":         `'it'\''s'`,
		"$(rm -rf /)":  "'$(rm -rf /)'",
		"a;b":          "'a;b'",
		"user@host:22": "user@host:22",
	} {
		require.Equal(t, want, core.ShellWord(in))
	}
}
