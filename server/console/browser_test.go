package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/server/client"
)

// screenshots is the variable with the directory that pictures of all pages go to.
const screenshots = "HEADWATER_SCREENSHOTS"

// chromium is a real browser that is signed in. What it complains of fails the test: a
// script that is not allowed to run, a file that is not there.
type chromium struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu         sync.Mutex
	complaints []string
}

func (b *bench) chromium(t *testing.T) *chromium {
	t.Helper()
	return newChromium(t, b.URL)
}

func newChromium(t *testing.T, base string) *chromium {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, 15*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	w := &chromium{t: t, ctx: ctx, base: base}
	chromedp.ListenTarget(ctx, func(event any) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			w.complaints = append(w.complaints, e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				w.complaints = append(w.complaints, e.Entry.Text+" "+e.Entry.URL)
			}
		}
	})
	w.run(log.Enable(), runtime.Enable())
	return w
}

// run does one thing after the other. A page that was just fetched anew has another
// element in the place of the one that was found: it is looked for again, since nothing
// was done with the former.
func (w *chromium) run(actions ...chromedp.Action) {
	w.t.Helper()
	for _, action := range actions {
		for {
			err := chromedp.Run(w.ctx, action)
			if err == nil || !strings.Contains(err.Error(), "Could not find node with given id") {
				require.NoError(w.t, err)
				break
			}
		}
	}
}

// calm wants that nothing was complained of since the last call, and that no name has
// run as a script.
func (w *chromium) calm(where string) {
	w.t.Helper()
	var hacked bool
	w.run(chromedp.Evaluate(`window.hacked === 1`, &hacked))
	require.False(w.t, hacked, where)
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Empty(w.t, w.complaints, where)
}

// open goes to a page and waits for its end.
func (w *chromium) open(path string) {
	w.t.Helper()
	w.run(chromedp.Navigate(w.base+path), chromedp.WaitVisible("#main", chromedp.ByQuery))
}

// says waits until a page says something; the click before may still lead there.
func (w *chromium) says(text string) {
	w.t.Helper()
	var last string
	require.Eventually(w.t, func() bool {
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
		defer cancel()
		return chromedp.Run(ctx, chromedp.Evaluate(`document.body.innerText`, &last)) == nil && strings.Contains(last, text)
	}, time.Minute, 50*time.Millisecond, "%q is not said", text)
}

// look is a way to look at a page.
type look struct {
	name, scheme  string
	width, height int64
}

var looks = []look{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"phone", "light", 390, 844}, {"phone-dark", "dark", 390, 844}}

func (w *chromium) as(l look) {
	w.t.Helper()
	w.run(chromedp.EmulateViewport(l.width, l.height, func(p *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
		p.Mobile = l.width < 500
	}), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}}))
}

// keep writes a picture of the page, if somebody wants to have it: making one is dear.
func (w *chromium) keep(name string) {
	w.t.Helper()
	dir := os.Getenv(screenshots)
	if dir == "" {
		return
	}
	var picture []byte
	w.run(chromedp.FullScreenshot(&picture, 100))
	require.NotEmpty(w.t, picture)
	require.NoError(w.t, os.MkdirAll(dir, 0o750))
	require.NoError(w.t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600))
}

