package events

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// TestService_delivers looks at one delivery from the event to the log.
func TestService_delivers(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("thank you"))
	})
	b.push("repo_a", 0) // from before the webhook: not for it
	w := b.webhook(r.URL + "/hook?team=1")
	e := b.push("repo_a", 1)
	got := r.next(t)
	require.Equal(t, string(e.Payload), got.body)
	logs := b.settled(w, 1, delivered)
	want := http.Header{
		"Content-Length": {strconv.Itoa(len(e.Payload))},
		"Content-Type":   {"application/json"}, "User-Agent": {"Pierre-Webhook/1.0"}, "X-Pierre-Event": {"push"},
		"X-Pierre-Signature": {Sign(w.Secret, b.clock.Now(), e.Payload)}, "X-Pierre-Delivery": {logs[0].ID},
	}
	require.Empty(t, cmp.Diff(want, got.header))

	require.Equal(t, e.ID, logs[0].EventID)
	require.Equal(t, http.StatusAccepted, logs[0].LastStatus)
	require.Len(t, logs[0].Tries, 1)
	require.Equal(t, "thank you", string(logs[0].Tries[0].Response))
	kept, err := b.Webhook(t.Context(), "acme", w.ID)
	require.NoError(t, err)
	require.Empty(t, kept.Secret, "shown once")
	require.Equal(t, b.clock.Now(), kept.LastSuccessAt)
	require.NotContains(t, b.log.String(), w.Secret.Reveal())
}

// TestService_matches checks who gets what.
func TestService_matches(t *testing.T) {
	t.Parallel()
	event := core.Event{Seq: 10, Org: "acme", RepoID: "repo_a", Type: core.EventPush}
	fits := core.Webhook{Org: "acme", Active: true, Events: []string{core.EventSyncFailed, core.EventPush}}
	for name, test := range map[string]struct {
		change func(w *core.Webhook)
		want   bool
	}{
		"fits":               {func(*core.Webhook) {}, true},
		"same repository":    {func(w *core.Webhook) { w.RepoID = "repo_a" }, true},
		"other repository":   {func(w *core.Webhook) { w.RepoID = "repo_b" }, false},
		"other organisation": {func(w *core.Webhook) { w.Org = "other" }, false},
		"other type":         {func(w *core.Webhook) { w.Events = []string{core.EventRefHeld} }, false},
		"inactive":           {func(w *core.Webhook) { w.Active = false }, false},
		"made after it":      {func(w *core.Webhook) { w.StartSeq = 10 }, false},
		"made before it":     {func(w *core.Webhook) { w.StartSeq = 9 }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := fits
			test.change(&w)
			require.Equal(t, test.want, wants(w, event))
		})
	}
}

// TestService_keepsOrderThroughFailures sends events of two repositories to a
// receiver that refuses every second request: those of each repository are
// accepted in order, none is overtaken and none is lost.
func TestService_keepsOrderThroughFailures(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	var calls atomic.Int64
	var mu sync.Mutex
	accepted := map[string][]string{}
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		if calls.Add(1)%2 == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		repo := body[strings.Index(body, "repo_"):][:6]
		accepted[repo] = append(accepted[repo], body)
	})
	w := b.webhook(r.URL)
	want := map[string][]string{}
	for n := range 10 {
		for _, repo := range []string{"repo_a", "repo_b"} {
			want[repo] = append(want[repo], string(b.push(repo, n).Payload))
		}
	}
	b.eventually(func() bool {
		b.pass(5 * time.Second)
		list, err := b.Deliveries(t.Context(), "acme", w.ID, "", 100)
		require.NoError(t, err)
		for _, l := range list {
			if !delivered(l) {
				return false
			}
		}
		return len(list) == 20
	})
	mu.Lock()
	defer mu.Unlock()
	require.Empty(t, cmp.Diff(want, accepted))
}

