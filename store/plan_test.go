package store_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// With thousands of repositories and hundreds of thousands of deliveries, a
// query that walks over a table or sorts one is felt by everybody: every write
// waits for it.
func TestStore_queriesUseIndexes(t *testing.T) {
	t.Parallel()
	s := openAt(t, t.TempDir())
	r := newRepository(t, s)
	ctx, now := t.Context(), time.Now()
	require.NoError(t, s.CreateWebhook(ctx, core.Webhook{ID: "wh_1", Org: r.Org, Secret: "s"}))
	require.NoError(t, s.AddDeliveries(ctx, []core.Delivery{{ID: "dlv_1", WebhookID: "wh_1", State: core.DeliveryPending}}))
	discard := func(_ any, err error) error { return err }
	for name, f := range map[string]func(q core.Queries) error{
		"DueSyncs":   func(q core.Queries) error { return discard(q.DueSyncs(ctx, now, 10)) },
		"NextSyncAt": func(q core.Queries) error { return discard(q.NextSyncAt(ctx, now)) },
		"DuePolls":   func(q core.Queries) error { return discard(q.DuePolls(ctx, now, 10)) },
		"NextPollAt": func(q core.Queries) error { return discard(q.NextPollAt(ctx, now)) },
		"UnpolledRepositories": func(q core.Queries) error {
			return discard(q.UnpolledRepositories(ctx, "", 10))
		},
		"OpenJournals": func(q core.Queries) error { return discard(q.OpenJournals(ctx)) },
		"EventsOf an organisation": func(q core.Queries) error {
			return discard(q.EventsOf(ctx, core.EventFilter{Org: r.Org, Limit: 10}))
		},
		"EventsOf a repository": func(q core.Queries) error {
			return discard(q.EventsOf(ctx, core.EventFilter{Org: r.Org, RepoID: r.ID, Limit: 10}))
		},
		"RevocationsAfter":  func(q core.Queries) error { return discard(q.RevocationsAfter(ctx, 1, 10)) },
		"Revocations":       func(q core.Queries) error { return discard(q.Revocations(ctx, r.Org, 0, 10)) },
		"DeleteRevocations": func(q core.Queries) error { return discard(q.DeleteRevocations(ctx, now, 10)) },
		"BeginIdempotentCall": func(q core.Queries) error {
			return q.BeginIdempotentCall(ctx, core.IdempotentCall{ID: "call", Org: r.Org, At: now})
		},
		"DeleteIdempotentCalls": func(q core.Queries) error { return discard(q.DeleteIdempotentCalls(ctx, now, 10)) },
		"LastSeq":               func(q core.Queries) error { return discard(q.LastSeq(ctx)) },
		"Deliveries":            func(q core.Queries) error { return discard(q.Deliveries(ctx, "wh_1", "", 10)) },
		"DueDeliveries":         func(q core.Queries) error { return discard(q.DueDeliveries(ctx, now, []string{"wh_2"}, 10)) },
		"NextDeliveryAt":        func(q core.Queries) error { return discard(q.NextDeliveryAt(ctx, now)) },
		"AddDeliveries": func(q core.Queries) error {
			return q.AddDeliveries(ctx, []core.Delivery{{ID: "dlv_2", WebhookID: "wh_1", State: core.DeliveryPending}})
		},
		"SaveDelivery": func(q core.Queries) error {
			return q.SaveDelivery(ctx, core.Delivery{ID: "dlv_1", State: core.DeliveryDelivered})
		},
		"CancelDeliveries":   func(q core.Queries) error { return q.CancelDeliveries(ctx, "wh_1", now) },
		"DropDeliveries":     func(q core.Queries) error { return discard(q.DropDeliveries(ctx, r.Org, "wh_none", 10)) },
		"DueInboundWebhooks": func(q core.Queries) error { return discard(q.DueInboundWebhooks(ctx, now, 10)) },
		"InboundWebhookByToken": func(q core.Queries) error {
			_, err := q.InboundWebhookByToken(ctx, "token")
			require.Equal(t, core.KindNotFound, core.KindOf(err))
			return nil
		},
		"LastInboundDelivery": func(q core.Queries) error { return discard(q.LastInboundDelivery(ctx, "work")) },
		"HeldRewrites":        func(q core.Queries) error { return discard(q.HeldRewrites(ctx, r.ID)) },
		"ExpiredRewrites":     func(q core.Queries) error { return discard(q.ExpiredRewrites(ctx, now, 10)) },
		"Rewrites": func(q core.Queries) error {
			return discard(q.Rewrites(ctx, core.RewriteFilter{RepoID: r.ID, Limit: 10}))
		},
		"Rewrites of a ref": func(q core.Queries) error {
			return discard(q.Rewrites(ctx, core.RewriteFilter{RepoID: r.ID, Ref: "refs/heads/a", Limit: 10}))
		},
		"Audit": func(q core.Queries) error { return discard(q.Audit(ctx, core.AuditFilter{Org: r.Org, Limit: 10})) },
		"Audit of a repository": func(q core.Queries) error {
			return discard(q.Audit(ctx, core.AuditFilter{Org: r.Org, RepoID: r.ID, Limit: 10}))
		},
		"DeleteEvents":     func(q core.Queries) error { return discard(q.DeleteEvents(ctx, now, 10)) },
		"DeleteDeliveries": func(q core.Queries) error { return discard(q.DeleteDeliveries(ctx, now, 10)) },
		"DeleteInboundDeliveries": func(q core.Queries) error {
			return discard(q.DeleteInboundDeliveries(ctx, now, 10))
		},
		"EphemeralJournal":     func(q core.Queries) error { return discard(q.EphemeralJournal(ctx, r.ID, "", 10)) },
		"ExpiringRepositories": func(q core.Queries) error { return discard(q.ExpiringRepositories(ctx, "", 10)) },
		"DeleteJournal":        func(q core.Queries) error { return discard(q.DeleteJournal(ctx, now, 10)) },
	} {
		t.Run(name, func(t *testing.T) {
			steps, err := s.Plans(ctx, f)
			require.NoError(t, err)
			require.NotEmpty(t, steps)
			for _, step := range steps {
				// Sorting those that are due at the same time is no harm.
				require.NotContains(t, strings.ReplaceAll(step, "USE TEMP B-TREE FOR LAST TERM", ""), "TEMP B-TREE")
				if !strings.HasPrefix(step, "SCAN ") {
					continue
				}
				fine := strings.HasPrefix(step, "SCAN CONSTANT ROW ") || strings.HasPrefix(step, "SCAN outbox ") || // one row
					strings.HasPrefix(step, "SCAN oldest ") || // the first few of a table
					strings.HasPrefix(step, "SCAN events ") && strings.Contains(step, "ORDER BY seq DESC LIMIT 1") ||
					strings.HasPrefix(step, "SCAN journal USING INDEX journal_open ") // an index of what is asked for alone
				require.True(t, fine, step)
			}
		})
	}

	// Two queries have an index each, of which only one has the right order.
	for name, f := range map[string]func(q core.Queries) error{
		"RepositoriesOf by id":   func(q core.Queries) error { return discard(q.RepositoriesOf(ctx, "work", "", "1", "")) },
		"RepositoriesOf by path": func(q core.Queries) error { return discard(q.RepositoriesOf(ctx, "work", "", "", "a/b")) },
		"RepositoriesUnder":      func(q core.Queries) error { return discard(q.RepositoriesUnder(ctx, "work", "", "a")) },
	} {
		t.Run(name, func(t *testing.T) {
			steps, err := s.Plans(ctx, f)
			require.NoError(t, err)
			require.Contains(t, strings.Join(steps, "\n"), "USING INDEX upstreams_by_")
			require.NotContains(t, strings.Join(steps, "\n"), "SCAN ")
		})
	}
}
