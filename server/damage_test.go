package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
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
	require.Eventually(t, func() bool { return b.Repository(t, mirror).Sync.State == "rebuilding" }, time.Minute, 20*time.Millisecond, "%s", b.Log)

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

// changeByte changes one byte of a file's content within the pack of a repository, in its
// place: a process that has the pack open sees it.
func changeByte(t *testing.T, dir, path string) {
	t.Helper()
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"--git-dir", dir}, args...)...)
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	id, err := run("rev-parse", "main:"+path)
	require.NoError(t, err, id)
	whole := regexp.MustCompile(`(?m)^` + id + ` blob +\d+ (\d+) (\d+)$`)
	var pack string
	var found []string
	require.Eventually(t, func() bool { // maintenance may replace packs meanwhile
		packs, err := filepath.Glob(filepath.Join(dir, "objects", "pack", "*.pack"))
		require.NoError(t, err)
		if len(packs) == 1 {
			pack = packs[0]
			listed, _ := run("verify-pack", "-v", pack)
			if found = whole.FindStringSubmatch(listed); found != nil {
				return true
			}
		}
		_, _ = run("repack", "-a", "-d", "-f", "-q", "--window=0")
		return false
	}, time.Minute, 20*time.Millisecond)
	size, err := strconv.ParseInt(found[1], 10, 64)
	require.NoError(t, err)
	offset, err := strconv.ParseInt(found[2], 10, 64)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(pack, 0o600))
	file, err := os.OpenFile(pack, os.O_RDWR, 0)
	require.NoError(t, err)
	one := make([]byte, 1)
	_, err = file.ReadAt(one, offset+size/2)
	require.NoError(t, err)
	one[0] ^= 0xff
	_, err = file.WriteAt(one, offset+size/2)
	require.NoError(t, err)
	require.NoError(t, file.Close())
}

// A disk changes a byte of a mirror. Every kind of read that comes upon it says so, and
// returns nothing that is not so; git copies it into a clone as it is, so that only the
// client sees it there. The server finds it each time, and fetches the content again.
func TestDamage_changedByteIsNoticedByEachReader(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	b := startBench(t, forgetest.SeedOptions{Commits: 2}, servertest.Options{Clock: clock})
	text := b.direct(t)
	for name, lines := range map[string]int{"large.txt": 2000, "huge.txt": 90_000} {
		var content bytes.Buffer
		for i := range lines {
			fmt.Fprintf(&content, "line %d of %d\n", i, i*i)
		}
		require.NoError(t, os.WriteFile(filepath.Join(text.Dir, name), content.Bytes(), 0o600))
	}
	text.Git("add", ".")
	text.Git("commit", "--quiet", "-m", "text")
	b.forgePush(t, text, "HEAD:main")
	b.pullAndWait(t)
	dir := b.Engine().Services().Repos.Path(b.Repo(t, mirror).ID)
	for _, c := range []struct {
		name, file, method, suffix string
		body                       any
	}{
		{name: "clone", file: "large.txt"},
		{"archive", "large.txt", http.MethodPost, "/archive", map[string]any{"ref": "main"}},
		{"search", "large.txt", http.MethodPost, "/grep", map[string]any{"ref": "main", "query": map[string]any{"pattern": "line 1 of"}}},
		{"diff", "large.txt", http.MethodGet, "/diff?ref=main", nil},
		{"blame", "large.txt", http.MethodGet, "/blame?path=large.txt&ref=main", nil},
		{"file", "large.txt", http.MethodGet, "/file?path=large.txt&ref=main", nil},
		{"file that is streamed", "huge.txt", http.MethodGet, "/file?path=huge.txt&ref=main", nil},
	} {
		read := func() (string, error) {
			if c.method == "" {
				return b.Client(t, mirror).Try("clone", "--quiet", b.Remote(mirror), t.TempDir())
			}
			return b.read(t, c.method, c.suffix, c.body)
		}
		good, err := read()
		require.NoError(t, err, "%s: %s", c.name, good)
		before := b.Get(t, mirror).At("damage.found_at")
		changeByte(t, dir, c.file)
		got, err := read()
		switch {
		case err == nil: // maintenance came upon it first, and it is fetched again already
			require.Equal(t, good, got, c.name)
		case c.method != "" && strings.HasPrefix(got, "{"):
			require.ErrorContains(t, err, "503", "%s: %s", c.name, got)
			require.Contains(t, got, "retry shortly", c.name)
		case c.method != "":
			require.Equal(t, "/archive", c.suffix, "%s: only what is sent before it is read breaks off: %v", c.name, err)
		}
		require.Eventually(t, func() bool {
			clock.Advance(time.Second)
			a := b.Get(t, mirror)
			return a.At("damage.found_at") != before && a.At("damage.state") == "rebuilt"
		}, 3*time.Minute, 20*time.Millisecond, "%s: %s", c.name, b.Log)
		b.settle(t)
	}
	content, err := b.read(t, http.MethodGet, "/file?path=large.txt&ref=main", nil)
	require.NoError(t, err)
	require.Contains(t, content, "line 1999 of")
}

// read asks for something and returns the whole of the answer; an error if it was
// refused or broke off.
func (b *bench) read(t *testing.T, method, suffix string, body any) (string, error) {
	t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), method, b.URL+"/api/repos/"+url.PathEscape(mirror)+suffix, bytes.NewReader(encoded))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+b.Token(t, mirror))
	r.Header.Set("Content-Type", "application/json")
	r.Close = true
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	return string(content), err
}

// The packs of a mirror are gone, and git takes what they had for ids that nobody knows:
// it says so to the client, and "not found" over REST. The server looks, and fetches the
// content again, also when it has found the repository whole a moment ago.
func TestDamage_missingPacksAreNoticed(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3, Branches: 1})
	dir := b.Engine().Services().Repos.Path(b.Repo(t, mirror).ID)
	for _, read := range []func(t *testing.T) bool{
		func(t *testing.T) bool {
			t.Helper()
			_, err := b.Client(t, mirror).Try("clone", "--quiet", b.Remote(mirror), t.TempDir())
			return err != nil
		},
		func(t *testing.T) bool {
			t.Helper()
			return b.API(t, http.MethodGet, mirror, "/commits", nil).Status != http.StatusOK
		},
	} {
		a := b.Call(t, http.MethodPost, "/api/repos/"+url.PathEscape(mirror)+"/rebuild", b.Token(t, mirror), nil)
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		before := b.Get(t, mirror).At("damage.found_at")
		entries, err := os.ReadDir(filepath.Join(dir, "objects"))
		require.NoError(t, err)
		for _, e := range entries {
			if e.Name() != "info" {
				require.NoError(t, os.RemoveAll(filepath.Join(dir, "objects", e.Name())))
			}
		}
		require.True(t, read(t))
		require.Eventually(t, func() bool {
			a := b.Get(t, mirror)
			return a.At("damage.found_at") != before && a.At("damage.state") == "rebuilt"
		}, 3*time.Minute, 50*time.Millisecond, "%s", b.Log)
		b.clone(t)
		b.requireSame(t)
	}
}
