package console_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/console"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

func TestConsole_pause(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w, one := b.signedIn(t, all, core.ConsoleOperator), "/console/repositories/"+b.id(t)
	p := w.post(one+"/pause", same, nil)
	require.Equal(t, one+"?done=paused", p.Path)
	require.Contains(t, p.Body, "paused: since ")
	require.Contains(t, p.Body, "next: resume it")
	require.NotContains(t, p.Body, "Sync now")
	require.Contains(t, w.get("/console/repositories?state=paused").Body, "1 of 2")
	require.Equal(t, http.StatusConflict, w.post(one+"/sync", same, nil).Status)
	require.Contains(t, w.post(one+"/resume", same, nil).Body, "Sync now")

	// The same of many, after a page that says what it means.
	bulk := func(action, confirmed string) page {
		return w.post("/console/repositories/bulk", same, url.Values{"which": {"matching"}, "host": {b.forge.Host()}, "action": {action}, "confirmed": {confirmed}})
	}
	require.Contains(t, bulk("pause", "").Body, "Pushes for the upstream are refused.")
	require.Contains(t, w.get("/console/repositories?state=paused").Body, "0 of 2", "shown, not done")
	require.Contains(t, bulk("pause", "yes").Body, "Done for 1 of 1")
	require.True(t, b.Repo(t, widget).Paused())
	require.Contains(t, bulk("resume", "yes").Body, "Done for 1 of 1")
	require.False(t, b.Repo(t, widget).Paused())
	require.Subset(t, b.actions(t, servertest.Org), []string{"tester repository.pause ok", "tester repository.resume ok"})
}

// TestConsole_words wants that the list says of a repository what the API says.
func TestConsole_words(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.owner(t)
	for _, step := range []func(){
		func() {},
		func() { w.post("/console/repositories/"+b.id(t)+"/pause", same, nil) },
		func() {
			w.post("/console/repositories/"+b.id(t)+"/resume", same, nil)
			require.NoError(t, b.forge.DeleteRepo(upstream))
			require.Error(t, b.Sync(t, widget))
		},
	} {
		step()
		view, err := b.REST(t, widget).GetRepository(t.Context(), b.id(t))
		require.NoError(t, err)
		require.Contains(t, w.get("/console/repositories?org=local&state="+string(view.Sync.State)).Body, "/repositories/"+b.id(t)+`"`, view.Sync.State)
		require.Contains(t, w.get("/console/repositories/"+b.id(t)).Body, `class="sentence `+string(view.Sync.State)+`"`)
	}
}

var planToken = regexp.MustCompile(`name="plan" value="([^"]+)"`)

func TestConsole_upstream(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.forge.Token()
	b.forge.CreateRepo("acme/other", true)
	b.forge.Seed("acme/other", forgetest.SeedOptions{Commits: 2, Branches: 1})
	w, one := b.signedIn(t, all, core.ConsoleOperator), "/console/repositories/"+b.Repo(t, "notes").ID
	require.Contains(t, w.get(one+"/upstream").Body, "It follows no upstream.")
	form := url.Values{"url": {b.forge.URL() + "/acme/other"}, "username": {"river"}, "password": {token}}
	p := w.post(one+"/upstream", same, form)
	require.Equal(t, http.StatusOK, p.Status, p.Body)
	require.Contains(t, p.Body, "with the credential that you gave")
	require.Contains(t, p.Body, "Created")
	require.NotContains(t, p.Body, token, "no secret goes back to the browser")
	require.Nil(t, b.Repo(t, "notes").Upstream, "shown, not done")
	plan := url.Values{"plan": {planToken.FindStringSubmatch(p.Body)[1]}}

	// A plan is of whom it was made for, of one repository, and once.
	require.Equal(t, http.StatusConflict, b.owner(t).post(one+"/upstream", same, plan).Status)
	require.Equal(t, http.StatusConflict, w.post("/console/repositories/"+b.id(t)+"/upstream", same, plan).Status)
	require.Equal(t, one+"?done=upstream", w.post(one+"/upstream", same, plan).Path)
	require.Equal(t, http.StatusConflict, w.post(one+"/upstream", same, plan).Status)
	require.Equal(t, "other", b.Repo(t, "notes").Upstream.Name)
	require.NoError(t, b.Sync(t, "notes"))

	// What cannot be followed is said, and changes nothing.
	for address, text := range map[string]string{
		"": "give the address", "https://nobody.example/a/b": "no provider knows the host", b.forge.URL() + "/alone": "names no owner",
		strings.Replace(b.forge.URL(), "://", "://u:p@", 1) + "/a/b": "take the password out", b.forge.URL() + "/acme/missing": "acme/missing",
	} {
		p := w.post(one+"/upstream", same, url.Values{"url": {address}})
		require.GreaterOrEqual(t, p.Status, 400, address)
		require.Contains(t, p.Body, text, address)
		require.Contains(t, p.Body, "Nothing was changed", address)
	}
	require.Equal(t, http.StatusBadRequest, w.post(one+"/detach", same, nil).Status, "it is to be meant")
	require.Equal(t, one+"?done=detached", w.post(one+"/detach", same, url.Values{"confirmed": {"yes"}}).Path)
	require.Nil(t, b.Repo(t, "notes").Upstream)
	require.NotContains(t, b.Log.String(), token)
}

