package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestServe_hangupDropsNoPush sends SIGHUP to a whole server, with another certificate and
// another providers.hcl, while a push waits for its upstream: the push ends well, and who
// connects afterwards gets the new certificate. It is not parallel, because a signal comes
// to every server of the process.
func TestServe_hangupDropsNoPush(t *testing.T) {
	forge, config, tokenFile := startForge(t)
	dir := t.TempDir()
	files := tlsFiles{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	bundle := filepath.Join(dir, "bundle.pem")
	install := func() {
		made, err := selfSigned(filepath.Join(t.TempDir(), "tls"), time.Now())
		require.NoError(t, err)
		for from, to := range map[string]string{made.cert: files.cert, made.key: files.key} {
			content, err := os.ReadFile(from)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(to, content, 0o600))
		}
		authority, err := os.ReadFile(filepath.Join(filepath.Dir(made.cert), "ca.pem"))
		require.NoError(t, err)
		known, err := os.OpenFile(bundle, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = known.Write(authority)
		require.NoError(t, err)
		require.NoError(t, known.Close())
	}
	install()
	s := startServer(t, "", "--config", config, "--tls-cert", files.cert, "--tls-key", files.key)
	_, err := s.cli(t, "mirror", forge.CloneURL("river/delta"), "--username", "river", "--password-file", tokenFile, "--ca-file", bundle)
	require.NoError(t, err)
	token, err := s.cli(t, "token", "--repo", "river/delta", "--scope", "git:write")
	require.NoError(t, err)
	work := filepath.Join(dir, "work")
	git := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "http.extraHeader=Authorization: Bearer " + strings.TrimSpace(token)}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_SSL_CAINFO="+bundle, "GIT_TERMINAL_PROMPT=0")
		return cmd
	}
	run := func(cmd *exec.Cmd) string {
		t.Helper()
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return strings.TrimSpace(string(out))
	}
	run(git("clone", "--quiet", s.url+"/river/delta.git", work))
	commit := func() string {
		run(git("-C", work, "-c", "user.name=n", "-c", "user.email=n@example.org", "commit", "--quiet", "--allow-empty", "-m", "ours"))
		return run(git("-C", work, "rev-parse", "HEAD"))
	}
	serial := func() string {
		pool := x509.NewCertPool()
		known, err := os.ReadFile(bundle)
		require.NoError(t, err)
		require.True(t, pool.AppendCertsFromPEM(known))
		address, err := url.Parse(s.url)
		require.NoError(t, err)
		conn, err := tls.Dial("tcp", address.Host, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
		require.NoError(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()

	tip := commit()
	release := forge.HoldRefs("river/delta")
	released := false
	defer func() {
		if !released {
			release()
		}
	}()
	pushed := make(chan error, 1)
	push := git("-C", work, "push", "--quiet", "origin", "HEAD:refs/heads/ours")
	var said strings.Builder
	push.Stdout, push.Stderr = &said, &said
	go func() { pushed <- push.Run() }()
	require.Eventually(t, func() bool {
		for _, line := range servertest.Processes() {
			if strings.Contains(line, "push") && strings.Contains(line, "--porcelain") {
				return true
			}
		}
		return false
	}, time.Minute, 20*time.Millisecond, "the push does not reach its upstream: %s", s.log)

	install()
	block, err := os.ReadFile(config)
	require.NoError(t, err)
	changed := strings.Replace(string(block), "allow_private = true\n", "allow_private = true\n    max_concurrent = 3\n", 1)
	require.NotEqual(t, string(block), changed)
	require.NoError(t, os.WriteFile(config, []byte(changed), 0o600))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	require.Eventually(t, func() bool { return strings.Contains(s.log.String(), "reloaded") }, time.Minute, 20*time.Millisecond, "%s", s.log)
	require.NotContains(t, s.log.String(), "the reload failed")
	require.NotEqual(t, before, serial(), "who connects now gets the new certificate")
	select {
	case err := <-pushed:
		require.Fail(t, "the push ended while its upstream was held", "%v: %s", err, &said)
	default:
	}

	release()
	released = true
	require.NoError(t, <-pushed, "%s\n%s", &said, s.log)
	require.Equal(t, tip, forge.Ref("river/delta", "refs/heads/ours"))
	tip = commit()
	run(git("-C", work, "push", "--quiet", "origin", "HEAD:refs/heads/ours"))
	require.Equal(t, tip, forge.Ref("river/delta", "refs/heads/ours"), "the changed host block serves, too")
}
