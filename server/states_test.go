package server_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// upstreamEvents returns the events about the mirror's upstream, oldest first: the
// last word of the type, and the state in it.
func (b *bench) upstreamEvents(t *testing.T) []string {
	t.Helper()
	all, err := b.store.Events(t.Context(), 0, 100_000)
	require.NoError(t, err)
	out := []string{}
	id := b.Repo(t, mirror).ID
	for _, e := range all {
		word, ok := strings.CutPrefix(e.Type, "repo.upstream_")
		if e.RepoID != id || !ok {
			continue
		}
		var body struct {
			State core.UpstreamState `json:"state"`
		}
		require.NoError(t, json.Unmarshal(e.Payload, &body))
		out = append(out, strings.TrimSpace(word+" "+string(body.State)))
	}
	return out
}

// TestInvariant09_upstreamDownForAnHour: reads are served all the while and say
// how old they are; the host is not stormed; one notice, one recovery.
func TestInvariant09_upstreamDownForAnHour(t *testing.T) {
	t.Parallel()
	b, clock := agedBench(t)
	b.SetSettings(t, mirror, client.SettingsRequest{Poll: new("1m")})
	before := b.Refs(t, mirror)
	start := clock.Now()
	undo := b.forge.Inject(forgetest.Fault{Status: http.StatusServiceUnavailable})
	b.forge.ForgetRequests()
	for clock.Now().Sub(start) < time.Hour {
		clock.Advance(time.Minute)
		now := clock.Now()
		a := b.asking(t, "")
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		require.Equal(t, strconv.Itoa(int(now.Sub(start).Seconds())), a.Header.Get("Headwater-Staleness"))
	}
	require.Eventually(t, func() bool {
		if len(b.upstreamEvents(t)) > 0 {
			return true
		}
		clock.Advance(time.Second) // whoever began to wait late
		return false
	}, time.Minute, 25*time.Millisecond)
	require.Less(t, len(b.forge.Requests()), 200)
	out, err := b.Client(t, mirror).Try("clone", b.Remote(mirror), "copy")
	require.NoError(t, err, out)
	require.Contains(t, out, "remote: this mirror was last confirmed by its upstream 60 min ago; the upstream cannot be reached")
	a := b.Repository(t, mirror)
	require.EqualValues(t, "failing", a.Sync.State)
	require.NotNil(t, a.Sync.NextAttemptAt)
	require.Equal(t, before, b.Refs(t, mirror))

	other := b.direct2(t)
	head := other.Commit("during the outage")
	b.forgePush(t, other, "HEAD:main")
	undo()
	require.Eventually(t, func() bool {
		clock.Advance(30 * time.Second)
		return b.Refs(t, mirror)["refs/heads/main"] == head
	}, time.Minute, 20*time.Millisecond)
	require.Eventually(t, func() bool { return len(b.upstreamEvents(t)) == 2 }, time.Minute, 25*time.Millisecond)
	require.Equal(t, []string{"unavailable", "recovered"}, b.upstreamEvents(t))
	require.EqualValues(t, "ready", b.Repository(t, mirror).Sync.State)
	b.requireSame(t)
}

// direct2 is direct while the forge's HTTP is out of order.
func (b *bench) direct2(t *testing.T) *servertest.Client {
	t.Helper()
	dir, err := b.forge.RepoDir(origin)
	require.NoError(t, err)
	return b.ClientWith(t, "").Clone(dir)
}

func TestInvariant10_branchDeletedAndMadeAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 4, Branches: 1})
	const ref = "refs/heads/feature-1"
	first := b.Refs(t, mirror)[ref]
	other := b.direct(t)
	b.forgePush(t, other, ":feature-1")
	b.pullAndWait(t)
	require.NotContains(t, b.Refs(t, mirror), ref)
	second := other.Commit("another one of that name")
	b.forgePush(t, other, "HEAD:feature-1")
	b.pullAndWait(t)
	require.Equal(t, second, b.Refs(t, mirror)[ref])

	// Between two looks it is a move by force.
	b.forgePush(t, other, ":feature-1")
	other.Git("reset", "--quiet", "--hard", "HEAD~2")
	third := other.Commit("and one more")
	b.forgePush(t, other, "HEAD:feature-1")
	b.pullAndWait(t)
	b.requireSame(t)
	none := strings.Repeat("0", 40)
	var moves [][2]string
	for _, e := range b.events(t) {
		var body struct{ Ref, Before, After string }
		require.NoError(t, json.Unmarshal(e.Payload, &body))
		if body.Ref == ref {
			moves = append(moves, [2]string{body.Before, body.After})
		}
	}
	require.Equal(t, [][2]string{{first, none}, {none, second}, {second, third}}, moves)

	// Each tip that it had can be had again.
	rows := b.rewrites(t, client.ListRewritesParams{Ref: new("feature-1"), State: new("retained")})
	require.Len(t, rows, 2)
	var kept []string
	for i, row := range rows {
		kept = append(kept, row.Old)
		name := "before-" + strconv.Itoa(i)
		_, err := b.REST(t, mirror).RestoreRewrite(t.Context(), mirror, row.ID, client.RestoreRewriteRequest{Branch: &name})
		require.NoError(t, err)
		require.Equal(t, row.Old, b.forge.Ref(origin, "refs/heads/"+name))
	}
	require.ElementsMatch(t, []string{first, second}, kept)
	b.requireSame(t)
}

