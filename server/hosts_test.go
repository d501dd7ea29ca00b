package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// hostCase is a kind of host, and what a server calls it.
type hostCase struct {
	kind     forgetest.HostKind
	provider string // plugin, and its instance
	wire     string // of the API
	public   bool   // opened without any credential
	path     string // of the repository at the host

	registers bool // the server makes the webhook at the host
	pushes    bool // takes pushes through the server
}

func hostCases() []hostCase {
	generic := func(kind forgetest.HostKind) hostCase {
		return hostCase{kind: kind, provider: string(kind), wire: string(kind), path: origin, registers: true, pushes: true}
	}
	return []hostCase{
		githubCase(),
		{kind: forgetest.HostGitHubPublic, provider: "github-public", wire: "github", public: true, path: origin},
		generic(forgetest.HostGitLab), generic(forgetest.HostBitbucket), generic(forgetest.HostGitea),
		generic(forgetest.HostForgejo), generic(forgetest.HostCodeberg),
		{kind: forgetest.HostSourceHut, provider: "sourcehut", wire: "sr.ht", path: "~acme/widget"},
	}
}

func githubCase() hostCase {
	return hostCase{kind: forgetest.HostGitHub, provider: "github-app", wire: "github", path: origin, pushes: true}
}

// instanceSecret signs the webhooks of hosts that have one for all repositories.
const instanceSecret = "the-secret-of-the-app"

// forge starts the host with the repository.
func (d hostCase) forge(t *testing.T, seed forgetest.SeedOptions) *forgetest.TestForge {
	t.Helper()
	forge := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: d.kind})
	forge.CreateRepo(d.path, !d.public && d.kind != forgetest.HostSourceHut)
	forge.Seed(d.path, seed)
	return forge
}

// options adds the host to those that a server may contact. Upstreams are not
// looked at unasked unless poll says so.
func (d hostCase) options(t *testing.T, forge *forgetest.TestForge, poll, apiURL string, o servertest.Options) servertest.Options {
	t.Helper()
	more := ""
	switch d.kind {
	case forgetest.HostGitHub:
		key := filepath.Join(t.TempDir(), "app.pem")
		require.NoError(t, os.WriteFile(key, forge.AppKey(), 0o600))
		more = fmt.Sprintf("  app_id = %d\n  private_key_file = %q\n", forgetest.AppID, key)
	case forgetest.HostSourceHut:
		more = fmt.Sprintf("  webhook_public_key = %q\n", forge.WebhookKey())
	}
	if apiURL == "" {
		apiURL = forge.APIURL()
	}
	host := fmt.Sprintf("  host %q {\n    scheme = %q\n    allow_private = true\n    api_url = %q\n    webhook_secret = %q\n  }\n",
		forge.Host(), forge.Scheme(), apiURL, instanceSecret)
	body := fmt.Sprintf("  poll = %q\n%s%s", poll, more, host)
	if d.provider == "gitea" {
		o.Hosts = append(o.Hosts, body) // its block is there already
	} else {
		o.Config += fmt.Sprintf("provider %q {\n%s}\n", d.provider, body)
	}
	o.Public = true
	return o
}

// start starts the host and a server that follows it by webhooks alone. The
// repository is not there yet.
func (d hostCase) start(t *testing.T, o servertest.Options) *bench {
	t.Helper()
	forge := d.forge(t, forgetest.SeedOptions{Commits: 3, Branches: 2, Tags: 1})
	return d.startAt(t, forge, "off", o)
}

func (d hostCase) startAt(t *testing.T, forge *forgetest.TestForge, poll string, o servertest.Options) *bench {
	t.Helper()
	b := &bench{forge: forge, Server: servertest.Start(t, d.options(t, forge, poll, "", o))}
	b.store = servertest.Store(t, b.Dir)
	d.subscribeApp(b)
	return b
}

// subscribeApp tells the host where the webhook of its App leads.
func (d hostCase) subscribeApp(b *bench) {
	if d.kind == forgetest.HostGitHub {
		b.forge.SetInstanceWebhook(b.URL+"/webhooks/"+d.provider, instanceSecret)
	}
}

// create makes a repository that follows the one at a path, and returns what the
// API answers.
func (d hostCase) create(t *testing.T, b *bench, name, path string) (client.CreatedRepository, error) {
	t.Helper()
	base := d.base(b, path)
	return b.REST(t, name).CreateRepository(t.Context(), nil, client.CreateRepositoryRequest{BaseRepo: &base})
}

