package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// local is the name of a repository that begins without upstream.
const local = "team/local"

// base is the body that links a repository to one of the forge's, with a
// credential that opens it.
func (b *bench) base(path string) client.LinkRepositoryRequest {
	user, secret := b.forge.Credential()
	base := servertest.Base("gitea", b.forge.Host(), path)
	return client.LinkRepositoryRequest{BaseRepo: &base, Username: &user, Password: &secret}
}

// planned returns the names that each list of a plan has.
func planned(p client.Plan) map[string][]string {
	names := map[string][]string{}
	for list, updates := range map[string][]client.RefUpdate{
		"created": p.Created, "moved": p.Moved, "forced": p.Forced, "deleted": p.Deleted, "held": p.Held,
	} {
		for _, u := range updates {
			names[list] = append(names[list], u.Name)
		}
	}
	return names
}

// attach links a local repository to an upstream, or with dry plans to.
func (b *bench) attach(t *testing.T, repo string, dry bool, body client.LinkRepositoryRequest) (client.LinkedRepository, error) {
	t.Helper()
	return b.REST(t, repo).AttachUpstream(t.Context(), repo, &client.AttachUpstreamParams{DryRun: &dry}, body)
}

// repoint gives a mirror another upstream, or with dry plans to.
func (b *bench) repoint(t *testing.T, repo string, dry bool, body client.LinkRepositoryRequest) (client.LinkedRepository, error) {
	t.Helper()
	return b.REST(t, repo).RepointUpstream(t.Context(), repo, &client.RepointUpstreamParams{DryRun: &dry}, body)
}

// memory is everything that a dry run must leave as it is.
type memory struct {
	Repo        core.Repository
	Sync        core.SyncState
	Settings    core.Settings
	Refs        map[string]string
	Events      int
	Audit       int
	Credentials int
}

func (b *bench) memory(t *testing.T, name string) memory {
	t.Helper()
	m := memory{Repo: b.Repo(t, name), Refs: b.Refs(t, name)}
	if m.Repo.Upstream != nil {
		m.Sync = b.Status(t, name).SyncState
	}
	var err error
	m.Settings, err = b.store.Settings(t.Context(), m.Repo.ID)
	require.NoError(t, err)
	events, err := b.store.Events(t.Context(), 0, 100_000)
	require.NoError(t, err)
	entries, err := b.store.Audit(t.Context(), core.AuditFilter{Org: servertest.Org, Limit: 1000})
	require.NoError(t, err)
	for _, e := range events {
		if e.RepoID == m.Repo.ID { // mirrors beside it are looked at, too
			m.Events++
		}
	}
	m.Audit = len(entries)
	if _, err := b.store.CredentialByRepo(t.Context(), m.Repo.ID); err == nil {
		m.Credentials = 1
	}
	return m
}

// awaitSynced waits until nothing is left to sync.
func (b *bench) awaitSynced(t *testing.T, name string) {
	t.Helper()
	require.Eventually(t, func() bool {
		s := b.Status(t, name)
		return !s.Running && s.Served == s.Wanted && s.Failures == 0
	}, time.Minute, 25*time.Millisecond, "%s", b.Log)
}

// newLocalBench is a bench with a local repository that parted from the forge's:
// main is one commit ahead of what the forge has, stale one behind, own is on no
// host.
func newLocalBench(t *testing.T) (b *bench, tips map[string]string) {
	t.Helper()
	b = newBench(t, forgetest.SeedOptions{Commits: 4, Branches: 1, Tags: 1})
	b.Create(t, local)
	c := b.direct(t)
	c.Git("remote", "set-url", "origin", b.Remote(local))
	c.Env = b.Client(t, local).Env
	tips = map[string]string{"upstream": c.Git("rev-parse", "main")}
	c.Git("push", "--quiet", "origin", "main~1:refs/heads/stale", "main:refs/heads/same")
	tips["main"] = c.Commit("ahead")
	c.Git("push", "--quiet", "origin", "HEAD:main")
	tips["own"] = c.Commit("of our own")
	c.Git("push", "--quiet", "origin", "HEAD:own")
	for _, ref := range []string{"refs/heads/stale", "refs/heads/same"} {
		b.forge.Git(origin, "update-ref", ref, tips["upstream"])
	}
	return b, tips
}