// TestService_signsEachAttempt lets time pass between attempts: receivers
// refuse signatures that are five minutes old.
func TestService_signsEachAttempt(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	var calls atomic.Int64
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		if calls.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	w := b.webhook(r.URL)
	e := b.push("repo_a", 1)
	ids := map[string]bool{}
	for n := 1; n <= 3; n++ {
		got := r.next(t)
		require.Equal(t, Sign(w.Secret, b.clock.Now(), e.Payload), got.header.Get("X-Pierre-Signature"))
		ids[got.header.Get("X-Pierre-Delivery")] = true
		logs := b.settled(w, 1, tried(n))
		if n == 2 { // rotated between attempts
			secret := providers.Secret("another secret")
			changed, err := b.Update(t.Context(), "acme", w.ID, Change{Secret: &secret})
			require.NoError(t, err)
			w = changed
		}
		if n < 3 {
			b.pass(max(logs[0].NextAttemptAt.Sub(b.clock.Now()), maxGap))
		}
	}
	require.Len(t, ids, 1, "a delivery keeps its id")
}

// TestService_deadReceiverDelaysNobody has a receiver that hangs beside one
// that works: it holds its own slots and no more.
func TestService_deadReceiverDelaysNobody(t *testing.T) {
	t.Parallel()
	const repos = 40
	b := newBench(t, Options{Policy: open, Workers: 8, Slots: 3, Timeout: patience})
	release := make(chan struct{})
	var hanging, most atomic.Int64
	dead := newReceiver(t, func(http.ResponseWriter, *http.Request, string) {
		for n := hanging.Add(1); ; {
			m := most.Load()
			if n <= m || most.CompareAndSwap(m, n) {
				break
			}
		}
		<-release
		hanging.Add(-1)
	})
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	good := newReceiver(t, nil)
	b.webhook(dead.URL)
	w := b.webhook(good.URL)
	for n := range repos {
		b.push("repo_"+strconv.Itoa(n), n)
	}
	b.settled(w, repos, delivered)
	require.LessOrEqual(t, most.Load(), int64(3))
	require.Positive(t, most.Load())
}

// TestService_failingReceiversLeaveRoom has more receivers that hang than
// there are workers. Once they have failed they share half of the workers.
func TestService_failingReceiversLeaveRoom(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open, Workers: 4, Slots: 1, Timeout: patience})
	release := make(chan struct{})
	var phase atomic.Int64
	dead := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		if phase.Load() == 0 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		<-release
	})
	t.Cleanup(sync.OnceFunc(func() { close(release) }))
	var hooks []core.Webhook
	for range 6 {
		hooks = append(hooks, b.webhook(dead.URL))
	}
	b.push("repo_a", 1)
	for _, w := range hooks {
		b.settled(w, 1, tried(1))
	}
	phase.Store(1)
	good := newReceiver(t, nil)
	w := b.webhook(good.URL)
	b.pass(time.Minute)
	for range 6 {
		dead.next(t) // the first attempts
	}
	for range 2 {
		dead.next(t) // those that hang now
	}
	for n := range 5 {
		b.push("repo_a", n)
	}
	b.settled(w, 5, delivered)
	require.Empty(t, dead.got, "the others wait")
}

// TestService_answers is what receivers may answer with, and what comes of it.
func TestService_answers(t *testing.T) {
	t.Parallel()
	elsewhere := newReceiver(t, nil)
	huge := strings.Repeat("x", 1<<20)
	for name, test := range map[string]struct {
		answer  func(w http.ResponseWriter, r *http.Request)
		state   core.DeliveryState
		status  int
		failure string
		kept    int // bytes of the answer
	}{
		"created":  {answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) }, state: core.DeliveryDelivered, status: 201},
		"refused":  {answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(410) }, state: core.DeliveryPending, status: 410, failure: "410"},
		"redirect": {answer: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, 307) }, state: core.DeliveryPending, status: 307, failure: "redirects are not followed"},
		"huge body": {answer: func(w http.ResponseWriter, _ *http.Request) {
			for range 64 {
				if _, err := w.Write([]byte(huge)); err != nil {
					return
				}
			}
		}, state: core.DeliveryDelivered, status: 200, kept: maxResponse},
		"slow trickle": {answer: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(500)
			for range 5 {
				_, _ = w.Write([]byte("."))
				_ = http.NewResponseController(w).Flush()
			}
			<-r.Context().Done() // never ends by itself
		}, state: core.DeliveryPending, status: 500, failure: "500", kept: 5},
		"trickles after yes": {answer: func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}, state: core.DeliveryDelivered, status: 200},
		"hangs up": {answer: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		}, state: core.DeliveryPending, failure: "the connection broke"},
		"hangs": {answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, state: core.DeliveryPending, failure: "in time"},
		"no HTTP": {answer: func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = conn.Write([]byte("220 mail.example.com ESMTP\r\n"))
				_ = conn.Close()
			}
		}, state: core.DeliveryPending, failure: "the connection broke"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, Options{Policy: open, Timeout: time.Second})
			r := newReceiver(t, func(w http.ResponseWriter, r *http.Request, _ string) { test.answer(w, r) })
			w := b.webhook(r.URL)
			b.push("repo_a", 1)
			l := b.settled(w, 1, tried(1))[0]
			require.Equal(t, test.state, l.State)
			require.Equal(t, test.status, l.LastStatus)
			require.Contains(t, l.LastError, test.failure)
			require.Equal(t, test.failure == "", l.LastError == "")
			require.Len(t, l.Tries[0].Response, test.kept)
			require.Empty(t, elsewhere.got)
		})
	}
}