// base is what a repository that follows the one at a path names.
func (d hostCase) base(b *bench, path string) client.BaseRepoRequest {
	base := servertest.Base(d.wire, b.forge.Host(), path)
	if d.public {
		base.Auth = &client.BaseRepoAuth{AuthType: new("public")}
	}
	return base
}

// follow makes the mirror with all that its host needs, and waits until it is
// here and the host's webhook works.
func (d hostCase) follow(t *testing.T, b *bench) {
	t.Helper()
	b.Follow(t, mirror, d.base(b, d.path))
	if d.registers {
		b.StoreCredential(t, mirror, b.forge)
	}
	require.NoError(t, b.Sync(t, mirror), "%s", b.Log)
	switch {
	case d.registers:
		b.awaitHook(t, "active")
	case d.kind != forgetest.HostGitHub:
		// By hand, as the message says.
		b.awaitHook(t, "none")
		a := b.API(t, http.MethodPost, mirror, "/inbound-webhook", nil)
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		b.forge.AddWebhook(d.path, forgetest.Webhook{
			URL: a.At("url").(string), Secret: a.At("secret").(string), ContentType: "json", Active: true,
		})
	}
	b.settle(t)
}

// atHost clones the repository of the host, past the server.
func (d hostCase) atHost(t *testing.T, b *bench) *servertest.Client {
	t.Helper()
	return b.WorkAtHost(t, b.forge, d.path)
}

// pushAtHost pushes at the host as its users do; where that is only by SSH, as
// the host would tell of it.
func (d hostCase) pushAtHost(t *testing.T, b *bench, c *servertest.Client, refspec string) {
	t.Helper()
	if d.kind != forgetest.HostSourceHut {
		b.hostPush(t, c, refspec)
		return
	}
	_, ref, _ := strings.Cut(refspec, ":")
	old := b.forge.Ref(d.path, ref)
	dir, err := b.forge.RepoDir(d.path)
	require.NoError(t, err)
	c.Git("push", "--quiet", "--force", dir, refspec)
	if old == "" {
		old = strings.Repeat("0", 40)
	}
	require.NoError(t, b.forge.Forge.Deliver(d.path, forgetest.Event{Kind: forgetest.EventPush, Updates: []forgetest.RefUpdate{
		{Name: ref, Old: old, New: b.forge.Ref(d.path, ref)},
	}}))
}

// awaitRef waits until a ref is at an id here; "" is gone.
func (b *bench) awaitRef(t *testing.T, ref, id string) {
	t.Helper()
	require.Eventually(t, func() bool { return b.Refs(t, mirror)[ref] == id }, time.Minute, 25*time.Millisecond, "%s at %s", ref, id)
}

// awaitUpstream waits until the upstream is in a state, in the word of the API.
func (b *bench) awaitUpstream(t *testing.T, state string) client.Sync {
	t.Helper()
	var s client.Sync
	require.Eventually(t, func() bool {
		s = *b.Repository(t, mirror).Sync
		return string(s.UpstreamState) == state && s.State != "syncing"
	}, time.Minute, 25*time.Millisecond, "%s", state)
	return s
}

// eventsOf returns the bodies of the mirror's events of a type, oldest first.
func (b *bench) eventsOf(t *testing.T, typ string) []servertest.Answer {
	t.Helper()
	all, err := b.store.Events(t.Context(), 0, 100_000)
	require.NoError(t, err)
	id := b.Repo(t, mirror).ID
	var out []servertest.Answer
	for _, e := range all {
		if e.RepoID == id && e.Type == typ {
			a := servertest.Answer{Raw: string(e.Payload)}
			require.NoError(t, json.Unmarshal(e.Payload, &a.Body))
			out = append(out, a)
		}
	}
	return out
}

// awaitEvent waits for the n-th event of a type.
func (b *bench) awaitEvent(t *testing.T, typ string, n int) servertest.Answer {
	t.Helper()
	var all []servertest.Answer
	require.Eventually(t, func() bool {
		all = b.eventsOf(t, typ)
		return len(all) >= n
	}, time.Minute, 25*time.Millisecond, "%d times %s", n, typ)
	require.Len(t, all, n)
	return all[n-1]
}

