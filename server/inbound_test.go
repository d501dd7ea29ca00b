package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// newHookedBench is newBench with a server that hosts can deliver to, and that
// never looks at its upstreams unasked. The webhook is registered.
func newHookedBench(t *testing.T) *bench {
	t.Helper()
	forge := newForge(t, forgetest.SeedOptions{Commits: 5, Branches: 2, Tags: 2})
	b := &bench{forge: forge, Server: servertest.Start(t, servertest.Options{
		Forges: []*forgetest.TestForge{forge}, Hosts: []string{"  poll = \"off\"\n"}, Public: true,
	})}
	b.store = servertest.Store(t, b.Dir)
	b.Mirror(t, mirror, forge, origin)
	b.awaitHook(t, "active")
	return b
}

// awaitHook waits for a state of the mirror's webhook.
func (b *bench) awaitHook(t *testing.T, state string) {
	t.Helper()
	require.Eventually(t, func() bool { return b.Get(t, mirror).At("sync.webhook.state") == state }, time.Minute, 25*time.Millisecond,
		"%s", b.Get(t, mirror).Raw)
}

// settle waits until every webhook was delivered, and what follows from it is
// done.
func (b *bench) settle(t *testing.T) {
	t.Helper()
	b.forge.Settle()
	require.Eventually(t, func() bool {
		state := b.Status(t, mirror)
		return !state.Running && state.Served == state.Wanted
	}, time.Minute, 25*time.Millisecond)
}

// hostPush pushes to the forge as its users do, past the server.
func (b *bench) hostPush(t *testing.T, client *servertest.Client, args ...string) {
	t.Helper()
	client.Git(append([]string{"push", "--quiet", "--force", "origin"}, args...)...)
}

// deliver sends one request of a host to the server itself.
func (b *bench) deliver(t testing.TB, address string, d forgetest.Delivery) int {
	t.Helper()
	status, err := deliverBy(t.Context(), http.DefaultClient, address, d)
	require.NoError(t, err)
	return status
}

// deliverBy is deliver for any goroutine. On a machine that has more to do than
// it can, what is answered "send it again" is sent again.
func deliverBy(ctx context.Context, client *http.Client, address string, d forgetest.Delivery) (status int, err error) {
	for range 5 {
		status, after, err := deliverOnce(ctx, client, address, d)
		if err != nil || status != http.StatusServiceUnavailable {
			return status, err
		}
		select {
		case <-time.After(after):
		case <-ctx.Done():
			return status, ctx.Err()
		}
	}
	return http.StatusServiceUnavailable, nil
}

func deliverOnce(ctx context.Context, client *http.Client, address string, d forgetest.Delivery) (status int, after time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(d.Body))
	if err != nil {
		return 0, 0, err
	}
	r.Header = d.Header.Clone()
	answer, err := client.Do(r)
	if err != nil {
		return 0, 0, err
	}
	seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After")) // 0 if there is none
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, time.Duration(seconds) * time.Second, errors.Join(err, answer.Body.Close())
}

func TestInbound_pushAtTheHostIsFollowed(t *testing.T) {
	t.Parallel()
	b := newHookedBench(t)
	hooks := b.forge.Webhooks(origin)
	require.Len(t, hooks, 1)
	require.True(t, strings.HasPrefix(hooks[0].URL, b.URL+"/webhooks/gitea/"))

	other := b.direct(t)
	other.Commit("seen at once")
	b.hostPush(t, other, "HEAD:main", "HEAD:refs/heads/deep/er/new", ":feature-2", "HEAD:refs/tags/v9")
	want := b.forge.Refs(origin)
	require.Eventually(t, func() bool {
		here := b.Refs(t, mirror)
		for name, id := range want {
			if (strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/")) && here[name] != id {
				return false
			}
		}
		return here["refs/heads/feature-2"] == ""
	}, time.Minute, 25*time.Millisecond)
	b.settle(t)
	b.requireSame(t)
	for _, d := range b.forge.Deliveries() {
		require.Equal(t, http.StatusAccepted, d.Status)
		require.Less(t, d.Took, 5*time.Second)
	}
	hook := b.Repository(t, mirror).Sync.Webhook
	require.NotNil(t, hook.LastDeliveryAt)
	require.Nil(t, hook.LastMissedAt)

	// Neither the address nor the secret is anywhere in the log.
	token := hooks[0].URL[strings.LastIndexByte(hooks[0].URL, '/')+1:]
	require.NotContains(t, b.Log.String(), token)
	require.NotContains(t, b.Log.String(), hooks[0].Secret)
	require.NotContains(t, b.Get(t, mirror).Raw, token)
}

