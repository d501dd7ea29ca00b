package storetest

import (
	"strconv"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// webhook returns an outbound webhook, not stored yet.
func webhook(org string) core.Webhook {
	return core.Webhook{
		ID: id("wh"), Org: org, URL: "https://ci.example/hook", Events: []string{"push", "repo.sync.failed"}, RepoID: "repo_1",
		Active: true, Secret: "s3cret \x00\xff", CreatedAt: day(0), UpdatedAt: day(time.Hour), StartSeq: 7,
	}
}

// hooked stores an organisation with a webhook.
func (f *fixture) hooked() core.Webhook {
	f.Helper()
	f.org("acme")
	w := webhook("acme")
	require.NoError(f, f.store.CreateWebhook(f.ctx, w))
	return w
}

// hook requires that the stored webhook equals want.
func (f *fixture) hook(want core.Webhook) {
	f.Helper()
	got, err := f.store.Webhook(f.ctx, want.Org, want.ID)
	require.NoError(f, err)
	require.Equal(f, want, got)
}

var webhookTests = []namedTest{
	{"create, read and list", func(f *fixture) {
		first := f.hooked()
		f.org("other")
		second, theirs := webhook("acme"), webhook("other")
		second.Active, second.RepoID, second.FailingSince, second.LastError = false, "", day(0), "timed out"
		second.LastAttemptAt, second.LastSuccessAt = day(time.Second), day(time.Minute)
		require.NoError(f, f.store.CreateWebhook(f.ctx, second))
		require.NoError(f, f.store.CreateWebhook(f.ctx, theirs))
		f.hook(first)
		f.hook(second)
		got, err := f.store.WebhookByID(f.ctx, theirs.ID)
		require.NoError(f, err)
		require.Equal(f, theirs, got)
		for org, want := range map[string][]core.Webhook{"acme": {second, first}, "": {theirs, second, first}, "nobody": nil} {
			got, err := f.store.Webhooks(f.ctx, org)
			require.NoError(f, err)
			require.Equal(f, want, got)
		}
	}},
	{"update keeps identity, secret if none is given, and how it is doing", func(f *fixture) {
		w := f.hooked()
		require.NoError(f, f.store.NoteAttempt(f.ctx, w.ID, day(time.Minute), "refused"))
		changed := core.Webhook{
			ID: w.ID, Org: w.Org, URL: "https://other.example/", Events: []string{"push"}, UpdatedAt: day(2 * time.Hour),
			CreatedAt: day(3 * time.Hour), StartSeq: 99, LastError: "ignored",
		}
		require.NoError(f, f.store.UpdateWebhook(f.ctx, changed))
		w.URL, w.Events, w.RepoID, w.Active, w.UpdatedAt = changed.URL, changed.Events, "", false, changed.UpdatedAt
		w.FailingSince, w.LastAttemptAt, w.LastError = day(time.Minute), day(time.Minute), "refused"
		f.hook(w)
		changed.Secret, changed.UpdatedAt = "another", day(4*time.Hour)
		require.NoError(f, f.store.UpdateWebhook(f.ctx, changed))
		w.Secret, w.UpdatedAt = changed.Secret, changed.UpdatedAt
		f.hook(w)

		changed.UpdatedAt = time.Time{}
		require.NoError(f, f.store.UpdateWebhook(f.ctx, changed))
		got, err := f.store.WebhookByID(f.ctx, w.ID)
		require.NoError(f, err)
		require.False(f, got.UpdatedAt.IsZero(), "an update without a time happens now")
	}},
	{"attempts tell since when it fails", func(f *fixture) {
		w := f.hooked()
		for _, tt := range []struct {
			at      time.Time
			failure string
			failing time.Time
			success time.Time
		}{
			{day(1 * time.Second), "", time.Time{}, day(1 * time.Second)},
			{day(2 * time.Second), "refused", day(2 * time.Second), day(1 * time.Second)},
			{day(3 * time.Second), "timed out", day(2 * time.Second), day(1 * time.Second)},
			{day(4 * time.Second), "", time.Time{}, day(4 * time.Second)},
		} {
			require.NoError(f, f.store.NoteAttempt(f.ctx, w.ID, tt.at, tt.failure))
			w.LastAttemptAt, w.LastError, w.FailingSince, w.LastSuccessAt = tt.at, tt.failure, tt.failing, tt.success
			f.hook(w)
		}
	}},
	{"delete takes deliveries along", func(f *fixture) {
		w := f.hooked()
		d := f.deliver(w, "repo_1")
		require.NoError(f, f.store.AddAttempt(f.ctx, core.DeliveryAttempt{DeliveryID: d.ID, Number: 1}))
		f.kind(core.KindNotFound, f.store.DeleteWebhook(f.ctx, "other", w.ID))
		require.NoError(f, f.store.DeleteWebhook(f.ctx, w.Org, w.ID))
		_, err := f.store.Delivery(f.ctx, w.ID, d.ID)
		f.kind(core.KindNotFound, err)
		attempts, err := f.store.Attempts(f.ctx, d.ID)
		require.NoError(f, err)
		require.Empty(f, attempts)
		require.Empty(f, f.due(day(0)))
	}},
	{"the outbox position", func(f *fixture) {
		for _, want := range []int64{0, 12, 1 << 40} {
			require.NoError(f, f.store.SetOutboxPosition(f.ctx, want))
			got, err := f.store.OutboxPosition(f.ctx)
			require.NoError(f, err)
			require.Equal(f, want, got)
		}
	}},
	{"errors", func(f *fixture) {
		w := f.hooked()
		f.kind(core.KindConflict, f.store.CreateWebhook(f.ctx, w))
		f.kind(core.KindNotFound, f.store.CreateWebhook(f.ctx, webhook("nobody")))
		none := w
		none.Org = "other"
		f.kind(core.KindNotFound, f.store.UpdateWebhook(f.ctx, none))
		none.Secret = ""
		f.kind(core.KindNotFound, f.store.UpdateWebhook(f.ctx, none))
		_, err := f.store.Webhook(f.ctx, "other", w.ID)
		f.kind(core.KindNotFound, err)
		_, err = f.store.WebhookByID(f.ctx, "wh_none")
		f.kind(core.KindNotFound, err)
		f.kind(core.KindNotFound, f.store.DeleteWebhook(f.ctx, "acme", "wh_none"))
		f.kind(core.KindNotFound, f.store.NoteAttempt(f.ctx, "wh_none", day(0), ""))
	}},
}

// delivery returns a pending delivery, not stored yet.
func delivery(w core.Webhook, repoID string) core.Delivery {
	return core.Delivery{
		ID: id("dlv"), WebhookID: w.ID, EventID: id("evt"), EventType: "push", RepoID: repoID,
		Payload: []byte(`{"ref":"\u00e9"}`), State: core.DeliveryPending, CreatedAt: day(0), Trace: "00-trace",
	}
}

// deliver stores a pending delivery.
func (f *fixture) deliver(w core.Webhook, repoID string) core.Delivery {
	f.Helper()
	d := delivery(w, repoID)
	require.NoError(f, f.store.AddDeliveries(f.ctx, []core.Delivery{d}))
	return d
}

// due returns the ids of the due deliveries.
func (f *fixture) due(now time.Time, skip ...string) (ids []string) {
	f.Helper()
	due, err := f.store.DueDeliveries(f.ctx, now, skip, 100)
	require.NoError(f, err)
	for _, d := range due {
		ids = append(ids, d.ID)
	}
	return ids
}

// end stores a delivery in another state.
func (f *fixture) end(d core.Delivery, state core.DeliveryState) core.Delivery {
	f.Helper()
	d.State, d.FinishedAt = state, day(time.Hour)
	require.NoError(f, f.store.SaveDelivery(f.ctx, d))
	return d
}

var deliveryTests = []namedTest{
	{"add, read, and list newest first in pages", func(f *fixture) {
		w := f.hooked()
		other := webhook("acme")
		require.NoError(f, f.store.CreateWebhook(f.ctx, other))
		require.NoError(f, f.store.AddDeliveries(f.ctx, nil))
		first, second, third := delivery(w, "repo_1"), delivery(w, "repo_2"), delivery(w, "repo_1")
		first.State, first.Attempts, first.LastStatus, first.LastError = core.DeliveryFailed, 9, 503, "HTTP 503"
		first.FinishedAt, second.NextAttemptAt = day(time.Hour), day(time.Minute)
		require.NoError(f, f.store.AddDeliveries(f.ctx, []core.Delivery{first, second, third, delivery(other, "repo_1")}))
		got, err := f.store.Delivery(f.ctx, w.ID, first.ID)
		require.NoError(f, err)
		same(f, first, got)
		all, err := f.store.Deliveries(f.ctx, w.ID, "", 10)
		require.NoError(f, err)
		same(f, []core.Delivery{third, second, first}, all)
		all, err = f.store.Deliveries(f.ctx, w.ID, third.ID, 1)
		require.NoError(f, err)
		same(f, []core.Delivery{second}, all)
	}},
	{"only the oldest of each webhook and repository is due", func(f *fixture) {
		w := f.hooked()
		other := webhook("acme")
		require.NoError(f, f.store.CreateWebhook(f.ctx, other))
		a1, a2, a3 := f.deliver(w, "repo_a"), f.deliver(w, "repo_a"), f.deliver(w, "repo_a")
		b1, ping, o1 := f.deliver(w, "repo_b"), f.deliver(w, ""), f.deliver(other, "repo_a")
		require.Equal(f, []string{a1.ID, b1.ID, ping.ID, o1.ID}, f.due(day(0)))
		require.Equal(f, []string{o1.ID}, f.due(day(0), w.ID))
		require.Empty(f, f.due(day(0), "wh_x", w.ID, other.ID))

		// One that waits holds up what is behind it, and nothing else.
		a1.Attempts, a1.NextAttemptAt, a1.LastStatus, a1.LastError = 1, day(time.Minute), 500, "HTTP 500"
		require.NoError(f, f.store.SaveDelivery(f.ctx, a1))
		got, err := f.store.Delivery(f.ctx, w.ID, a1.ID)
		require.NoError(f, err)
		same(f, a1, got)
		require.Equal(f, []string{b1.ID, ping.ID, o1.ID}, f.due(day(0)))
		require.Equal(f, []string{b1.ID, ping.ID, o1.ID, a1.ID}, f.due(day(time.Minute)))

		f.end(a1, core.DeliveryDelivered)
		require.Equal(f, []string{a2.ID, b1.ID, ping.ID, o1.ID}, f.due(day(0)))
		f.end(a2, core.DeliveryFailed)
		require.Equal(f, []string{a3.ID, b1.ID, ping.ID, o1.ID}, f.due(day(0)))
		f.end(a3, core.DeliveryCancelled)
		f.end(b1, core.DeliveryDelivered)
		require.Equal(f, []string{ping.ID, o1.ID}, f.due(day(0)))
		a4 := f.deliver(w, "repo_a")
		require.Equal(f, []string{ping.ID, o1.ID, a4.ID}, f.due(day(0)))
		limited, err := f.store.DueDeliveries(f.ctx, day(0), nil, 2)
		require.NoError(f, err)
		require.Len(f, limited, 2)
	}},
	{"one that becomes pending again has its old place", func(f *fixture) {
		w := f.hooked()
		first, second := f.deliver(w, "repo_a"), f.deliver(w, "repo_a")
		first = f.end(first, core.DeliveryFailed)
		require.Equal(f, []string{second.ID}, f.due(day(0)))
		first.State, first.FinishedAt = core.DeliveryPending, time.Time{}
		require.NoError(f, f.store.SaveDelivery(f.ctx, first))
		require.Equal(f, []string{first.ID}, f.due(day(0)))
		f.end(first, core.DeliveryDelivered)
		require.Equal(f, []string{second.ID}, f.due(day(0)))
	}},
	{"added in another order than that of the ids", func(f *fixture) {
		w := f.hooked()
		first, second := delivery(w, "repo_a"), delivery(w, "repo_a")
		require.NoError(f, f.store.AddDeliveries(f.ctx, []core.Delivery{second}))
		require.NoError(f, f.store.AddDeliveries(f.ctx, []core.Delivery{first}))
		require.Equal(f, []string{first.ID}, f.due(day(0)))
	}},
	{"the next one", func(f *fixture) {
		w := f.hooked()
		next := func(after, want time.Time) {
			f.Helper()
			got, err := f.store.NextDeliveryAt(f.ctx, after)
			require.NoError(f, err)
			require.Equal(f, want, got)
		}
		next(day(0), time.Time{})
		head, behind, elsewhere := delivery(w, "repo_a"), delivery(w, "repo_a"), delivery(w, "repo_b")
		head.NextAttemptAt, behind.NextAttemptAt, elsewhere.NextAttemptAt = day(2*time.Hour), day(time.Second), day(time.Hour)
		require.NoError(f, f.store.AddDeliveries(f.ctx, []core.Delivery{head, behind, elsewhere}))
		next(day(0), day(time.Hour))
		next(day(time.Hour), day(2*time.Hour))
		next(day(2*time.Hour), time.Time{})
	}},
	{"cancel ends what is pending of one webhook", func(f *fixture) {
		w := f.hooked()
		other := webhook("acme")
		require.NoError(f, f.store.CreateWebhook(f.ctx, other))
		done := f.end(f.deliver(w, "repo_a"), core.DeliveryDelivered)
		first, second, theirs := f.deliver(w, "repo_a"), f.deliver(w, "repo_b"), f.deliver(other, "repo_a")
		for range 2 {
			require.NoError(f, f.store.CancelDeliveries(f.ctx, w.ID, day(2*time.Hour)))
		}
		require.Equal(f, []string{theirs.ID}, f.due(day(0)))
		for _, d := range []*core.Delivery{&first, &second} {
			d.State, d.FinishedAt = core.DeliveryCancelled, day(2*time.Hour)
		}
		all, err := f.store.Deliveries(f.ctx, w.ID, "", 10)
		require.NoError(f, err)
		same(f, []core.Delivery{second, first, done}, all)
	}},
	{"attempts", func(f *fixture) {
		d := f.deliver(f.hooked(), "repo_a")
		want := []core.DeliveryAttempt{
			{DeliveryID: d.ID, Number: 1, At: day(0), Duration: 1500 * time.Microsecond, Error: "timed out"},
			{DeliveryID: d.ID, Number: 2, At: day(time.Minute), Duration: time.Second, Status: 200, Response: []byte("ok \x00\xff")},
		}
		require.NoError(f, f.store.AddAttempt(f.ctx, want[1]))
		require.NoError(f, f.store.AddAttempt(f.ctx, want[0]))
		got, err := f.store.Attempts(f.ctx, d.ID)
		require.NoError(f, err)
		same(f, want, got)
		f.kind(core.KindConflict, f.store.AddAttempt(f.ctx, want[0]))
		f.kind(core.KindNotFound, f.store.AddAttempt(f.ctx, core.DeliveryAttempt{DeliveryID: "dlv_none", Number: 1}))
	}},
	{"delete takes finished ones from before a time", func(f *fixture) {
		w := f.hooked()
		pending := f.deliver(w, "repo_a")
		var ended []core.Delivery
		for i := range 4 {
			d := delivery(w, "repo_b"+strconv.Itoa(i))
			d.State, d.FinishedAt = core.DeliveryDelivered, day(time.Duration(i)*time.Minute)
			ended = append(ended, d)
		}
		require.NoError(f, f.store.AddDeliveries(f.ctx, ended))
		require.NoError(f, f.store.AddAttempt(f.ctx, core.DeliveryAttempt{DeliveryID: ended[0].ID, Number: 1}))
		for _, want := range []int{2, 1, 0} {
			n, err := f.store.DeleteDeliveries(f.ctx, day(3*time.Minute), 2)
			require.NoError(f, err)
			require.Equal(f, want, n)
		}
		all, err := f.store.Deliveries(f.ctx, w.ID, "", 10)
		require.NoError(f, err)
		same(f, []core.Delivery{ended[3], pending}, all)
		attempts, err := f.store.Attempts(f.ctx, ended[0].ID)
		require.NoError(f, err)
		require.Empty(f, attempts)
	}},
	{"drop takes the newest of one webhook", func(f *fixture) {
		w, other := f.hooked(), webhook("acme")
		require.NoError(f, f.store.CreateWebhook(f.ctx, other))
		first := f.deliver(w, "repo_a")
		f.deliver(w, "repo_a")
		f.deliver(w, "repo_b")
		kept := f.deliver(other, "repo_a")
		n, err := f.store.DropDeliveries(f.ctx, "other", w.ID, 2)
		require.NoError(f, err)
		require.Zero(f, n, "it is not theirs")
		n, err = f.store.DropDeliveries(f.ctx, w.Org, w.ID, 2)
		require.NoError(f, err)
		require.Equal(f, 2, n)
		require.ElementsMatch(f, []string{first.ID, kept.ID}, f.due(day(0)))
		n, err = f.store.DropDeliveries(f.ctx, w.Org, w.ID, 2)
		require.NoError(f, err)
		require.Equal(f, 1, n)
		require.Equal(f, []string{kept.ID}, f.due(day(0)))
		_, err = f.store.DropDeliveries(f.ctx, w.Org, w.ID, 0)
		f.kind(core.KindInvalid, err)
	}},
	{"errors leave nothing", func(f *fixture) {
		w := f.hooked()
		d := f.deliver(w, "repo_a")
		f.kind(core.KindConflict, f.store.AddDeliveries(f.ctx, []core.Delivery{delivery(w, "repo_b"), d}))
		f.kind(core.KindNotFound, f.store.AddDeliveries(f.ctx, []core.Delivery{delivery(w, "repo_b"), delivery(core.Webhook{ID: "wh_none"}, "")}))
		require.Equal(f, []string{d.ID}, f.due(day(0)))
		_, err := f.store.Delivery(f.ctx, "wh_none", d.ID)
		f.kind(core.KindNotFound, err)
		f.kind(core.KindNotFound, f.store.SaveDelivery(f.ctx, core.Delivery{ID: "dlv_none"}))
		_, err = f.store.Deliveries(f.ctx, w.ID, "", 0)
		f.kind(core.KindInvalid, err)
		_, err = f.store.DueDeliveries(f.ctx, day(0), nil, 0)
		f.kind(core.KindInvalid, err)
		_, err = f.store.DeleteDeliveries(f.ctx, day(0), 0)
		f.kind(core.KindInvalid, err)
	}},
}
