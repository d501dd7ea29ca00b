package schedule

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
)

// A row of which it is known that it may have changed is read by itself: where
// thousands of repositories of a host wait for its places, the end of each run must
// not have the rows of all others read again. The same holds of it as of a scan: see
// the package comment.

// readRow has the row of a repository read, for a run; a.mu is held.
func (a *agenda) readRow(repoID string) {
	a.rows[repoID] = struct{}{}
	a.wakeUp()
}

// takeRows returns whose rows are to be read singly now; a.mu is held.
func (a *agenda) takeRows() []string {
	ids := slices.Collect(maps.Keys(a.rows))
	clear(a.rows)
	return ids
}

// readRows reads single rows. One that is due later has the rows scanned then. After
// an error all rows are scanned.
func (s *Service) readRows(ctx context.Context, ids []string, read *rows) error {
	now := s.clock.Now()
	for _, id := range ids {
		item, at, err := s.readOne(ctx, id, now)
		if err != nil {
			return err
		}
		read.single = append(read.single, singleRow{id, item})
		read.next[Run] = core.Sooner(read.next[Run], at)
	}
	return nil
}

// readOne returns the item of a row that is due, or when it will be.
func (s *Service) readOne(ctx context.Context, id string, now time.Time) (item *queuedItem, at time.Time, err error) {
	state, err := s.store.SyncState(ctx, id)
	if core.KindOf(err) == core.KindNotFound {
		return nil, time.Time{}, nil // detached or deleted meanwhile
	}
	switch {
	case err != nil:
		return nil, time.Time{}, err
	case state.Served >= state.Wanted, !state.PausedAt.IsZero():
		return nil, time.Time{}, nil
	case state.NextAttemptAt.After(now):
		return nil, state.NextAttemptAt, nil
	}
	r, err := s.store.RepositoryByID(ctx, id)
	if core.KindOf(err) == core.KindNotFound || err == nil && r.Upstream == nil {
		return nil, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	due := s.item(Run, core.DueSync{RepoID: id, Instance: r.Upstream.Instance, Host: r.Upstream.Host, Trigger: state.Trigger, At: state.NextAttemptAt})
	return &due, time.Time{}, nil
}

// singleRow is a row that was read by itself; a nil item is not due.
type singleRow struct {
	repoID string
	item   *queuedItem
}

// takeSingle puts a row that was read by itself into the queue of its host, in the
// order that a scan has; a.mu is held.
func (a *agenda) takeSingle(row singleRow, changed map[string]struct{}) {
	if _, ok := changed[row.repoID]; ok {
		a.readRow(row.repoID) // what was read may be from before that
		return
	}
	for _, h := range a.hosts {
		h.queue[Run] = slices.DeleteFunc(h.queue[Run], func(q queuedItem) bool { return q.RepoID == row.repoID })
	}
	if row.item == nil || a.passOver(row.item.Item) {
		return
	}
	h := a.hostOf(row.item.Host)
	at, _ := slices.BinarySearchFunc(h.queue[Run], *row.item, func(a, b queuedItem) int {
		return cmp.Or(a.NotBefore.Compare(b.NotBefore), cmp.Compare(a.RepoID, b.RepoID))
	})
	h.queue[Run] = slices.Insert(h.queue[Run], at, *row.item)
}
