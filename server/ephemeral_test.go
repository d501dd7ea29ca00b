package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/ephemeral"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// drafts returns the names of a repository's ephemeral branches.
func drafts(t *testing.T, s *servertest.Server, repo string) []string {
	t.Helper()
	names := []string{}
	for name := range s.Refs(t, repo) {
		if short, ok := strings.CutPrefix(name, core.EphemeralPrefix+"refs/heads/"); ok {
			names = append(names, short)
		}
	}
	slices.Sort(names)
	return names
}

func TestEphemeral_branchesExpireAfterTheirLastPush(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := servertest.Start(t, servertest.Options{Clock: clock})
	st := servertest.Store(t, s.Dir)
	s.Create(t, local)
	s.Create(t, "team/other")
	c := s.Client(t, local).Clone("")
	other := s.Client(t, "team/other").Clone("")
	push := func(c *servertest.Client, repo, branch string) {
		c.Commit(branch + clock.Now().String())
		c.Git("push", "--quiet", s.Remote(repo+"+ephemeral"), "HEAD:refs/heads/"+branch)
	}
	sweep := func() []string {
		require.NoError(t, s.Engine().Services().Ephemeral.Sweep(t.Context()))
		return drafts(t, s, local)
	}
	push(c, local, "old")
	push(c, local, "kept")
	c.Git("push", "--quiet", s.Remote(local), "HEAD:refs/heads/old")
	push(other, "team/other", "for-ever")
	clock.Advance(50 * time.Minute)
	push(c, local, "kept")
	push(c, local, "young")
	require.Equal(t, []string{"kept", "old", "young"}, sweep(), "there is no time to live")

	s.SetSettings(t, local, client.SettingsRequest{EphemeralTTL: new("1h")})
	require.Equal(t, []string{"kept", "old", "young"}, sweep())
	clock.Advance(9 * time.Minute)
	require.Equal(t, []string{"kept", "old", "young"}, sweep())
	clock.Advance(time.Minute)
	require.Equal(t, []string{"kept", "young"}, sweep())
	require.Contains(t, s.Refs(t, local), "refs/heads/old", "only the ephemeral one")
	entries, err := st.Audit(t.Context(), core.AuditFilter{Org: servertest.Org, Action: "branch.expire", Limit: 10})
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, ephemeral.Subject, entries[0].Actor.Subject)
	require.Equal(t, "refs/heads/old", entries[0].Updates[0].Name)

	// A push between two sweeps is life; a branch that comes back begins anew.
	clock.Advance(49 * time.Minute)
	push(c, local, "young")
	push(c, local, "old")
	clock.Advance(time.Minute)
	require.Equal(t, []string{"old", "young"}, sweep())
	s.SetSettings(t, local, client.SettingsRequest{EphemeralTTL: new("1m")})
	require.Equal(t, []string{}, sweep(), "a shorter time counts at once")
	require.Equal(t, []string{"for-ever"}, drafts(t, s, "team/other"))
}

func TestEphemeral_quotaBoundsCreationsAlone(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, local)
	c := s.Client(t, local).Clone("")
	c.Commit("one")
	remote := s.Remote(local + "+ephemeral")
	push := func(args ...string) (string, error) { return c.Try(append([]string{"push", remote}, args...)...) }
	out, err := push("HEAD:refs/heads/a", "HEAD:refs/heads/b", "HEAD:refs/heads/c")
	require.NoError(t, err, out)
	s.SetSettings(t, local, client.SettingsRequest{EphemeralQuota: new(2)})

	c.Commit("two")
	out, err = push("HEAD:refs/heads/a", "HEAD:refs/heads/d")
	require.Error(t, err)
	require.Contains(t, out, "may have 2 ephemeral branches and has them")
	require.Equal(t, []string{"a", "b", "c"}, drafts(t, s, local))
	require.Equal(t, c.Head(), s.Refs(t, local)[core.EphemeralPrefix+"refs/heads/a"], "an update goes")
	_, err = s.REST(t, local).CreateBranch(t.Context(), local, client.CreateBranchRequest{
		TargetBranch: "d", TargetIsEphemeral: new(true), BaseBranch: new("a"), BaseIsEphemeral: new(true),
	})
	require.Contains(t, servertest.RequireRefused(t, http.StatusConflict, err).Message, "ephemeral quota")
	out, err = push("HEAD:refs/heads/main")
	require.Error(t, err, out)
	c.Git("push", "--quiet", s.Remote(local), "HEAD:main") // other branches are not counted

	// What goes makes room, in the same push too.
	out, err = push(":refs/heads/b", ":refs/heads/c", "HEAD:refs/heads/d")
	require.NoError(t, err, out)
	require.Equal(t, []string{"a", "d"}, drafts(t, s, local))
	s.SetSettings(t, local, client.SettingsRequest{EphemeralQuota: new(5)})

	// Together they must not take more than there is.
	results := make(chan error, 8)
	for i := range 8 {
		own := s.WorkOf(t, local)
		go func() {
			_, err := own.Try("push", remote, "HEAD:refs/heads/at-once-"+string(rune('a'+i)))
			results <- err
		}()
	}
	taken := 0
	for range 8 {
		if <-results == nil {
			taken++
		}
	}
	require.Equal(t, 3, taken)
	require.Len(t, drafts(t, s, local), 5)
}

