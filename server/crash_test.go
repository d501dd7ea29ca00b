package server_test

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// crashCase is one kind of change that a crash cuts short.
type crashCase struct {
	name  string
	local bool // a repository without upstream
	bare  bool // the mirror is not made before the crash
	// sha256 makes the upstream's objects SHA-256.
	sha256 bool
	// push is what the client pushes; nil: the change is a sync of what
	// upstream does at the forge.
	push      []string
	ephemeral bool
	upstream  func(t *testing.T, forge *forgetest.TestForge, path string, other *servertest.Client)
	// changes are the refs whose change is announced by one push event each, if
	// the change came about.
	changes []string
}

// crashCases are the changes, each in a repository of its own.
var crashCases = []crashCase{
	{name: "create", push: []string{"HEAD:refs/heads/new", "HEAD:refs/tags/new"}, changes: []string{"refs/heads/new", "refs/tags/new"}},
	{name: "update", push: []string{"HEAD:refs/heads/main"}, changes: []string{"refs/heads/main"}},
	{name: "delete", push: []string{":refs/heads/feature-1"}, changes: []string{"refs/heads/feature-1"}},
	{name: "force", push: []string{"--force", "HEAD:refs/heads/feature-2"}, changes: []string{"refs/heads/feature-2"}},
	{name: "mixed", push: []string{"HEAD:refs/heads/main", "HEAD:refs/notes/mixed", ":refs/tags/v1", "HEAD:refs/tags/mixed"},
		changes: []string{"refs/heads/main", "refs/notes/mixed", "refs/tags/v1", "refs/tags/mixed"}},
	{name: "rename", push: []string{":refs/heads/feature-1", "HEAD:refs/heads/feature-1/sub"}, changes: []string{"refs/heads/feature-1", "refs/heads/feature-1/sub"}},
	{name: "ephemeral", push: []string{"HEAD:refs/heads/draft"}, ephemeral: true},
	{name: "local", local: true, push: []string{"HEAD:refs/heads/main", "HEAD:refs/heads/more", ":refs/heads/old"},
		changes: []string{"refs/heads/main", "refs/heads/more", "refs/heads/old"}},
	{name: "sync", upstream: changeEverything,
		changes: []string{"refs/heads/main", "refs/heads/trunk", "refs/heads/feature-1", "refs/heads/feature-1/sub", "refs/tags/v1", "refs/tags/v2"}},
	{name: "first", bare: true, upstream: func(t *testing.T, forge *forgetest.TestForge, path string, _ *servertest.Client) {
		t.Helper()
		forge.Git(path, "branch", "trunk", "main")
		forge.Git(path, "symbolic-ref", "HEAD", "refs/heads/trunk")
	}},
	{name: "first-sha256", bare: true, sha256: true, upstream: func(*testing.T, *forgetest.TestForge, string, *servertest.Client) {}},
}

// changeEverything renames the default branch, turns a branch into a folder,
// moves a tag and deletes another.
func changeEverything(t *testing.T, forge *forgetest.TestForge, path string, other *servertest.Client) {
	t.Helper()
	dir, err := forge.RepoDir(path)
	require.NoError(t, err)
	other.Commit("upstream")
	forge.Git(path, "update-ref", "-d", "refs/heads/feature-1")
	other.Git("push", "--quiet", "--force", dir, "HEAD:refs/heads/trunk", "HEAD:refs/heads/feature-1/sub", "HEAD:refs/tags/v1", ":refs/tags/v2")
	forge.Git(path, "symbolic-ref", "HEAD", "refs/heads/trunk")
	forge.Git(path, "update-ref", "-d", "refs/heads/main")
}

// failpoints says which cases reach which step.
var failpoints = map[string][]string{
	"objects-received":  {"create", "update", "delete", "force", "mixed", "rename", "ephemeral", "local"},
	"journal-sent":      {"create", "update", "delete", "force", "mixed", "rename", "ephemeral", "local"},
	"upstream-accepted": {"create", "update", "delete", "force", "mixed", "rename"},
	"refs-deleted":      {"create", "update", "delete", "force", "mixed", "rename", "ephemeral", "local", "sync"},
	"refs-applied":      {"create", "update", "delete", "force", "mixed", "rename", "ephemeral", "local", "sync", "first", "first-sha256"},
	"recorded":          {"create", "update", "delete", "force", "mixed", "rename", "ephemeral", "local"},
	"head-moved":        {"sync", "first"},
	"sync-fetched":      {"sync", "first", "first-sha256"},
	"sync-journal-sent": {"sync", "first", "first-sha256"},
	"sync-recorded":     {"sync", "first", "first-sha256"},
	"reformat-moved":    {"first-sha256"},
}

