package backlog

import (
	"context"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/upstream"
)

// mostNamed is how many objects an event names.
const mostNamed = 100

// fetch has objects here, and writes down what came of those that are not.
func (s *Service) fetch(ctx context.Context, r core.Repository, due []core.LFSPending) error {
	pointers := make([]lfs.Pointer, len(due))
	by := make(map[lfs.OID]core.LFSPending, len(due))
	for i, p := range due {
		pointers[i] = lfs.Pointer{OID: lfs.OID(p.OID), Size: p.Size}
		by[pointers[i].OID] = p
	}
	var mu sync.Mutex
	var tried, missed []core.LFSPending
	failed := func(p lfs.Pointer, err error, missing bool) {
		mu.Lock()
		defer mu.Unlock()
		row := by[p.OID]
		fresh := missing && !row.Missing
		row.Attempts++
		row.Missing = row.Missing || missing
		row.Class, row.Error = upstream.Classify(err)
		row.NextAt = s.o.Clock.Now().Add(schedule.Backoff(row.Class, row.Attempts, upstream.RetryAfter(err)))
		tried = append(tried, row)
		if fresh {
			missed = append(missed, row)
		}
	}
	err := s.o.Objects.Gather(ctx, r, pointers, parallel, func(p lfs.Pointer, err error) {
		if err != nil && ctx.Err() == nil {
			failed(p, err, core.KindOf(err) == core.KindNotFound)
		}
	})
	if ctx.Err() != nil {
		return nil // no fault of theirs; the rows are as they were
	}
	if err != nil {
		for _, p := range pointers {
			failed(p, err, false)
		}
	}
	if len(tried) == 0 {
		return nil
	}
	return s.o.Store.Tx(ctx, func(q core.Queries) error {
		if err := q.SaveLFSPending(ctx, r.ID, tried); err != nil {
			return err
		}
		var events []core.Event
		if len(missed) > 0 {
			e, err := missingEvent(r, missed, s.o.Clock.Now())
			if err != nil {
				return err
			}
			events = append(events, e)
		}
		// Once for a batch whose objects have failed as often as a sync does before it is
		// an event.
		for _, row := range tried {
			if !row.Missing && row.Attempts == upstream.FailuresNotified {
				e, err := failedEvent(r, row, s.o.Clock.Now())
				if err != nil {
					return err
				}
				events = append(events, e)
				break
			}
		}
		return q.AddEvents(ctx, events)
	})
}

// endRound ends the round, which is an event.
func (s *Service) endRound(ctx context.Context, r core.Repository, b core.LFSBacklog) error {
	now := s.o.Clock.Now()
	e, err := core.RepositoryEvent(r, core.EventLFSMirrored, struct {
		Objects   int64          `json:"objects"`
		Bytes     int64          `json:"bytes"`
		Missing   int64          `json:"missing"`
		StartedAt core.Timestamp `json:"started_at"`
	}{b.RoundObjects, b.RoundBytes, b.Missing, core.EventTime(b.RoundAt)}, now)
	if err != nil {
		return err
	}
	err = s.o.Store.Tx(ctx, func(q core.Queries) error {
		if err := q.EndLFSRound(ctx, r.ID); err != nil {
			return err
		}
		return q.AddEvents(ctx, []core.Event{e})
	})
	if err == nil {
		s.o.Logger.Info("no LFS objects are to be fetched any more", "repo_id", r.ID, "objects", b.RoundObjects, "bytes", b.RoundBytes, "missing", b.Missing)
	}
	return err
}

// named is an object in an event.
type named struct {
	OID  string `json:"oid"`
	Size int64  `json:"size"`
	Path string `json:"path"`
}

// missingEvent names objects that the host does not have, of many the first.
func missingEvent(r core.Repository, missed []core.LFSPending, at time.Time) (core.Event, error) {
	objects := []named{}
	for _, m := range missed[:min(len(missed), mostNamed)] {
		objects = append(objects, named{m.OID, m.Size, m.Path})
	}
	return core.RepositoryEvent(r, core.EventLFSMissing, struct {
		Missing int     `json:"missing"`
		Objects []named `json:"objects"`
	}{len(missed), objects}, at)
}

func failedEvent(r core.Repository, row core.LFSPending, at time.Time) (core.Event, error) {
	return core.RepositoryEvent(r, core.EventLFSFailed, struct {
		named
		Attempts int             `json:"attempts"`
		Class    core.ErrorClass `json:"class"`
		Error    string          `json:"error"`
	}{named{row.OID, row.Size, row.Path}, row.Attempts, row.Class, row.Class.Describe(row.Error)}, at)
}
