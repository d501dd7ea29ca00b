package upstream_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// side pushes a new branch at the tip of main and returns the result.
func side(b *mirrortest.Bench, r core.Repository, name string, at core.ObjectID) push.Result {
	b.Helper()
	return b.Write(r, core.RefUpdate{Name: "refs/heads/" + name, New: at})[0]
}

// replace renames a repository of the forge, and gives its name to another one with
// equal refs.
func replace(b *mirrortest.Bench, path string) {
	b.Helper()
	const elsewhere = "elsewhere/a"
	b.Forge.RenameRepo(path, elsewhere)
	b.Forge.CreateRepo(path, true)
	from, err := b.Forge.Forge.RepoDir(elsewhere)
	require.NoError(b, err)
	to, err := b.Forge.Forge.RepoDir(path)
	require.NoError(b, err)
	coretest.Run(b, to, "fetch", "--quiet", from, "+refs/*:refs/*")
}

// A repository that took the name, with equal refs: no write reaches it.
func TestInvariant25_noWriteToAnImpostor(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, one := b.Mirrored("a")
	require.True(t, side(b, r, "before", one).OK())
	require.NoError(t, b.Sync(r, ""))
	asked := api.count()
	require.True(t, side(b, r, "shared", one).OK())
	require.Equal(t, asked, api.count(), "what a sync confirmed a moment ago counts")

	replace(b, "acme/a")
	b.Clock.Advance(time.Minute + time.Second)
	require.NoError(t, b.Store.Observed(t.Context(), r.ID, b.Clock.Now(), time.Time{})) // its refs are equal
	got := side(b, r, "evil", one)
	require.Equal(t, core.KindUpstreamUnavailable, got.Kind)
	require.True(t, b.State(r).ObservedAt.Equal(b.Monitor.Identity(b.Reload(r)).Confirmed), "what the stranger listed confirms nothing")
	require.Contains(t, got.Reason, "another repository")
	require.NotContains(t, b.UpstreamRefs(r), "refs/heads/evil")
	require.Equal(t, core.UpstreamReplaced, b.State(r).UpstreamState, "known without a sync")
	identity := b.Monitor.Identity(b.Reload(r))
	require.True(t, identity.Asked)
	require.False(t, identity.Settled)
	require.False(t, side(b, r, "evil", one).OK())
}

// The upstream was renamed, and a repository with equal refs has taken its old name: what
// is written goes to where the upstream is now, also if that turned out while the write
// waited for its turn.
func TestInvariant25_noWriteToWhoTookTheOldName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"refs/heads/x", "refs/for/main"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, api := newStatusBench(t)
			r, one := b.Mirrored("a")
			move := func(from, to string) {
				b.Forge.RenameRepo(from, to)
				b.Forge.CreateRepo(from, true)
				source, err := b.Forge.Forge.RepoDir(to)
				require.NoError(t, err)
				stranger, err := b.Forge.Forge.RepoDir(from)
				require.NoError(t, err)
				coretest.Run(t, stranger, "fetch", "--quiet", source, "+refs/*:refs/*")
				api.set(func(a *hostAPI) { a.paths = []string{to} })
				b.Clock.Advance(time.Minute + time.Second)
			}
			move("acme/a", "acme/b")
			require.True(t, b.Write(r, core.RefUpdate{Name: name, New: one})[0].OK())
			require.NotContains(t, b.Forge.Refs("acme/a"), name)
			require.Contains(t, b.Forge.Refs("acme/b"), name)
			if name == "refs/for/main" {
				return // it locks nothing
			}
			const late = "refs/heads/late"
			held, err := b.Repos.LockRefs(t.Context(), r.ID, []string{late}, nil)
			require.NoError(t, err)
			asked := api.count()
			b.Clock.Advance(time.Minute + time.Second)
			written := make(chan push.Result, 1)
			go func() { written <- b.Write(b.Reload(r), core.RefUpdate{Name: late, New: one})[0] }()
			require.Eventually(t, func() bool { return api.count() > asked }, time.Minute, 10*time.Millisecond)
			move("acme/b", "acme/c")
			held.Release()
			require.True(t, (<-written).OK())
			require.NotContains(t, b.Forge.Refs("acme/b"), late)
			require.Contains(t, b.Forge.Refs("acme/c"), late)
		})
	}
}