// fits wants that the page is not wider than the screen, that its text stands out from
// what is behind it, and that every control has a name.
func (w *chromium) fits(where string) {
	w.t.Helper()
	var wide int64
	w.run(chromedp.Evaluate(`document.documentElement.scrollWidth - document.documentElement.clientWidth`, &wide))
	assert.LessOrEqual(w.t, wide, int64(0), "%s is wider than the screen", where)
	var raw string
	w.run(chromedp.Evaluate(`JSON.stringify((() => {
		const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
		const parse = s => { const n = s.match(/[\d.]+/g).map(Number); return { c: n.slice(0, 3), a: n.length > 3 ? n[3] : 1 }; };
		const bad = [];
		for (const e of document.querySelectorAll('main *, header *')) {
			if (e.closest('svg, .uplot, select') || ![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.offsetParent) continue;
			let behind = e; while (behind && parse(getComputedStyle(behind).backgroundColor).a === 0) behind = behind.parentElement;
			if (!behind) continue;
			const a = light(parse(getComputedStyle(e).color).c), b = light(parse(getComputedStyle(behind).backgroundColor).c);
			const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
			if (ratio < 4.5) bad.push(e.tagName + '.' + e.className + ' ' + e.textContent.trim().slice(0, 30) + ' ' + ratio.toFixed(2));
		}
		return bad;
	})())`, &raw))
	var bad []string
	require.NoError(w.t, json.Unmarshal([]byte(raw), &bad))
	assert.Empty(w.t, bad, "%s: text that is hard to read", where)
	// Every control has a name for those who do not see it.
	w.run(chromedp.Evaluate(`JSON.stringify([...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a')].filter(e =>
		!e.hidden && !(e.labels && e.labels.length) && !e.getAttribute('aria-label') && !e.textContent.trim() && !e.querySelector('img[alt]')).map(e => e.outerHTML))`, &raw))
	require.NoError(w.t, json.Unmarshal([]byte(raw), &bad))
	assert.Empty(w.t, bad, "%s: controls without a name", where)
}

// aDay writes pictures' worth of minutes and lags.
func (b *bench) aDay(t *testing.T) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Minute)
	var minutes []core.ConsoleMinute
	for i := range 24 * 60 {
		x := float64(i)
		lag := 4 + 3*math.Sin(x/40)
		m := core.ConsoleMinute{
			At: now.Add(-time.Duration(i+1) * time.Minute), Fresh: 480, LagMedian: time.Duration(lag * float64(time.Second)),
			LagMost: time.Duration(lag * (8 + 5*math.Sin(x/90)) * float64(time.Second)), LagMax: time.Duration((1400 - x + 60) * float64(time.Minute) / 4),
			PushesOK: int(2 + 2*math.Sin(x/120)), PushTime: 3 * time.Second, PushSlowest: time.Second,
			Succeeded: int(3 + 2*math.Sin(x/200)), Unchanged: 1,
		}
		if i%90 < 4 {
			m.SyncsFailed, m.PushesFailed, m.SyncsHeld = 2, 1, 1
		}
		minutes = append(minutes, m)
		m.Org = "local"
		minutes = append(minutes, m)
	}
	var lags []core.ConsoleLag
	for i := range 7 * 24 * 4 {
		lags = append(lags, core.ConsoleLag{RepoID: b.id(t), At: now.Truncate(15 * time.Minute).Add(-time.Duration(i) * 15 * time.Minute),
			Lag: time.Duration((20 + 15*math.Sin(float64(i)/30) + 2000*math.Max(0, math.Sin(float64(i)/60)-.95)) * float64(time.Second))})
	}
	require.NoError(t, b.store.AddConsoleMinutes(t.Context(), minutes, lags))
}

// aThousand makes a thousand mirrors of hosts that are not there, in all states.
func (b *bench) aThousand(t *testing.T) {
	t.Helper()
	now := time.Now().UTC()
	classes := []core.ErrorClass{core.ClassAuth, core.ClassNetwork, core.ClassNotFound, core.ClassRateLimited, core.ClassTooLarge}
	require.NoError(t, b.store.Tx(t.Context(), func(q core.Queries) error {
		for i := range 1000 {
			at := now.Add(-time.Duration(i) * time.Hour)
			r := core.Repository{
				ID: core.NewID("repo", at), Org: "local", Name: fmt.Sprintf("many/service-%04d", i), DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: at,
				Upstream: &core.Upstream{
					Provider: "gitea", Instance: "gitea", Host: fmt.Sprintf("git%d.example", i%7), Owner: "many" + script, Name: fmt.Sprintf("service-%04d", i),
					URL: fmt.Sprintf("https://git%d.example/many/service-%04d.git", i%7, i),
				},
			}
			if err := q.CreateRepository(t.Context(), r); err != nil {
				return err
			}
			if i%20 == 19 {
				continue // waits for a credential
			}
			if _, err := q.RequestSync(t.Context(), r.ID, "api", ""); err != nil {
				return err
			}
			s, err := q.TakeSync(t.Context(), r.ID)
			if err != nil {
				return err
			}
			s.Served, s.Tried, s.FirstSyncedAt, s.LastSuccessAt, s.ObservedAt, s.ChangedAt = s.Wanted, s.Wanted, at, at, now.Add(-time.Duration(i*i)*time.Second), at
			if i%9 == 5 {
				s.Served, s.Failures, s.LastClass, s.LastErrorAt, s.NextAttemptAt = s.Wanted-1, 1+i%4, classes[i%len(classes)], now, now.Add(time.Hour)
				s.LastError = "the host answered: " + script + " you may not"
			}
			if err := q.FinishSync(t.Context(), s); err != nil {
				return err
			}
		}
		return nil
	}))
}

