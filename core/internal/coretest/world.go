package coretest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/repo/repotest"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
	"github.com/headwater-git/headwater/store/storetest"
)

// Org is the organisation that owns the repositories of a [World].
const Org = "acme"

// Options configures [NewWorld]. The zero value will do.
type Options struct {
	Clock     core.Clock // nil is the system's
	Failpoint func(name string)
	Forge     forgetest.ForgeOptions
	Logger    hclog.Logger
	GitPath   string        // a program that starts git; "" is git itself
	Stall     time.Duration // of a git that talks to the forge; 0 is git's default
	Folder    string        // name of the data directory; "" takes a plain one
	SQLFirst  bool          // changes of refs become true in SQL, and then on the disk
}

// CommitPoints are the two orders in which a change of refs becomes true, by
// [Options.SQLFirst]: what the core promises holds with both.
var CommitPoints = map[string]bool{"disk first": false, "SQL first": true}

// World is a data directory with what works on it, and a forge.
type World struct {
	testing.TB
	Dir       string
	Git       *git.Git
	Store     *FaultyStore
	Repos     *repo.Repos
	Forge     *forgetest.TestForge
	Plugin    *Plugin
	Upstreams *upstream.Service
	Clock     core.Clock
	Logger    hclog.Logger

	options Options
	objects *catfile.Pool
}