// A host that says the id is gone, and then has no time to say who has the name:
// that a git answers there proves nothing.
func TestInvariant25_noWriteToAnImpostorThatTheAPIDidNotName(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, one := b.Mirrored("a")
	replace(b, "acme/a")
	api.set(func(a *hostAPI) {
		a.nameErr = &providers.Error{Code: providers.CodeRateLimited, Message: "slow down", RetryAfter: time.Minute}
	})
	b.Clock.Advance(time.Hour + time.Minute)
	require.Equal(t, core.KindUpstreamUnavailable, side(b, r, "evil", one).Kind)
	require.NotContains(t, b.UpstreamRefs(r), "refs/heads/evil")
	require.Zero(t, b.State(r).UpstreamState, "nothing is known of it")
	api.set(func(a *hostAPI) { a.nameErr = nil })
	b.Clock.Advance(2 * time.Minute)
	require.False(t, side(b, r, "evil", one).OK())
	require.Equal(t, core.UpstreamReplaced, b.State(r).UpstreamState)
}

// Writes that come together ask the host once for all of them.
func TestService_Confirm_isShared(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, _ := b.Mirrored("a")
	b.Clock.Advance(2 * time.Minute)
	begun, goOn := make(chan struct{}, 20), make(chan struct{})
	b.Plugin.ResolveFunc = func(ctx context.Context, q providers.ResolveRequest) (providers.Remote, error) {
		if q.Contact {
			begun <- struct{}{}
			<-goOn
		}
		return api.resolve(ctx, q)
	}
	asked, r := api.count(), b.Reload(r)
	var writes errgroup.Group
	for range 20 {
		writes.Go(func() error { return b.Monitor.Confirm(t.Context(), r) })
	}
	<-begun
	time.Sleep(200 * time.Millisecond) // in which each of them would begin its own question
	close(goOn)
	require.NoError(t, writes.Wait())
	require.Equal(t, asked+1, api.count())
}

// A user's sync asks the host each time, although its listing equals the copy and the
// id was confirmed a moment ago: whatever triggers come after the request and before
// its run. A sync of the server's own does not.
func TestInvariant25_syncOfAUserAlwaysAsks(t *testing.T) {
	t.Parallel()
	request := func(b *mirrortest.Bench, r core.Repository, trigger, ref string) int64 {
		b.Helper()
		gen, err := b.Schedule.Request(t.Context(), r.ID, trigger, ref)
		require.NoError(b, err)
		return gen
	}
	for name, ref := range map[string]string{"all refs": "", "one ref": "main"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, api := newStatusBench(t)
			r, _ := b.Mirrored("a")
			for range 3 {
				asked := api.count()
				require.NoError(t, b.Sync(r, ref))
				require.Equal(t, asked+1, api.count(), "although nothing is new")
			}
			for _, trigger := range []string{schedule.TriggerWebhook, schedule.TriggerPush, schedule.TriggerPoll, schedule.TriggerRecovery} {
				asked := api.count()
				if ref == "" { // a run for one ref fetches it, and asks meanwhile
					require.NoError(t, b.Wait(r, request(b, r, trigger, ref)))
					require.Equal(t, asked, api.count(), "a sync by %s asks although no user waits for it", trigger)
				}
				b.Halt() // both requests wait for the same run
				gen := request(b, r, schedule.TriggerAPI, ref)
				request(b, r, trigger, ref)
				b.Start()
				require.NoError(t, b.Wait(r, gen))
				require.Equal(t, asked+1, api.count(), "the request by %s that came later hides the user's", trigger)
			}

			replace(b, "acme/a")
			err := b.Sync(r, ref)
			require.ErrorContains(t, err, "another repository")
			require.Equal(t, core.UpstreamReplaced, b.State(r).UpstreamState)
		})
	}
}

func TestService_Confirm_apiDown(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, one := b.Mirrored("a")
	require.True(t, side(b, r, "x1", one).OK())
	require.NotZero(t, b.Monitor.Identity(b.Reload(r)).Confirmed)
	require.True(t, b.Monitor.Identity(b.Reload(r)).Settled)
	api.set(func(a *hostAPI) {
		a.err = &providers.Error{Code: providers.CodeRateLimited, Message: "slow down", RetryAfter: 2 * time.Hour}
	})
	b.Clock.Advance(30 * time.Minute)
	require.True(t, side(b, r, "x2", one).OK(), "confirmed within the hour")
	b.Clock.Advance(40 * time.Minute)
	got := side(b, r, "x3", one)
	require.Equal(t, core.KindUpstreamUnavailable, got.Kind)
	require.NotContains(t, b.UpstreamRefs(r), "refs/heads/x3")
	err := b.Monitor.Confirm(t.Context(), b.Reload(r))
	var e *core.Error
	require.ErrorAs(t, err, &e)
	require.Positive(t, e.RetryAfter)
	api.set(func(a *hostAPI) { a.err = nil })
	b.Clock.Advance(3 * time.Hour)
	require.True(t, side(b, r, "x3", one).OK())
}

