package schedule_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/schedule"
)

// countingStore counts the rows that the scheduler reads.
type countingStore struct {
	schedule.Store
	rows atomic.Int64
}

func (s *countingStore) DueSyncs(ctx context.Context, now time.Time, limit int) ([]core.DueSync, error) {
	due, err := s.Store.DueSyncs(ctx, now, limit)
	s.rows.Add(int64(len(due)))
	return due, err
}

func (s *countingStore) DuePolls(ctx context.Context, now time.Time, limit int) ([]core.DueSync, error) {
	due, err := s.Store.DuePolls(ctx, now, limit)
	s.rows.Add(int64(len(due)))
	return due, err
}

func (s *countingStore) SyncState(ctx context.Context, id string) (core.SyncState, error) {
	s.rows.Add(1)
	return s.Store.SyncState(ctx, id)
}

func (s *countingStore) RepositoryByID(ctx context.Context, id string) (core.Repository, error) {
	s.rows.Add(1)
	return s.Store.RepositoryByID(ctx, id)
}

// However many repositories of a full host are due, a sync costs the same few rows.
func TestService_rowsReadPerSyncAreConstant(t *testing.T) {
	t.Parallel()
	// What grows with the number of those that are due shows with these, too: 2,000 take
	// minutes under the race detector.
	const n = 400
	var counting *countingStore
	b := newBench(t, schedule.Options{}, func(s schedule.Store) schedule.Store {
		counting = &countingStore{Store: s}
		return counting
	})
	ids := b.repos("h", n)
	require.NoError(t, b.Store.Tx(t.Context(), func(q core.Queries) error {
		for _, id := range ids {
			if _, err := q.RequestSync(t.Context(), id, schedule.TriggerWebhook, ""); err != nil {
				return err
			}
		}
		return nil
	}))
	b.start()
	b.eventually("all are served", func() bool { return b.count(schedule.Run) == n })
	// One that is asked for while others wait is served, too.
	b.wait(ids[0], b.request(ids[0], schedule.TriggerAPI))
	require.LessOrEqual(t, counting.rows.Load(), int64(4*n))
}

// A run that is asked for while one runs, and one that is due again later, are found
// by the one row that tells of them.
func TestService_singleRowsAreFound(t *testing.T) {
	t.Parallel()
	b := newBench(t, schedule.Options{Runs: 1})
	ids := b.repos("h", 3)
	turn := make(chan struct{})
	b.work = func(context.Context, schedule.Item, func() bool) { <-turn }
	b.start()
	first := b.request(ids[0], schedule.TriggerPush)
	b.eventually("it runs", func() bool { return b.count(schedule.Run) == 1 })
	again, other := b.request(ids[0], schedule.TriggerAPI), b.request(ids[1], schedule.TriggerPush)
	for range 3 {
		turn <- struct{}{}
	}
	b.wait(ids[0], first)
	b.wait(ids[0], again)
	b.wait(ids[1], other)
	require.NoError(t, b.Store.Tx(t.Context(), func(q core.Queries) error {
		if _, err := q.RequestSync(t.Context(), ids[2], schedule.TriggerPush, ""); err != nil {
			return err
		}
		return q.PostponeSync(t.Context(), ids[2], b.clock.Now().Add(time.Minute))
	}))
	close(turn)
	// The row that a request has read is due later, and no request comes any more.
	gen := b.request(ids[2], schedule.TriggerPush)
	require.NoError(t, b.Store.PostponeSync(t.Context(), ids[2], b.clock.Now().Add(time.Minute)))
	b.eventually("it is served", func() bool {
		b.clock.Advance(time.Minute)
		return b.state(ids[2]).Served == gen
	})
}
