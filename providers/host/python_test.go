//go:build python

package host

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/v1/wire"
)

// quern makes the plugin of testdata/python in a folder of its own, beside the
// messages that protoc makes for it, and returns the block that runs it. It needs
// Debian's python3-grpcio, python3-protobuf, protobuf-compiler and openssl, which
// scripts/test installs.
func quern(t *testing.T, attributes string) (block string) {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "protoc", "--python_out="+dir, "-I", "../v1", "provider.proto").CombinedOutput()
	require.NoError(t, err, "%s", out)
	src, err := os.ReadFile("testdata/python/quern.py")
	require.NoError(t, err)
	program := filepath.Join(dir, "provider-quern")
	require.NoError(t, os.WriteFile(program, src, 0o700))
	sum := sha256.Sum256(src)
	return fmt.Sprintf("provider \"quern\" {\n  command = %q\n  sha256 = %q\n%s\n}\n", program, hex.EncodeToString(sum[:]), attributes)
}

// A plugin in another language, with what its author reads in the documents and
// in the .proto file: it goes through the handshake, mutual TLS, the health check,
// typed errors and a shutdown.
func TestPython_servesTheContract(t *testing.T) {
	t.Parallel()
	b := setup(t, quern(t, "  host \"127.0.0.1:9\" {\n    scheme = \"http\"\n  }"), nil)
	i := b.instance(t, "quern")
	m, err := i.Manifest(t.Context())
	require.NoError(t, err)
	require.Equal(t, "Repositories at a Quern", m.Description)

	at := providers.Locator{Host: "127.0.0.1:9", Owner: "acme", Name: "widget.git"}
	remote, err := i.Resolve(t.Context(), providers.ResolveRequest{Locator: at})
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:9/acme/widget.git", remote.URL, "the host block arrived")
	at.Owner = "../acme"
	_, err = i.Resolve(t.Context(), providers.ResolveRequest{Locator: at})
	e := requireCode(t, err, providers.CodeInvalidArgument)
	require.Contains(t, e.Message, "an owner and a name of letters and digits")

	stored := &providers.StoredCredential{Secret: "planted-token"}
	c, err := i.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpPush, Stored: stored})
	require.NoError(t, err)
	require.Equal(t, providers.CredentialHeader, c.Kind)
	require.Equal(t, "Authorization: Bearer planted-token", c.Header+": "+c.Secret.Reveal())
	_, err = i.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpPush})
	requireCode(t, err, providers.CodeUnauthenticated)

	body := []byte(`{"path": "acme/widget"}`)
	mac := hmac.New(sha256.New, []byte("new"))
	_, _ = mac.Write(body) // never fails
	q := providers.WebhookRequest{
		Method: http.MethodPost, Body: body, Secrets: []providers.Secret{"old", "new"},
		Header: http.Header{"X-Quern-Signature": {hex.EncodeToString(mac.Sum(nil))}},
	}
	result, err := i.ParseWebhook(t.Context(), q)
	require.NoError(t, err)
	require.Equal(t, "acme/widget", result.RepositoryPath)
	q.Secrets = []providers.Secret{"old", ""}
	_, err = i.ParseWebhook(t.Context(), q)
	requireCode(t, err, providers.CodeSignatureInvalid)

	// What it lacks is what it cannot, and no failure of the plugin.
	_, err = i.EnsureWebhook(t.Context(), providers.EnsureWebhookRequest{Remote: remote})
	requireCode(t, err, providers.CodeUnsupported)
	pid := i.Status().PID
	_, err = call(t.Context(), i.super, "Ping", func(ctx context.Context, c *wire.Client) (struct{}, error) { return struct{}{}, c.Ping(ctx) })
	require.NoError(t, err, "it answers the health check")

	// Signals that end a session leave it alone; the server's end does not.
	require.NoError(t, syscall.Kill(pid, syscall.SIGTERM))
	_, err = i.Resolve(t.Context(), providers.ResolveRequest{Locator: providers.Locator{Host: "h.example", Owner: "a", Name: "b"}})
	require.NoError(t, err)
	require.Equal(t, pid, i.Status().PID)
	begin := time.Now()
	require.NoError(t, b.Close(t.Context()))
	requireGone(t, pid)
	require.Less(t, time.Since(begin), gentleStop, "it ends when it is asked to, and is not killed")
}

func TestPython_startedByHand(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c",
		"import sys; sys.modules['provider_pb2'] = type(sys)('pb'); exec(open('testdata/python/quern.py').read())")
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "not to be started by hand")
}