func TestConsole_credentials(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	token := b.forge.Token()
	w, one := b.signedIn(t, all, core.ConsoleOperator), "/console/repositories/"+b.id(t)
	require.Contains(t, w.get(one+"/credential").Body, "It has a credential of its own")
	p := w.post(one+"/credential", same, url.Values{"password": {"wrong-secret-of-a-person"}, "username": {"river"}})
	require.NotContains(t, p.Body, "wrong-secret-of-a-person")
	require.Eventually(t, func() bool { return strings.Contains(w.get(one).Body, "Store a credential") }, time.Minute, 100*time.Millisecond)
	require.Contains(t, w.get("/console/").Body, "a credential <b>1</b>")
	require.Equal(t, one+"?done=tried", w.post(one+"/credential", same, url.Values{"password": {token}}).Path)
	require.Eventually(t, func() bool { return strings.Contains(w.get(one).Body, "ready: confirmed") }, time.Minute, 100*time.Millisecond)
	require.Equal(t, http.StatusBadRequest, w.post(one+"/credential", same, nil).Status)

	// One for all of an owner's.
	shared := url.Values{
		"org": {servertest.Org}, "name": {"acme"}, "provider": {"gitea"}, "host": {b.forge.Host()}, "owner": {"acme"}, "username": {"river"}, "password": {token},
	}
	p = w.post("/console/credentials", same, shared)
	require.Equal(t, http.StatusOK, p.Status, p.Body)
	require.Contains(t, p.Body, "The shared credential is stored")
	require.Equal(t, http.StatusConflict, w.post("/console/credentials", same, shared).Status)
	require.Contains(t, w.get(one+"/credential").Body, `<option value="acme">`)
	p = w.post(one+"/credential/share", same, url.Values{"shared": {"acme"}})
	require.Equal(t, http.StatusConflict, p.Status)
	require.Contains(t, p.Body, "delete that one first")
	p = w.post(one+"/credential/share", same, url.Values{"shared": {"acme"}, "delete": {"yes"}})
	require.Equal(t, one+"?done=tried", p.Path, p.Body)
	require.Contains(t, w.get(one+"/credential").Body, "the shared credential <b>acme</b>")
	require.Contains(t, w.get("/console/credentials").Body, "1 repository")
	require.Equal(t, one+"?done=tried", w.post(one+"/credential", same, url.Values{"password": {token}, "username": {"river"}}).Path, "its own again")
	require.Contains(t, w.get(one+"/credential").Body, "It has a credential of its own")
	// What is not taken, or is for others, leaves what is there.
	b.forge.CreateRepo("others/thing", true) // a credential is tried before it is stored
	others := maps.Clone(shared)
	others.Set("name", "others")
	others.Set("owner", "others")
	require.Equal(t, http.StatusOK, w.post("/console/credentials", same, others).Status)
	require.NotContains(t, w.get(one+"/credential").Body, `<option value="others">`)
	p = w.post(one+"/credential/share", same, url.Values{"shared": {"others"}, "delete": {"yes"}})
	require.Equal(t, http.StatusBadRequest, p.Status)
	require.Contains(t, w.get(one+"/credential").Body, "It has a credential of its own")
	require.Equal(t, one+"?done=tried", w.post(one+"/credential/share", same, url.Values{"shared": {"acme"}, "delete": {"yes"}}).Path)
	p = w.post(one+"/credential", same, url.Values{"password": {token}, "username": {"ri:ver"}})
	require.Equal(t, http.StatusBadRequest, p.Status)
	require.Contains(t, p.Body, "must not hold")
	require.Contains(t, w.get(one+"/credential").Body, "the shared credential <b>acme</b>")
	about := url.Values{"org": {servertest.Org}, "shared": {"acme"}, "password": {token}}
	require.Contains(t, w.post("/console/credentials/check", same, about).Body, "The host was asked")
	require.Contains(t, w.post("/console/credentials/rotate", same, about).Body, "The host took the new secret")
	about.Set("password", "wrong-secret-of-a-person")
	p = w.post("/console/credentials/rotate", same, about)
	require.GreaterOrEqual(t, p.Status, 400)
	require.NotContains(t, p.Body, "wrong-secret-of-a-person")
	require.Equal(t, one+"/credential?done=unassigned", w.post(one+"/credential/share", same, url.Values{"shared": {"acme"}, "end": {"yes"}}).Path)
	require.NotContains(t, b.Log.String(), "wrong-secret-of-a-person")
	require.NotContains(t, b.Log.String(), token)
}