// sqlCommitted are the cases that reach the step between SQL and the disk, which
// there is with SQL first alone.
var sqlCommitted = []string{"create", "update", "delete", "force", "mixed", "rename", "ephemeral", "local", "sync", "first", "first-sha256"}

// gitsOwn are the steps right after git has written: what is left there is what
// another version of git may leave otherwise.
var gitsOwn = map[string]bool{"objects-received": true, "refs-deleted": true, "sync-fetched": true}

// someOf returns every fifth of the names, and one where there are few: which ones, from
// says. With some at each of the steps in turn every kind of change has its turn; at all
// of them where there is time. The tests of core/push and core/rewrite cut every kind of
// change at every step, without a process that dies.
func someOf(names []string, from int) []string {
	var some []string
	for i, name := range names {
		if every := min(len(names), 5); i%every == from%every {
			some = append(some, name)
		}
	}
	return some
}

// TestInvariant17_killedAnywhere kills a server while it stands at a named
// step, with the kinds of change that get there at once, each in a repository
// of its own. The next server on the same data must end where the upstream is,
// with nothing left over and no event written twice.
func TestInvariant17_killedAnywhere(t *testing.T) {
	t.Parallel()
	turns := map[bool]int{} // of the steps that many kinds of change reach, and of the others
	killed := map[string]bool{}
	for _, failpoint := range slices.Sorted(maps.Keys(failpoints)) {
		names := failpoints[failpoint]
		turn := turns[len(names) > 5]
		turns[len(names) > 5]++
		if testing.Short() && !gitsOwn[failpoint] {
			continue
		}
		for _, name := range killedAt(t, turn, failpoint, names, false) {
			killed[name] = true
		}
	}
	require.True(t, testing.Short() || len(killed) == len(crashCases), "each kind of change has its turn: %v", killed)
}

// TestInvariant17_killedAnywhereWithSQLFirst is the same where a change becomes true
// in SQL before the disk shows it: at the steps around that, and at all of them where
// there is time.
func TestInvariant17_killedAnywhereWithSQLFirst(t *testing.T) {
	t.Parallel()
	killedAt(t, 1, "sql-committed", sqlCommitted, true)
	for _, failpoint := range slices.Sorted(maps.Keys(failpoints)) {
		if longtest.Long() || !testing.Short() && failpoint == "refs-applied" {
			killedAt(t, 4, failpoint, failpoints[failpoint], true) // other cases than above
		}
	}
}

// killedAt kills a server at one step with the named cases, of which turn says the ones
// that there is time for. It returns those.
func killedAt(t *testing.T, turn int, failpoint string, names []string, sqlFirst bool) []string {
	t.Helper()
	if !longtest.Long() {
		names = someOf(names, turn)
	}
	t.Run(failpoint, func(t *testing.T) {
		t.Parallel()
		c := &crash{failpoint: failpoint, sqlFirst: sqlFirst, dir: t.TempDir(), forge: forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})}
		for _, cc := range crashCases {
			for _, name := range names {
				if cc.name == name {
					c.cases = append(c.cases, cc)
				}
			}
		}
		require.Len(t, c.cases, len(names))
		c.run(t)
	})
	return names
}

// crash is one kill and what comes after it.
type crash struct {
	failpoint string
	sqlFirst  bool
	dir       string
	forge     *forgetest.TestForge
	cases     []crashCase
	clients   map[string]*servertest.Client
}

func (c *crash) options() servertest.Options {
	return servertest.Options{Dir: c.dir, SQLFirst: c.sqlFirst, Forges: []*forgetest.TestForge{c.forge}}
}

func (c *crash) run(t *testing.T) {
	p := servertest.StartProcess(t, c.options())
	c.prepare(t, p)
	before := len(c.events(t))
	p.Arm(t, c.failpoint)
	c.change(t, p)
	p.AwaitHits(t, len(c.cases))
	p.Kill()

	s := servertest.Start(t, c.options())
	settled(t, c.dir)
	for _, cc := range c.cases {
		t.Run(cc.name, func(t *testing.T) { c.check(t, s, cc) })
	}
	require.Empty(t, left(t, c.dir), "locks and temporary files")
	open, err := servertest.Store(t, c.dir).OpenJournals(t.Context())
	require.NoError(t, err)
	require.Empty(t, open)
	c.checkEvents(t, s, before)
	for i, cc := range c.cases {
		t.Run(cc.name+" goes on", func(t *testing.T) { c.goOn(t, s, cc, i == 0) })
	}
}

