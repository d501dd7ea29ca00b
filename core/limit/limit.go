package limit

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
)

// Caller is who asks. The subject alone would not do: the tokens of an SDK all
// carry the same one, and two organisations may use the same words.
type Caller struct {
	Organisation string
	Key          string // id of the key that verified the token
	Subject      string
}

// Key is what a slot is counted for.
type Key struct {
	Caller
	Repository string // internal id
}

// Ceilings are how many slots may be taken at the same time. A caller takes at
// most three quarters of its own for one repository: all tokens of a customer
// may be of one key and carry one subject, and then the repository is what tells
// a bad one from the others.
type Ceilings struct {
	Caller       int
	Repository   int
	Organisation int
	Server       int
}

// Options configures [New]. What is zero has the default; the defaults are for
// a machine with two processors and one gigabyte of memory.
type Options struct {
	// Server is 24 by default, and of it Organisation three quarters,
	// Repository two thirds and Caller a half: none may fill the next.
	Ceilings
	// Waiting is how many requests may wait, a quarter of them of one caller for
	// one repository; 0 is 512, less than 0 none.
	Waiting int
	Wait    time.Duration // how long one may wait; 0 is one minute
	// Work is how many pieces of heavy work (searches, walks over history,
	// merges) run at the same time among the requests that have a slot; 0 is two
	// per processor, but at least four.
	Work  int
	Clock core.Clock // nil is the system's
	// Queued is called after a request for a slot has waited, for whoever counts;
	// it must not block. nil: nobody does.
	Queued func(Wait)
}

// Wait is one wait for a slot.
type Wait struct {
	Heavy   bool          // a piece of heavy work, not a request
	Took    time.Duration // 0 if no more might wait
	Refused bool          // no more might wait, or the time was up
}

// WithDefaults fills in what is zero.
func (o Options) WithDefaults() Options {
	or := func(value *int, def int) {
		if *value == 0 {
			*value = def
		}
	}
	or(&o.Server, mostPlaces)
	or(&o.Organisation, max(1, o.Server*3/4))
	or(&o.Repository, max(1, o.Server*2/3))
	or(&o.Caller, max(1, o.Server/2))
	or(&o.Waiting, 512)
	or(&o.Work, max(4, 2*runtime.GOMAXPROCS(0)))
	if o.Wait <= 0 {
		o.Wait = time.Minute
	}
	if o.Clock == nil {
		o.Clock = core.SystemClock{}
	}
	return o
}

// Without a number, the server has a place for each of these bytes of memory, within
// these bounds. Half of what one git may take for an answer on the smallest machines:
// a caller has half of the places, so that what one caller's reads may take at their
// worst is what there is. Ordinary ones take a few megabytes.
const (
	memoryOfPlace = 128 << 20
	leastPlaces   = 4
	mostPlaces    = 24
)

// PlacesFor returns how many requests may run git at the same time where there is so
// much memory, in bytes; 0 is unknown.
func PlacesFor(memory int64) int {
	if memory <= 0 {
		return mostPlaces
	}
	return int(min(max(memory/memoryOfPlace, leastPlaces), mostPlaces))
}

// Limiter hands out slots. It is safe for concurrent use.
type Limiter struct {
	o     Options
	work  *Limiter // nil: this is the one of the heavy work, of the bodies or of the uploads
	heavy bool
	// bodies are places for requests whose bodies are held in memory. They are apart
	// from the slots, which nobody has who waits for a place.
	bodies *Limiter
	// uploads are places for requests whose bodies go to the disk as they come.
	uploads *Limiter

	mu        sync.Mutex
	running   int
	callers   map[Caller]int
	repos     map[string]int
	orgs      map[string]int
	both      map[Key]int // of a caller for a repository
	waiting   int
	waitingBy map[Key]int
	queues    map[string][]*waiter // by organisation, first come first
	turns     []string             // organisations of queues; the first is next
}