// TestService_liesAboutTheBody answers 200 after half of a large body and
// closes: the receiver has said that it took it.
func TestService_liesAboutTheBody(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	r := &receiver{got: make(chan request, 10)}
	server := newReceiver(t, nil)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		half := make([]byte, 1<<10)
		n, _ := req.Body.Read(half)
		r.got <- request{body: string(half[:n])}
	})
	w := b.webhook(server.URL)
	now := b.clock.Now()
	require.NoError(t, b.db.AddEvents(t.Context(), []core.Event{{
		ID: core.NewID("evt", now), RepoID: "repo_a", Org: "acme", Type: core.EventPush, CreatedAt: now,
		Payload: []byte(`{"pad":"` + strings.Repeat("x", 200<<10) + `"}`),
	}}))
	b.settled(w, 1, delivered)
	require.Len(t, r.got, 1)
}

// TestInvariant19_namesThatFlip makes a webhook whose name leads to an allowed
// address, and then changes the DNS.
func TestInvariant19_namesThatFlip(t *testing.T) {
	t.Parallel()
	dns := &resolver{}
	dns.set("hooks.example.com", "127.0.0.1")
	b := newBench(t, Options{Policy: Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, Resolver: dns})
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ string) { w.Header().Set("Connection", "close") })
	_, port, _ := strings.Cut(strings.TrimPrefix(r.URL, "http://"), ":")
	w := b.webhook("http://hooks.example.com:" + port + "/")
	b.push("repo_a", 1)
	b.settled(w, 1, delivered)

	for n, flip := range [][]string{{"127.0.0.2"}, {"10.0.0.1"}, {"169.254.169.254"}, {"::1"}, {"0.0.0.0"}} {
		dns.set("hooks.example.com", flip...)
		b.push("repo_"+strconv.Itoa(n), 2)
		logs := b.settled(w, n+2, func(l Log) bool {
			b.pass(firstGap) // it is failing: one at a time, with gaps
			return l.Attempts > 0
		})
		last := logs[len(logs)-1]
		require.Zero(t, last.LastStatus)
		require.Contains(t, last.LastError, flip[0])
	}
	require.Len(t, r.got, 1)
	// One good address among bad ones will do.
	dns.set("hooks.example.com", "10.0.0.1", "127.0.0.1")
	w2 := b.webhook("http://hooks.example.com:" + port + "/")
	b.push("repo_z", 3)
	b.settled(w2, 1, delivered)
}

// TestInvariant19_rulesThatTighten restarts with a stricter policy.
func TestInvariant19_rulesThatTighten(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	r := newReceiver(t, nil)
	w := b.webhook(r.URL)
	b.stop()
	b.o.Policy = Policy{AllowHTTP: true}
	b.start()
	b.push("repo_a", 1)
	require.Contains(t, b.settled(w, 1, tried(1))[0].LastError, "loopback")
	b.stop()
	b.o.Policy = Policy{AllowPrivate: true}
	b.start()
	b.push("repo_b", 1)
	logs := b.settled(w, 2, func(l Log) bool { return l.Attempts > 0 })
	require.Contains(t, logs[1].LastError, "https://")
	require.Empty(t, r.got)
}