func TestAttach_planFirstThenFollow(t *testing.T) {
	t.Parallel()
	b, tips := newLocalBench(t)
	before := b.memory(t, local)
	for range 2 {
		a, err := b.attach(t, local, true, b.base(origin))
		require.NoError(t, err)
		require.Nil(t, a.BaseRepo, "it is not linked")
		require.Empty(t, cmp.Diff(map[string][]string{
			"created": {"refs/heads/feature-1", "refs/tags/v1"}, "moved": {"refs/heads/stale"},
			"forced": {"refs/heads/main"}, "deleted": {"refs/heads/own"},
		}, planned(a.Plan)))
	}
	require.Empty(t, cmp.Diff(before, b.memory(t, local)), "a plan changes nothing")

	// Reads go on from the moment of the link.
	a, err := b.attach(t, local, false, b.base(origin))
	require.NoError(t, err)
	require.Equal(t, "acme", a.BaseRepo.Owner)
	require.NotEmpty(t, a.Credential.ID)
	require.Equal(t, []string{"refs/heads/own"}, planned(a.Plan)["deleted"])
	api := b.REST(t, local)
	_, err = api.ListBranches(t.Context(), local, nil)
	require.NoError(t, err)
	b.awaitSynced(t, local)
	requireMirrors(t, b.forge.Refs(origin), b.Refs(t, local))
	run := b.Runs(t, local)[0]
	require.False(t, run.First)
	require.Equal(t, [5]int{2, 2, 1, 1, 0}, [5]int{run.RefsCreated, run.RefsUpdated, run.RefsDeleted, run.RefsForced, run.RefsHeld})
	require.NotEmpty(t, b.Repo(t, local).Upstream.ID, "the host was asked who that is")

	// What was only here is kept, and comes back through Transact.
	rows, err := api.ListRewrites(t.Context(), local, &client.ListRewritesParams{State: new("retained")})
	require.NoError(t, err)
	kept := map[string]string{}
	for _, row := range rows.Rewrites {
		kept[row.Ref] = row.Old
		if row.Ref == "refs/heads/own" {
			_, err := api.RestoreRewrite(t.Context(), local, row.ID, client.RestoreRewriteRequest{Branch: new("own")})
			require.NoError(t, err)
		}
	}
	require.Equal(t, map[string]string{"refs/heads/main": tips["main"], "refs/heads/own": tips["own"]}, kept)
	require.Equal(t, tips["own"], b.forge.Ref(origin, "refs/heads/own"))
	require.Equal(t, tips["own"], b.Refs(t, local)["refs/heads/own"])
	require.Empty(t, b.Fsck(t, local))

	_, err = b.attach(t, local, false, b.base(origin))
	servertest.RequireRefused(t, http.StatusConflict, err)
	entries, err := b.store.Audit(t.Context(), core.AuditFilter{Org: servertest.Org, Action: "upstream.attach", Limit: 10})
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, core.OutcomeOK, entries[1].Outcome)
	require.Equal(t, b.Repo(t, local).Upstream.URL, entries[1].Target)
}

// TestAttach_byGitHubApp: what the App may see can be attached, needs no stored
// credential, and is followed by the App's webhook from then on.
func TestAttach_byGitHubApp(t *testing.T) {
	t.Parallel()
	d := githubCase()
	b := d.start(t, servertest.Options{})
	b.Create(t, mirror)
	c := b.direct(t)
	c.Git("remote", "set-url", "origin", b.Remote(mirror))
	c.Env = b.Client(t, mirror).Env
	ahead := c.Commit("ahead")
	c.Git("push", "--quiet", "origin", "HEAD:main")
	at := d.base(b, origin)
	base := client.LinkRepositoryRequest{BaseRepo: &at}

	b.forge.Uninstall("acme")
	for _, dry := range []bool{true, false} {
		_, err := b.attach(t, mirror, dry, base)
		refused := servertest.RequireRefused(t, http.StatusPreconditionFailed, err)
		require.Contains(t, refused.Message, "not installed")
	}
	require.Nil(t, b.Repo(t, mirror).Upstream)
	b.forge.Install("acme")
	a, err := b.attach(t, mirror, true, base)
	require.NoError(t, err)
	require.Equal(t, []string{"refs/heads/main"}, planned(a.Plan)["forced"])
	a, err = b.attach(t, mirror, false, base)
	require.NoError(t, err)
	require.Nil(t, a.Credential)
	require.NotEmpty(t, b.Repo(t, mirror).Upstream.ID)
	b.awaitSynced(t, mirror)
	requireMirrors(t, b.forge.Refs(origin), b.Refs(t, mirror))
	rows := b.rewrites(t, client.ListRewritesParams{State: new("retained")})
	require.Len(t, rows, 1)
	require.Equal(t, ahead, rows[0].Old)
	b.requireFollowed(t, origin)

	// Another repository of the same App.
	b.forge.CreateRepo("acme/other", true)
	b.forge.Seed("acme/other", forgetest.SeedOptions{Commits: 2})
	at.Name = "other"
	_, err = b.repoint(t, mirror, false, base)
	require.NoError(t, err)
	b.awaitSynced(t, mirror)
	b.requireFollowed(t, "acme/other")
}

