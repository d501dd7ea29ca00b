package schedule

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
)

const (
	// maxDue is how many due rows one scan takes; the others follow when there is
	// room for them.
	maxDue = 10_000
	// refill is how many more due looks one scan takes than there are already.
	refill = 2000
	// scanPause is the least time between scans for looks while some are queued:
	// there is enough to do, and the rows need not be read for each that comes.
	scanPause = 200 * time.Millisecond
	// rescanPause is how soon the looks are scanned again that a scan passed over
	// because something was running for the repository.
	rescanPause = time.Second
)

// decision is what one pass of admit leads to.
type decision struct {
	start    []*running
	postpone []postponement
	scan     [2]bool   // whose rows are to be read
	rows     []string  // repositories whose rows are to be read singly
	next     time.Time // when to decide again, without a wake-up; zero: never
}

// rows is what a scan has read, by kind.
type rows struct {
	read   [2]bool
	due    [2][]queuedItem
	single []singleRow
	next   [2]time.Time // when to read again; zero: after the next Notify
}

// queuedItem is an item with the places of its host, which are asked for outside
// the lock.
type queuedItem struct {
	Item
	places places
}

// admit takes in what a scan has read, starts everything that may start, and
// returns what is left to do outside the lock. It is the only place where items
// are started, but for the promotion of a look.
func (a *agenda) admit(ctx context.Context, read rows) decision {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	a.take(read, now)
	var d decision
	names := a.waitingHosts()
	for _, name := range names {
		a.setAside(a.hosts[name], now, &d)
	}
	// One item per host and round, so that no host takes all the places.
	for started := true; started; {
		started = false
		for _, name := range names {
			if r := a.startOne(ctx, a.hosts[name], now); r != nil {
				d.start = append(d.start, r)
				started = true
			}
		}
	}
	for _, name := range names {
		if h := a.hosts[name]; h.paused.After(now) && len(h.queue[Run]) > 0 {
			d.next = core.Sooner(d.next, h.paused)
		}
		a.tidy(name)
	}
	for _, kind := range []Kind{Run, Look} {
		at := a.scanTime(kind)
		if at.IsZero() || at.After(now) {
			d.next = core.Sooner(d.next, at)
			continue
		}
		// Before the rows are read: see the package comment.
		d.scan[kind] = true
		a.scanAt[kind], a.scanned[kind] = time.Time{}, now
	}
	d.rows = a.takeRows()
	if d.scan[Run] {
		d.rows = nil // they are among all
	}
	if a.changed == nil && d.reads() {
		a.changed = map[string]struct{}{}
	}
	return d
}

// reads reports whether rows are to be read.
func (d decision) reads() bool { return d.scan[Run] || d.scan[Look] || len(d.rows) > 0 }

// take replaces the queues by what a scan has read; a.mu is held.
func (a *agenda) take(read rows, now time.Time) {
	changed := a.changed
	a.changed = nil
	for _, kind := range []Kind{Run, Look} {
		a.scanAt[kind] = core.Sooner(a.scanAt[kind], read.next[kind])
		if !read.read[kind] {
			continue
		}
		for _, h := range a.hosts {
			h.queue[kind] = nil
		}
		for _, item := range read.due[kind] {
			if _, ok := changed[item.RepoID]; ok {
				// What was read may be from before that. It is read again.
				if kind == Run {
					a.readRow(item.RepoID)
				} else {
					a.scanAt[kind] = core.Sooner(a.scanAt[kind], now)
				}
				continue
			}
			if a.passOver(item.Item) {
				continue
			}
			h := a.hostOf(item.Host)
			h.queue[kind] = append(h.queue[kind], item)
		}
	}
	for _, row := range read.single {
		a.takeSingle(row, changed)
	}
}

// passOver reports whether an item cannot be started although it has a place, and
// sees to it that its row is read again once that has changed; a.mu is held.
func (a *agenda) passOver(item Item) bool {
	if r := a.running[item.RepoID]; r != nil {
		r.rescan[item.Kind] = true // see release
		return true
	}
	if a.halted[item.RepoID] > 0 {
		return true // whoever resumes it has the rows read
	}
	_, unrecorded := a.unrecorded[item.RepoID]
	return unrecorded && item.Kind == Look // see Recorded
}

// waitingHosts returns the hosts that have queues: those with requests first, else
// in an order that changes each time, so that none is always first; a.mu is held.
func (a *agenda) waitingHosts() []string {
	names := make([]string, 0, len(a.hosts))
	for name, h := range a.hosts {
		if len(h.queue[Run])+len(h.queue[Look]) > 0 {
			names = append(names, name)
		}
	}
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] }) //nolint:gosec // fairness, no secret
	requested := func(name string) int {
		if q := a.hosts[name].queue[Run]; len(q) > 0 && q[0].NotBefore.IsZero() {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(requested(a), requested(b)) })
	return names
}

// setAside takes what has to wait for the end of a host's pause out of its queues;
// a.mu is held.
func (a *agenda) setAside(h *host, now time.Time, d *decision) {
	if !h.paused.After(now) {
		return
	}
	for _, kind := range []Kind{Run, Look} {
		var stay []queuedItem
		for _, item := range h.queue[kind] {
			if item.UserInitiated {
				stay = append(stay, item)
				continue
			}
			d.postpone = append(d.postpone, postponement{item.Item, h.paused})
		}
		h.queue[kind] = stay
	}
}

