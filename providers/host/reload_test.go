package host

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/config"
)

// reload reads a configuration as the file of the server would be.
func (b bundle) reload(t *testing.T, hcl string) error {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "providers.hcl"), []byte(hcl), nil)
	require.NoError(t, err)
	return b.Reload(t.Context(), cfg)
}

func TestCatalog_Reload_replacesWhatChanged(t *testing.T) {
	t.Parallel()
	same, changed := acmeBlock(t, ""), externalNamed(t, "second")
	b := setup(t, same+changed, nil)
	first, second := b.instance(t, "acme"), b.instance(t, "second")
	requireWorks(t, first)
	requireWorks(t, second)
	pid, former := first.Status().PID, second.Status().PID

	// The block that is the same stands elsewhere in the file now.
	require.NoError(t, b.reload(t, "\n\n"+externalNamed(t, "second")[:len(changed)-2]+" poll = \"30s\"\n}\n"+same))
	require.Same(t, first, b.instance(t, "acme"))
	requireWorks(t, first)
	require.Equal(t, pid, first.Status().PID, "its process goes on")

	latest := b.instance(t, "second")
	require.NotSame(t, second, latest)
	require.Equal(t, "30s", second.Poll(), "who holds the former one is answered by the new one")
	requireWorks(t, second)
	require.NotZero(t, latest.Status().PID)
	requireGone(t, former)
}

func TestCatalog_Reload_finishesCallsInFlight(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, ""), func(o *Options) { o.CallTimeout = 2 * time.Second })
	held := b.instance(t, "acme")
	requireWorks(t, held)
	answered := make(chan error, 1)
	go func() {
		_, err := held.Resolve(context.WithoutCancel(t.Context()), locate("slow", "n"))
		answered <- err
	}()
	require.Eventually(t, func() bool { return held.super.underWay() }, time.Minute, time.Millisecond)
	require.NoError(t, b.reload(t, acmeBlock(t, `poll = "30s"`)))
	// What the plugin itself says when its time is over: it was not ended before.
	require.Equal(t, "the host did not answer in time", requireCode(t, <-answered, providers.CodeUnavailable).Message)
	require.Zero(t, held.Status().Crashes)
}

func TestCatalog_Reload_takenOut(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, ""), func(o *Options) { o.RetireAfter = 50 * time.Millisecond })
	held := b.instance(t, "acme")
	requireWorks(t, held)
	require.NoError(t, b.reload(t, ""))
	_, err := b.Instance("acme")
	require.Error(t, err)
	require.Eventually(t, func() bool {
		_, err := held.Resolve(t.Context(), locate("o", "n"))
		return providers.CodeOf(err) == providers.CodeInvalidConfig
	}, time.Minute, 10*time.Millisecond)
	_, err = held.Resolve(t.Context(), locate("o", "n"))
	require.ErrorContains(t, err, "taken out of providers.hcl")

	require.NoError(t, b.reload(t, acmeBlock(t, "")))
	requireWorks(t, b.instance(t, "acme"))
}

func TestCatalog_Reload_keepsTheFormerOneOnErrors(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, ""), nil)
	held := b.instance(t, "acme")
	require.ErrorContains(t, b.reload(t, `provider "nobody" {}`), "not built in")
	require.ErrorContains(t, b.reload(t, acmeBlock(t, `no_such_attribute = 1`)), "no_such_attribute")
	require.Same(t, held, b.instance(t, "acme"))
	requireWorks(t, held)
}

func TestCatalog_Reload_authorityChanged(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler())
	server.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, authority, 0o600))
	block := acmeBlock(t, "host \"acme.example\" { ca_file = \""+file+"\" }")
	b := setup(t, block, nil)
	held := b.instance(t, "acme")
	require.NoError(t, b.reload(t, block))
	require.Same(t, held, b.instance(t, "acme"))
	require.NoError(t, os.WriteFile(file, append(authority, authority...), 0o600))
	require.NoError(t, b.reload(t, block))
	require.NotSame(t, held, b.instance(t, "acme"))
}
