package events

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
)

const (
	// maxReaders bounds the readers of the live feed.
	maxReaders = 1000
	// scanBatch is how many events one read of a page with a filter of types
	// takes, and maxScans how many such reads a page makes.
	scanBatch = 500
	maxScans  = 10
	// progressAge is how old a look at the running syncs may be.
	progressAge = time.Second
)

// FeedFilter selects events for a reader.
type FeedFilter struct {
	Org    string
	RepoID string   // "" is every repository of the organisation
	Types  []string // none is every type
}

// Page is a part of the feed.
type Page struct {
	Events []core.Event
	Next   int64 // where the next page begins: the After of its request
	More   bool  // there may be more now
	Gap    bool  // events after the position were deleted, because they were too old
}

// RunningSync is a sync that runs.
type RunningSync struct {
	Repository core.Repository
	Progress   core.Progress
}

// Feed reads the outbox for those who ask. Whoever follows it reads at its own
// pace: nothing is kept for a reader but that there is something new.
type Feed struct {
	store    Store
	clock    core.Clock
	progress func() map[string]core.Progress

	mu      sync.Mutex
	readers map[*Reader]struct{}

	runningMu sync.Mutex
	running   []RunningSync
	lookedAt  time.Time
}

func newFeed(o Options) *Feed {
	return &Feed{store: o.Store, clock: o.Clock, progress: o.Progress, readers: map[*Reader]struct{}{}}
}

// Events returns the events of the filter with a Seq above after, in order, at
// most limit of them. A position of 0 asks for all that is kept; from any other
// one, what is not kept any more is a gap.
func (f *Feed) Events(ctx context.Context, filter FeedFilter, after int64, limit int) (Page, error) {
	page := Page{Next: after}
	if after > 0 {
		first, err := f.store.FirstSeq(ctx)
		if err != nil {
			return Page{}, err
		}
		page.Gap = after+1 < first
	}
	batch := limit
	if len(filter.Types) > 0 {
		batch = scanBatch
	}
	for range maxScans {
		found, err := f.store.EventsOf(ctx, core.EventFilter{Org: filter.Org, RepoID: filter.RepoID, After: page.Next, Limit: batch})
		if err != nil {
			return Page{}, err
		}
		for _, e := range found {
			if len(page.Events) == limit {
				page.More = true
				return page, nil
			}
			page.Next = e.Seq
			if len(filter.Types) == 0 || slices.Contains(filter.Types, e.Type) {
				page.Events = append(page.Events, e)
			}
		}
		page.More = len(found) == batch
		if !page.More || len(page.Events) == limit {
			return page, nil
		}
	}
	return page, nil
}

// LastSeq returns the position of the newest event, after which a reader begins
// who wants only what is to come.
func (f *Feed) LastSeq(ctx context.Context) (int64, error) { return f.store.LastSeq(ctx) }

// Reader is woken when there may be new events for it.
type Reader struct {
	feed    *Feed
	filter  FeedFilter
	changed chan struct{}
}

// Follow registers a reader, who must Close. KindRateLimited: there are too
// many.
func (f *Feed) Follow(filter FeedFilter) (*Reader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.readers) >= maxReaders {
		return nil, &core.Error{Kind: core.KindRateLimited, Message: "too many readers follow the events of this server", RetryAfter: 30 * time.Second}
	}
	r := &Reader{feed: f, filter: filter, changed: make(chan struct{}, 1)}
	f.readers[r] = struct{}{}
	return r, nil
}

// Changed receives when there may be new events for the reader.
func (r *Reader) Changed() <-chan struct{} { return r.changed }

// Close ends the following.
func (r *Reader) Close() {
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	delete(r.feed.readers, r)
}

// announce wakes the readers that may see any of the events.
func (f *Feed) announce(events []core.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for r := range f.readers {
		if slices.ContainsFunc(events, r.filter.sees) {
			select {
			case r.changed <- struct{}{}:
			default:
			}
		}
	}
}

func (filter FeedFilter) sees(e core.Event) bool {
	return e.Org == filter.Org && (filter.RepoID == "" || filter.RepoID == e.RepoID) &&
		(len(filter.Types) == 0 || slices.Contains(filter.Types, e.Type))
}

// Progress returns the syncs that run now, as of at most a second ago, by
// repository id.
func (f *Feed) Progress(ctx context.Context, filter FeedFilter) ([]RunningSync, error) {
	all, err := f.runningSyncs(ctx)
	if err != nil {
		return nil, err
	}
	var mine []RunningSync
	for _, r := range all {
		if r.Repository.Org == filter.Org && (filter.RepoID == "" || filter.RepoID == r.Repository.ID) {
			mine = append(mine, r)
		}
	}
	return mine, nil
}

// runningSyncs looks once a second for all readers together. The slice that it
// returns is not changed any more.
func (f *Feed) runningSyncs(ctx context.Context) ([]RunningSync, error) {
	now := f.clock.Now()
	f.runningMu.Lock()
	kept, age := f.running, now.Sub(f.lookedAt)
	if age >= 0 && age < progressAge {
		f.runningMu.Unlock()
		return kept, nil
	}
	f.lookedAt = now // who asks meanwhile gets what is there
	f.runningMu.Unlock()
	var running []RunningSync
	for id, progress := range f.progress() {
		repo, err := f.store.RepositoryByID(ctx, id)
		if core.KindOf(err) == core.KindNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		running = append(running, RunningSync{repo, progress})
	}
	slices.SortFunc(running, func(a, b RunningSync) int { return strings.Compare(a.Repository.ID, b.Repository.ID) })
	f.runningMu.Lock()
	f.running = running
	f.runningMu.Unlock()
	return running, nil
}

// RepositoryOf returns the repository that an event names in its body.
func RepositoryOf(e core.Event) core.EventRepository {
	var body struct {
		Repository core.EventRepository `json:"repository"`
	}
	// Every body has one; were it not so, the id is known besides.
	if err := json.Unmarshal(e.Payload, &body); err != nil || body.Repository.ID == "" {
		return core.EventRepository{ID: e.RepoID}
	}
	return body.Repository
}
