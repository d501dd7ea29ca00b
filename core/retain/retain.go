// Package retain deletes from the database what nobody needs any more: old
// journal entries, runs, events and deliveries. Refs and objects are not its
// business, and the audit is kept for ever.
package retain

import (
	"context"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
)

// How long rows are kept. docs/architecture.md tells operators.
const (
	JournalAge         = 90 * 24 * time.Hour // of closed entries
	RunAge             = 90 * 24 * time.Hour
	RunsKept           = 100                // of every repository, however old they are
	EventAge           = 7 * 24 * time.Hour // once their deliveries have been made
	DeliveryAge        = 30 * 24 * time.Hour
	InboundDeliveryAge = 7 * 24 * time.Hour // longer than any host repeats one
	RevocationAge      = 24 * time.Hour     // once the last of its tokens has ended
)

const (
	// interval lies between two passes. There is a pass at the start too: a
	// server that is restarted every day must not keep everything.
	interval = time.Hour
	// batch is how many rows one transaction deletes. Every writer waits for it,
	// so it is a matter of milliseconds.
	batch = 500
	// maxBatches bounds what one pass deletes of one kind; the next one goes on.
	maxBatches = 400
)

// Store is what the service needs of [core.Store].
type Store interface {
	core.RetentionStore
	DeleteEvents(ctx context.Context, before time.Time, limit int) (int, error)
	DeleteDeliveries(ctx context.Context, before time.Time, limit int) (int, error)
	DeleteInboundDeliveries(ctx context.Context, before time.Time, limit int) (int, error)
	DeleteRevocations(ctx context.Context, before time.Time, limit int) (int, error)
	DeleteIdempotentCalls(ctx context.Context, before time.Time, limit int) (int, error)
}

var _ Store = (core.Store)(nil)

// Service deletes what is old. Make one with [New] and call Run.
type Service struct {
	store Store
	clock core.Clock
	log   hclog.Logger
}

// New returns a service. A nil logger logs nothing.
func New(store Store, clock core.Clock, logger hclog.Logger) *Service {
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	return &Service{store: store, clock: clock, log: logger.Named("retain")}
}

// Run deletes now and then every hour, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	loop.Every(ctx, s.clock, interval, s.Pass)
	return nil
}

// Pass deletes what is old now. A kind that fails is logged and does not keep
// the others.
func (s *Service) Pass(ctx context.Context) {
	now := s.clock.Now()
	for _, kind := range []struct {
		name   string
		age    time.Duration
		remove func(ctx context.Context, before time.Time, limit int) (int, error)
	}{
		{"journal", JournalAge, s.store.DeleteJournal},
		{"runs", RunAge, func(ctx context.Context, before time.Time, limit int) (int, error) {
			return s.store.DeleteRuns(ctx, before, RunsKept, limit)
		}},
		{"deliveries", DeliveryAge, s.store.DeleteDeliveries},
		{"events", EventAge, s.store.DeleteEvents},
		{"inbound_deliveries", InboundDeliveryAge, s.store.DeleteInboundDeliveries},
		{"revocations", RevocationAge, s.store.DeleteRevocations},
		{"idempotent_calls", core.IdempotentCallAge, s.store.DeleteIdempotentCalls},
	} {
		deleted, err := all(ctx, func() (int, error) { return kind.remove(ctx, now.Add(-kind.age), batch) })
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.log.Error("old rows could not be deleted", "kind", kind.name, "deleted", deleted, "error", err)
			continue
		}
		if deleted > 0 {
			s.log.Info("old rows deleted", "kind", kind.name, "deleted", deleted)
		}
	}
}

// all calls remove until it finds less than a batch, fails, or ctx ends.
func all(ctx context.Context, remove func() (int, error)) (deleted int, err error) {
	for range maxBatches {
		n, err := remove()
		deleted += n
		if err != nil || n < batch || ctx.Err() != nil {
			return deleted, err
		}
	}
	return deleted, nil
}