func TestBrowser_everyPage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rewrite(t)
	b.forge.Git(upstream, "branch", "<script>window.hacked=1")
	require.NoError(t, b.Sync(t, widget))
	_, err := b.REST(t, "org").CreateWebhook(t.Context(), client.CreateWebhookRequest{URL: b.receiver(t) + "/?q=" + url.QueryEscape(script), Events: []string{"push"}})
	require.NoError(t, err)
	hooks, err := b.REST(t, "org").ListWebhooks(t.Context())
	require.NoError(t, err)
	_, err = b.REST(t, "org").PingWebhook(t.Context(), hooks.Webhooks[0].ID)
	require.NoError(t, err)
	b.aDay(t)
	b.aThousand(t)
	_, err = b.REST(t, "many/service-0007").DeleteRepository(t.Context(), "many/service-0007", nil)
	require.NoError(t, err)
	w := b.chromium(t)
	w.as(looks[0])
	w.open("/console/link/" + b.link(t, time.Minute))
	w.fits("link")
	w.keep("link-light")
	w.run(chromedp.Click("main button", chromedp.ByQuery), chromedp.WaitVisible(".tiles", chromedp.ByQuery))
	one := "/console/repositories/" + b.id(t)
	// A dark phone shows what the others show, together.
	for _, l := range looks[:longtest.Cases(3, 4)] {
		w.as(l)
		for name, path := range map[string]string{
			"overview": "/console/", "repositories": "/console/repositories?sort=lag", "repository": one, "compare": one + "/compare", "credential": one + "/credential", "upstream": one + "/upstream", "credentials": "/console/credentials?org=local", "hosts": "/console/hosts", "trash": "/console/trash?org=local",
			"deliveries": "/console/deliveries", "audit": "/console/audit?org=local", "organisations": "/console/organisations?org=local", "sign-in": "/console/sign-in",
		} {
			w.open(path)
			if name == "overview" {
				w.run(chromedp.WaitVisible(".plot.live canvas", chromedp.ByQuery))
			}
			w.fits(name + " " + l.name)
			w.keep(name + "-" + l.name)
			w.calm(name + " " + l.name)
		}
	}
}

