package forgetest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// receiver records webhooks and answers with a status that can be changed.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []*http.Request
	bodies [][]byte
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{status: http.StatusAccepted}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got, r.bodies = append(r.got, q), append(r.bodies, body)
		w.WriteHeader(r.status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// events returns the values of a header of all requests.
func (r *receiver) events(header string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, q := range r.got {
		out = append(out, q.Header.Get(header))
	}
	return out
}

func TestForge_webhook_deliversPushes(t *testing.T) {
	t.Parallel()
	for d, test := range map[HostKind]struct {
		header string
		create []string // of a new branch and a new tag
		remove []string
	}{
		HostGitHub:    {"X-GitHub-Event", []string{"create", "push", "create", "push"}, []string{"delete", "push", "delete", "push"}},
		HostGitLab:    {"X-Gitlab-Event", []string{"Push Hook", "Tag Push Hook"}, []string{"Push Hook", "Tag Push Hook"}},
		HostGitea:     {"X-Gitea-Event", []string{"create", "push", "push", "create"}, []string{"delete", "push", "delete"}},
		HostForgejo:   {"X-Forgejo-Event", []string{"create", "push", "push", "create"}, []string{"delete", "push", "delete"}},
		HostBitbucket: {"X-Event-Key", []string{"repo:push"}, []string{"repo:push"}},
	} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			r := startReceiver(t)
			f := StartForge(t, ForgeOptions{HostKind: d})
			f.CreateRepo(testRepo, false)
			f.Seed(testRepo, SeedOptions{Commits: 2})
			f.AddWebhook(testRepo, Webhook{URL: r.URL, Secret: "s", Active: true})
			c := NewGitClient(t, f)
			c.Clone(f.CloneURLAs(testRepo))
			c.Commit()
			c.Run("push", "--quiet", "origin", "HEAD:refs/heads/new", "HEAD:refs/tags/v9")
			f.Settle()
			require.Equal(t, test.create, r.events(test.header))
			require.Contains(t, string(r.bodies[len(r.bodies)-1]), strings.TrimSpace(c.Run("rev-parse", "HEAD")))

			c.Run("push", "--quiet", "origin", ":refs/heads/new", ":refs/tags/v9")
			f.Settle()
			require.Equal(t, append(test.create, test.remove...), r.events(test.header))

			f.Protect(testRepo, "refs/heads/*")
			_, err := c.Try("push", "origin", "HEAD:refs/heads/refused")
			require.Error(t, err)
			f.Settle()
			require.Len(t, f.Deliveries(), len(test.create)+len(test.remove), "a push that was refused is no event")
		})
	}
}

func TestForge_webhook_manyTagsAreNotSent(t *testing.T) {
	t.Parallel()
	for d, want := range map[HostKind][2]int{
		// Deliveries of a push of three tags, and of one of four with a branch.
		HostGitHub: {6, 2}, HostGitLab: {3, 0}, HostGitea: {6, 10}, HostBitbucket: {1, 1},
	} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			f := StartForge(t, ForgeOptions{HostKind: d})
			f.CreateRepo(testRepo, false)
			tag := func(n string) RefUpdate {
				return RefUpdate{Name: "refs/tags/" + n, Old: zeroID, New: strings.Repeat("1", 40)}
			}
			few := Event{Kind: EventPush, Updates: []RefUpdate{tag("a"), tag("b"), tag("c")}}
			require.Len(t, f.Payloads(testRepo, few, "s", false), want[0])
			branch := tag("x")
			branch.Name = "refs/heads/x"
			many := Event{Kind: EventPush, Updates: append(few.Updates, tag("d"), branch)}
			require.Len(t, f.Payloads(testRepo, many, "s", false), want[1])
		})
	}
}