func TestEphemeral_orphansAreThoseWhoseBaseIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 5, Branches: 1})
	c := b.work(t)
	remote := b.Remote(mirror + "+ephemeral")
	orphans := func() []client.Orphan {
		list, err := b.REST(t, mirror).ListOrphans(t.Context(), mirror, nil)
		require.NoError(t, err)
		require.False(t, list.HasMore)
		return list.Orphans
	}
	tip := c.Git("rev-parse", "origin/main")
	c.Git("checkout", "--quiet", "-b", "on-tip", "origin/main")
	onTip := c.Commit("draft on the tip")
	c.Git("checkout", "--quiet", "-b", "on-older", "origin/main~2")
	c.Commit("draft on what stays")
	feature := c.Git("rev-parse", "origin/feature-1")
	c.Git("push", "--quiet", remote, "on-tip", "on-older", feature+":refs/heads/on-feature")
	require.Empty(t, orphans())

	old, _ := b.force(t) // from main~1 on
	require.Equal(t, tip, old)
	b.forgePush(t, c, ":feature-1")
	b.pullAndWait(t)
	rows := map[string]string{}
	for _, row := range b.rewrites(t, client.ListRewritesParams{}) {
		rows[row.Ref] = row.ID
	}
	found := orphans()
	require.Equal(t, []client.Orphan{
		{Branch: "on-feature", ID: feature, Ref: "refs/heads/feature-1", RewriteID: rows["refs/heads/feature-1"], Base: feature},
		{Branch: "on-tip", ID: onTip, Ref: "refs/heads/main", RewriteID: rows["refs/heads/main"], Base: tip},
	}, found)

	// Rebased, or the base came back: no orphan any more.
	c.Git("fetch", "--quiet", "origin")
	c.Git("checkout", "--quiet", "-b", "again", "origin/main")
	c.Commit("draft, rebased")
	c.Git("push", "--quiet", "--force", remote, "again:refs/heads/on-tip", ":refs/heads/on-feature")
	require.Empty(t, orphans())
}

func TestEphemeral_promotionIsAWriteThroughWithLease(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	c := b.work(t)
	draft := c.Commit("draft")
	c.Git("push", "--quiet", b.Remote(mirror+"+ephemeral"), "HEAD:refs/heads/draft")
	promote := func(to string, force bool) servertest.Answer {
		return b.API(t, http.MethodPost, mirror, "/branches/create", map[string]any{
			"target_branch": to, "base_branch": "draft", "base_is_ephemeral": true, "force": force,
		})
	}
	require.Equal(t, http.StatusOK, promote("feature", false).Status)
	require.Equal(t, draft, b.forge.Ref(origin, "refs/heads/feature"))
	require.Equal(t, draft, b.Refs(t, mirror)["refs/heads/feature"])

	// The host has gone on, and the copy does not know it yet: nothing is lost.
	other := b.direct(t)
	head := other.Commit("of somebody else")
	b.forgePush(t, other, "HEAD:main")
	a := promote("main", true)
	require.Equal(t, http.StatusConflict, a.Status, a.Raw)
	require.Equal(t, head, b.forge.Ref(origin, "refs/heads/main"))
	b.awaitSynced(t, mirror)
	b.requireSame(t)
}