func TestConsole_deliveriesSucceed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var got atomic.Int32
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		got.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(receiver.Close)
	api := b.REST(t, "org")
	hook, err := api.CreateWebhook(t.Context(), client.CreateWebhookRequest{URL: receiver.URL, Events: []string{"push"}})
	require.NoError(t, err)
	w := b.signedIn(t, all, core.ConsoleOperator)
	form := url.Values{"org": {servertest.Org}, "webhook": {hook.ID}, "back": {"/deliveries"}}
	require.Contains(t, w.post("/console/ping", same, form).Body, "A ping is on its way")
	arrived := func(n int32) {
		t.Helper()
		require.Eventually(t, func() bool { return got.Load() == n }, time.Minute, 50*time.Millisecond)
	}
	arrived(1)
	sent, err := api.ListDeliveries(t.Context(), hook.ID, &client.ListDeliveriesParams{})
	require.NoError(t, err)
	form.Set("delivery", sent.Deliveries[0].ID)
	require.Contains(t, w.post("/console/redeliver", same, form).Body, "The delivery is sent again")
	arrived(2)
	require.Eventually(t, func() bool { return strings.Count(w.get("/console/deliveries").Body, "outcome delivered") == 2 }, time.Minute, 50*time.Millisecond)
	require.Subset(t, b.actions(t, servertest.Org), []string{"tester webhook.ping ok", "tester webhook.redeliver ok"})
}

func TestConsole_owner(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	owner, operator := b.owner(t), b.signedIn(t, all, core.ConsoleOperator)
	p := owner.post("/console/maintenance", same, url.Values{"mode": {"read-only"}, "reason": {"the disk is replaced " + script}})
	require.Contains(t, p.Body, "The server is read-only")
	one := "/console/repositories/" + b.id(t)
	p = operator.get(one)
	require.Contains(t, p.Body, "the disk is replaced &lt;script&gt;")
	require.Equal(t, http.StatusServiceUnavailable, operator.post(one+"/settings", same, url.Values{"poll": {"2m"}, "confirmed": {"yes"}}).Status)
	require.Contains(t, owner.post("/console/maintenance", same, url.Values{"mode": {"writes"}}).Body, "takes writes again")
	require.NotContains(t, operator.get(one).Body, `role="status">the server is read-only`)
	require.Subset(t, b.actions(t, "rival"), []string{"operator:ada server.readonly ok", "operator:ada server.writes ok"})

	p = owner.post("/console/organisations/limits", same, url.Values{"org": {"local"}, "disk": {"2GiB"}, "repositories": {"7"}})
	require.Contains(t, p.Body, "of 2.0 GiB")
	require.Contains(t, operator.get("/console/organisations").Body, "2 of 7")
	require.Equal(t, http.StatusBadRequest, owner.post("/console/organisations/limits", same, url.Values{"org": {"local"}, "disk": {"much"}}).Status)
	require.Equal(t, http.StatusNotFound, owner.post("/console/organisations/limits", same, url.Values{"org": {"nobody"}, "disk": {"1"}}).Status)
}