// waiter is one request in the queue.
type waiter struct {
	key  Key
	slot chan struct{} // closed when it has got its slot
}

// New returns a limiter.
func New(o Options) *Limiter {
	o = o.WithDefaults()
	l := newLimiter(o)
	half := max(1, o.Work/2)
	// Half of the heavy work for one caller, and all but one piece for one
	// organisation: something is left for the others.
	l.work = newLimiter(Options{
		Ceilings: Ceilings{Caller: half, Repository: o.Work, Organisation: max(half, o.Work-1), Server: o.Work},
		// Whoever has a slot may wait, so many as there are slots.
		Waiting: 4 * o.Server, Wait: o.Wait, Clock: o.Clock, Queued: o.Queued,
	})
	l.work.heavy = true
	// What a request holds it holds until its end, so as many places as slots: who waits
	// for the one could not have the other either.
	l.bodies = newLimiter(o)
	// An upload is a connection, a file and a buffer, and no memory to speak of: one Git LFS
	// client has eight at once.
	uploads := o
	for _, most := range []*int{&uploads.Caller, &uploads.Repository, &uploads.Organisation, &uploads.Server} {
		*most *= uploadsOfPlace
	}
	uploads.Wait = min(o.Wait, uploadWait)
	l.uploads = newLimiter(uploads)
	return l
}

const (
	// uploadsOfPlace is how many uploads may come in where one request may run git.
	uploadsOfPlace = 4
	// uploadWait is the longest wait for a place of an upload: Git LFS gives up a
	// connection on which nothing has moved for half a minute.
	uploadWait = 20 * time.Second
)

func newLimiter(o Options) *Limiter {
	return &Limiter{
		o: o, callers: map[Caller]int{}, repos: map[string]int{}, orgs: map[string]int{}, both: map[Key]int{},
		waitingBy: map[Key]int{}, queues: map[string][]*waiter{},
	}
}

// Acquire takes a slot, waiting for it if it must; release gives it back and
// may be called more than once. Errors: KindRateLimited if too many wait already
// or the time is up; the cause of ctx if that ends first.
func (l *Limiter) Acquire(ctx context.Context, k Key) (release func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	l.mu.Lock()
	// It does not queue behind those that wait: each of them is over a ceiling that
	// need not be one of this caller, and a caller under all of its ceilings takes
	// nobody's slot.
	if l.over(k) == "" {
		l.admit(k)
		l.mu.Unlock()
		return l.releaser(k), nil
	}
	if l.waiting >= l.o.Waiting || l.waitingBy[k] >= max(1, l.o.Waiting/4) {
		defer l.mu.Unlock()
		l.queued(0, true)
		return nil, l.refusal(k, "and no more may wait")
	}
	began := l.o.Clock.Now()
	w := &waiter{key: k, slot: make(chan struct{})}
	l.join(w)
	l.mu.Unlock()
	select {
	case <-w.slot:
		l.queued(l.o.Clock.Now().Sub(began), false)
		return l.releaser(k), nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-l.o.Clock.After(l.o.Wait):
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	waited := l.o.Clock.Now().Sub(began)
	if !l.leave(w) { // it got the slot in the same moment
		if err == nil {
			l.queued(waited, false)
			return l.releaser(k), nil
		}
		l.giveBack(k)
		return nil, err
	}
	if err == nil {
		l.queued(waited, true)
		err = l.refusal(k, fmt.Sprintf("and none ended within %s", l.o.Wait))
	}
	return nil, err
}

// queued tells whoever counts of a wait.
func (l *Limiter) queued(took time.Duration, refused bool) {
	if l.o.Queued != nil {
		l.o.Queued(Wait{Heavy: l.heavy, Took: took, Refused: refused})
	}
}

// Load is how much is in use.
type Load struct{ Running, Waiting int }

// Load returns how much is in use now.
func (l *Limiter) Load() Load {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Load{l.running, l.waiting}
}

// HeavyLoad returns how much of the heavy work runs and waits now.
func (l *Limiter) HeavyLoad() Load { return l.work.Load() }

// over names the ceiling that keeps the key from a slot; "" is none.
func (l *Limiter) over(k Key) string {
	switch {
	case l.callers[k.Caller] >= l.o.Caller:
		return "of this token's key and subject"
	case l.both[k] >= max(1, l.o.Caller*3/4):
		return "of this token's key and subject for this repository"
	case k.Repository != "" && l.repos[k.Repository] >= l.o.Repository:
		return "for this repository"
	case l.orgs[k.Organisation] >= l.o.Organisation:
		return "of this organisation"
	case l.running >= l.o.Server:
		return "on this server"
	}
	return ""
}

// refusal says why there is no slot.
func (l *Limiter) refusal(k Key, rest string) error {
	whose := l.over(k)
	if whose == "" {
		whose = "on this server"
	}
	after := min(max(l.o.Wait/6, time.Second), 30*time.Second).Round(time.Second)
	return &core.Error{
		Kind: core.KindRateLimited, RetryAfter: after,
		Message: fmt.Sprintf("too many requests %s run already, %s; try again in %s", whose, rest, after),
	}
}

func (l *Limiter) admit(k Key) {
	l.running++
	l.callers[k.Caller]++
	l.repos[k.Repository]++
	l.orgs[k.Organisation]++
	l.both[k]++
}

// giveBack returns a slot and serves the queue.
func (l *Limiter) giveBack(k Key) {
	l.running--
	lower(l.callers, k.Caller)
	lower(l.repos, k.Repository)
	lower(l.orgs, k.Organisation)
	lower(l.both, k)
	l.serve()
}

// lower takes one off, and what is zero out of the map: keys are without end.
func lower[K comparable](counts map[K]int, k K) {
	if counts[k]--; counts[k] == 0 {
		delete(counts, k)
	}
}

func (l *Limiter) releaser(k Key) func() {
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.giveBack(k)
	})
}