func TestAttach_emptyRepositoryIsAFirstMirror(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3, Branches: 2})
	b.Create(t, local)
	a, err := b.attach(t, local, false, b.base(origin))
	require.NoError(t, err)
	require.Len(t, a.Plan.Created, 3)
	b.awaitSynced(t, local)
	requireMirrors(t, b.forge.Refs(origin), b.Refs(t, local))
	require.True(t, b.Runs(t, local)[0].First)
}

func TestAttach_refusals(t *testing.T) {
	t.Parallel()
	b, _ := newLocalBench(t)
	before := b.memory(t, local)
	without := b.base(origin)
	without.Username, without.Password = nil, nil
	b.forge.CreateRepo("acme/long", true)
	dir, err := b.forge.RepoDir("acme/long")
	require.NoError(t, err)
	c := b.ClientWith(t, "")
	require.NoError(t, os.RemoveAll(dir))
	c.Git("init", "--quiet", "--bare", "--object-format=sha256", "--template=", dir)
	c.Git("init", "--quiet", "--object-format=sha256", "work")
	c.Dir = filepath.Join(c.Dir, "work")
	c.Commit("in the other format")
	c.Git("push", "--quiet", dir, "HEAD:main")
	wrong := b.base(origin)
	wrong.Password = new("wrong")
	halved := b.base(origin)
	halved.Password = nil
	public := b.base(origin)
	public.BaseRepo.Auth = &client.BaseRepoAuth{AuthType: new("public")}
	inside := b.base(origin)
	inside.BaseRepo.UpstreamHost = new("127.0.0.1:1")
	for _, tt := range []struct {
		name string
		body any
		want int
	}{
		{"no body", nil, http.StatusBadRequest},
		{"no credential for a private one", without, http.StatusPreconditionFailed},
		{"a wrong credential", wrong, http.StatusPreconditionFailed},
		{"a user without password", halved, http.StatusBadRequest},
		{"no such repository", b.base("acme/none"), http.StatusNotFound},
		{"a mode that the provider has not", public, http.StatusBadRequest},
		{"objects of another format", b.base("acme/long"), http.StatusConflict},
		{"an address inside", inside, http.StatusBadRequest},
	} {
		for _, query := range []string{"?dry_run=true", ""} {
			a := b.API(t, http.MethodPost, local, "/base"+query, tt.body)
			require.Equal(t, tt.want, a.Status, "%s%s: %s", tt.name, query, a.Raw)
			require.NotContains(t, a.Raw, "wrong")
		}
	}
	_, err = b.repoint(t, local, false, b.base(origin)) // what has no upstream
	servertest.RequireRefused(t, http.StatusBadRequest, err)
	after := b.memory(t, local)
	after.Audit = before.Audit // attempts are recorded
	require.Empty(t, cmp.Diff(before, after))
}