// What is set up beside the content asks seldom, and never at another repository.
func TestService_ConfirmIdentity(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, one := b.Mirrored("a")
	require.True(t, side(b, r, "x1", one).OK())
	b.Clock.Advance(50 * time.Minute)
	asked := api.count()
	require.NoError(t, b.Monitor.ConfirmIdentity(t.Context(), b.Reload(r)))
	require.Equal(t, asked, api.count(), "confirmed within the hour")
	b.Clock.Advance(20 * time.Minute)
	require.NoError(t, b.Monitor.ConfirmIdentity(t.Context(), b.Reload(r)))
	require.Greater(t, api.count(), asked)

	replace(b, "acme/a")
	b.Clock.Advance(time.Hour + time.Minute)
	require.Equal(t, core.KindUpstreamUnavailable, core.KindOf(b.Monitor.ConfirmIdentity(t.Context(), b.Reload(r))))
	require.Equal(t, core.UpstreamReplaced, b.State(r).UpstreamState)
}

// A token without the right to ask the API: nothing can be confirmed, and
// nothing is refused.
func TestService_Confirm_credentialWithoutAPI(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, one := b.Mirrored("a")
	api.set(func(a *hostAPI) {
		a.err = &providers.Error{Code: providers.CodePermissionDenied, Message: "insufficient scope"}
	})
	b.Clock.Advance(2 * time.Hour)
	require.True(t, side(b, r, "x", one).OK())
	require.Contains(t, b.Monitor.Identity(b.Reload(r)).Reason, "insufficient scope")
	require.NotZero(t, b.Monitor.Identity(b.Reload(r)).Confirmed, "when it could be asked is still shown")
	api.set(func(a *hostAPI) { a.err = nil })
	b.Clock.Advance(2 * time.Minute)
	require.True(t, side(b, r, "y", one).OK())
	require.Empty(t, b.Monitor.Identity(b.Reload(r)).Reason, "a better credential shows at once")
	require.Zero(t, b.State(r).UpstreamState)
}

// A host whose API has no question by id answers to the name with the id.
func TestService_Confirm_hostWithoutIDs(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, one := b.Mirrored("a")
	api.set(func(a *hostAPI) { a.byName = true })
	check(b, r)
	require.Zero(t, b.State(r).UpstreamState, "one check makes nothing deleted")
	b.Clock.Advance(2 * time.Minute)
	require.True(t, side(b, r, "x", one).OK())
	require.NotZero(t, b.Monitor.Identity(b.Reload(r)).Confirmed)
}

// Such a host redirects who asks by the name of before a rename: that is not gone.
func TestService_renamedAtAHostWithoutIDs(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, one := b.Mirrored("a")
	b.Forge.RenameRepo("acme/a", "acme/b")
	api.set(func(a *hostAPI) {
		a.byName = true
		a.nameErr = &providers.Error{Code: providers.CodeUnavailable, HTTPStatus: http.StatusMovedPermanently, Message: "the host redirects"}
	})
	got := side(b, r, "x", one)
	require.Equal(t, core.KindUpstreamRejected, got.Kind, got.Reason)
	require.Contains(t, got.Reason, "redirect")
	check(b, r)
	require.Zero(t, b.State(r).UpstreamState)
	require.Equal(t, core.ClassMoved, b.State(r).LastClass)
	require.NotContains(t, b.State(r).LastError, "no such page")

	require.NoError(t, b.Forge.Forge.DeleteRepo("acme/b"))
	api.set(func(a *hostAPI) { a.nameErr = nil })
	check(b, r)
	require.Equal(t, core.UpstreamDeleted, b.State(r).UpstreamState)
}

func TestService_renamedUpstreamTakesTheWrite(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, one := b.Mirrored("a")
	require.True(t, side(b, r, "x1", one).OK())
	b.Forge.RenameRepo("acme/a", "acme/b")
	api.set(func(a *hostAPI) { a.paths = []string{"acme/b"} })
	require.True(t, side(b, r, "x2", one).OK(), "the push that met the rename")
	now := b.Reload(r)
	require.Equal(t, "acme/b", coretest.ForgePath(now))
	require.Contains(t, b.UpstreamRefs(now), "refs/heads/x2")
}

