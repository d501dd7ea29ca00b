package events

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// TestService_givesUpAfterADay has a receiver that refuses for four days and
// then works again.
func TestService_givesUpAfterADay(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	var works atomic.Bool
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		if !works.Load() {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	w := b.webhook(r.URL)
	made := b.clock.Now()
	first, second := b.push("repo_a", 1), b.push("repo_a", 2)
	b.settled(w, 2, func(l Log) bool { return l.EventID == second.ID || l.Attempts == 1 })

	until := func(d time.Duration, ok func(logs []Log) bool) []Log {
		t.Helper()
		var found []Log
		b.eventually(func() bool {
			if b.clock.Now().Sub(made) < d {
				b.pass(10 * time.Minute)
			}
			list, err := b.Deliveries(t.Context(), "acme", w.ID, "", 10)
			require.NoError(t, err)
			found = list
			return ok(list)
		})
		return found
	}
	// Both in the log: the first with the tries of its day, the second, which
	// waited behind it, with one at least.
	// The attempts come after the clock, by hours where the machine is slow.
	logs := until(60*time.Hour, func(logs []Log) bool {
		return len(logs) == 2 && logs[0].State == core.DeliveryFailed && logs[1].State == core.DeliveryFailed
	})
	require.Equal(t, first.ID, logs[1].EventID)
	require.Greater(t, logs[1].Attempts, 15)
	require.Len(t, logs[1].Tries, logs[1].Attempts)
	require.GreaterOrEqual(t, logs[1].FinishedAt.Sub(made), giveUpAfter)
	require.GreaterOrEqual(t, logs[0].Attempts, 1)
	require.NotContains(t, b.log.String(), "failing for days")

	// The next one is the beginning of the fourth day.
	b.pass(76*time.Hour - b.clock.Now().Sub(made))
	b.push("repo_b", 3)
	until(78*time.Hour, func(logs []Log) bool { return len(logs) == 3 && logs[0].Attempts >= 1 })
	kept, err := b.Webhook(t.Context(), "acme", w.ID)
	require.NoError(t, err)
	require.True(t, b.Failing(kept))
	require.WithinDuration(t, made, kept.FailingSince, 0)
	b.eventually(func() bool { return strings.Count(b.log.String(), "failing for days") == 1 })

	// It is retried slowly, and logged once a day.
	until(90*time.Hour, func(logs []Log) bool { return logs[0].Attempts >= 2 })
	require.Equal(t, 1, strings.Count(b.log.String(), "failing for days"))

	works.Store(true)
	until(120*time.Hour, func(logs []Log) bool { return delivered(logs[0]) })
	kept, err = b.Webhook(t.Context(), "acme", w.ID)
	require.NoError(t, err)
	require.False(t, b.Failing(kept))
	require.Zero(t, kept.FailingSince)
	// What was given up can still be sent.
	again, err := b.Redeliver(t.Context(), "acme", w.ID, logs[1].ID)
	require.NoError(t, err)
	require.NotEqual(t, logs[1].ID, again.ID)
	until(0, func(logs []Log) bool { return len(logs) == 4 && delivered(logs[0]) })
	require.Equal(t, first.ID, again.EventID)
}

// TestService_expiresWhatWaitsForWeeks bounds the queue of a receiver that
// never comes back, and says so in the log of each delivery.
func TestService_expiresWhatWaitsForWeeks(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(http.StatusBadGateway) })
	w := b.webhook(r.URL)
	b.push("repo_a", 0)
	b.settled(w, 1, tried(1))
	for n := range 20 {
		b.push("repo_a", n+1)
	}
	b.eventually(func() bool {
		position, err := b.db.OutboxPosition(t.Context())
		require.NoError(t, err)
		return position == 21
	})
	b.pass(expireAfter + time.Hour)
	logs := b.settled(w, 21, func(l Log) bool {
		b.pass(markedGap)
		return l.State == core.DeliveryFailed
	})
	expired := 0
	for _, l := range logs {
		require.NotEmpty(t, l.LastError)
		if l.Attempts == 0 {
			expired++
			require.Contains(t, l.LastError, "not sent")
			require.Empty(t, l.Tries)
		}
	}
	require.Positive(t, expired)
}

