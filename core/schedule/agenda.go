package schedule

import (
	"context"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
)

// agenda is what the scheduler knows: what is due, what runs, and what keeps items
// from starting. Its methods alone lock it, each for one change or one question, and
// none waits for the store, a clock or a run meanwhile.
type agenda struct {
	clock   core.Clock
	o       Options
	wake    loop.Signal // see the package comment
	waiters waiters

	mu         sync.Mutex
	hosts      map[string]*host
	running    map[string]*running // by repository id
	count      [2]int              // of running, by kind
	scanAt     [2]time.Time        // when the rows of a kind are read next; zero: not before a Notify
	scanned    [2]time.Time        // when they were read last
	unrecorded map[string]struct{} // looks whose rows are not written yet, by repository id
	changed    map[string]struct{} // repositories whose rows changed since the scan in progress began; nil: there is none
	rows       map[string]struct{} // repositories whose rows are to be read singly
	halted     map[string]int      // repositories that nothing may start for
	webhooks   map[string]time.Time
}

// running is an item that was admitted and has not ended.
type running struct {
	Item
	places places
	ctx    context.Context //nolint:containedctx // the item's lifetime, made when it is admitted
	cancel context.CancelFunc
	done   chan struct{} // closed at its end
	// rescan are the kinds whose rows were due while it ran.
	rescan [2]bool
}

func newAgenda(o Options) *agenda {
	return &agenda{
		clock: o.Clock, o: o, wake: loop.NewSignal(), waiters: waiters{byRepo: map[string][]chan Result{}, failed: map[string]Result{}},
		hosts: map[string]*host{}, running: map[string]*running{}, unrecorded: map[string]struct{}{},
		rows: map[string]struct{}{}, halted: map[string]int{}, webhooks: map[string]time.Time{},
	}
}

// Notify has the rows of a kind read at a time, if that is sooner than planned. It
// is called after a row was committed that is due then. A zero time is never.
func (a *agenda) Notify(kind Kind, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.scanBy(kind, at)
}

// scanBy is Notify; a.mu is held.
func (a *agenda) scanBy(kind Kind, at time.Time) {
	if at.IsZero() || !a.scanAt[kind].IsZero() && !at.Before(a.scanAt[kind]) {
		return
	}
	a.scanAt[kind] = at
	a.wakeUp()
}

// wakeUp makes the loop call admit again; a.mu is held.
func (a *agenda) wakeUp() { a.wake.Set() }

// readSoon has the row of a repository read, for a run.
func (a *agenda) readSoon(repoID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.readRow(repoID)
}

// forget drops what is due for a repository until its row is read again, and returns
// what runs for it; nil: nothing does.
func (a *agenda) forget(repoID string) *running {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.webhooks, repoID)
	a.noteChanged(repoID)
	return a.running[repoID]
}

// hold keeps items of a repository from starting, until resume.
func (a *agenda) hold(repoID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.halted[repoID]++
}
