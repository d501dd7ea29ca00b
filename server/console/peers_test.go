//go:build peers

package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/providers/giteatest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// ward is a server whose mirrors follow a real Gitea, and a person at its console.
type ward struct {
	*bench
	gitea *giteatest.Server
	robot *giteatest.Robot // whose tokens open the mirrors
	*chromium
	git *servertest.Client // in no repository
	now *testing.T
}

// call calls Gitea's API; it must take it.
func (w *ward) call(method, path, body string) []byte {
	w.now.Helper()
	status, answer, err := w.gitea.Call(w.now.Context(), method, path, body)
	require.NoError(w.now, err)
	require.Less(w.now, status, 300, "%s %s: %s", method, path, answer)
	return answer
}

// mint makes a token of the robot's.
func (w *ward) mint(name string) string {
	w.now.Helper()
	token, err := w.robot.Mint(w.now.Context(), name)
	require.NoError(w.now, err)
	return token
}

// at runs git in a repository of Gitea, without its hooks.
func (w *ward) at(name string, args ...string) string {
	w.now.Helper()
	return w.git.Git(append([]string{"--git-dir", w.gitea.Folder(giteatest.User + "/" + name)}, args...)...)
}

// commit makes a commit on another one at Gitea and moves a branch there.
func (w *ward) commit(name, branch, parent string) {
	w.now.Helper()
	id := w.at(name, "commit-tree", "-p", parent, "-m", fmt.Sprint("more at ", time.Now()), parent+"^{tree}")
	w.at(name, "update-ref", "refs/heads/"+branch, id)
}

// may says what the robot may do to a repository at Gitea.
func (w *ward) may(name, permission string) {
	w.now.Helper()
	w.call(http.MethodPut, "/repos/"+giteatest.User+"/"+name+"/collaborators/robot", fmt.Sprintf(`{"permission":%q}`, permission))
}

// mirror makes a repository at Gitea and its mirror, with a token of the robot's.
func (w *ward) mirror(name, host, token, permission string) {
	w.now.Helper()
	w.call(http.MethodPost, "/user/repos", fmt.Sprintf(`{"name":%q,"private":true,"auto_init":true,"default_branch":"main"}`, name))
	w.may(name, permission)
	w.LinkAs(w.now, name, host, giteatest.User+"/"+name)
	_, err := w.REST(w.now, name).CreateCredential(w.now.Context(), name, client.CreateCredentialRequest{Password: token})
	require.NoError(w.now, err)
	require.NoError(w.now, w.Sync(w.now, name))
}

func (w *ward) page(name string) string { return "/console/repositories/" + w.Repo(w.now, name).ID }

// press presses what is named so on the page.
func (w *ward) press(text string) {
	w.now.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
	defer cancel()
	require.NoError(w.now, chromedp.Run(ctx, chromedp.Click(fmt.Sprintf(`//main//*[self::button or self::a][normalize-space()=%q]`, text), chromedp.BySearch)), "press %q", text)
}

// find finds a mirror in the list as a person does, who does not know its name, sees its
// state and why, and opens it.
func (w *ward) find(name, filter, why string) {
	w.now.Helper()
	w.open("/console/repositories?" + filter)
	w.says(name)
	w.says(why)
	w.keep("ten-" + name + "-found")
	w.press(name)
	w.says("Who did what")
	w.keep("ten-" + name + "-seen")
}

// mended wants that the page says so.
func (w *ward) mended(name, text string) {
	w.now.Helper()
	w.open(w.page(name))
	w.says(text) // the page follows what happens
	w.keep("ten-" + name + "-mended")
}