// TestConsole_manySessions keeps the newest, and only those.
func TestConsole_manySessions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.signedIn(t, all, core.ConsoleViewer)
	require.Equal(t, http.StatusOK, first.get("/console/audit").Status)
	now := time.Now()
	for i := range 205 {
		_, hash := console.NewSecret()
		require.NoError(t, b.store.AddConsoleSession(t.Context(), core.ConsoleSession{
			ID: core.NewID("ses", now.Add(time.Duration(i)*time.Millisecond)), Hash: hash + strconv.Itoa(i), Role: core.ConsoleViewer, Org: servertest.Org, Subject: "many",
			CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		}))
	}
	b.signedIn(t, access.Claims{Repo: "org", Scopes: access.Scopes()}, core.ConsoleViewer)
	sessions, err := b.store.ConsoleSessions(t.Context(), servertest.Org, time.Now())
	require.NoError(t, err)
	require.Len(t, sessions, 200)
	require.Contains(t, first.get("/console/audit").Path, "/console/sign-in")
}

func TestConsole_trash(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	id := b.id(t)
	w := b.signedIn(t, all, core.ConsoleOperator)
	require.Contains(t, w.get("/console/trash").Body, "Nothing is in the trash.")
	_, err := b.REST(t, widget).DeleteRepository(t.Context(), id, nil)
	require.NoError(t, err)
	require.Contains(t, w.get("/console/trash").Body, id)
	require.Contains(t, w.get("/console/repositories").Body, "/console/trash")

	b.Create(t, widget)
	form := func(path, name string) page {
		return w.post("/console/trash/"+path, same, url.Values{"org": {servertest.Org}, "id": {id}, "name": {name}})
	}
	p := form("undelete", "")
	require.Equal(t, http.StatusConflict, p.Status)
	require.Contains(t, p.Body, "Nothing was changed.")
	p = form("undelete", "widget-of-before")
	require.Contains(t, p.Body, "The repository is back")
	require.Equal(t, id, b.Repo(t, "widget-of-before").ID)

	// A name may end with a blank, which a form does not keep.
	const odd = " widget: 50%2F+ of | before "
	_, err = b.REST(t, "widget-of-before").RenameRepository(t.Context(), id, client.RenameRequest{Name: new(odd)})
	require.NoError(t, err)
	require.Contains(t, w.get("/console/repositories?q="+url.QueryEscape(odd)).Body, id)
	require.Contains(t, w.get("/console/repositories/"+id).Body, "/%20widget%3A%2050%252F")
	_, err = b.REST(t, odd).DeleteRepository(t.Context(), id, nil)
	require.NoError(t, err)
	p = form("delete", "")
	require.Equal(t, http.StatusBadRequest, p.Status)
	require.Contains(t, w.get("/console/trash").Body, "widget: 50%2F&#43; of | before")
	require.Contains(t, form("delete", odd).Body, "removed for good")
	require.Contains(t, w.get("/console/trash").Body, "Nothing is in the trash.")
	require.Equal(t, http.StatusNotFound, form("undelete", "").Status)
	require.Subset(t, b.actions(t, servertest.Org), []string{"tester repository.undelete ok"})
}

func TestConsole_shareWithMany(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	w := b.signedIn(t, all, core.ConsoleOperator)
	bulk := func(name, confirmed string) page {
		return w.post("/console/repositories/bulk", same, url.Values{"which": {"matching"}, "host": {b.forge.Host()}, "action": {"share"}, "shared": {name}, "confirmed": {confirmed}})
	}
	require.Equal(t, http.StatusBadRequest, bulk("", "").Status)
	require.Contains(t, bulk("all", "").Body, "Each uses the shared credential from now on")
	require.Contains(t, bulk("all", "yes").Body, "Done for 0 of 1", "there is none of the name")
	owner, _, _ := strings.Cut(upstream, "/")
	secret := b.forge.Token()
	_, err := b.REST(t, "org").CreateSharedCredential(t.Context(), client.CreateSharedRequest{
		Name: new("all"), Provider: new("gitea"), UpstreamHost: new(b.forge.Host()), Owner: &owner, Password: &secret,
	})
	require.NoError(t, err)
	view, err := b.REST(t, widget).GetRepository(t.Context(), b.id(t))
	require.NoError(t, err)
	if own := view.Credential; own != nil {
		require.Contains(t, bulk("all", "yes").Body, "credential of its own")
		require.NoError(t, b.REST(t, widget).DeleteCredential(t.Context(), b.id(t), own.ID))
	}
	require.Contains(t, bulk("all", "yes").Body, "Done for 1 of 1")
	require.Equal(t, "all", b.Repository(t, widget).Credential.Shared)
}