// TestService_certificates accepts HTTPS by known authorities only.
func TestService_certificates(t *testing.T) {
	t.Parallel()
	tls := startTLS(t)
	known := newBench(t, Options{Policy: open, RootCAs: tls.roots})
	w := known.webhook(tls.url)
	known.push("repo_a", 1)
	known.settled(w, 1, delivered)
	other := newBench(t, Options{Policy: open})
	w = other.webhook(tls.url)
	other.push("repo_a", 1)
	require.Contains(t, other.settled(w, 1, tried(1))[0].LastError, "authority")
}

// TestService_survivesARestart stops the service while a request hangs: the
// request is made again, its interruption is no failure, and nothing that was
// delivered is repeated.
func TestService_survivesARestart(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open, Timeout: patience})
	var hang atomic.Bool
	hang.Store(true)
	r := newReceiver(t, func(_ http.ResponseWriter, req *http.Request, body string) {
		if hang.Load() && strings.Contains(body, `"n":2`) {
			<-req.Context().Done()
		}
	})
	w := b.webhook(r.URL)
	for n := range 5 {
		b.push("repo_a", n+1)
	}
	r.next(t)
	require.Contains(t, r.next(t).body, `"n":2`)
	b.stop()
	hang.Store(false)
	b.push("repo_a", 6) // while nothing runs
	b.start()
	logs := b.settled(w, 6, delivered)
	for _, l := range logs {
		require.Equal(t, 1, l.Attempts)
	}
	for n := 2; n <= 6; n++ {
		require.Contains(t, r.next(t).body, `"n":`+strconv.Itoa(n))
	}
	require.Empty(t, r.got)
}

// TestService_survivesAFullDisk lets the store refuse to write, first before
// deliveries are made and then when they are to be recorded: every event is
// delivered once.
func TestService_survivesAFullDisk(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	answer := make(chan struct{})
	r := newReceiver(t, func(http.ResponseWriter, *http.Request, string) { <-answer })
	w := b.webhook(r.URL)
	full := errors.New("no space left on device")
	b.db.Fail(full)
	require.NoError(t, b.db.Store.AddEvents(t.Context(), []core.Event{{
		ID: core.NewID("evt", b.clock.Now()), RepoID: "repo_a", Org: "acme", Type: core.EventPush, Payload: []byte(`{}`), CreatedAt: b.clock.Now(),
	}}))
	b.eventually(func() bool { return strings.Contains(b.log.String(), "cannot make deliveries") })
	b.db.Fail(nil)
	b.eventually(func() bool { b.clock.Advance(retryDelay); return len(r.got) == 1 })
	b.db.Fail(full)
	close(answer)
	b.eventually(func() bool { return strings.Contains(b.log.String(), "cannot record deliveries") })
	b.db.Fail(nil)
	b.eventually(func() bool {
		b.clock.Advance(retryDelay)
		list, err := b.Deliveries(t.Context(), "acme", w.ID, "", 10)
		require.NoError(t, err)
		return len(list) == 1 && delivered(list[0])
	})
	require.Len(t, r.got, 1)
}

// TestService_makesEachDeliveryOnce starts services one after the other over
// one outbox, each stopped at some point: no event is sent twice, none is left
// out.
func TestService_makesEachDeliveryOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	r := newReceiver(t, nil)
	w := b.webhook(r.URL)
	const events = 1200 // more than two batches
	for range 4 {
		var batch []core.Event
		for n := range events / 4 {
			batch = append(batch, core.Event{
				ID: core.NewID("evt", b.clock.Now()), RepoID: "repo_" + strconv.Itoa(n%7), Org: "acme", Type: core.EventPush,
				Payload: []byte(`{}`), CreatedAt: b.clock.Now(),
			})
		}
		require.NoError(t, b.db.AddEvents(t.Context(), batch))
		b.stop()
		b.start()
	}
	b.eventually(func() bool {
		position, err := b.db.OutboxPosition(t.Context())
		require.NoError(t, err)
		return position == events
	})
	seen := map[string]int{}
	before := ""
	for {
		list, err := b.db.Deliveries(context.WithoutCancel(t.Context()), w.ID, before, 500)
		require.NoError(t, err)
		if len(list) == 0 {
			break
		}
		for _, d := range list {
			seen[d.EventID]++
		}
		before = list[len(list)-1].ID
	}
	require.Len(t, seen, events)
	for id, n := range seen {
		require.Equal(t, 1, n, id)
	}
}