// TestService_ping tests a webhook without an event.
func TestService_ping(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	var status atomic.Int64
	status.Store(http.StatusTeapot)
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ string) { w.WriteHeader(int(status.Load())) })
	w := b.webhook(r.URL)
	for n, want := range []core.DeliveryState{core.DeliveryFailed, core.DeliveryDelivered} {
		d, err := b.Ping(t.Context(), "acme", w.ID)
		require.NoError(t, err)
		got := r.next(t)
		require.Equal(t, "ping", got.header.Get("X-Pierre-Event"))
		require.Equal(t, d.ID, got.header.Get("X-Pierre-Delivery"))
		require.JSONEq(t, `{"type":"ping","webhook":{"id":"`+w.ID+`","events":["push"]},"created_at":"2031-05-01T12:00:00Z"}`, got.body)
		logs := b.settled(w, n+1, func(l Log) bool { return l.State != core.DeliveryPending })
		require.Equal(t, want, logs[n].State)
		require.Equal(t, 1, logs[n].Attempts)
		status.Store(http.StatusNoContent)
	}
	off := false
	_, err := b.Update(t.Context(), "acme", w.ID, Change{Active: &off})
	require.NoError(t, err)
	_, err = b.Ping(t.Context(), "acme", w.ID)
	require.Equal(t, core.KindConflict, core.KindOf(err))
	_, err = b.Ping(t.Context(), "other", w.ID)
	require.Equal(t, core.KindNotFound, core.KindOf(err))
}

// TestService_redeliverHurries tries what waits for its next attempt at once.
func TestService_redeliverHurries(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	var calls atomic.Int64
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	w := b.webhook(r.URL)
	b.push("repo_a", 1)
	l := b.settled(w, 1, tried(1))[0]
	again, err := b.Redeliver(t.Context(), "acme", w.ID, l.ID)
	require.NoError(t, err)
	require.Equal(t, l.ID, again.ID)
	b.settled(w, 1, delivered)
	_, err = b.Redeliver(t.Context(), "acme", w.ID, "dlv_none")
	require.Equal(t, core.KindNotFound, core.KindOf(err))
}

// TestService_switchedOffWhileSending cancels what waits; a request that is
// under way may still succeed, and if it fails it is not tried again.
func TestService_switchedOffWhileSending(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		want   core.DeliveryState
	}{
		"fails":    {http.StatusBadGateway, core.DeliveryCancelled},
		"succeeds": {http.StatusOK, core.DeliveryDelivered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, Options{Policy: open})
			answer := make(chan struct{})
			r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request, _ string) {
				<-answer
				w.WriteHeader(test.status)
			})
			w := b.webhook(r.URL)
			first := b.push("repo_a", 1)
			b.push("repo_a", 2)
			r.next(t)
			b.eventually(func() bool {
				list, err := b.Deliveries(t.Context(), "acme", w.ID, "", 10)
				require.NoError(t, err)
				return len(list) == 2
			})
			off := false
			_, err := b.Update(t.Context(), "acme", w.ID, Change{Active: &off})
			require.NoError(t, err)
			close(answer)
			logs := b.settled(w, 2, func(l Log) bool { return l.EventID != first.ID || l.Attempts == 1 })
			require.Equal(t, test.want, logs[0].State)
			require.Equal(t, core.DeliveryCancelled, logs[1].State)
			require.Zero(t, logs[1].Attempts)
			b.push("repo_a", 3)
			b.eventually(func() bool {
				position, err := b.db.OutboxPosition(t.Context())
				require.NoError(t, err)
				return position == 3
			})
			b.settled(w, 2, func(Log) bool { return true })
		})
	}
}