// A request for a review that meets a rename within the minute for which the id counts as
// confirmed is passed on to where the upstream is now, once.
func TestService_renamedUpstreamTakesTheReview(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, one := b.Mirrored("a")
	require.True(t, side(b, r, "x1", one).OK())
	asked := api.count()
	b.Forge.RenameRepo("acme/a", "acme/b")
	api.set(func(a *hostAPI) { a.paths = []string{"acme/b"} })
	pushes := b.Forge.Count(forgetest.KindPush)
	got := b.Write(r, core.RefUpdate{Name: "refs/for/main", New: one})[0]
	require.True(t, got.OK(), got.Reason)
	require.Equal(t, asked+1, api.count(), "it was turned away, and asked why")
	require.Equal(t, pushes+1, b.Forge.Count(forgetest.KindPush))
	now := b.Reload(r)
	require.Equal(t, "acme/b", coretest.ForgePath(now))
	require.Contains(t, b.Forge.Refs("acme/b"), "refs/for/main")
	require.NotContains(t, b.Refs(r, "refs/"), "refs/for/main")
}

// A write that was turned away as a whole has the host asked, at most once a
// minute; one with a result for a ref has not.
func TestService_turnedAwayWriteAsksTheHost(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]forgetest.Fault{
		"moved":        {Status: 307, Header: http.Header{"Location": {"https://elsewhere.example/"}}},
		"auth":         {Status: 403, Body: "Forbidden\n"},
		"not found":    {Status: 404, Body: "Repository not found\n"},
		"refused":      {Status: 403, Body: "mirror repository is read-only\n"},
		"unauthorized": {Status: 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, api := newStatusBench(t)
			r, one := b.Mirrored("a")
			require.True(t, side(b, r, "x", one).OK())
			asked := api.count()
			f.Kinds = []forgetest.Kind{forgetest.KindPushDiscover}
			b.Forge.Inject(f)
			require.False(t, side(b, r, "y", one).OK())
			require.Equal(t, asked+1, api.count(), "the refusal is looked into at once")
			pushes := b.Forge.Count(forgetest.KindPushDiscover)
			require.False(t, side(b, r, "y", one).OK())
			require.Equal(t, asked+1, api.count(), "not twice a minute")
			require.NotContains(t, b.UpstreamRefs(r), "refs/heads/y")
			require.Positive(t, b.Forge.Count(forgetest.KindPushDiscover)-pushes)
			b.Clock.Advance(time.Minute + time.Second)
			require.False(t, side(b, r, "y", one).OK())
			require.Greater(t, api.count(), asked+1)
		})
	}
	t.Run("a result for a ref", func(t *testing.T) {
		t.Parallel()
		b, api := newStatusBench(t)
		r, one := b.Mirrored("a")
		require.True(t, side(b, r, "x", one).OK())
		asked := api.count()
		b.Forge.Protect("acme/a", "refs/heads/y")
		require.False(t, side(b, r, "y", one).OK())
		require.Equal(t, asked, api.count())
		require.Zero(t, b.State(r).UpstreamState)
	})
}

// A credential that was changed while the old one was refused is worth another
// attempt, and no more than one.
func TestService_turnedAwayWriteIsTriedOnceMore(t *testing.T) {
	t.Parallel()
	for name, healed := range map[string]bool{"healed": true, "still refused": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _ := newStatusBench(t)
			r, one := b.Mirrored("a")
			require.True(t, side(b, r, "x", one).OK())
			renew := func() {
				c, err := b.Store.CredentialByRepo(context.Background(), r.ID)
				if err != nil || !c.UpdatedAt.Before(b.Clock.Now()) {
					return
				}
				c.UpdatedAt = b.Clock.Now()
				_ = b.Store.UpdateCredential(context.Background(), c)
			}
			b.Clock.Advance(time.Second)
			refusal := forgetest.Fault{
				Kinds: []forgetest.Kind{forgetest.KindPushDiscover}, Status: 403, Body: "Forbidden\n", Before: renew,
			}
			if healed {
				refusal.Times = 1
			}
			b.Forge.Inject(refusal)
			before := b.Forge.Count(forgetest.KindPushDiscover)
			require.Equal(t, healed, side(b, r, "y", one).OK())
			require.Equal(t, 2, b.Forge.Count(forgetest.KindPushDiscover)-before)
		})
	}
}

