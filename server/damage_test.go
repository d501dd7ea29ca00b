package server_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
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

// A local repository loses its folder, or a part of it, while the server runs: who asks
// reads that its content is gone and how it is restored, also if it was found whole a
// moment ago.
func TestDamage_ofALocalRepositoryIsSaid(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, "r")
	own := s.Client(t, "r").Clone("")
	own.Commit("one")
	own.Git("push", "--quiet", s.Remote("r"), "HEAD:main")
	folder := s.Engine().Services().Repos.Path(s.Repo(t, "r").ID)
	aside := filepath.Join(t.TempDir(), "aside")
	for _, what := range []string{"", "objects", "HEAD", "refs"} {
		require.NoError(t, os.Rename(filepath.Join(folder, what), aside))
		_, err := s.Client(t, "r").Try("ls-remote", s.Remote("r"))
		require.Error(t, err, what)
		require.Eventually(t, func() bool {
			out, err := s.Client(t, "r").Try("ls-remote", s.Remote("r"))
			return err != nil && strings.Contains(out, "restore its folder from a backup")
		}, time.Minute, 50*time.Millisecond, "%q: %s", what, s.Log)
		a := s.Call(t, http.MethodGet, "/api/repos/r/branches", s.Token(t, "r"), nil)
		require.Equal(t, http.StatusServiceUnavailable, a.Status, a.Raw)
		require.Contains(t, a.Raw, "restore its folder from a backup")
		require.NoError(t, os.Rename(aside, filepath.Join(folder, what)))
		a = s.Call(t, http.MethodPost, "/api/repos/r/rebuild", s.Token(t, "r"), nil)
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		out, err := s.Client(t, "r").Try("ls-remote", s.Remote("r"))
		require.NoError(t, err, "%q: %s", what, out)
	}
}

// The server is killed at each step of a rebuild, with all that it had in memory, and
// the next one ends it by itself.
func TestDamage_killedWhileItIsRebuilt(t *testing.T) {
	t.Parallel()
	forge := newForge(t, forgetest.SeedOptions{Commits: 3, Branches: 2, Tags: 1})
	o := servertest.Options{Dir: t.TempDir(), Forges: []*forgetest.TestForge{forge}}
	p := servertest.StartProcess(t, o)
	p.Link(t, mirror, forge, origin)
	p.Pull(t, mirror)
	p.WaitReady(t, mirror)
	own := p.Client(t, mirror).Clone(p.Remote(mirror))
	note := own.Commit("only here")
	own.Git("push", "--quiet", "origin", "HEAD:refs/notes/own")
	folders, err := filepath.Glob(filepath.Join(o.Dir, "repos", "*", "*", "*.git"))
	require.NoError(t, err)
	require.Len(t, folders, 1)
	steps := []string{"rebuild-fetched", "rebuild-salvaged", "rebuild-moved", "rebuild-placed", "rebuild-carried"}
	for n, step := range steps {
		p.Arm(t, step)
		require.NoError(t, os.Remove(filepath.Join(folders[0], "HEAD")), step)
		_, err := p.Client(t, mirror).Try("ls-remote", p.Remote(mirror))
		require.Error(t, err, step)
		p.AwaitHits(t, 1)
		p.Kill()
		p = servertest.StartProcess(t, o)
		p.WaitReady(t, mirror)
		aside, err := os.ReadDir(filepath.Join(o.Dir, "quarantine"))
		require.NoError(t, err)
		require.Len(t, aside, n+1, "%s: the damaged folder is there, once", step)
		require.FileExists(t, filepath.Join(folders[0], "HEAD"), step)
		out, err := p.Client(t, mirror).Try("ls-remote", p.Remote(mirror))
		require.NoError(t, err, "%s: %s", step, out)
		require.Contains(t, out, note+"\trefs/notes/own", step)
		for ref, id := range forge.Refs(origin) {
			require.Contains(t, out, id+"\t"+ref, step)
		}
		left, err := os.ReadDir(filepath.Join(o.Dir, "tmp"))
		require.NoError(t, err)
		for _, e := range left {
			require.NotContains(t, e.Name(), "rebuild-", step)
		}
	}
}

// A disk that is not mounted: nothing is touched, readiness says so, and when it is
// mounted all goes on by itself.
func TestDamage_unmountedDiskIsNotReady(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	o := servertest.Options{Dir: t.TempDir(), Clock: clock}
	s := servertest.Start(t, o)
	for _, name := range []string{"one", "two", "three", "four"} {
		s.Create(t, name)
	}
	s.Stop(t)
	disk, away := filepath.Join(o.Dir, "repos"), filepath.Join(o.Dir, "away")
	require.NoError(t, os.Rename(disk, away))
	require.NoError(t, os.Mkdir(disk, 0o700))
	s = servertest.Start(t, o)
	a := s.Call(t, http.MethodGet, "/readyz", "", nil)
	require.Equal(t, http.StatusServiceUnavailable, a.Status)
	require.Equal(t, "damaged", a.At("code"))
	require.Contains(t, a.Raw, "missing at once, as if a disk were not mounted: 4 repositories")
	a = s.API(t, http.MethodGet, "one", "/branches", nil)
	require.Equal(t, http.StatusServiceUnavailable, a.Status)
	require.Contains(t, a.Raw, "headwater repo rebuild one")
	left, err := os.ReadDir(disk)
	require.NoError(t, err)
	require.Empty(t, left)

	require.NoError(t, os.Remove(disk))
	require.NoError(t, os.Rename(away, disk))
	require.Eventually(t, func() bool {
		clock.Advance(time.Minute)
		return s.Call(t, http.MethodGet, "/readyz", "", nil).Status == http.StatusOK
	}, time.Minute, 20*time.Millisecond, "%s", s.Log)
	require.Equal(t, http.StatusOK, s.API(t, http.MethodGet, "one", "/branches", nil).Status)
}