// requireSigned checks the signature of a delivery as a receiver does whose
// clock shows now: fresh, and over its time and its body.
func requireSigned(t *testing.T, d delivery, secret string, now time.Time) {
	t.Helper()
	at, sum, ok := strings.Cut(d.Header.Get("X-Pierre-Signature"), ",sha256=")
	require.True(t, ok, "%v", d.Header)
	number := strings.TrimPrefix(at, "t=")
	seconds, err := strconv.ParseInt(number, 10, 64)
	require.NoError(t, err)
	age := now.Sub(time.Unix(seconds, 0))
	require.Less(t, age, 300*time.Second)
	require.Greater(t, age, -60*time.Second)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(number + "." + d.Body))
	require.Equal(t, hex.EncodeToString(mac.Sum(nil)), sum)
}

// TestServer_everyHostEndToEnd follows each kind of host from the stored
// credential to the detach: a push at the host is here by its webhook alone and
// goes to a receiver as an event; a push through the server comes back as an echo that
// costs nothing. Forgejo and Codeberg are spoken to as Gitea is, which is enough where
// there is little time.
func TestServer_everyHostEndToEnd(t *testing.T) {
	t.Parallel()
	for _, d := range hostCases() {
		if !longtest.Long() && (d.kind == forgetest.HostForgejo || d.kind == forgetest.HostCodeberg) {
			continue
		}
		t.Run(string(d.kind), func(t *testing.T) {
			t.Parallel()
			b := d.start(t, servertest.Options{Webhooks: lab})
			r := newHookReceiver(t, nil)
			_, secret := subscribe(t, b.Server, client.CreateWebhookRequest{URL: r.URL, Events: []string{core.EventPush}})
			d.follow(t, b)
			if d.registers {
				hooks := b.forge.Webhooks(d.path)
				require.Len(t, hooks, 1)
				require.True(t, strings.HasPrefix(hooks[0].URL, b.URL+"/webhooks/"+d.provider+"/"), hooks[0].URL)
			}

			other := d.atHost(t, b)
			id := other.Commit("seen by the webhook alone")
			d.pushAtHost(t, b, other, "HEAD:refs/heads/main")
			b.awaitRef(t, "refs/heads/main", id)
			got := r.next(t)
			requireSigned(t, got, secret, time.Now())
			require.Equal(t, core.EventPush, got.Header.Get("X-Pierre-Event"))
			require.Equal(t, id, got.field(t, "after"))
			require.Equal(t, mirror, got.field(t, "repository.url"))
			d.pushAtHost(t, b, other, "HEAD:refs/tags/v9")
			b.awaitRef(t, "refs/tags/v9", id)
			require.Equal(t, "refs/tags/v9", r.next(t).field(t, "ref"))
			b.settle(t)
			require.NotEmpty(t, b.Get(t, mirror).At("sync.last_run.trigger"))
			for _, run := range b.Runs(t, mirror) {
				require.Contains(t, []string{"webhook", "api", "create"}, run.Trigger)
			}
			for _, sent := range b.forge.Deliveries() {
				require.True(t, sent.Delivered(), "%s: %d %s", sent.Event, sent.Status, sent.Err)
			}
			requireMirrors(t, b.forge.Refs(d.path), b.Refs(t, mirror))

			work := b.work(t)
			before := len(b.forge.Deliveries())
			own := work.Commit("through the server")
			if !d.pushes {
				out, err := work.Try("push", "origin", "HEAD:main")
				require.Error(t, err)
				require.Contains(t, out, "[remote rejected]")
			} else {
				fetches, runs := b.forge.Count(forgetest.KindFetch), len(b.Runs(t, mirror))
				work.Git("push", "--quiet", "origin", "HEAD:main", "HEAD:refs/heads/fresh")
				require.Equal(t, own, b.forge.Ref(d.path, "refs/heads/main"))
				b.settle(t)
				require.Greater(t, len(b.forge.Deliveries()), before, "the host tells of our own push")
				require.Equal(t, fetches, b.forge.Count(forgetest.KindFetch), "the echo is no fetch")
				for range 2 {
					require.Equal(t, own, r.next(t).field(t, "after"))
				}
				require.Len(t, b.Runs(t, mirror), runs, "and no run")
				require.Empty(t, r.got, "and no event")
			}

			require.Equal(t, http.StatusOK, b.API(t, http.MethodDelete, mirror, "/base", nil).Status)
			if d.registers {
				require.Eventually(t, func() bool { return len(b.forge.Webhooks(d.path)) == 0 }, time.Minute, 25*time.Millisecond)
			}
			local := work.Commit("local from now on")
			work.Git("push", "--quiet", "origin", "HEAD:main")
			require.NotEqual(t, local, b.forge.Ref(d.path, "refs/heads/main"))
		})
	}
}