func TestService_archivedShowsAfterARefusedWrite(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, one := b.Mirrored("a")
	api.set(func(a *hostAPI) { a.archived = true })
	b.Clock.Advance(2 * time.Minute)
	got := side(b, r, "x", one)
	require.Equal(t, core.KindUpstreamRejected, got.Kind)
	require.Contains(t, got.Reason, "archived")
	require.Equal(t, core.UpstreamArchived, b.State(r).UpstreamState)
	require.NoError(t, b.Sync(r, ""), "it can be read")
	api.set(func(a *hostAPI) { a.archived = false })
	require.True(t, side(b, r, "x", one).OK(), "asked again at once")
	require.Zero(t, b.State(r).UpstreamState)
}

// A host whose API tells nothing of it says in its git's words that the
// repository is archived.
func TestService_archivedByWords(t *testing.T) {
	t.Parallel()
	for name, alone := range map[string]error{
		"a credential without API": &providers.Error{Code: providers.CodePermissionDenied, Message: "insufficient scope"},
		"an API that is down":      &providers.Error{Code: providers.CodeUnavailable, Message: "gone fishing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, api := newStatusBench(t)
			r, one := b.Mirrored("a")
			require.True(t, side(b, r, "x", one).OK())
			api.set(func(a *hostAPI) { a.err = alone })
			b.Clock.Advance(2 * time.Minute)
			lift := b.Forge.Inject(forgetest.Fault{
				Kinds: []forgetest.Kind{forgetest.KindPushDiscover}, Status: 403,
				Body: "This repo is archived. You can view files and clone it, but cannot push or open issues/pull-requests.\n",
			})
			got := side(b, r, "y", one)
			require.Equal(t, core.KindUpstreamRejected, got.Kind)
			require.Contains(t, got.Reason, "archived")
			require.Equal(t, core.UpstreamArchived, b.State(r).UpstreamState)
			require.NoError(t, b.Sync(r, ""), "it can be read")
			require.Equal(t, core.UpstreamArchived, b.State(r).UpstreamState)
			lift()
			require.True(t, side(b, r, "y", one).OK())
			require.Zero(t, b.State(r).UpstreamState, "what takes a push is archived no more")
		})
	}
}

// The API is asked again before the next write when git contradicts what it
// said a moment ago.
func TestService_archivedByWordsAgainstTheAPI(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, one := b.Mirrored("a")
	b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPushDiscover}, Status: 403, Body: "Forbidden\n", Times: 1})
	require.False(t, side(b, r, "x", one).OK(), "the question of this minute is spent")
	b.Forge.Inject(forgetest.Fault{
		Kinds: []forgetest.Kind{forgetest.KindPushDiscover}, Status: 403, Body: "This repo is archived.\n", Times: 1,
	})
	asked := api.count()
	require.False(t, side(b, r, "x", one).OK())
	require.Equal(t, asked, api.count())
	require.Equal(t, core.UpstreamArchived, b.State(r).UpstreamState)
	require.True(t, side(b, r, "x", one).OK())
	require.Equal(t, asked+1, api.count())
	require.Zero(t, b.State(r).UpstreamState)
}

// To a credential that never opened it, hosts say of a private repository what
// they say of none.
func TestService_unseenByTheCredentialIsNotDeleted(t *testing.T) {
	t.Parallel()
	b, api := newStatusBench(t)
	r, _ := b.Mirrored("a")
	c, err := b.Store.CredentialByRepo(t.Context(), r.ID)
	require.NoError(t, err)
	b.Clock.Advance(time.Minute)
	c.UpdatedAt = b.Clock.Now()
	require.NoError(t, b.Store.UpdateCredential(t.Context(), c))
	api.set(func(a *hostAPI) {
		a.err = &providers.Error{Code: providers.CodeNotFound, Message: "no such repository"}
	})
	b.Forge.Inject(forgetest.Fault{
		Kinds: []forgetest.Kind{forgetest.KindListRefs, forgetest.KindDiscover, forgetest.KindFetch}, Status: 404,
	})
	require.NoError(t, b.Monitor.CredentialChanged(t.Context(), r.ID))
	b.WaitIdle(r)
	s := b.State(r)
	require.Equal(t, core.ClassAuth, s.LastClass, s.LastError)
	require.Equal(t, core.UpstreamRevoked, s.UpstreamState)
	require.NotZero(t, api.count())
}