func TestInvariant05_echoOfOwnPushCostsNothing(t *testing.T) {
	t.Parallel()
	b := newHookedBench(t)
	b.settle(t)
	client := b.work(t)
	fetches, events := b.forge.Count(forgetest.KindFetch), len(b.events(t))
	for _, message := range []string{"one", "two", "three"} {
		client.Commit(message)
		client.Git("push", "--quiet", "origin", "HEAD:main", "HEAD:refs/heads/also/"+message)
		b.settle(t)
	}
	delivered := 0
	for _, d := range b.forge.Deliveries() {
		require.True(t, d.Delivered())
		delivered++
	}
	require.GreaterOrEqual(t, delivered, 6, "the host sent every ref")
	require.Equal(t, fetches, b.forge.Count(forgetest.KindFetch), "no fetch")
	require.Len(t, b.events(t), events+6, "one event for each ref that was pushed, and none more")
	b.requireSame(t)
}

func TestInvariant06_hookBeforeTheRef(t *testing.T) {
	t.Parallel()
	b := newHookedBench(t)
	other := b.direct(t)
	id := other.Commit("announced and not served yet")
	release := b.forge.HoldRefs(origin)
	b.hostPush(t, other, "HEAD:main")
	b.settle(t)
	require.NotEqual(t, id, b.Refs(t, mirror)["refs/heads/main"], "the host does not serve it")
	expected, err := b.store.Expectations(t.Context(), b.Repo(t, mirror).ID)
	require.NoError(t, err)
	require.Len(t, expected, 1)
	require.Equal(t, id, string(expected[0].New))
	release()
	// No second webhook comes, nobody asks, and polling is off.
	require.Eventually(t, func() bool { return b.Refs(t, mirror)["refs/heads/main"] == id }, time.Minute, 25*time.Millisecond)
	b.settle(t)
	require.Eventually(t, func() bool {
		expected, err := b.store.Expectations(t.Context(), b.Repo(t, mirror).ID)
		return err == nil && len(expected) == 0
	}, time.Minute, 25*time.Millisecond)
}