// TestTenBrokenMirrors breaks mirrors of a real Gitea in ten and more ways, and finds and
// mends each by the console alone. What can be mended at the host alone is mended there,
// once the console has said so.
func TestTenBrokenMirrors(t *testing.T) {
	g := giteatest.Start(t)
	target, err := url.Parse(g.URL())
	require.NoError(t, err)
	var down atomic.Bool
	forward := httputil.NewSingleHostReverseProxy(target)
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if down.Load() {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(gate.Close)
	away := strings.TrimPrefix(gate.URL, "http://")
	block := "  host %q {\n    scheme = \"http\"\n    allow_private = true\n  }\n"
	b := &bench{Server: servertest.Start(t, servertest.Options{
		Hosts: []string{"  poll = \"off\"\n", fmt.Sprintf(block, g.Host), fmt.Sprintf(block, away)}, Public: true, Webhooks: events.Policy{AllowHTTP: true, AllowPrivate: true},
	})}
	b.store = servertest.Store(t, b.Dir)
	w := &ward{bench: b, gitea: g, now: t, git: b.ClientWith(t, "")}
	w.robot, err = g.NewRobot(t.Context(), "robot")
	require.NoError(t, err)
	token := w.mint("all")

	for _, name := range []string{"deleted", "renamed", "archived", "conflict", "full", "paused", "diverged", "emptied"} {
		w.mirror(name, g.Host, token, "admin")
	}
	w.mirror("revoked", g.Host, w.mint("one"), "admin")
	w.mirror("away", away, token, "admin")
	w.mirror("hookless", g.Host, token, "write")
	main := func(name string) string { return w.at(name, "rev-parse", "refs/heads/main") }
	policy := func(name, pattern string, action core.RefAction) {
		w.SetSettings(t, name, client.SettingsRequest{RefPolicies: &[]client.RefPolicy{{Pattern: pattern, Action: client.RefAction(action)}}})
	}
	for i := range 12 {
		w.at("emptied", "update-ref", fmt.Sprintf("refs/heads/topic-%02d", i), main("emptied"))
	}
	w.at("conflict", "update-ref", "refs/heads/topic", main("conflict"))
	require.NoError(t, w.Sync(t, "emptied"))
	require.NoError(t, w.Sync(t, "conflict"))
	policy("conflict", "refs/heads/topic", core.RefHold)
	policy("diverged", "refs/heads/main", core.RefHold)

	// They break.
	for _, m := range []struct{ name, state string }{{"revoked", "active"}, {"away", "active"}, {"hookless", "failing"}} {
		require.Eventually(t, func() bool { return b.Get(t, m.name).At("sync.webhook.state") == m.state }, time.Minute, 200*time.Millisecond, "the webhook of %s is %s", m.name, m.state)
	}
	require.NoError(t, w.robot.Revoke(t.Context(), "one"))
	w.call(http.MethodDelete, "/repos/"+giteatest.User+"/deleted", "")
	w.call(http.MethodPatch, "/repos/"+giteatest.User+"/renamed", `{"name":"renamed-there"}`)
	w.call(http.MethodPatch, "/repos/"+giteatest.User+"/archived", `{"archived":true}`)
	down.Store(true)
	for i := range 8 {
		w.at("emptied", "update-ref", "-d", fmt.Sprintf("refs/heads/topic-%02d", i))
	}
	w.at("conflict", "update-ref", "-d", "refs/heads/topic")
	w.at("conflict", "update-ref", "refs/heads/topic/one", main("conflict"))
	root := w.at("diverged", "commit-tree", "-m", "another beginning", main("diverged")+"^{tree}")
	w.at("diverged", "update-ref", "refs/heads/main", root)
	_, err = b.REST(t, "paused").PauseRepository(t.Context(), "paused")
	require.NoError(t, err)
	for _, name := range []string{"revoked", "deleted", "renamed", "archived", "away", "conflict", "diverged"} {
		w.Pull(t, name)
	}
	// It loses more each time that it is asked: the listings do not agree, and the next
	// look by itself is many minutes away.
	for i := range 4 {
		require.Error(t, w.Sync(t, "emptied"))
		w.at("emptied", "update-ref", "-d", fmt.Sprintf("refs/heads/topic-%02d", 8+i))
	}
	require.Error(t, w.Sync(t, "emptied"))
	held := time.Now()

	// A person comes.
	w.chromium = b.chromium(t)
	w.as(looks[0])
	w.open("/console/link/" + b.link(t, time.Minute))
	w.run(chromedp.Click("main button", chromedp.ByQuery), chromedp.WaitVisible(".tiles", chromedp.ByQuery))
	require.Eventually(t, func() bool {
		w.open("/console/")
		var text string
		w.run(chromedp.Evaluate(`document.querySelector('.needs')?.innerText ?? ''`, &text))
		return strings.Contains(text, "a credential 1") && strings.Contains(text, "another upstream 1") && strings.Contains(text, "a decision 3") && strings.Contains(text, "a webhook 1")
	}, time.Minute, time.Second, "what waits for whom")
	w.keep("ten-overview")

	// Its credential was revoked: another one is stored.
	w.find("revoked", "need=credential", "upstream refused the credential")
	w.press("Store a credential")
	w.says("Secrets are sealed here and never shown again")
	w.run(chromedp.SendKeys(`[name=password]`, w.mint("two"), chromedp.ByQuery))
	w.press("Replace it, and sync")
	w.says("The credential is stored, and a sync tries it now")
	w.mended("revoked", "ready: confirmed")

	// The repository was deleted at the host: the copy is kept as a local one.
	w.find("deleted", "need=upstream", "upstream repository not found")
	w.press("Follow another upstream, or detach")
	w.says("The content stays as it is")
	w.run(chromedp.Click(`[name=confirmed]`, chromedp.ByQuery))
	w.press("Detach")
	w.says("The link is cut")
	w.mended("deleted", "local: it follows no upstream")

	// It was renamed: that is followed by itself, and shown.
	w.find("renamed", "", "renamed-there")
	w.mended("renamed", "ready: confirmed")

	// It was archived: the console says what to do at the host.
	w.find("archived", "", "the upstream is archived")
	w.says("unarchive it there to push again")
	w.call(http.MethodPatch, "/repos/"+giteatest.User+"/archived", `{"archived":false}`)
	w.press("Sync now")
	w.says("A sync was asked for")
	require.Eventually(t, func() bool { return b.Repository(t, "archived").Sync.UpstreamState == client.UpstreamStateActive }, time.Minute, 200*time.Millisecond)
	w.mended("archived", "ready: confirmed")

	// The account may not register a webhook: once it may at the host, it is registered.
	w.find("hookless", "need=webhook", "the host has no webhook")
	w.may("hookless", "admin")
	w.press("Register it again")
	w.says("webhook")
	require.Eventually(t, func() bool { return b.Get(t, "hookless").At("sync.webhook.state") == "active" }, time.Minute, 200*time.Millisecond)
	var hooks []any
	require.NoError(t, json.Unmarshal(w.call(http.MethodGet, "/repos/"+giteatest.User+"/hookless/hooks", ""), &hooks))
	require.Len(t, hooks, 1)
	w.mended("hookless", "ready: confirmed")

	// The host is down: nothing is to do here but to see it, and to try when it is back.
	w.find("away", "state=failing", "away")
	w.press("See how the host is")
	w.says(away)
	w.keep("ten-away-host")
	down.Store(false)
	w.open(w.page("away"))
	w.press("Sync now")
	w.says("A sync was asked for")
	w.mended("away", "ready: confirmed")

	// A ref cannot be here beside one that a policy holds: the rewrite is approved.
	w.find("conflict", "need=decision", "waiting for a decision")
	w.press("Decide about the rewrites")
	w.press("Approve")
	w.says("The rewrite is approved")
	require.Eventually(t, func() bool { return b.Refs(t, "conflict")["refs/heads/topic/one"] != "" }, time.Minute, 200*time.Millisecond)
	w.mended("conflict", "ready: confirmed")

	// A branch was rewritten, and is held.
	w.find("diverged", "need=decision", "waiting for a decision: 1 ref")
	w.press("Approve")
	w.says("The rewrite is approved")
	require.Eventually(t, func() bool { return b.Refs(t, "diverged")["refs/heads/main"] == root }, time.Minute, 200*time.Millisecond)
	w.mended("diverged", "ready: confirmed")

	// Somebody has paused it.
	w.find("paused", "state=paused", "a person has its upstream left alone")
	w.press("Resume")
	w.says("follows its upstream again")
	w.mended("paused", "ready: confirmed")

	// The organisation has as much as it may.
	require.NoError(t, b.store.SetOrgLimits(t.Context(), servertest.Org, core.OrgLimits{DiskBytes: 1}))
	require.Eventually(t, func() bool {
		w.commit("full", "main", main("full"))
		return b.Sync(t, "full") != nil
	}, time.Minute, time.Second, "a limit stops the sync")
	w.find("full", "need=operator", "may use")
	w.press("See what the organisation may use")
	w.run(chromedp.SetValue(`[name=disk]`, "1GiB", chromedp.ByQuery))
	w.press("Set the limits")
	w.says("The limits are changed")
	w.mended("full", "ready: confirmed")

	// The server takes no writes.
	require.NoError(t, b.store.SetReadOnly(t.Context(), core.ReadOnlyMode{Since: time.Now(), Reason: "somebody forgot it"}))
	w.open(w.page("renamed"))
	w.says("somebody forgot it")
	w.keep("ten-locked-seen")
	w.press("End it")
	w.press("Take writes again")
	w.says("The server takes writes again")
	w.open(w.page("renamed"))
	w.press("Pause")
	w.says("The mirror is paused")
	w.press("Resume")
	w.says("follows its upstream again")
	w.mended("renamed", "ready: confirmed")

	// Most branches vanished at once: the loss is looked at, and taken over.
	w.find("emptied", "state=held", "the upstream lacks 12 now")
	w.press("Compare the refs")
	w.says("only here")
	w.keep("ten-emptied-compared")
	time.Sleep(time.Until(held.Add(32 * time.Second))) // a listing half a minute later is to agree
	w.open(w.page("emptied"))
	w.press("Sync, and take the loss over")
	w.says("A sync was asked for")
	w.mended("emptied", "ready: confirmed")
	require.Contains(t, b.Refs(t, "emptied"), "refs/heads/main")
	for i := range 12 {
		require.NotContains(t, b.Refs(t, "emptied"), fmt.Sprintf("refs/heads/topic-%02d", i))
	}

	// Nothing waits for anybody.
	w.open("/console/")
	var needs bool
	w.run(chromedp.Evaluate(`document.querySelector('.needs') !== null`, &needs))
	require.False(t, needs)
	w.keep("ten-mended")
	w.calm("ten broken mirrors")
}