// settled waits until a server has settled what its predecessor left open.
func settled(t *testing.T, dir string) {
	t.Helper()
	st := servertest.Store(t, dir)
	require.Eventually(t, func() bool {
		open, err := st.OpenJournals(t.Context())
		require.NoError(t, err)
		return len(open) == 0
	}, time.Minute, 20*time.Millisecond, "open journal entries")
}

// prepare makes the repositories as they are before the change.
func (c *crash) prepare(t *testing.T, p *servertest.Process) {
	c.clients = map[string]*servertest.Client{}
	for _, cc := range c.cases {
		client := p.Client(t, cc.name)
		c.clients[cc.name] = client
		if cc.local {
			p.Create(t, cc.name)
			client.Clone("").Commit("first")
			client.Git("remote", "add", "origin", p.Remote(cc.name))
			client.Git("push", "--quiet", "origin", "HEAD:main", "HEAD:old")
			client.Commit("second")
			continue
		}
		path := "acme/" + cc.name
		c.forge.CreateRepo(path, true)
		if cc.sha256 {
			dir, err := c.forge.RepoDir(path)
			require.NoError(t, err)
			require.NoError(t, os.RemoveAll(dir))
			client.Git("init", "--quiet", "--bare", "--object-format=sha256", "--template=", dir)
		}
		c.forge.Seed(path, forgetest.SeedOptions{Commits: 3, Branches: 2, Tags: 2})
		p.Link(t, cc.name, c.forge, path)
		if cc.bare {
			continue
		}
		p.Pull(t, cc.name)
		p.WaitReady(t, cc.name)
		dir, err := c.forge.RepoDir(path)
		require.NoError(t, err)
		client.Work(dir, p.Remote(cc.name)).Commit("a change")
	}
}

// change starts all changes at once. Those of pushes are cut off with the
// server, so their clients fail; what they print says nothing.
func (c *crash) change(t *testing.T, p *servertest.Process) {
	var clients sync.WaitGroup
	t.Cleanup(clients.Wait)
	for _, cc := range c.cases {
		if cc.push == nil {
			other := p.ClientWith(t, "")
			if !cc.sha256 {
				other = p.WorkAtHost(t, c.forge, "acme/"+cc.name)
			}
			cc.upstream(t, c.forge, "acme/"+cc.name, other)
			p.Pull(t, cc.name)
			continue
		}
		remote := p.Remote(cc.name)
		if cc.ephemeral {
			remote = p.Remote(cc.name + "+ephemeral")
		}
		clients.Go(func() { _, _ = c.clients[cc.name].Try(append([]string{"push", remote}, cc.push...)...) })
	}
}

// check looks at one repository after the restart.
func (c *crash) check(t *testing.T, s *servertest.Server, cc crashCase) {
	if cc.local {
		here := s.Refs(t, cc.name)
		old := here["refs/heads/old"]
		if slices.Contains([]string{"sql-committed", "refs-deleted", "refs-applied", "recorded"}, c.failpoint) {
			require.Empty(t, old, "the delete came about")
		} else {
			require.NotEmpty(t, old)
			require.NotContains(t, here, "refs/heads/more")
		}
	} else {
		require.NoError(t, s.Sync(t, cc.name), "%s", s.Log)
		there := c.forge.Refs("acme/" + cc.name)
		requireMirrors(t, there, s.Refs(t, cc.name))
		head, err := c.forge.DefaultBranch("acme/" + cc.name)
		require.NoError(t, err)
		require.Equal(t, "refs/heads/"+head, s.Refs(t, cc.name)["HEAD"])
		require.Equal(t, head, s.Get(t, cc.name).At("default_branch"))
		require.Equal(t, "ready", s.Get(t, cc.name).At("sync.state"))
	}
	require.Empty(t, s.Fsck(t, cc.name))
}

