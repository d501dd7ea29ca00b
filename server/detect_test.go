package server_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// giteaCase is the host of most scenarios.
func giteaCase() hostCase {
	return hostCase{kind: forgetest.HostGitea, provider: "gitea", wire: "gitea", path: origin, registers: true, pushes: true}
}

// clockedBench is a followed gitea whose server's time goes on only by Advance.
func clockedBench(t *testing.T, d hostCase, poll string, o servertest.Options) (*bench, *servertest.Clock) {
	t.Helper()
	clock := servertest.NewClock()
	o.Clock = clock
	b := d.startAt(t, d.forge(t, forgetest.SeedOptions{Commits: 4, Branches: 2, Tags: 1}), poll, o)
	d.follow(t, b)
	return b, clock
}

// untilPoll advances the clock until the mirror's upstream is looked at, and
// returns for how long that was planned.
func (b *bench) untilPoll(t *testing.T, clock *servertest.Clock) time.Duration {
	t.Helper()
	var at time.Time
	require.Eventually(t, func() bool {
		at = b.Status(t, mirror).PollAt
		return at.After(clock.Now())
	}, time.Minute, 25*time.Millisecond)
	wait, before := at.Sub(clock.Now()), contacts(b.forge)
	clock.Advance(wait + time.Millisecond) // the store keeps no nanoseconds
	require.Eventually(t, func() bool {
		// Who counted the pause while the clock was moved began it late.
		if contacts(b.forge) == before {
			clock.Advance(time.Second)
		}
		return contacts(b.forge) > before
	}, time.Minute, 50*time.Millisecond)
	return wait
}

// contacts counts what was asked of a host about refs.
func contacts(forge *forgetest.TestForge) int {
	return forge.Count(forgetest.KindDiscover, forgetest.KindListRefs, forgetest.KindFetch)
}

// TestInvariant06_supersededAndExpired: what was announced and is never shown
// is not looked for any more once the ref has gone on, or after ten minutes.
func TestInvariant06_supersededAndExpired(t *testing.T) {
	t.Parallel()
	d := giteaCase()
	b, clock := clockedBench(t, d, "off", servertest.Options{})
	open := func() []core.Expectation {
		list, err := b.store.Expectations(t.Context(), b.Repo(t, mirror).ID)
		require.NoError(t, err)
		return list
	}
	head := b.forge.Ref(origin, "refs/heads/main")
	announce := func(id string) {
		b.forge.Deliver(origin, forgetest.Event{Kind: forgetest.EventPush, Updates: []forgetest.RefUpdate{{Name: "refs/heads/main", Old: head, New: id}}})
		b.settle(t)
		clock.Advance(time.Second) // what came together is looked at together
		b.settle(t)
	}
	announce(strings.Repeat("5", 40))
	require.Len(t, open(), 1)

	// Superseded: the host's users have gone on meanwhile, and no webhook says so.
	b.forge.SetWebhookFaults(forgetest.WebhookFaults{Drop: true})
	other := d.atHost(t, b)
	id := other.Commit("beyond what was announced")
	b.hostPush(t, other, "HEAD:main")
	b.untilPoll(t, clock)
	b.awaitRef(t, "refs/heads/main", id)
	b.settle(t)
	require.Empty(t, open())
	b.forge.SetWebhookFaults(forgetest.WebhookFaults{})

	// Expired: the id was taken back before anybody saw it.
	head = id
	announce(strings.Repeat("6", 40))
	require.Len(t, open(), 1)
	began, looks := clock.Now(), 0
	for len(open()) > 0 {
		b.untilPoll(t, clock)
		looks++
		require.Eventually(t, func() bool { return len(open()) == 0 || b.Status(t, mirror).PollAt.After(clock.Now()) }, time.Minute, 25*time.Millisecond)
		require.Less(t, looks, 30)
	}
	require.Greater(t, clock.Now().Sub(began), 9*time.Minute, "it was looked for long enough")
	require.Less(t, looks, 20, "ever more rarely")
	require.Eventually(t, func() bool { return b.Status(t, mirror).PollAt.IsZero() }, time.Minute, 25*time.Millisecond, "polling is off: nothing is left to be looked for")
	require.Equal(t, id, b.Refs(t, mirror)["refs/heads/main"])
}