func TestForge_webhook_faults(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	f := StartForge(t, ForgeOptions{HostKind: HostGitea})
	f.CreateRepo(testRepo, false)
	f.AddWebhook(testRepo, Webhook{URL: r.URL, Secret: "s", Active: true, Events: []string{"push"}})
	f.AddWebhook(testRepo, Webhook{URL: r.URL + "/off", Secret: "s"})
	push := Event{Kind: EventPush, Updates: []RefUpdate{{Name: "refs/heads/main", Old: strings.Repeat("1", 40), New: strings.Repeat("2", 40)}}}

	f.SetWebhookFaults(WebhookFaults{Duplicates: 2, Delay: time.Millisecond})
	f.Deliver(testRepo, push)
	require.Len(t, r.got, 3)
	ids := r.events("X-Gitea-Delivery")
	require.Equal(t, []string{ids[0], ids[0], ids[0]}, ids)

	f.SetWebhookFaults(WebhookFaults{Drop: true})
	f.Deliver(testRepo, push)
	require.Len(t, r.got, 3)
	last := f.Deliveries()[3]
	require.Zero(t, last.Status)
	require.False(t, last.Delivered())

	f.SetWebhookFaults(WebhookFaults{Tamper: true})
	f.Deliver(testRepo, push)
	require.NotEqual(t, hmacHex("s", r.bodies[3]), r.got[3].Header.Get("X-Gitea-Signature"))
	require.True(t, json.Valid(r.bodies[3]))

	f.SetWebhookFaults(WebhookFaults{})
	r.answer(http.StatusInternalServerError)
	f.Deliver(testRepo, push)
	require.Equal(t, hmacHex("s", r.bodies[4]), r.got[4].Header.Get("X-Gitea-Signature"))
	require.Equal(t, http.StatusInternalServerError, f.Deliveries()[5].Status)
	require.False(t, f.Deliveries()[5].Delivered())
}

func TestForge_HoldRefs_announcesWhatNobodyFinds(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	f := StartForge(t, ForgeOptions{HostKind: HostGitea})
	f.CreateRepo(testRepo, false)
	f.Seed(testRepo, SeedOptions{Commits: 2})
	f.AddWebhook(testRepo, Webhook{URL: r.URL, Active: true})
	c := NewGitClient(t, f)
	c.Clone(f.CloneURLAs(testRepo))
	before := c.Run("ls-remote", "origin")
	release := f.HoldRefs(testRepo)
	c.Commit()
	c.Run("push", "--quiet", "origin", "main")
	f.Settle()
	require.Len(t, f.Deliveries(), 1)
	require.Equal(t, before, c.Run("ls-remote", "origin"))
	release()
	require.NotEqual(t, before, c.Run("ls-remote", "origin"))
}

func TestForge_githubApp_getsItsRepositories(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	f := StartForge(t, ForgeOptions{HostKind: HostGitHub})
	f.CreateRepo(testRepo, false)
	f.Seed(testRepo, SeedOptions{Branches: 1})
	f.SetInstanceWebhook(r.URL, "s")
	require.NoError(t, f.SetPrivate(testRepo, true))
	require.NoError(t, f.SetDefaultBranch(testRepo, "feature-1"))
	f.RenameRepo(testRepo, "acme/other")
	f.CreateRepo("umbrella/x", false)
	f.RenameRepo("acme/other", "umbrella/other")
	require.NoError(t, f.DeleteRepo("umbrella/other"))
	f.SuspendInstallation("acme", true)
	f.SuspendInstallation("acme", false)
	f.Uninstall("acme")
	f.Install("acme")
	f.Settle()
	var got []string
	for _, d := range f.Deliveries() {
		got = append(got, d.Event+" "+d.Action)
		require.Equal(t, "sha256="+hmacHex("s", d.Body), d.Header.Get("X-Hub-Signature-256"))
		require.NotZero(t, d.installation+int64(len(d.Action)))
	}
	require.Equal(t, []string{
		"repository privatized", "repository edited", "repository renamed", "repository transferred", "repository deleted",
		"installation suspend", "installation unsuspend", "installation deleted", "installation created",
	}, got)
}