// join puts a request into the queue.
func (l *Limiter) join(w *waiter) {
	org := w.key.Organisation
	if len(l.queues[org]) == 0 {
		l.turns = append(l.turns, org)
	}
	l.queues[org] = append(l.queues[org], w)
	l.waiting++
	l.waitingBy[w.key]++
}

// leave takes a request out of the queue; false: it was not there any more.
func (l *Limiter) leave(w *waiter) bool {
	org := w.key.Organisation
	i := slices.Index(l.queues[org], w)
	if i < 0 {
		return false
	}
	l.queues[org] = slices.Delete(l.queues[org], i, i+1)
	if len(l.queues[org]) == 0 {
		delete(l.queues, org)
		l.turns = slices.DeleteFunc(l.turns, func(o string) bool { return o == org })
	}
	l.waiting--
	lower(l.waitingBy, w.key)
	return true
}

// serve gives free slots to those who wait.
func (l *Limiter) serve() {
	for l.running < l.o.Server {
		w := l.next()
		if w == nil {
			return
		}
		l.leave(w)
		if i := slices.Index(l.turns, w.key.Organisation); i >= 0 {
			l.turns = append(slices.Delete(l.turns, i, i+1), w.key.Organisation)
		}
		l.admit(w.key)
		close(w.slot)
	}
}

// next returns the request whose turn it is among those that no ceiling keeps
// back: of the first organisation that has one, that of the caller who has
// least, then that for the repository of which it has least, then the first.
func (l *Limiter) next() *waiter {
	for _, org := range l.turns {
		var first *waiter
		for _, w := range l.queues[org] {
			if l.over(w.key) == "" && (first == nil || l.less(w.key, first.key)) {
				first = w
			}
		}
		if first != nil {
			return first
		}
	}
	return nil
}

// less reports whether a goes before b for what their callers have already.
func (l *Limiter) less(a, b Key) bool {
	if x, y := l.callers[a.Caller], l.callers[b.Caller]; x != y {
		return x < y
	}
	return l.both[a] < l.both[b]
}