// TestInvariant07_everyHookLost: a poll finds what no webhook reported, within its
// bound, and the webhook's health says so.
func TestInvariant07_everyHookLost(t *testing.T) {
	t.Parallel()
	d := giteaCase()
	b, clock := clockedBench(t, d, "auto", servertest.Options{})
	require.Nil(t, b.Repository(t, mirror).Sync.Webhook.LastMissedAt)
	b.forge.SetWebhookFaults(forgetest.WebhookFaults{Drop: true})
	other := d.atHost(t, b)
	for _, rest := range []time.Duration{0, time.Hour} {
		// The longer the upstream has rested, the longer a change may take.
		quiet := clock.Now().Add(rest)
		for clock.Now().Before(quiet) {
			b.untilPoll(t, clock)
		}
		changed := b.Status(t, mirror).ChangedAt
		if changed.IsZero() {
			changed = b.Status(t, mirror).FirstSyncedAt
		}
		bound := max(15*time.Second, clock.Now().Sub(changed)/10) * 11 / 10
		id := other.Commit("untold after " + rest.String())
		b.hostPush(t, other, "HEAD:main", "HEAD:refs/heads/new-"+rest.String(), "HEAD:refs/tags/t-"+rest.String())
		b.forge.Settle()
		require.LessOrEqual(t, b.untilPoll(t, clock), bound)
		b.awaitRef(t, "refs/heads/main", id)
		b.settle(t)
		b.requireSame(t)
		require.Equal(t, "poll", b.Runs(t, mirror)[0].Trigger)
	}
	other.Git("push", "--quiet", "origin", ":refs/heads/feature-2")
	b.untilPoll(t, clock)
	b.awaitRef(t, "refs/heads/feature-2", "")
	hook := b.Repository(t, mirror).Sync.Webhook
	require.NotNil(t, hook.LastMissedAt)
	require.Nil(t, hook.LastDeliveryAt)
	for _, sent := range b.forge.Deliveries() {
		require.False(t, sent.Delivered())
	}
}

// TestInvariant07_tenTagsInOnePush: GitHub tells of no tag when more than three
// are pushed at once.
func TestInvariant07_tenTagsInOnePush(t *testing.T) {
	t.Parallel()
	d := githubCase()
	b, clock := clockedBench(t, d, "auto", servertest.Options{})
	other := d.atHost(t, b)
	ten := func(series string) (refspecs []string) {
		for n := range 10 {
			refspecs = append(refspecs, fmt.Sprintf("HEAD:refs/tags/%s-%d", series, n))
		}
		return refspecs
	}
	other.Commit("tagged beside a branch")
	b.hostPush(t, other, append(ten("beside"), "HEAD:main")...)
	b.forge.Settle()
	require.Len(t, b.forge.Deliveries(), 1, "of the branch alone")
	for n := range 10 {
		b.awaitRef(t, fmt.Sprintf("refs/tags/beside-%d", n), other.Head())
	}
	b.settle(t)
	b.requireSame(t)

	other.Commit("only tagged")
	b.hostPush(t, other, ten("alone")...)
	b.forge.Settle()
	require.Len(t, b.forge.Deliveries(), 1)
	b.untilPoll(t, clock)
	b.awaitRef(t, "refs/tags/alone-9", other.Head())
	b.settle(t)
	b.requireSame(t)
	require.Len(t, b.events(t), 21)
}

