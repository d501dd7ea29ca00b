package storetest

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// inbound returns an inbound webhook, not stored yet.
func inbound(r core.Repository) core.InboundWebhook {
	return core.InboundWebhook{
		RepoID: r.ID, Token: "token of " + r.ID, Secrets: []providers.Secret{"new \x00\"", "old"}, HookID: "4711",
		State: core.InboundActive, Message: "m", CheckedAt: day(1 * time.Second), NextCheck: day(2 * time.Second),
		LastDeliveryAt: day(3 * time.Second), LastMissedAt: day(4 * time.Second), CreatedAt: day(5 * time.Second),
	}
}

var inboundTests = []namedTest{
	{"save, read by repository and by token, replace, delete", func(f *fixture) {
		r := f.synced()
		want := inbound(r)
		check := func() {
			f.Helper()
			got, err := f.store.InboundWebhook(f.ctx, r.ID)
			require.NoError(f, err)
			require.Equal(f, want, got)
			got, err = f.store.InboundWebhookByToken(f.ctx, want.Token)
			require.NoError(f, err)
			require.Equal(f, want, got)
		}
		require.NoError(f, f.store.SaveInboundWebhook(f.ctx, want))
		check()
		old := want.Token
		want = core.InboundWebhook{
			RepoID: r.ID, Token: "another", State: core.InboundFailing,
			LastDeliveryAt: day(time.Hour), LastMissedAt: day(time.Hour), CreatedAt: day(time.Hour),
		}
		require.NoError(f, f.store.SaveInboundWebhook(f.ctx, want))
		check()
		_, err := f.store.InboundWebhookByToken(f.ctx, old)
		f.kind(core.KindNotFound, err)
		require.NoError(f, f.store.DeleteInboundWebhook(f.ctx, r.ID))
		_, err = f.store.InboundWebhookByToken(f.ctx, want.Token)
		f.kind(core.KindNotFound, err)
	}},
	{"what was noted meanwhile is not overwritten", func(f *fixture) {
		r := f.synced()
		w := inbound(r)
		require.NoError(f, f.store.SaveInboundWebhook(f.ctx, w))
		for _, tt := range []struct{ delivered, missed, wantDelivered, wantMissed time.Time }{
			{day(time.Minute), time.Time{}, day(time.Minute), w.LastMissedAt},
			{time.Time{}, day(time.Hour), day(time.Minute), day(time.Hour)},
			{day(0), day(0), day(time.Minute), day(time.Hour)},
		} {
			require.NoError(f, f.store.NoteInbound(f.ctx, r.ID, tt.delivered, tt.missed))
			require.NoError(f, f.store.SaveInboundWebhook(f.ctx, w))
			got, err := f.store.InboundWebhook(f.ctx, r.ID)
			require.NoError(f, err)
			require.Equal(f, tt.wantDelivered, got.LastDeliveryAt)
			require.Equal(f, tt.wantMissed, got.LastMissedAt)
		}
	}},
	{"a note makes none", func(f *fixture) {
		r := f.synced()
		require.NoError(f, f.store.NoteInbound(f.ctx, r.ID, day(0), day(0)))
		_, err := f.store.InboundWebhook(f.ctx, r.ID)
		f.kind(core.KindNotFound, err)
	}},
	{"an empty token finds none, and several may have it", func(f *fixture) {
		f.org("acme")
		for _, name := range []string{"a", "b"} {
			require.NoError(f, f.store.SaveInboundWebhook(f.ctx, core.InboundWebhook{RepoID: f.create(synced("acme", name)).ID}))
		}
		_, err := f.store.InboundWebhookByToken(f.ctx, "")
		f.kind(core.KindNotFound, err)
	}},
	{"due checks", func(f *fixture) {
		f.org("acme")
		var ids []string
		for i, at := range []time.Time{day(time.Second), day(0), day(-time.Hour), {}} {
			w := inbound(f.create(synced("acme", strconv.Itoa(i))))
			w.NextCheck = at
			require.NoError(f, f.store.SaveInboundWebhook(f.ctx, w))
			ids = append(ids, w.RepoID)
		}
		for limit, want := range map[int][]string{10: {ids[2], ids[1]}, 1: {ids[2]}} {
			due, err := f.store.DueInboundWebhooks(f.ctx, day(0), limit)
			require.NoError(f, err)
			require.Equal(f, want, due)
		}
	}},
	{"a delivery counts once per instance", func(f *fixture) {
		last := func(want time.Time) {
			f.Helper()
			got, err := f.store.LastInboundDelivery(f.ctx, "work")
			require.NoError(f, err)
			require.Equal(f, want, got)
		}
		last(time.Time{})
		d := core.InboundDelivery{Instance: "work", DeliveryID: "1", RepoID: "repo_1", Kind: providers.WebhookPush, ReceivedAt: day(time.Hour)}
		require.NoError(f, f.store.AddInboundDelivery(f.ctx, d))
		f.kind(core.KindConflict, f.store.AddInboundDelivery(f.ctx, d))
		d.Instance, d.ReceivedAt = "other", day(2*time.Hour)
		require.NoError(f, f.store.AddInboundDelivery(f.ctx, d))
		d.Instance, d.DeliveryID, d.ReceivedAt = "work", "2", day(time.Minute)
		require.NoError(f, f.store.AddInboundDelivery(f.ctx, d))
		last(day(time.Hour))
	}},
	{"one of many copies of a delivery counts, over two handles", func(f *fixture) {
		stores := []core.Store{f.store, f.open(f.T)}
		errs := make([]error, 16)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				errs[i] = stores[i%2].AddInboundDelivery(f.ctx, core.InboundDelivery{Instance: "work", DeliveryID: "1", ReceivedAt: day(0)})
			})
		}
		wg.Wait()
		counted := 0
		for _, err := range errs {
			if err == nil {
				counted++
				continue
			}
			f.kind(core.KindConflict, err)
		}
		require.Equal(f, 1, counted)
	}},
	{"delete deliveries from before a time but the last of each instance", func(f *fixture) {
		for i, instance := range []string{"work", "work", "work", "quiet", "work"} {
			require.NoError(f, f.store.AddInboundDelivery(f.ctx, core.InboundDelivery{
				Instance: instance, DeliveryID: strconv.Itoa(i), ReceivedAt: day(time.Duration(i) * time.Minute),
			}))
		}
		for _, want := range []int{2, 1, 0} {
			n, err := f.store.DeleteInboundDeliveries(f.ctx, day(4*time.Minute), 2)
			require.NoError(f, err)
			require.Equal(f, want, n)
		}
		for instance, want := range map[string]time.Time{"work": day(4 * time.Minute), "quiet": day(3 * time.Minute)} {
			got, err := f.store.LastInboundDelivery(f.ctx, instance)
			require.NoError(f, err)
			require.Equal(f, want, got)
		}
	}},
	{"errors", func(f *fixture) {
		r := f.synced()
		local := f.create(local("acme", "local"))
		require.NoError(f, f.store.SaveInboundWebhook(f.ctx, inbound(r)))
		same := inbound(f.create(synced("acme", "second")))
		same.Token = inbound(r).Token
		conflict := f.store.SaveInboundWebhook(f.ctx, same)
		f.kind(core.KindConflict, conflict)
		require.NotContains(f, conflict.Error(), same.Token)
		for _, repoID := range []string{local.ID, "repo_none"} {
			f.kind(core.KindNotFound, f.store.SaveInboundWebhook(f.ctx, core.InboundWebhook{RepoID: repoID, Token: "t"}))
			f.kind(core.KindNotFound, f.store.DeleteInboundWebhook(f.ctx, repoID))
			_, err := f.store.InboundWebhook(f.ctx, repoID)
			f.kind(core.KindNotFound, err)
		}
		_, err := f.store.DueInboundWebhooks(f.ctx, day(0), 0)
		f.kind(core.KindInvalid, err)
		_, err = f.store.DeleteInboundDeliveries(f.ctx, day(0), 0)
		f.kind(core.KindInvalid, err)
	}},
	{"errors tell no token", func(f *fixture) {
		_, err := f.store.InboundWebhookByToken(f.ctx, "PLANTED")
		f.kind(core.KindNotFound, err)
		require.NotContains(f, errors.Join(err).Error(), "PLANTED")
	}},
}