// NewWorld makes one, and takes it away when the test ends.
func NewWorld(t testing.TB, o Options) *World {
	t.Helper()
	if o.Clock == nil {
		o.Clock = core.SystemClock{}
	}
	if o.Forge.HostKind == "" {
		o.Forge.HostKind = forgetest.HostGitHubPublic
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	w := &World{TB: t, Dir: filepath.Join(t.TempDir(), o.Folder), Clock: o.Clock, Logger: o.Logger, options: o}
	err := os.MkdirAll(w.Dir, 0o700)
	require.NoError(t, err)
	w.Git, err = newGit(t.Context(), o)
	require.NoError(t, err)
	sealer, err := seal.LoadOrCreate(filepath.Join(w.Dir, "seal.json"))
	require.NoError(t, err)
	storetest.Empty(t, w.Dir)
	s, err := store.Open(t.Context(), filepath.Join(w.Dir, "headwater.db"), store.Options{Sealer: sealer, Clock: o.Clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	w.Store = &FaultyStore{Store: s}
	require.NoError(t, w.Store.CreateOrg(t.Context(), core.Org{Name: Org, CreatedAt: o.Clock.Now()}))
	w.Forge = forgetest.StartForge(t, o.Forge)
	w.Plugin = NewPlugin(w.Forge.HostPolicy())
	discover := discovery.New("headwater-test")
	t.Cleanup(discover.CloseIdle)
	w.Upstreams = upstream.New(w.Plugin, w.Store, nil, discover)
	w.objects = catfile.NewPool(w.Git, catfile.Options{})
	t.Cleanup(func() { require.NoError(t, w.objects.Close()) })
	w.Open()
	return w
}

// plainGit is the git of worlds without a wish of their own: each new one asks git for
// its version, which costs a process.
var plainGit = sync.OnceValues(func() (*git.Git, error) {
	return git.New(context.Background(), git.Options{Logger: hclog.NewNullLogger()})
})

func newGit(ctx context.Context, o Options) (*git.Git, error) {
	if o.Stall == 0 && o.GitPath == "" && o.Logger.GetLevel() == hclog.Off {
		return plainGit()
	}
	return git.New(ctx, git.Options{Path: o.GitPath, Logger: o.Logger, Stall: o.Stall})
}

// Open opens the repositories anew, as a restart does.
func (w *World) Open() {
	w.Helper()
	var point func(repo.CommitPointOptions) repo.CommitPoint
	if w.options.SQLFirst {
		point = repotest.SQLFirst
	}
	var err error
	w.Repos, err = repo.Open(repo.Options{
		Root: w.Dir, CommitPoint: point, Git: w.Git, Store: w.Store, Clock: w.Clock, Locker: repo.NewLocker(), Logger: w.Logger, Failpoint: w.options.Failpoint,
		Objects: w.objects,
	})
	require.NoError(w, err)
}

// At opens a copy of the data directory, which was made while this world was at work: it
// holds what a kill at that moment leaves.
func (w *World) At(dir string) *World {
	w.Helper()
	sealer, err := seal.LoadOrCreate(filepath.Join(dir, "seal.json"))
	require.NoError(w, err)
	s, err := store.Open(w.Context(), filepath.Join(dir, "headwater.db"), store.Options{Sealer: sealer, Clock: w.Clock})
	require.NoError(w, err)
	w.Cleanup(func() { require.NoError(w, s.Close()) })
	killed := *w
	killed.Dir, killed.Store = dir, &FaultyStore{Store: s}
	killed.Open()
	return &killed
}

// Local makes a repository without upstream.
func (w *World) Local(name string) core.Repository {
	w.Helper()
	return w.create(name, "sha1", nil)
}

// Synced makes an empty repository that follows the forge's repository
// "acme/NAME", which it makes if it is absent, with a stored credential.
func (w *World) Synced(name string) core.Repository {
	w.Helper()
	return w.SyncedAt(w.Forge, name)
}

// SyncedAt is Synced at another forge, which the provider must know.
func (w *World) SyncedAt(forge *forgetest.TestForge, name string) core.Repository {
	w.Helper()
	path := Org + "/" + name
	if _, err := forge.Forge.RepoID(path); err != nil {
		forge.CreateRepo(path, true)
	}
	r := w.create(name, "sha1", &core.Upstream{
		Provider: "loopback", Instance: w.Plugin.Name(), Mode: providers.ModeGeneric,
		Host: forge.Host(), Owner: Org, Name: name, URL: forge.CloneURL(path),
	})
	stored := forge.Stored()
	now := w.Clock.Now()
	require.NoError(w, w.Store.CreateCredential(w.Context(), core.Credential{
		ID: core.NewID("ggc", now), RepoID: r.ID, Host: forge.Host(), Username: stored.Username, Secret: stored.Secret, CreatedAt: now, UpdatedAt: now,
	}))
	return r
}

func (w *World) create(name, format string, up *core.Upstream) core.Repository {
	w.Helper()
	now := w.Clock.Now()
	r := core.Repository{
		ID: core.NewID("repo", now), Org: Org, Name: name, DefaultBranch: "main", ObjectFormat: format, CreatedAt: now, Upstream: up,
	}
	require.NoError(w, w.Repos.Create(w.Context(), r.ID, r.DefaultBranch, r.ObjectFormat))
	require.NoError(w, w.Store.CreateRepository(w.Context(), r))
	return r
}

// Reload returns the repository as the store has it now.
func (w *World) Reload(r core.Repository) core.Repository {
	w.Helper()
	r, err := w.Store.RepositoryByID(context.WithoutCancel(w.Context()), r.ID)
	require.NoError(w, err)
	return r
}

// ForgePath returns the path of the repository's upstream at the forge.
func ForgePath(r core.Repository) string { return r.Upstream.Owner + "/" + r.Upstream.Name }

// Path returns the folder of the repository.
func (w *World) Path(r core.Repository) string { return w.Repos.Path(r.ID) }

// Refs returns the refs of the repository under the prefixes; without any, its
// public ones: branches and tags.
func (w *World) Refs(r core.Repository, prefixes ...string) map[string]core.ObjectID {
	w.Helper()
	if len(prefixes) == 0 {
		prefixes = []string{"refs/heads/", "refs/tags/"}
	}
	all, err := forgetest.ReadRefs(w.Path(r))
	require.NoError(w, err)
	refs := map[string]core.ObjectID{}
	for name, id := range all {
		if slices.ContainsFunc(prefixes, func(p string) bool {
			return name == p || strings.HasPrefix(name, strings.TrimSuffix(p, "/")+"/")
		}) {
			refs[name] = core.ObjectID(id)
		}
	}
	return refs
}

// UpstreamRefs returns branches and tags of the repository's upstream.
func (w *World) UpstreamRefs(r core.Repository) map[string]core.ObjectID {
	w.Helper()
	refs := map[string]core.ObjectID{}
	for name, id := range w.Forge.Refs(ForgePath(r)) {
		if core.UpstreamOwned(core.Default, name) {
			refs[name] = core.ObjectID(id)
		}
	}
	return refs
}

// Events returns the refs of the push events of the repository, in order.
func (w *World) Events(r core.Repository) []string {
	w.Helper()
	all, err := w.Store.Events(context.WithoutCancel(w.Context()), 0, 10000)
	require.NoError(w, err)
	var refs []string
	for _, e := range all {
		if e.RepoID == r.ID && e.Type == "push" {
			refs = append(refs, e.Ref)
		}
	}
	return refs
}

// Journal returns the states of the repository's journal entries, newest first.
func (w *World) Journal(r core.Repository) []core.JournalState {
	w.Helper()
	entries, err := w.Store.Journal(context.WithoutCancel(w.Context()), r.ID, 1000)
	require.NoError(w, err)
	var states []core.JournalState
	for _, e := range entries {
		states = append(states, e.State)
	}
	return states
}

// Env is the environment for a git of the test's own.
func Env() []string {
	return []string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/nonexistent", "LC_ALL=C",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=1700000000 +0000",
		"GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.com", "GIT_COMMITTER_DATE=1700000000 +0000",
	}
}

// TryRun runs git in dir with an input and returns what it printed, both
// streams together.
func TryRun(ctx context.Context, dir, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, Env(), strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Run is TryRun for what must not fail.
func Run(t testing.TB, dir string, args ...string) string {
	t.Helper()
	out, err := TryRun(context.WithoutCancel(t.Context()), dir, "", args...)
	require.NoError(t, err, "git %v: %s", args, out)
	return out
}

// ForgeCommit makes a commit at the forge and puts the ref on it.
func (w *World) ForgeCommit(r core.Repository, ref, message string, parents ...core.ObjectID) core.ObjectID {
	w.Helper()
	dir, err := w.Forge.Forge.RepoDir(ForgePath(r))
	require.NoError(w, err)
	id := Commit(w, dir, message, parents...)
	setRef(w, dir, ref, id)
	return id
}

// ForgeGit runs git in the upstream's folder at the forge. "update-ref REF ID" is done
// without a process.
func (w *World) ForgeGit(r core.Repository, args ...string) string {
	w.Helper()
	dir, err := w.Forge.Forge.RepoDir(ForgePath(r))
	require.NoError(w, err)
	if len(args) == 3 && args[0] == "update-ref" && strings.HasPrefix(args[1], "refs/") && core.ObjectID(args[2]).Valid() {
		setRef(w, dir, args[1], core.ObjectID(args[2]))
		return ""
	}
	return Run(w, dir, args...)
}