// TestInvariant21_limitAtOneHost: a host that says 429 with Retry-After is left
// alone for so long, with all of its repositories, and no other host is.
func TestInvariant21_limitAtOneHost(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	limited, free := newForge(t, forgetest.SeedOptions{Commits: 2}), newForge(t, forgetest.SeedOptions{Commits: 2})
	limited.CreateRepo("acme/second", true)
	limited.Seed("acme/second", forgetest.SeedOptions{Commits: 1})
	s := servertest.Start(t, servertest.Options{
		Forges: []*forgetest.TestForge{limited, free}, Hosts: []string{"  poll = \"10s\"\n"}, Clock: clock,
	})
	s.Mirror(t, mirror, free, origin)
	s.Mirror(t, "team/limited", limited, origin)
	s.Mirror(t, "team/second", limited, "acme/second")
	head := func(repo string) string { return s.Refs(t, repo)["refs/heads/main"] }
	push := func(forge *forgetest.TestForge, path string) string {
		c := s.WorkAtHost(t, forge, path)
		id := c.Commit("after " + clock.Now().String())
		c.Git("push", "--quiet", "origin", "HEAD:main")
		return id
	}
	const pause = 10 * time.Minute
	remove := limited.Inject(forgetest.Fault{
		Kinds:  []forgetest.Kind{forgetest.KindDiscover, forgetest.KindListRefs, forgetest.KindFetch},
		Status: http.StatusTooManyRequests, RetryAfter: pause, Body: "slow down",
	})
	limited.ForgetRequests()
	// Both of its repositories are due; the first answer is for both.
	require.Eventually(t, func() bool {
		clock.Advance(time.Second)
		return contacts(limited) > 0
	}, time.Minute, 50*time.Millisecond)
	// It is not over before, whenever the answer came.
	until := clock.Now().Add(pause - time.Second)
	refused := 0
	for round := range 4 {
		id := push(free, origin)
		require.Eventually(t, func() bool {
			clock.Advance(time.Second)
			return head(mirror) == id
		}, time.Minute, 50*time.Millisecond, "the other host is followed as ever")
		if round == 0 {
			remove()
			refused = contacts(limited)
			require.LessOrEqual(t, refused, 2, "what was under way together")
		}
		require.Equal(t, refused, contacts(limited), "left alone")
		require.True(t, clock.Now().Before(until))
	}
	for _, repo := range []string{"team/limited", "team/second"} {
		require.NotEqualValues(t, "syncing", s.Repository(t, repo).Sync.State)
	}
	wanted := map[string]string{"team/limited": push(limited, origin), "team/second": push(limited, "acme/second")}
	clock.Advance(until.Sub(clock.Now()))
	for repo, id := range wanted {
		require.Eventually(t, func() bool {
			clock.Advance(time.Second)
			return head(repo) == id
		}, time.Minute, 50*time.Millisecond, repo)
	}
}

// cloner looks at the server from inside of a receiver, as a build does that a
// webhook starts.
type cloner struct {
	client *servertest.Client
	url    string
	clones atomic.Int64
}

// at clones, and returns what a ref is at; "" if there is none.
func (c *cloner) at(ref string) (id, branch string, err error) {
	dir := fmt.Sprintf("clone-%d", c.clones.Add(1))
	if out, err := c.client.Try("clone", "--quiet", "--mirror", c.url, dir); err != nil {
		return "", "", errors.New(out)
	}
	head, err := c.client.Try("-C", dir, "symbolic-ref", "--short", "HEAD")
	if err != nil {
		return "", "", errors.New(head)
	}
	out, err := c.client.Try("-C", dir, "rev-parse", "--verify", "--quiet", ref)
	if err != nil {
		out = "" // no such ref
	}
	return strings.TrimSpace(out), strings.TrimSpace(head), nil
}