// expectation returns what a webhook announced.
func expectation(r core.Repository, ref, digit string) core.Expectation {
	u := update(ref, digit)
	return core.Expectation{RepoID: r.ID, Ref: ref, Old: u.Old, New: u.New, Since: day(0), ExpiresAt: day(time.Minute)}
}

var expectationTests = []namedTest{
	{"the last one of a ref counts, until it is taken back", func(f *fixture) {
		r := f.synced()
		second := f.create(synced("acme", "second"))
		check := func(want ...core.Expectation) {
			f.Helper()
			got, err := f.store.Expectations(f.ctx, r.ID)
			require.NoError(f, err)
			same(f, want, got)
		}
		check()
		require.NoError(f, f.store.Expect(f.ctx, nil))
		b, a, theirs := expectation(r, "refs/heads/b", "1"), expectation(r, "refs/heads/a", "2"), expectation(second, "refs/heads/a", "3")
		require.NoError(f, f.store.Expect(f.ctx, []core.Expectation{b, a, theirs}))
		check(a, b)
		newer := expectation(r, "refs/heads/a", "4")
		newer.Since, newer.ExpiresAt = day(time.Second), day(time.Hour)
		require.NoError(f, f.store.Expect(f.ctx, []core.Expectation{newer}))
		check(newer, b)
		require.NoError(f, f.store.Unexpect(f.ctx, r.ID, a.Ref, a.New))
		check(newer, b)
		for range 2 {
			require.NoError(f, f.store.Unexpect(f.ctx, r.ID, a.Ref, newer.New))
			check(b)
		}
	}},
	{"errors leave nothing", func(f *fixture) {
		r := f.synced()
		local := f.create(local("acme", "local"))
		f.kind(core.KindNotFound, f.store.Expect(f.ctx, []core.Expectation{expectation(r, "a", "1"), expectation(local, "a", "1")}))
		got, err := f.store.Expectations(f.ctx, r.ID)
		require.NoError(f, err)
		require.Empty(f, got)
	}},
}