func TestRepoint_forgetsTheOldUpstreamAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	const other = "acme/gadget"
	forge := newForge(t, forgetest.SeedOptions{Commits: 5, Branches: 2, Tags: 2})
	second := newForge(t, forgetest.SeedOptions{Commits: 2})
	b := &bench{forge: forge, Server: servertest.Start(t, servertest.Options{
		Forges: []*forgetest.TestForge{forge, second}, Hosts: []string{"  poll = \"off\"\n"}, Public: true,
	})}
	b.store = servertest.Store(t, b.Dir)
	b.Mirror(t, mirror, forge, origin)
	b.awaitHook(t, "active")
	b.forge.CreateRepo(other, true)
	b.forge.Seed(other, forgetest.SeedOptions{Commits: 3, Branches: 1})
	b.SetSettings(t, mirror, client.SettingsRequest{RefPolicies: &[]client.RefPolicy{{Pattern: "refs/heads/feature-2", Action: "hold"}}})
	b.settle(t)
	c := b.work(t)
	c.Git("push", "--quiet", b.Remote(mirror+"+ephemeral"), "HEAD:refs/heads/draft")
	wish := b.base(other)
	wish.Username, wish.Password = nil, nil

	before := b.memory(t, mirror)
	a, err := b.repoint(t, mirror, true, wish)
	require.NoError(t, err)
	require.Equal(t, "widget", a.BaseRepo.Name)
	require.Equal(t, []string{"refs/heads/feature-2"}, planned(a.Plan)["held"], "the new one does not have it")
	require.Empty(t, cmp.Diff(before, b.memory(t, mirror)))
	hooks := b.forge.Webhooks(origin)
	require.Len(t, hooks, 1)

	a, err = b.repoint(t, mirror, false, wish)
	require.NoError(t, err)
	require.Equal(t, "gadget", a.BaseRepo.Name)
	b.awaitSynced(t, mirror)
	after := b.memory(t, mirror)
	require.Equal(t, before.Settings, after.Settings)
	require.Equal(t, 1, after.Credentials, "the same host may keep the credential")
	require.NotEqual(t, before.Repo.Upstream.ID, after.Repo.Upstream.ID)
	require.NotEqual(t, before.Sync.Digest, after.Sync.Digest)
	require.Len(t, b.eventsOf(t, core.EventUpstreamMoved), 1)
	require.Eventually(t, func() bool { return len(b.forge.Webhooks(origin)) == 0 && len(b.forge.Webhooks(other)) == 1 }, time.Minute, 25*time.Millisecond)
	drafts := 0
	for name := range b.Refs(t, mirror) {
		if strings.HasSuffix(name, "/draft") {
			drafts++
		}
	}
	require.Equal(t, 1, drafts)

	// Pushes go to the new one.
	c.Git("fetch", "--quiet", "origin")
	c.Git("checkout", "--quiet", "-B", "work", "origin/main")
	head := c.Commit("after")
	c.Git("push", "--quiet", "origin", "HEAD:main")
	require.Equal(t, head, b.forge.Ref(other, "refs/heads/main"))

	// Another host must never see the credential, nor does it stay for it.
	there := servertest.Base("gitea", second.Host(), origin)
	away := client.LinkRepositoryRequest{BaseRepo: &there}
	_, err = b.repoint(t, mirror, true, away)
	servertest.RequireRefused(t, http.StatusPreconditionFailed, err)
	for _, r := range second.Requests() {
		require.False(t, r.Credential, r.Path)
	}
	stored, err := b.store.CredentialByRepo(t.Context(), after.Repo.ID)
	require.NoError(t, err)
	_, secret := second.Credential()
	away.Password = &secret
	_, err = b.repoint(t, mirror, false, away)
	require.NoError(t, err)
	b.awaitSynced(t, mirror)
	_, err = b.store.CredentialByID(t.Context(), stored.ID)
	require.Equal(t, core.KindNotFound, core.KindOf(err))
	require.Equal(t, second.Ref(origin, "refs/heads/main"), b.Refs(t, mirror)["refs/heads/main"])
}

// TestRepoint_endsTheRunThatIsUnderWay: what a run had listed at the old upstream
// neither moves refs nor counts as confirmed once the repository follows another.
func TestRepoint_endsTheRunThatIsUnderWay(t *testing.T) {
	t.Parallel()
	const other = "acme/gadget"
	for _, kind := range []forgetest.Kind{forgetest.KindListRefs, forgetest.KindFetch} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, forgetest.SeedOptions{Commits: 5, Branches: 2})
			b.forge.CreateRepo(other, true)
			b.forge.Seed(other, forgetest.SeedOptions{Commits: 2})
			c := b.direct(t)
			late := c.Commit("of the old upstream, too late")
			b.forgePush(t, c, "HEAD:main", "HEAD:late")
			begun, gate := make(chan struct{}, 1), make(chan struct{})
			b.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{kind}, Repo: origin, Times: 1, Before: func() {
				begun <- struct{}{}
				<-gate
			}})
			b.Pull(t, mirror)
			<-begun
			wish := b.base(other)
			_, err := b.REST(t, mirror).RepointUpstream(t.Context(), mirror, nil, wish)
			close(gate)
			require.NoError(t, err)
			b.awaitSynced(t, mirror)
			requireMirrors(t, b.forge.Refs(other), b.Refs(t, mirror))
			require.NotContains(t, b.Refs(t, mirror), "refs/heads/late")
			for _, e := range b.events(t) {
				require.NotContains(t, string(e.Payload), late)
			}
			status := b.Status(t, mirror)
			require.NotEmpty(t, status.Digest)
			require.NoError(t, b.Sync(t, mirror), "and the next one finds nothing to do")
			require.Equal(t, "unchanged", b.Runs(t, mirror)[0].Outcome)
			require.Equal(t, status.Digest, b.Status(t, mirror).Digest)
		})
	}
}