// TestInvariant23_cloneInsideTheReceiver: whatever the host's webhook started,
// whoever gets the event of it can clone what the event names.
func TestInvariant23_cloneInsideTheReceiver(t *testing.T) {
	t.Parallel()
	d := giteaCase()
	b := d.start(t, servertest.Options{Webhooks: lab})
	c := &cloner{client: b.Client(t, mirror), url: b.Remote(mirror)}
	r := newHookReceiver(t, func(got delivery) string {
		ref := "refs/heads/main"
		if got.Header.Get("X-Pierre-Event") == core.EventPush {
			_, rest, _ := strings.Cut(got.Body, `"ref":"`)
			ref, _, _ = strings.Cut(rest, `"`)
		}
		id, branch, err := c.at(ref)
		if err != nil {
			return err.Error()
		}
		return id + " " + branch
	})
	d.follow(t, b)
	_, secret := subscribe(t, b.Server, client.CreateWebhookRequest{URL: r.URL, Events: []string{
		core.EventPush, core.EventSyncSucceeded, core.EventDefaultBranchChanged, core.EventRefRewritten, core.EventUpstreamMoved,
	}})
	other := d.atHost(t, b)
	zero := strings.Repeat("0", 40)
	// What each change leads to, in any order: the type, and what the clone shows.
	expect := func(want map[string]string) {
		t.Helper()
		got := map[string]string{}
		for len(got) < len(want) {
			one := r.next(t)
			requireSigned(t, one, secret, time.Now())
			typ := one.Header.Get("X-Pierre-Event")
			if typ == core.EventPush {
				after := one.field(t, "after").(string)
				if after == zero {
					after = ""
				}
				found, _, _ := strings.Cut(one.found, " ")
				require.Equal(t, after, found, "%s", one.Body)
				typ += " " + one.field(t, "ref").(string)
			}
			got[typ] = one.found
		}
		require.Equal(t, want, got)
		b.settle(t)
	}

	id := other.Commit("new at the host")
	b.hostPush(t, other, "HEAD:main")
	expect(map[string]string{"push refs/heads/main": id + " main", core.EventSyncSucceeded: id + " main"})

	other.Git("reset", "--quiet", "--hard", "HEAD~1")
	id = other.Commit("rewritten at the host")
	b.hostPush(t, other, "HEAD:main")
	expect(map[string]string{"push refs/heads/main": id + " main", core.EventSyncSucceeded: id + " main", core.EventRefRewritten: id + " main"})

	b.hostPush(t, other, ":feature-1")
	expect(map[string]string{"push refs/heads/feature-1": " main", core.EventSyncSucceeded: id + " main", core.EventRefRewritten: id + " main"})

	require.NoError(t, b.forge.SetDefaultBranch(origin, "feature-2"))
	b.forge.Deliver(origin, forgetest.Event{Kind: forgetest.EventPush, Updates: []forgetest.RefUpdate{{Name: "refs/heads/main", Old: id, New: id}}})
	expect(map[string]string{core.EventDefaultBranchChanged: id + " feature-2", core.EventSyncSucceeded: id + " feature-2"})
	require.Empty(t, r.got)
}

// public returns the refs that users see.
func public(refs map[string]string) map[string]string {
	out := map[string]string{}
	for name, id := range refs {
		if core.UpstreamOwned(core.Default, name) {
			out[name] = id
		}
	}
	return out
}

