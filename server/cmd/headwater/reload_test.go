package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
)

func TestCertificate_reload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := tlsFiles{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	write := func() *x509.Certificate {
		made, err := selfSigned(t.TempDir(), time.Now())
		require.NoError(t, err)
		for from, to := range map[string]string{made.cert: files.cert, made.key: files.key} {
			content, err := os.ReadFile(from)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(to, content, 0o600))
		}
		pair, err := tls.LoadX509KeyPair(files.cert, files.key)
		require.NoError(t, err)
		return pair.Leaf
	}
	first := write()
	c, err := newCertificate(func() (tlsFiles, error) { return files, nil })
	require.NoError(t, err)
	served := func() *x509.Certificate {
		pair, err := c.config().GetCertificate(nil)
		require.NoError(t, err)
		return pair.Leaf
	}
	require.Equal(t, first.SerialNumber, served().SerialNumber)

	second := write()
	require.Equal(t, first.SerialNumber, served().SerialNumber, "not before a reload")
	require.NoError(t, c.reload())
	require.Equal(t, second.SerialNumber, served().SerialNumber)

	require.NoError(t, os.WriteFile(files.cert, []byte("half a file"), 0o600))
	require.ErrorContains(t, c.reload(), "load TLS certificate")
	require.Equal(t, second.SerialNumber, served().SerialNumber, "what cannot be used leaves the former one in place")
}

// reloadedServer is a background that counts its reloads, and takes one request that
// ends only after a reload.
type reloadedServer struct {
	slowServer
	reloaded chan struct{}
}

func (s *reloadedServer) Reload(context.Context) error {
	close(s.draining) // what slowServer waits for
	close(s.reloaded)
	return nil
}

func (*reloadedServer) Shutdown(context.Context) error { return nil }

func TestRunServer_reloadsBesideARequest(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &reloadedServer{slowServer{entered: make(chan struct{}), draining: make(chan struct{})}, make(chan struct{})}
	ctx, stop := context.WithCancel(t.Context())
	hangup := make(chan os.Signal, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- runServer(ctx, serving{server: s, listener: l, log: hclog.NewNullLogger(), drain: time.Minute, hangup: hangup, reload: reloadAll(nil, s)})
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
	hangup <- syscall.SIGHUP
	<-s.reloaded
	require.NoError(t, <-answered)
	stop()
	require.NoError(t, <-ended)
}

func TestToHTTPS(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		port         int
		method, want string
	}{
		{443, http.MethodGet, "https://git.example.com/a%2Fb?c=d"},
		{8443, http.MethodHead, "https://git.example.com:8443/a%2Fb?c=d"},
		{443, http.MethodPost, ""},
	} {
		w := &statusWriter{header: http.Header{}}
		r, err := http.NewRequestWithContext(t.Context(), tc.method, "http://git.example.com:80/a%2Fb?c=d", http.NoBody)
		require.NoError(t, err)
		toHTTPS(tc.port)(w, r)
		require.Equal(t, tc.want, w.header.Get("Location"))
	}
}