func TestBrowser_actions(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rewrite(t)
	require.NoError(t, b.store.SaveSettings(t.Context(), b.id(t), core.Settings{RefPolicies: []core.RefPolicy{{Pattern: "refs/heads/**", Action: core.RefHold}}}))
	b.rewrite(t) // held
	w := b.chromium(t)
	w.as(looks[0])
	one := "/console/repositories/" + b.id(t)

	// A token signs in, and leads to where one wanted to go.
	w.open(one)
	w.run(chromedp.SendKeys("#token", b.TokenWith(t, access.Claims{Repo: "org", Scopes: access.Scopes(), Subject: "mo" + script}), chromedp.ByQuery),
		chromedp.Submit("#token", chromedp.ByQuery), chromedp.WaitVisible("#rewrites", chromedp.ByQuery))
	said := func(text string) {
		t.Helper()
		w.says(text)
	}
	click := func(selector string) {
		t.Helper()
		w.run(chromedp.ScrollIntoView(selector, chromedp.ByQuery), chromedp.Click(selector, chromedp.ByQuery))
	}
	said("confirmed")

	// By the keyboard alone.
	w.run(chromedp.Focus(`form[action$="/sync"] button`, chromedp.ByQuery), chromedp.KeyEvent("\r"))
	said("A sync was asked for")
	click(`form[action$="/rewrites/dismiss"] button`)
	said("The rewrite is dismissed")
	click(`form[action$="/rewrites/approve"] button`)
	said("The rewrite is approved")
	click(`form[action$="/rewrites/restore"] button`)
	said("The old commits are back")
	w.run(chromedp.SetValue(`[name=poll]`, "3m", chromedp.ByQuery))
	click(`#settings button`)
	said("The settings would change")
	w.keep("settings-plan-light")
	click(`main form button`)
	said("The settings are changed")

	// The list narrows as one types, and does something to all that it shows.
	w.open("/console/repositories")
	w.run(chromedp.KeyEvent("/"), chromedp.SendKeys("#q", "widget", chromedp.ByQuery))
	said("1 of 2")
	w.run(chromedp.Click("[data-all]", chromedp.ByQuery), chromedp.Click(`button[value=sync]`, chromedp.ByQuery))
	said("1 repository")
	w.keep("bulk-light")
	click("main form button")
	said("Done for 1 of 1")
	w.run(chromedp.WaitVisible("body.streaming", chromedp.ByQuery)) // what happens arrives
	w.calm("actions")

	// A session that has ended leads to the page to sign in, and changes nothing.
	w.open(one)
	sessions, err := b.store.ConsoleSessions(t.Context(), "", time.Now())
	require.NoError(t, err)
	require.Len(t, sessions, 1)
	require.NoError(t, b.store.DeleteConsoleSession(t.Context(), sessions[0].ID))
	before := strings.Count(strings.Join(b.actions(t, "local"), "\n"), "sync.request")
	click(`form[action$="/sync"] button`)
	said("Your session has ended")
	w.keep("expired-light")
	require.Equal(t, before, strings.Count(strings.Join(b.actions(t, "local"), "\n"), "sync.request"))
	for _, action := range []string{"sync.request", "rewrite.dismiss", "rewrite.approve", "rewrite.restore", "settings.update", "console.sign_in"} {
		require.Contains(t, b.actions(t, "local"), "mo"+script+" "+action+" ok")
	}

	// Behind a proxy that holds the stream back the page asks, and says what happened, too.
	w.base = b.holdingBack(t)
	w.open("/console/link/" + b.link(t, time.Minute))
	w.run(chromedp.Click("main button", chromedp.ByQuery), chromedp.WaitVisible(".tiles", chromedp.ByQuery))
	w.open(one)
	_, err = b.REST(t, widget).PauseRepository(t.Context(), widget)
	require.NoError(t, err)
	said("a person has the upstream left alone")
	w.run(chromedp.WaitVisible("body:not(.streaming)", chromedp.ByQuery))
	w.calm("held back")
}

// holdingBack is the address of a proxy that passes the head of the event stream on, and
// nothing of its body.
func (b *bench) holdingBack(t *testing.T) string {
	t.Helper()
	target, err := url.Parse(b.URL)
	require.NoError(t, err)
	forward := httputil.NewSingleHostReverseProxy(target)
	over := make(chan struct{})
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/console/stream" {
			forward.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}))
	t.Cleanup(func() {
		close(over) // the browser, which ends later, would keep it open
		proxy.Close()
	})
	return proxy.URL
}

func TestBrowser_withoutJavaScript(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.aDay(t)
	w := b.chromium(t)
	w.as(looks[0])
	w.run(emulation.SetScriptExecutionDisabled(true), network.Enable())
	w.open("/console/link/" + b.link(t, time.Minute))
	w.run(chromedp.Click("main button", chromedp.ByQuery), chromedp.WaitVisible(".plot svg path.line", chromedp.ByQuery))
	w.keep("overview-no-script")
	w.open("/console/repositories/" + b.id(t))
	w.run(chromedp.WaitVisible("#settings form", chromedp.ByQuery), chromedp.WaitVisible(".plot svg", chromedp.ByQuery))
}