// events returns the push events of all repositories.
func (c *crash) events(t *testing.T) []core.Event {
	t.Helper()
	all, err := servertest.Store(t, c.dir).Events(t.Context(), 0, 100_000)
	require.NoError(t, err)
	var pushes []core.Event
	for _, e := range all {
		if e.Type == "push" {
			pushes = append(pushes, e)
		}
	}
	return pushes
}

// checkEvents checks that each change that was made has one event, and that there
// are no others.
func (c *crash) checkEvents(t *testing.T, s *servertest.Server, before int) {
	t.Helper()
	got := map[string]int{}
	for _, e := range c.events(t)[before:] {
		got[e.RepoID+" "+e.Ref]++
	}
	want := map[string]int{}
	for _, cc := range c.cases {
		r := s.Repo(t, cc.name)
		here := s.Refs(t, cc.name)
		client := c.clients[cc.name]
		for _, ref := range cc.changes {
			happened := true
			if cc.push != nil {
				// The change came about if the ref is where the push wanted it.
				target := client.Head()
				for _, spec := range cc.push {
					if spec == ":"+ref {
						target = ""
					}
				}
				happened = here[ref] == target
			}
			if happened {
				want[r.ID+" "+ref]++
			}
		}
	}
	require.Equal(t, want, got, "push events")
}

// goOn uses a repository after the restart: the client does the same push again, and
// then another one. Where there is none, and for one of them, that is a new clone.
func (c *crash) goOn(t *testing.T, s *servertest.Server, cc crashCase, clone bool) {
	client := s.Client(t, cc.name)
	if again := c.clients[cc.name]; cc.push != nil {
		again.Env = client.Env // the server has another port now
		remote := s.Remote(cc.name)
		if cc.ephemeral {
			remote = s.Remote(cc.name + "+ephemeral")
		}
		out, err := again.Try(append([]string{"push", "--quiet", remote}, cc.push...)...)
		if err != nil {
			// Only a deletion cannot be repeated, and its reason says why.
			require.Equal(t, strings.Count(out, "rejected]"), strings.Count(out, "(the ref does not exist)"), out)
		}
	}
	if clone || cc.push == nil {
		client.Clone(s.Remote(cc.name))
	} else {
		client = c.clients[cc.name]
	}
	head := client.Commit("after")
	client.Git("push", "--quiet", s.Remote(cc.name), "HEAD:refs/heads/after")
	require.Equal(t, head, s.Refs(t, cc.name)["refs/heads/after"])
	if !cc.local {
		require.Equal(t, head, c.forge.Ref("acme/"+cc.name, "refs/heads/after"))
	}
}

// left returns the files in a data directory that only a git or a server at
// work may have.
func left(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		inTmp := filepath.Dir(path) == filepath.Join(dir, "tmp")
		inRepo := strings.Contains(path, ".git"+string(filepath.Separator))
		if inTmp || inRepo && (strings.HasSuffix(name, ".lock") || strings.HasPrefix(name, "tmp_") || strings.HasPrefix(name, ".tmp-")) {
			found = append(found, path)
		}
		return nil
	}))
	return found
}

// TestInvariant17_killedWhileMadeOrDeleted kills a server in the middle of
// making and of deleting a repository.
func TestInvariant17_killedWhileMadeOrDeleted(t *testing.T) {
	t.Parallel()
	for failpoint, exists := range map[string]bool{"create-made": false, "delete-moved": false, "delete-forgotten": false} {
		t.Run(failpoint, func(t *testing.T) {
			t.Parallel()
			c := &crash{dir: t.TempDir(), forge: forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})}
			p := servertest.StartProcess(t, c.options())
			p.Create(t, "other")
			method, path := http.MethodPost, "/api/repos"
			if strings.HasPrefix(failpoint, "delete") {
				p.Create(t, "repo")
				method, path = http.MethodDelete, "/api/repos/repo"
			}
			p.Arm(t, failpoint)
			r, err := http.NewRequestWithContext(t.Context(), method, p.URL+path, strings.NewReader("{}"))
			require.NoError(t, err)
			r.Header.Set("Authorization", "Bearer "+p.Token(t, "repo"))
			r.Close = true
			answered := make(chan error, 1)
			go func() {
				resp, err := http.DefaultClient.Do(r)
				if err == nil {
					_ = resp.Body.Close()
				}
				answered <- err
			}()
			p.AwaitHits(t, 1)
			p.Kill()
			require.Error(t, <-answered)

			s := servertest.Start(t, c.options())
			got := s.API(t, http.MethodGet, "repo", "", nil)
			require.Equal(t, exists, got.Status == http.StatusOK, got.Raw)
			require.Empty(t, left(t, c.dir))
			found, err := filepath.Glob(filepath.Join(c.dir, "repos", "*", "*", "*.git"))
			require.NoError(t, err)
			require.Len(t, found, 1, "the other repository's folder alone")
			// The name is free, and works.
			s.Create(t, "repo")
			client := s.Client(t, "repo").Clone(s.Remote("repo"))
			client.Commit("first")
			client.Git("push", "--quiet", "origin", "HEAD:main")
		})
	}
}