// TestInvariant25_renameAndImpostor: the upstream is known by its id. Where it
// goes it is followed, and what takes its name is not; nor is anything pushed
// to that.
func TestInvariant25_renameAndImpostor(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(t *testing.T, b *bench) (path string){
		"renamed": func(_ *testing.T, b *bench) string {
			b.forge.RenameRepo(origin, "acme/gadget")
			return "acme/gadget"
		},
		"deleted": func(t *testing.T, b *bench) string {
			require.NoError(t, b.forge.DeleteRepo(origin))
			return ""
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := giteaCase()
			b := d.start(t, servertest.Options{})
			d.follow(t, b)
			before := b.Refs(t, mirror)
			path := leave(t, b)
			// An impostor, with refs of its own.
			b.forge.CreateRepo(origin, true)
			b.forge.Seed(origin, forgetest.SeedOptions{Commits: 9, Branch: "main", FileSize: 33})
			impostor := b.forge.Refs(origin)
			require.NotEqual(t, before["refs/heads/main"], impostor["refs/heads/main"])
			b.Pull(t, mirror)
			work := b.Client(t, mirror).Clone(b.Remote(mirror))

			if path == "" {
				a := b.awaitUpstream(t, "replaced")
				require.EqualValues(t, "failing", a.State)
				require.Contains(t, a.LastError.Message, "not followed")
				require.Equal(t, public(before), public(b.Refs(t, mirror)))
				require.Equal(t, "replaced", b.awaitEvent(t, core.EventUpstreamUnavailable, 1).At("state"))
				work.Commit("for the upstream that was")
				out, err := work.Try("push", "origin", "HEAD:main", "HEAD:refs/heads/elsewhere")
				require.Error(t, err, out)
				require.Equal(t, impostor, b.forge.Refs(origin), "nothing was pushed to the impostor: %s", out)
				require.Equal(t, public(before), public(b.Refs(t, mirror)))
				require.Empty(t, b.eventsOf(t, core.EventUpstreamMoved))
				return
			}
			a := b.awaitEvent(t, core.EventUpstreamMoved, 1)
			require.Equal(t, "widget", a.At("old.name"))
			require.Equal(t, "gadget", a.At("new.name"))
			require.Equal(t, "gadget", b.Repository(t, mirror).BaseRepo.Name)
			b.settle(t)
			own := work.Commit("to where it is now")
			work.Git("push", "--quiet", "origin", "HEAD:main", "HEAD:refs/heads/elsewhere")
			require.Equal(t, own, b.forge.Ref(path, "refs/heads/main"))
			require.Equal(t, impostor, b.forge.Refs(origin))
			// Its webhook went with it; the impostor has none, and nothing comes from it.
			other := b.WorkAtHost(t, b.forge, path)
			id := other.Commit("by the webhook of the renamed one")
			b.hostPush(t, other, "HEAD:main")
			b.awaitRef(t, "refs/heads/main", id)
			b.settle(t)
			requireMirrors(t, b.forge.Refs(path), b.Refs(t, mirror))
			require.Empty(t, b.eventsOf(t, core.EventUpstreamUnavailable))
		})
	}
}

// TestServer_clocksDiffer: what is followed does not depend on the host's clock,
// and a receiver takes what was signed anew for an attempt hours later.
func TestServer_clocksDiffer(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-36 * time.Hour, 36 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			d := giteaCase()
			b, clock := clockedBench(t, d, "off", servertest.Options{Webhooks: lab})
			b.forge.SetClockSkew(skew)
			type attempt struct {
				delivery
				at time.Time
			}
			attempts := make(chan attempt, 100)
			var refuse atomic.Int64
			refuse.Store(3)
			receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				attempts <- attempt{delivery{Header: r.Header.Clone(), Body: string(body)}, clock.Now()}
				if refuse.Add(-1) >= 0 {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			}))
			t.Cleanup(receiver.Close)
			_, secret := subscribe(t, b.Server, client.CreateWebhookRequest{URL: receiver.URL, Events: []string{core.EventPush}})
			other := d.atHost(t, b)
			id := other.Commit("in another time")
			b.hostPush(t, other, "HEAD:main")
			b.awaitRef(t, "refs/heads/main", id)
			b.settle(t)
			expected, err := b.store.Expectations(t.Context(), b.Repo(t, mirror).ID)
			require.NoError(t, err)
			require.Empty(t, expected)
			for range 4 {
				require.Eventually(t, func() bool {
					if len(attempts) == 0 {
						clock.Advance(time.Minute)
					}
					return len(attempts) > 0
				}, time.Minute, 50*time.Millisecond)
				got := <-attempts
				require.Equal(t, id, got.field(t, "after"))
				requireSigned(t, got.delivery, secret, got.at)
			}
		})
	}
}