// startOne starts the first item of a host that may start, runs before looks, or
// returns nil; a.mu is held.
func (a *agenda) startOne(ctx context.Context, h *host, now time.Time) *running {
	for _, kind := range []Kind{Run, Look} {
		for a.count[kind] < a.limit(kind) && len(h.queue[kind]) > 0 {
			item := h.queue[kind][0]
			if !h.hasPlace(item, now) {
				break
			}
			h.queue[kind] = h.queue[kind][1:]
			if a.passOver(item.Item) {
				continue
			}
			r := &running{Item: item.Item, places: item.places, done: make(chan struct{})}
			r.ctx, r.cancel = context.WithTimeout(ctx, a.o.RunTimeout)
			a.running[item.RepoID] = r
			a.count[kind]++
			h.running[kind]++
			return r
		}
	}
	return nil
}

// limit is how many items of a kind run at once.
func (a *agenda) limit(kind Kind) int {
	if kind == Run {
		return a.o.Runs
	}
	return a.o.Looks
}

// scanTime returns when the rows of a kind are to be read next; a.mu is held.
func (a *agenda) scanTime(kind Kind) time.Time {
	at := a.scanAt[kind]
	if kind == Look && !at.IsZero() && a.queuedLooks() > 0 {
		return core.Later(at, a.scanned[Look].Add(scanPause))
	}
	return at
}

// promote turns a running look into a run, if there is a place for one.
func (a *agenda) promote(r *running) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.hostOf(r.Host)
	if a.count[Run] >= a.o.Runs || h.running[Run] >= r.places.runs {
		return false
	}
	a.move(h, r, Run)
	a.wakeUp() // the place of the look is free
	return true
}

// move makes a running item one of another kind; a.mu is held.
func (a *agenda) move(h *host, r *running, kind Kind) {
	a.count[r.Kind]--
	h.running[r.Kind]--
	r.Kind = kind
	a.count[r.Kind]++
	h.running[r.Kind]++
}

// release ends an item, has the rows read that it may have changed, and tells
// those who wait for its generation.
func (a *agenda) release(r *running, result Result) {
	a.mu.Lock()
	now := a.clock.Now()
	delete(a.running, r.RepoID)
	a.count[r.Kind]--
	a.hostOf(r.Host).running[r.Kind]--
	a.tidy(r.Host)
	if result.Unrecorded {
		a.unrecorded[r.RepoID] = struct{}{}
	} else {
		a.noteChanged(r.RepoID)
	}
	if r.Kind == Run || r.rescan[Run] {
		a.readRow(r.RepoID)
	}
	// While a run is waiting no look is due, and after it one may have been for long.
	if !result.Unrecorded || r.rescan[Look] {
		a.scanBy(Look, now.Add(rescanPause))
	}
	a.wakeUp() // its place is free
	a.mu.Unlock()
	close(r.done)
	if r.Kind == Run {
		a.waiters.tell(r.RepoID, result)
	}
}

// noteChanged tells a scan in progress that it may have read an old row; a.mu is
// held.
func (a *agenda) noteChanged(repoID string) {
	if a.changed != nil {
		a.changed[repoID] = struct{}{}
	}
}

// Recorded ends what an Unrecorded result began: the rows of these looks have been
// written, or could not be. next is when the soonest of them is due again.
func (a *agenda) Recorded(repoIDs []string, next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range repoIDs {
		delete(a.unrecorded, id)
		a.noteChanged(id)
	}
	a.scanBy(Look, next)
}

// scan reads the rows of the kinds that are due, and single ones.
func (s *Service) scan(ctx context.Context, d decision) (rows, error) {
	var read rows
	now := s.clock.Now()
	for _, kind := range []Kind{Run, Look} {
		if !d.scan[kind] {
			continue
		}
		read.read[kind] = true
		list, next, limit := s.store.DueSyncs, s.store.NextSyncAt, maxDue
		if kind == Look {
			list, next, limit = s.store.DuePolls, s.store.NextPollAt, min(s.known()+refill, maxDue)
		}
		due, err := list(ctx, now, limit)
		if err != nil {
			return rows{}, err
		}
		for _, row := range due {
			if row.Instance == "" {
				continue // detached meanwhile
			}
			read.due[kind] = append(read.due[kind], s.item(kind, row))
		}
		if len(due) == limit {
			read.next[kind] = now.Add(time.Second) // the rest, when there is room for it
			continue
		}
		if read.next[kind], err = next(ctx, now); err != nil {
			return rows{}, err
		}
	}
	if err := s.readRows(ctx, d.rows, &read); err != nil {
		return rows{}, err
	}
	return read, nil
}

// known is how many due looks need not be read again.
func (a *agenda) known() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.queuedLooks() + a.count[Look] + len(a.unrecorded)
}

// queuedLooks is how many looks are queued at all hosts; a.mu is held.
func (a *agenda) queuedLooks() int {
	n := 0
	for _, h := range a.hosts {
		n += len(h.queue[Look])
	}
	return n
}

func (s *Service) item(kind Kind, row core.DueSync) queuedItem {
	return queuedItem{
		Item: Item{
			RepoID: row.RepoID, Instance: row.Instance, Host: row.Host, Kind: kind, NotBefore: row.At,
			UserInitiated: kind == Run && row.At.IsZero() && UserInitiated(row.Trigger),
		},
		places: divide(s.up.Limit(core.Upstream{Instance: row.Instance, Host: row.Host}), s.o),
	}
}
