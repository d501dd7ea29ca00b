package coretest

import (
	"context"
	"sync"

	"github.com/headwater-git/headwater/core"
)

// FaultyStore is a real store whose write transactions a test can make fail,
// as a full disk does. Reads go on.
type FaultyStore struct {
	core.Store

	mu   sync.Mutex
	fail error
}

// Fail makes write transactions fail with err from now on, or work with nil.
func (s *FaultyStore) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *FaultyStore) fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail
}

// Tx implements [core.Store].
func (s *FaultyStore) Tx(ctx context.Context, f func(q core.Queries) error) error {
	if err := s.fault(); err != nil {
		return err
	}
	return s.Store.Tx(ctx, f)
}

// TakeSync implements [core.SyncStore].
func (s *FaultyStore) TakeSync(ctx context.Context, repoID string) (core.SyncState, error) {
	if err := s.fault(); err != nil {
		return core.SyncState{}, err
	}
	return s.Store.TakeSync(ctx, repoID)
}