// TestService_deletedWhileSending leaves nothing behind.
func TestService_deletedWhileSending(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	answer := make(chan struct{})
	r := newReceiver(t, func(http.ResponseWriter, *http.Request, string) { <-answer })
	w, other := b.webhook(r.URL), b.webhook(newReceiver(t, nil).URL)
	b.push("repo_a", 1)
	r.next(t)
	require.NoError(t, b.Delete(t.Context(), "acme", w.ID))
	close(answer)
	b.push("repo_a", 2)
	b.settled(other, 2, delivered)
	_, err := b.Deliveries(t.Context(), "acme", w.ID, "", 10)
	require.Equal(t, core.KindNotFound, core.KindOf(err))
	require.Equal(t, core.KindNotFound, core.KindOf(b.Delete(t.Context(), "acme", w.ID)))
	require.NotContains(t, b.log.String(), "[ERROR]")
}

// unopened is a store whose webhooks' secrets were sealed with a lost key.
type unopened struct{ Store }

func (unopened) Webhook(context.Context, string, string) (core.Webhook, error) {
	return core.Webhook{}, core.Errorf(core.KindInternal, "the secret does not open")
}

// TestService_Delete_withoutTheSecret: a webhook that can send nothing any more
// can still be deleted, by its own organisation.
func TestService_Delete_withoutTheSecret(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	w := b.webhook(newReceiver(t, nil).URL)
	b.push("repo_a", 1)
	b.settled(w, 1, delivered)
	o := b.o
	o.Store = unopened{b.o.Store}
	s := New(o)
	require.Equal(t, core.KindNotFound, core.KindOf(s.Delete(t.Context(), "other", w.ID)))
	require.Len(t, b.settled(w, 1, delivered), 1)
	require.NoError(t, s.Delete(t.Context(), "acme", w.ID))
	_, err := b.Service.Webhook(t.Context(), "acme", w.ID)
	require.Equal(t, core.KindNotFound, core.KindOf(err))
}

// TestService_Create_refuses what could never work.
func TestService_Create_refuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Resolver: &resolver{}})
	for name, test := range map[string]struct {
		change func(n *NewWebhook)
		want   string
	}{
		"no events":     {func(n *NewWebhook) { n.Events = nil }, "repo.sync.failed"},
		"unknown event": {func(n *NewWebhook) { n.Events = []string{"pushed"} }, `"pushed" is unknown; known are push`},
		"ping":          {func(n *NewWebhook) { n.Events = []string{"ping"} }, "unknown"},
		"short secret":  {func(n *NewWebhook) { n.Secret = "short" }, "secret"},
		"odd secret":    {func(n *NewWebhook) { n.Secret = "with a\nnew line" }, "control"},
		"loopback":      {func(n *NewWebhook) { n.URL = "https://127.0.0.1/" }, "loopback"},
		"unknown host":  {func(n *NewWebhook) { n.URL = "https://nowhere.example.com/" }, "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := NewWebhook{Org: "acme", URL: "https://203.0.114.9/", Events: []string{core.EventPush}}
			test.change(&n)
			_, err := b.Create(t.Context(), n)
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			require.ErrorContains(t, err, test.want)
		})
	}
}

// TestService_Create_bounds the number of webhooks.
func TestService_Create_bounds(t *testing.T) {
	t.Parallel()
	b := newBench(t, Options{Policy: open})
	w := b.webhook("http://127.0.0.1:1/", func(n *NewWebhook) { n.Events = []string{core.EventSyncFailed, core.EventPush, core.EventPush} })
	require.Equal(t, []string{core.EventPush, core.EventSyncFailed}, w.Events)
	require.Len(t, w.Secret.Reveal(), 43)
	for range maxWebhooks - 1 {
		b.webhook("http://127.0.0.1:1/")
	}
	_, err := b.Create(t.Context(), NewWebhook{Org: "acme", URL: "http://127.0.0.1:1/", Events: []string{core.EventPush}})
	require.Equal(t, core.KindConflict, core.KindOf(err))
	all, err := b.Webhooks(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, all, maxWebhooks)
	for _, w := range all {
		require.Empty(t, w.Secret)
	}
}