func TestInvariant18_stormOfHooksIsFewLooks(t *testing.T) {
	t.Parallel()
	b := newHookedBench(t)
	b.settle(t)
	hook := b.forge.Webhooks(origin)[0]
	head := b.Refs(t, mirror)["refs/heads/main"]
	event := forgetest.Event{Kind: forgetest.EventPush, Updates: []forgetest.RefUpdate{{Name: "refs/heads/main", Old: strings.Repeat("0", 40), New: head}}}
	one := b.forge.Payloads(origin, event, hook.Secret, false)
	runs, listings := len(b.Runs(t, mirror)), b.forge.Count(forgetest.KindListRefs)
	began := time.Now()
	const senders, each = 8, 10_000 / 8 / raceFactor
	// Hosts keep their connections.
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for range each {
				if got, err := deliverBy(t.Context(), client, hook.URL, one[0]); err != nil || got != http.StatusAccepted {
					t.Errorf("answered %d: %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%.0f duplicates/s", senders*each/time.Since(began).Seconds())
	b.settle(t)
	require.LessOrEqual(t, len(b.Runs(t, mirror))-runs, 1)

	// Deliveries of their own, as when a host repeats itself under new ids.
	for range 100 {
		again := b.forge.Payloads(origin, event, hook.Secret, false)
		wg.Go(func() {
			if got, err := deliverBy(t.Context(), client, hook.URL, again[0]); err != nil || got != http.StatusAccepted {
				t.Errorf("answered %d: %v", got, err)
			}
		})
	}
	wg.Wait()
	b.settle(t)
	took := int(time.Since(began).Seconds())
	require.LessOrEqual(t, b.forge.Count(forgetest.KindListRefs)-listings, 2*(took+2), "about one look a second at most")
}

func TestInbound_forgeriesAreRefused(t *testing.T) {
	t.Parallel()
	b := newHookedBench(t)
	b.settle(t)
	hook := b.forge.Webhooks(origin)[0]
	event := forgetest.Event{Kind: forgetest.EventPush, Updates: []forgetest.RefUpdate{
		{Name: "refs/heads/main", Old: strings.Repeat("1", 40), New: strings.Repeat("2", 40)}}}
	good := func() forgetest.Delivery {
		all := b.forge.Payloads(origin, event, hook.Secret, false)
		return all[0]
	}
	b.forge.CreateRepo("acme/other", true)
	foreign := b.forge.Payloads("acme/other", event, hook.Secret, false)
	wrong := b.forge.Payloads(origin, event, "not the secret", false)
	base := hook.URL[:strings.LastIndexByte(hook.URL, '/')]
	before := b.Status(t, mirror)
	for name, c := range map[string]struct {
		address string
		edit    func(d *forgetest.Delivery)
		want    int
	}{
		"tampered": {hook.URL, func(d *forgetest.Delivery) { d.Body = append(d.Body, ' ') }, 401},
		"unsigned": {hook.URL, func(d *forgetest.Delivery) {
			d.Header = http.Header{"Content-Type": {"application/json"}, "X-Gitea-Event": {"push"}}
		}, 401},
		"wrong secret":                 {hook.URL, func(d *forgetest.Delivery) { *d = wrong[0] }, 401},
		"another repository's":         {hook.URL, func(d *forgetest.Delivery) { *d = foreign[0] }, 400},
		"oversized":                    {hook.URL, func(d *forgetest.Delivery) { d.Body = bytes.Repeat([]byte("x"), 25<<20+1) }, 413},
		"large, unsigned":              {hook.URL, func(d *forgetest.Delivery) { d.Body = bytes.Repeat([]byte("x"), 24<<20) }, 401},
		"unknown token":                {base + "/" + strings.Repeat("x", 43), func(*forgetest.Delivery) {}, 404},
		"unknown provider":             {b.URL + "/webhooks/nobody", func(*forgetest.Delivery) {}, 404},
		"another provider":             {strings.Replace(hook.URL, "/gitea/", "/gitlab/", 1), func(*forgetest.Delivery) {}, 404},
		"an instance without a secret": {base, func(*forgetest.Delivery) {}, 412},
	} {
		d := good()
		c.edit(&d)
		require.Equal(t, c.want, b.deliver(t, c.address, d), name)
	}
	require.Equal(t, before.Wanted, b.Status(t, mirror).Wanted, "nothing was looked at")
	require.Contains(t, b.Log.String(), "set webhook_secret")

	// Replayed: taken, and nothing follows from it.
	d := good()
	require.Equal(t, 202, b.deliver(t, hook.URL, d))
	b.settle(t)
	wanted := b.Status(t, mirror).Wanted
	require.Equal(t, 202, b.deliver(t, hook.URL, d))
	require.Equal(t, wanted, b.Status(t, mirror).Wanted)
}

func TestInbound_secretIsRotated(t *testing.T) {
	t.Parallel()
	b := newHookedBench(t)
	old := b.forge.Webhooks(origin)[0]
	address := "/api/repos/" + url.PathEscape(mirror) + "/inbound-webhook"
	a := b.Call(t, http.MethodGet, address, b.Token(t, mirror), nil)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Equal(t, old.URL, a.At("url"))
	require.Equal(t, "active", a.At("state"))
	require.Nil(t, a.At("secret"), "shown once, to whoever made it")
	a = b.Call(t, http.MethodGet, address, b.TokenWith(t, access.Claims{Repo: mirror, Scopes: []access.Scope{access.GitRead, access.GitWrite}}), nil)
	require.Equal(t, http.StatusForbidden, a.Status, "the address is a secret")

	a = b.Call(t, http.MethodPost, address, b.Token(t, mirror), nil)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	secret := a.At("secret").(string)
	require.NotEqual(t, old.Secret, secret)
	require.Eventually(t, func() bool { return b.forge.Webhooks(origin)[0].Secret == secret }, time.Minute, 25*time.Millisecond)
	require.Len(t, b.forge.Webhooks(origin), 1)
	for n, key := range []string{old.Secret, secret} {
		all := b.forge.Payloads(origin, forgetest.Event{Kind: forgetest.EventPush, Updates: []forgetest.RefUpdate{
			{Name: "refs/heads/main", Old: strings.Repeat("1", 40), New: strings.Repeat("2", 40)}}}, key, false)
		require.Equal(t, http.StatusAccepted, b.deliver(t, old.URL, all[0]), n)
	}
}

func TestInbound_webhookGoesWithItsReason(t *testing.T) {
	t.Parallel()
	gone := func(b *bench) func() bool { return func() bool { return len(b.forge.Webhooks(origin)) == 0 } }
	for name, leave := range map[string]func(t *testing.T, b *bench){
		"detached": func(t *testing.T, b *bench) {
			require.Equal(t, http.StatusOK, b.API(t, http.MethodDelete, mirror, "/base", nil).Status)
		},
		"deleted": func(t *testing.T, b *bench) {
			require.Equal(t, http.StatusOK, b.API(t, http.MethodDelete, mirror, "", nil).Status)
		},
		"credential deleted": func(t *testing.T, b *bench) {
			id := b.Repository(t, mirror).Credential.ID
			require.Equal(t, http.StatusNoContent, b.API(t, http.MethodDelete, mirror, "/git-credentials/"+id, nil).Status)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newHookedBench(t)
			address := b.forge.Webhooks(origin)[0].URL
			leave(t, b)
			require.Eventually(t, gone(b), 30*time.Second, 25*time.Millisecond)
			if name == "credential deleted" {
				b.awaitHook(t, "none")
				b.StoreCredential(t, mirror, b.forge)
				b.awaitHook(t, "active")
				require.Equal(t, address, b.forge.Webhooks(origin)[0].URL)
				return
			}
			require.Equal(t, http.StatusNotFound, b.deliver(t, address, forgetest.Delivery{Header: http.Header{}}))
		})
	}
}

func TestInbound_deadHostDelaysNoDetach(t *testing.T) {
	t.Parallel()
	b := newHookedBench(t)
	b.settle(t)
	require.NoError(t, b.forge.Close())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(t, b.Engine().Detach(ctx, b.Repo(t, mirror)))
	require.Nil(t, b.Repository(t, mirror).Sync)
}

// TestInbound_lostWebhooksOfAnAppAreReplayed loses every webhook of a GitHub
// App, and gets them from the host once it is asked.
func TestInbound_lostWebhooksOfAnAppAreReplayed(t *testing.T) {
	t.Parallel()
	const secret = "of-the-app"
	forge := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitHub})
	forge.CreateRepo(origin, true)
	forge.Seed(origin, forgetest.SeedOptions{Commits: 3})
	key := filepath.Join(t.TempDir(), "app.pem")
	require.NoError(t, os.WriteFile(key, forge.AppKey(), 0o600))
	b := &bench{forge: forge, Server: servertest.Start(t, servertest.Options{Public: true, Config: fmt.Sprintf(`
provider "github-app" "acme" {
  app_id           = %d
  private_key_file = %q
  poll             = "off"
  host %q {
    scheme         = %q
    allow_private  = true
    api_url        = %q
    webhook_secret = %q
  }
}`, forgetest.AppID, key, forge.Host(), forge.Scheme(), forge.APIURL(), secret)})}
	b.store = servertest.Store(t, b.Dir)
	forge.SetInstanceWebhook(b.URL+"/webhooks/acme", secret)
	b.Follow(t, mirror, servertest.Base("github", forge.Host(), origin))
	require.NoError(t, b.Sync(t, mirror), "%s", b.Log)

	forge.SetWebhookFaults(forgetest.WebhookFaults{Drop: true})
	other := b.direct(t)
	id := other.Commit("no webhook comes")
	b.hostPush(t, other, "HEAD:main")
	b.settle(t)
	require.NotEqual(t, id, b.Refs(t, mirror)["refs/heads/main"])
	forge.SetWebhookFaults(forgetest.WebhookFaults{})

	org := b.TokenWith(t, access.Claims{Scopes: []access.Scope{access.RepoWrite, access.OrgRead}})
	a := b.Call(t, http.MethodPost, "/providers/acme/replay", org, nil)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Equal(t, 1.0, a.At("failed"), a.Raw)
	require.Equal(t, 1.0, a.At("replayed"), a.Raw)
	require.Eventually(t, func() bool { return b.Refs(t, mirror)["refs/heads/main"] == id }, time.Minute, 25*time.Millisecond)
	b.settle(t)

	a = b.Call(t, http.MethodGet, "/providers", org, nil)
	require.Contains(t, a.Raw, `"replay":{`)
	require.Equal(t, http.StatusNotImplemented, b.Call(t, http.MethodPost, "/providers/gitea/replay", org, nil).Status)
	require.Equal(t, http.StatusNotFound, b.Call(t, http.MethodPost, "/providers/nobody/replay", org, nil).Status)
	require.Equal(t, http.StatusForbidden, b.Call(t, http.MethodPost, "/providers/acme/replay", b.Token(t, mirror), nil).Status)
}
