//go:build peers

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
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

// build builds a program of this module or of the server's and returns its path.
func build(t *testing.T, dir, pkg, name string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, pkg)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return binary
}

// keyPair is a certificate for 127.0.0.1, in files, with the pool that trusts it.
func keyPair(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pair := s.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return cert, key, roots
}

// freePort is a port of loopback on which nothing listens now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().(*net.TCPAddr).Port
}

// daemon starts a program that the test ends.
func daemon(t *testing.T, env []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(name), text)
		}
		_ = log.Close()
	})
	return cmd
}

// TestACME gets a certificate from pebble, the test authority of Let's Encrypt, by each
// kind of challenge, and finds it again after a restart without the authority.
func TestACME(t *testing.T) {
	t.Parallel()
	headwater := build(t, "../..", "./server/cmd/headwater", "headwater")
	pebble := build(t, ".", "github.com/letsencrypt/pebble/v2/cmd/pebble", "pebble")
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			main, plain, directory, management := freePort(t), freePort(t), freePort(t), freePort(t)
			cert, key, trusted := keyPair(t)
			settings, err := json.Marshal(map[string]any{"pebble": map[string]any{
				"listenAddress": fmt.Sprintf("127.0.0.1:%d", directory), "managementListenAddress": fmt.Sprintf("127.0.0.1:%d", management),
				"certificate": cert, "privateKey": key, "httpPort": plain, "tlsPort": main,
			}})
			require.NoError(t, err)
			config := filepath.Join(t.TempDir(), "pebble.json")
			require.NoError(t, os.WriteFile(config, settings, 0o600))
			authority := daemon(t, []string{"PEBBLE_VA_NOSLEEP=1"}, pebble, "-config", config)
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}, Timeout: 10 * time.Second}
			var root []byte
			require.Eventually(t, func() bool {
				resp, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d/roots/0", management))
				if err != nil {
					return false
				}
				defer func() { _ = resp.Body.Close() }()
				var b bytes.Buffer
				_, err = b.ReadFrom(resp.Body)
				root = b.Bytes()
				return err == nil && resp.StatusCode == http.StatusOK
			}, patience, 50*time.Millisecond)

			listen := "127.0.0.1:" + strconv.Itoa(plain)
			if challenge == "tls-alpn-01" {
				listen = "none"
			}
			data := filepath.Join(t.TempDir(), "data")
			serve := func() *exec.Cmd {
				return daemon(t, nil, headwater, "serve", "--data", data, "--listen", "127.0.0.1:"+strconv.Itoa(main),
					"--acme-domain", "localhost", "--acme-email", "admin@example.com", "--acme-http-listen", listen,
					"--acme-ca", fmt.Sprintf("https://127.0.0.1:%d/dir", directory), "--acme-ca-file", cert)
			}
			roots := x509.NewCertPool()
			require.True(t, roots.AppendCertsFromPEM(root))
			served := func() *x509.Certificate {
				var leaf *x509.Certificate
				require.Eventually(t, func() bool {
					c, err := tls.Dial("tcp", "127.0.0.1:"+strconv.Itoa(main), &tls.Config{RootCAs: roots, ServerName: "localhost"})
					if err != nil {
						return false
					}
					leaf = c.ConnectionState().PeerCertificates[0]
					return c.Close() == nil
				}, patience, 100*time.Millisecond)
				return leaf
			}
			first := serve()
			leaf := served()
			require.Equal(t, []string{"localhost"}, leaf.DNSNames)
			if challenge == "http-01" {
				plainClient := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				resp, err := plainClient.Get("http://" + listen + "/healthz")
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				require.Equal(t, fmt.Sprintf("https://127.0.0.1:%d/healthz", main), resp.Header.Get("Location"))
			}
			for _, name := range []string{"tls", "tls/acme"} {
				info, err := os.Stat(filepath.Join(data, name))
				require.NoError(t, err)
				require.Zero(t, info.Mode().Perm()&0o077, "%s holds keys", name)
			}

			require.NoError(t, authority.Process.Kill())
			require.NoError(t, first.Process.Signal(syscall.SIGTERM))
			require.NoError(t, first.Wait())
			serve()
			require.Equal(t, leaf.SerialNumber, served().SerialNumber, "it is kept in the data directory")
		})
	}
}

// block returns the nth code block of a language in docs/reverse-proxy.md.
func block(t *testing.T, language string, n int) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/reverse-proxy.md")
	require.NoError(t, err)
	parts := strings.Split(string(text), "```"+language+"\n")
	require.Greater(t, len(parts), n+1)
	code, _, ok := strings.Cut(parts[n+1], "```")
	require.True(t, ok)
	return code
}
