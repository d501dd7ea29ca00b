package retain_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/retain"
)

func TestMain(m *testing.M) { coretest.Main(m) }

const day = 24 * time.Hour

// fill adds a row of every kind at a time.
func fill(t *testing.T, w *coretest.World, r core.Repository, at time.Time) {
	t.Helper()
	ctx := t.Context()
	id := func(prefix string) string { return core.NewID(prefix, at) }
	require.NoError(t, w.Store.OpenJournal(ctx, core.JournalEntry{ID: id("jrn"), RepoID: r.ID, State: core.JournalApplied, CreatedAt: at, ClosedAt: at}))
	require.NoError(t, w.Store.OpenJournal(ctx, core.JournalEntry{ID: id("jrn"), RepoID: r.ID, State: core.JournalLagging, CreatedAt: at, ClosedAt: at}))
	require.NoError(t, w.Store.StartRun(ctx, core.Run{ID: id("run"), RepoID: r.ID, StartedAt: at, FinishedAt: at}))
	require.NoError(t, w.Store.AddEvents(ctx, []core.Event{{ID: id("evt"), RepoID: r.ID, Org: r.Org, Type: core.EventPush, Payload: []byte("{}"), CreatedAt: at}}))
	require.NoError(t, w.Store.AddDeliveries(ctx, []core.Delivery{
		{ID: id("dlv"), WebhookID: "wh_1", State: core.DeliveryFailed, Payload: []byte("{}"), CreatedAt: at, FinishedAt: at},
		{ID: id("dlv"), WebhookID: "wh_1", State: core.DeliveryPending, Payload: []byte("{}"), CreatedAt: at},
	}))
	require.NoError(t, w.Store.AddInboundDelivery(ctx, core.InboundDelivery{Instance: "work", DeliveryID: id("x"), ReceivedAt: at}))
	_, err := w.Store.AddRevocation(ctx, core.Revocation{ID: id("rev"), Org: r.Org, Kind: core.RevokedToken, Value: "x", ExpiresAt: at, CreatedAt: at})
	require.NoError(t, err)
	_, err = w.Store.AddRevocation(ctx, core.Revocation{ID: id("rev"), Org: r.Org, Kind: core.RevokedToken, Value: "x", CreatedAt: at})
	require.NoError(t, err)
	require.NoError(t, w.Store.AddAudit(ctx, core.AuditEntry{ID: id("aud"), Org: r.Org, RepoID: r.ID, At: at, Action: "push"}))
}

// counts are the rows that there are.
type counts struct{ journal, runs, events, deliveries, revocations, audit int }

func count(t *testing.T, w *coretest.World, r core.Repository) counts {
	t.Helper()
	ctx := t.Context()
	journal, err := w.Store.Journal(ctx, r.ID, 10_000)
	require.NoError(t, err)
	runs, err := w.Store.Runs(ctx, r.ID, "", 10_000)
	require.NoError(t, err)
	events, err := w.Store.Events(ctx, 0, 10_000)
	require.NoError(t, err)
	deliveries, err := w.Store.Deliveries(ctx, "wh_1", "", 10_000)
	require.NoError(t, err)
	revocations, err := w.Store.RevocationsAfter(ctx, 0, 10_000)
	require.NoError(t, err)
	audit, err := w.Store.Audit(ctx, core.AuditFilter{Org: r.Org, Limit: 10_000})
	require.NoError(t, err)
	return counts{len(journal), len(runs), len(events), len(deliveries), len(revocations), len(audit)}
}

func TestService_Pass(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Local("a")
	require.NoError(t, w.Store.CreateWebhook(t.Context(), core.Webhook{ID: "wh_1", Org: r.Org, Secret: "s"}))
	now := w.Clock.Now()
	for _, age := range []time.Duration{100 * day, 40 * day, 10 * day, 0} {
		fill(t, w, r, now.Add(-age))
	}
	// Old runs beyond those that every repository keeps.
	for i := range retain.RunsKept {
		at := now.Add(-50*day + time.Duration(i))
		require.NoError(t, w.Store.StartRun(t.Context(), core.Run{ID: "run_z" + strconv.Itoa(1000+i), RepoID: r.ID, StartedAt: at, FinishedAt: at}))
	}
	s := retain.New(w.Store, w.Clock, nil)
	s.Pass(t.Context())
	require.Equal(t, counts{journal: 7, runs: retain.RunsKept + 3, events: 4, deliveries: 6, revocations: 5, audit: 4}, count(t, w, r),
		"no event goes before its deliveries are made")

	last, err := w.Store.LastSeq(t.Context())
	require.NoError(t, err)
	require.NoError(t, w.Store.SetOutboxPosition(t.Context(), last))
	for range 2 {
		s.Pass(t.Context())
		require.Equal(t, counts{journal: 7, runs: retain.RunsKept + 3, events: 1, deliveries: 6, revocations: 5, audit: 4}, count(t, w, r))
	}
}

// manyEvents has more old events than one batch.
type manyEvents struct {
	retain.Store
	left   int
	passes int
	fail   error
}

func (m *manyEvents) DeleteJournal(context.Context, time.Time, int) (int, error) { return 0, m.fail }

func (m *manyEvents) DeleteRuns(context.Context, time.Time, int, int) (int, error) { return 0, m.fail }

func (m *manyEvents) DeleteDeliveries(context.Context, time.Time, int) (int, error) { return 0, nil }

func (m *manyEvents) DeleteInboundDeliveries(context.Context, time.Time, int) (int, error) {
	return 0, nil
}

func (m *manyEvents) DeleteIdempotentCalls(context.Context, time.Time, int) (int, error) {
	return 0, nil
}

func (m *manyEvents) DeleteRevocations(context.Context, time.Time, int) (int, error) { return 0, nil }

func (m *manyEvents) DeleteEvents(_ context.Context, _ time.Time, limit int) (int, error) {
	n := min(limit, m.left)
	m.left -= n
	m.passes++
	return n, nil
}

func TestService_Pass_goesOnInBatchesWhateverElseFails(t *testing.T) {
	t.Parallel()
	m := &manyEvents{left: 1700, fail: errors.New("disk full")}
	retain.New(m, core.SystemClock{}, nil).Pass(t.Context())
	require.Zero(t, m.left)
	require.Equal(t, 4, m.passes)

	m = &manyEvents{left: 1 << 30}
	retain.New(m, core.SystemClock{}, nil).Pass(t.Context())
	require.NotZero(t, m.left, "a pass ends")
}

func TestService_Run_endsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, retain.New(&manyEvents{}, core.SystemClock{}, nil).Run(ctx))
}
