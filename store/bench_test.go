package store_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// One push: a commit for the journal entry, and one for all that follows.
func BenchmarkStore_push(b *testing.B) {
	s := openAt(b, b.TempDir())
	r := newRepository(b, s)
	for b.Loop() {
		_, err := push(b.Context(), s, r.ID)
		require.NoError(b, err)
	}
}

func BenchmarkStore_RequestSync(b *testing.B) {
	s := openAt(b, b.TempDir())
	r := newRepository(b, s)
	for b.Loop() {
		_, err := s.RequestSync(b.Context(), r.ID, "api", "")
		require.NoError(b, err)
	}
}

func BenchmarkStore_Repository(b *testing.B) {
	s := openAt(b, b.TempDir())
	r := newRepository(b, s)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Repository(b.Context(), r.Org, r.Name); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// What the dispatcher asks after each attempt, behind a receiver that has been
// dead for a day.
func BenchmarkStore_DueDeliveries(b *testing.B) {
	s := openAt(b, b.TempDir())
	r := newRepository(b, s)
	now := time.Now()
	const repositories, each = 1000, 100
	for _, id := range []string{"wh_dead", "wh_alive"} {
		require.NoError(b, s.CreateWebhook(b.Context(), core.Webhook{ID: id, Org: r.Org, Secret: "s"}))
	}
	payload := make([]byte, 500)
	for i := range payload {
		payload[i] = 'x'
	}
	for range each {
		var ds []core.Delivery
		for i := range repositories {
			ds = append(ds, core.Delivery{
				ID: core.NewID("dlv", now), WebhookID: "wh_dead", RepoID: "repo_" + strconv.Itoa(i), State: core.DeliveryPending, Payload: payload, CreatedAt: now,
			})
		}
		require.NoError(b, s.AddDeliveries(b.Context(), ds))
	}
	require.NoError(b, s.AddDeliveries(b.Context(), []core.Delivery{{ID: "dlv_z", WebhookID: "wh_alive", State: core.DeliveryPending}}))
	for b.Loop() {
		due, err := s.DueDeliveries(b.Context(), now, []string{"wh_dead"}, 10)
		require.NoError(b, err)
		require.Len(b, due, 1)
	}
}