func TestInvariant10_heldBranchRewrittenTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 5, Branches: 1})
	b.SetSettings(t, mirror, client.SettingsRequest{RefPolicies: &[]client.RefPolicy{{Pattern: "refs/heads/main", Action: "hold"}}})
	old, _ := b.force(t)
	first := b.rewrites(t, client.ListRewritesParams{State: new("held")})[0]
	other := b.direct(t)
	other.Git("reset", "--quiet", "--hard", "HEAD~1")
	tip := other.Commit("rewritten once more")
	b.forgePush(t, other, "HEAD:main", "HEAD:feature-2")
	b.pullAndWait(t)
	require.Equal(t, old, b.Refs(t, mirror)["refs/heads/main"])
	require.Equal(t, tip, b.Refs(t, mirror)["refs/heads/feature-2"], "the others go on")

	held := b.rewrites(t, client.ListRewritesParams{State: new("held")})
	require.Len(t, held, 1)
	second := held[0]
	require.Equal(t, [2]string{old, tip}, [2]string{second.Old, second.New})
	api := b.REST(t, mirror)
	first, err := api.GetRewrite(t.Context(), mirror, first.ID)
	require.NoError(t, err)
	require.Equal(t, "replaced", first.State)
	_, err = api.ApproveRewrite(t.Context(), mirror, first.ID)
	servertest.RequireRefused(t, http.StatusConflict, err)
	require.Equal(t, old, b.Refs(t, mirror)["refs/heads/main"])
	second, err = api.ApproveRewrite(t.Context(), mirror, second.ID)
	require.NoError(t, err)
	require.Equal(t, "approved", second.State)
	b.requireSame(t)
	require.Len(t, b.eventsOf(t, core.EventRefHeld), 2)
	rewritten := b.eventsOf(t, core.EventRefRewritten)
	require.Len(t, rewritten, 1)
	require.Equal(t, [2]any{old, tip}, [2]any{rewritten[0].At("old"), rewritten[0].At("new")})
}

// TestUpstream_comesAndGoes takes one repository through the states of its
// upstream: each has one event, in order, the content is readable in all of them,
// and it resumes by itself.
func TestUpstream_comesAndGoes(t *testing.T) {
	t.Parallel()
	b, clock := agedBench(t)
	b.pullAndWait(t) // from now on the daily question to the host is due within a day
	content := b.Refs(t, mirror)["refs/heads/main"]
	expect := func(state string, events ...string) {
		t.Helper()
		b.awaitUpstream(t, state)
		require.Eventually(t, func() bool { return len(b.upstreamEvents(t)) >= len(events) }, time.Minute, 25*time.Millisecond)
		require.Equal(t, events, b.upstreamEvents(t))
		require.Equal(t, http.StatusOK, b.asking(t, "").Status, state)
		require.Equal(t, content, b.clone(t).Head(), state)
	}
	nextDay := func() {
		t.Helper()
		clock.Advance(25 * time.Hour)
		b.pullAndWait(t)
	}
	events := []string{"unavailable archived"}
	require.NoError(t, b.forge.SetArchived(origin, true))
	nextDay()
	expect("archived", events...)
	client := b.work(t)
	client.Commit("refused by the host")
	out, err := client.Try("push", "origin", "HEAD:main")
	require.Error(t, err, out)
	require.NoError(t, b.forge.SetArchived(origin, false))
	nextDay()
	events = append(events, "recovered archived")
	expect("active", events...)

	// The credential opens it no more; a new one does, without anybody's pull.
	b.forge.RevokeTokens()
	b.pullAndWait(t)
	events = append(events, "unavailable revoked")
	expect("revoked", events...)
	b.ReplaceCredential(t, mirror, b.forge)
	events = append(events, "recovered revoked")
	expect("active", events...)

	// Gone, and then another one of the same name.
	require.NoError(t, b.forge.DeleteRepo(origin))
	b.pullAndWait(t)
	events = append(events, "unavailable deleted")
	expect("deleted", events...)
	b.forge.CreateRepo(origin, true)
	b.forge.Seed(origin, forgetest.SeedOptions{Commits: 2})
	b.pullAndWait(t)
	events = append(events, "unavailable replaced")
	expect("replaced", events...)
	_, err = b.REST(t, mirror).RepointUpstream(t.Context(), mirror, nil, b.base(origin))
	require.NoError(t, err)
	b.awaitSynced(t, mirror)
	content = b.forge.Ref(origin, "refs/heads/main")
	events = append(events, "moved")
	expect("active", events...)
	b.requireSame(t)
}

func TestUpstream_madePrivateAndPublicAgain(t *testing.T) {
	t.Parallel()
	d := hostCase{kind: forgetest.HostGitHubPublic, provider: "github-public", wire: "github", public: true, path: origin}
	b := d.start(t, servertest.Options{})
	d.follow(t, b)
	// Nobody needs a token as long as GitHub asks for none.
	withoutToken := func() int {
		t.Helper()
		status, _ := stranger(t, http.MethodGet, b.Remote(mirror)+listRefs, "")
		return status
	}
	require.Equal(t, http.StatusUnauthorized, withoutToken(), "before somebody has wanted it")
	b.SetSettings(t, mirror, client.SettingsRequest{PublicRead: new(true)})
	require.Equal(t, http.StatusOK, withoutToken())
	require.NoError(t, b.forge.SetPrivate(origin, true))
	b.pullAndWait(t)
	b.awaitUpstream(t, "private")
	require.Equal(t, http.StatusOK, b.asking(t, "").Status)
	require.Equal(t, http.StatusUnauthorized, withoutToken())
	require.NoError(t, b.forge.SetPrivate(origin, false))
	b.pullAndWait(t)
	b.awaitUpstream(t, "active")
	require.Equal(t, []string{"unavailable private", "recovered private"}, b.upstreamEvents(t))
	require.Equal(t, http.StatusOK, withoutToken())
	b.ClientWith(t, "").Git("clone", "--quiet", b.Remote(mirror), "read")
	b.requireSame(t)
}
