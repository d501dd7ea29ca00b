package server_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// A mirror loses its objects while the server runs. A clone notices; until the copy is
// whole again everybody reads that it is being rebuilt, and detach keeps link and
// credential.
func TestDamage_isNoticedByACloneAndRebuilt(t *testing.T) {
	t.Parallel()
	var hold atomic.Bool
	hold.Store(true)
	goOn := make(chan struct{})
	b := startBench(t, forgetest.SeedOptions{Commits: 5, Branches: 2, Tags: 1}, servertest.Options{Failpoint: func(name string) {
		if name == "rebuild-fetched" && hold.Load() {
			<-goOn
		}
	}})
	id := b.Repo(t, mirror).ID
	require.NoError(t, os.RemoveAll(filepath.Join(b.Engine().Services().Repos.Path(id), "objects")))
	_, err := b.Client(t, mirror).Try("ls-remote", b.Remote(mirror))
	require.Error(t, err)
	require.Eventually(t, func() bool { return b.Get(t, mirror).At("sync.state") == "rebuilding" }, time.Minute, 20*time.Millisecond, "%s", b.Log)

	out, err := b.Client(t, mirror).Try("ls-remote", b.Remote(mirror))
	require.Error(t, err)
	require.Contains(t, out, "503")
	require.Contains(t, out, "is being fetched from its upstream again")
	a := b.Call(t, http.MethodGet, "/api/repos/"+url.PathEscape(mirror)+"/branches", b.Token(t, mirror), nil)
	require.Equal(t, http.StatusServiceUnavailable, a.Status)
	require.Equal(t, "rebuilding", a.At("code"))
	require.Equal(t, "30", a.Header.Get("Retry-After"))
	a = b.Call(t, http.MethodDelete, "/api/repos/"+url.PathEscape(mirror)+"/base", b.Token(t, mirror), nil)
	require.Equal(t, http.StatusConflict, a.Status)
	_, err = b.store.CredentialByRepo(t.Context(), id)
	require.NoError(t, err)
	hold.Store(false)
	close(goOn)
	require.Eventually(t, func() bool { return b.Get(t, mirror).At("damage.state") == "rebuilt" }, time.Minute, 20*time.Millisecond, "%s", b.Log)
	b.clone(t)
	b.requireSame(t)
}
