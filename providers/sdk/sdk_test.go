package sdk

import (
	"bytes"
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/headwater-git/headwater/providers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, policy providers.HostPolicy, url string) (*http.Response, error) {
	t.Helper()
	client := HTTPClient(policy)
	t.Cleanup(client.CloseIdleConnections)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := client.Do(req)
	if err == nil {
		t.Cleanup(func() { _ = resp.Body.Close() })
	}
	return resp, err
}

func requireTyped(t *testing.T, err error, code providers.Code) *providers.Error {
	t.Helper()
	var typed *providers.Error
	require.ErrorAs(t, err, &typed)
	require.Equal(t, code, typed.Code, typed.Message)
	return typed
}

func TestHTTPClient_policy(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "http://other.example/x?token=planted-secret", http.StatusFound)
		case "/permanent":
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusPermanentRedirect)
		case "/unchanged":
			w.WriteHeader(http.StatusNotModified)
		}
	}))
	t.Cleanup(server.Close)
	allowed := providers.HostPolicy{AllowPrivate: true}

	resp, err := get(t, allowed, server.URL)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	resp, err = get(t, allowed, server.URL+"/unchanged")
	require.NoError(t, err)
	require.Equal(t, http.StatusNotModified, resp.StatusCode)

	_, err = get(t, providers.HostPolicy{}, server.URL)
	require.Contains(t, requireTyped(t, err, providers.CodeInvalidArgument).Message, "allow_private")

	_, err = get(t, allowed, server.URL+"/moved")
	typed := requireTyped(t, err, providers.CodeUnavailable)
	require.Equal(t, http.StatusFound, typed.HTTPStatus)
	require.Contains(t, typed.Message, "redirects to http://other.example, and redirects are not followed")
	require.NotContains(t, err.Error(), "planted-secret")

	_, err = get(t, allowed, server.URL+"/permanent")
	require.Equal(t, http.StatusPermanentRedirect, requireTyped(t, err, providers.CodeUnavailable).HTTPStatus)
}

func TestHTTPClient_trust(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	dir := t.TempDir()
	ca, junk := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "junk.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	require.NoError(t, os.WriteFile(junk, []byte("junk"), 0o600))

	resp, err := get(t, providers.HostPolicy{AllowPrivate: true, CAFile: ca}, server.URL)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, resp.StatusCode)

	_, err = get(t, providers.HostPolicy{AllowPrivate: true}, server.URL)
	require.Contains(t, requireTyped(t, err, providers.CodeUnavailable).Message, "certificate")
	_, err = get(t, providers.HostPolicy{AllowPrivate: true, CAFile: junk}, server.URL)
	require.Contains(t, requireTyped(t, err, providers.CodeInvalidConfig).Message, "no PEM certificate")
	_, err = get(t, providers.HostPolicy{AllowPrivate: true, CAFile: filepath.Join(dir, "missing")}, server.URL)
	requireTyped(t, err, providers.CodeInvalidConfig)
}

func TestHTTPClient_unreachable(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	_, err := get(t, providers.HostPolicy{AllowPrivate: true}, server.URL)
	require.Contains(t, requireTyped(t, err, providers.CodeUnavailable).Message, "refused")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	_, err = HTTPClient(providers.HostPolicy{AllowPrivate: true}).Do(req)
	require.ErrorIs(t, err, context.Canceled)
}

func TestHTTPClient_proxy_isIgnored(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("ALL_PROXY", proxy.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://nowhere.invalid/", nil)
	require.NoError(t, err)
	_, err = HTTPClient(providers.HostPolicy{AllowPrivate: true}).Do(req)
	require.Error(t, err)
}

func TestForwardHandshake(t *testing.T) {
	t.Parallel()
	const line = "1|1|unix|/tmp/plugin1|grpc|certificate\n"
	for name, c := range map[string]struct{ in, handshake, other string }{
		"alone":   {line, line, ""},
		"between": {"hello\n" + line + "world\n", line, "hello\nworld\n"},
		"twice":   {line + line, line, line},
		"noLine":  {"hello", "", "hello"},
		"netRPC":  {"1|1|unix|/tmp/plugin1|netrpc|\n", "", "1|1|unix|/tmp/plugin1|netrpc|\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var handshake, other bytes.Buffer
			forwardHandshake(strings.NewReader(c.in), &handshake, &other)
			require.Equal(t, c.handshake, handshake.String())
			require.Equal(t, c.other, other.String())
		})
	}
}

func TestRemoveSocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "tmp [a-c]", "plugin-dir123") // not a pattern
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "plugin456"), nil, 0o600))
	removeSocket(dir)
	require.NoDirExists(t, dir)

	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "plugin456"), nil, 0o600))
	removeSocket(other)
	require.FileExists(t, filepath.Join(other, "plugin456"), "not a directory of go-plugin")
	removeSocket("")
}