// TestInvariant17_killedAtRandom kills a server over and over while clients
// push, and the upstream changes, and syncs run.
func TestInvariant17_killedAtRandom(t *testing.T) {
	t.Parallel()
	rounds := servertest.Rounds(2, 6, 200)
	const repos = 2
	dir := t.TempDir()
	forge := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	options := servertest.Options{Dir: dir, Forges: []*forgetest.TestForge{forge}}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // no secrecy needed

	p := servertest.StartProcess(t, options)
	accepted := make([]map[string]string, repos) // ref -> what a client got ok for, last
	for i := range repos {
		path := fmt.Sprintf("acme/random-%d", i)
		forge.CreateRepo(path, true)
		forge.Seed(path, forgetest.SeedOptions{Commits: 5, Branches: 3, Tags: 2})
		p.Link(t, fmt.Sprintf("random-%d", i), forge, path)
		p.Pull(t, fmt.Sprintf("random-%d", i))
		p.WaitReady(t, fmt.Sprintf("random-%d", i))
		accepted[i] = map[string]string{}
	}
	for round := range rounds {
		var writers sync.WaitGroup
		stop := make(chan struct{})
		for i := range repos {
			name := fmt.Sprintf("random-%d", i)
			remote := p.Remote(name)
			folder, err := forge.RepoDir("acme/" + name)
			require.NoError(t, err)
			client := p.Client(t, name).Work(folder, remote)
			writers.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					// The upstream changes on its own, too.
					_, _ = client.Try("push", "--quiet", "--force", folder, "HEAD:refs/heads/theirs")
					_, _ = client.Try("commit", "--quiet", "--allow-empty", "-m", fmt.Sprint(round, n))
					ref := fmt.Sprintf("refs/heads/r%d-%d", round, n%4)
					if _, err := client.Try("push", "--quiet", "--force", remote, "HEAD:"+ref, "HEAD:refs/notes/n"); err == nil {
						head, _ := client.Try("rev-parse", "HEAD")
						accepted[i][ref] = strings.TrimSpace(head)
					}
				}
			})
		}
		timer := time.NewTimer(time.Duration(100+random.IntN(700)) * time.Millisecond)
		for i := range repos {
			p.Pull(t, fmt.Sprintf("random-%d", i))
		}
		<-timer.C
		p.Kill()
		close(stop)
		writers.Wait()
		if round < rounds-1 {
			p = servertest.StartProcess(t, options)
		}
	}

	s := servertest.Start(t, options)
	settled(t, dir)
	for i := range repos {
		name := fmt.Sprintf("random-%d", i)
		require.NoError(t, s.Sync(t, name), "%s", s.Log)
		here := s.Refs(t, name)
		requireMirrors(t, forge.Refs("acme/"+name), here)
		require.Empty(t, s.Fsck(t, name))
		s.Client(t, name).Clone(s.Remote(name))
		t.Logf("%s: %d pushes answered ok", name, len(accepted[i]))
	}
	require.Empty(t, left(t, dir))
	st := servertest.Store(t, dir)
	// No change of a ref has two events, and every one that was answered with ok
	// has one.
	events, err := st.Events(t.Context(), 0, 100_000)
	require.NoError(t, err)
	payloads := map[string]int{}
	for _, e := range events {
		if e.Type == "push" {
			payloads[e.JournalID+" "+e.Ref]++
		}
	}
	for change, times := range payloads {
		require.Equal(t, 1, times, change)
	}
	for i := range repos {
		id := s.Repo(t, fmt.Sprintf("random-%d", i)).ID
		for ref, head := range accepted[i] {
			found := false
			for _, e := range events {
				found = found || e.RepoID == id && e.Ref == ref && strings.Contains(string(e.Payload), `"after":"`+head+`"`)
			}
			require.True(t, found, "no event for %s at %s", ref, head)
		}
	}
}
