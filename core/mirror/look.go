package mirror

import (
	"context"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// lookTimeout bounds one look, and the run that it may cause.
const lookTimeout = 30 * time.Second

// pushTimeout bounds the look before a push is advertised; after it the push sees what
// is here.
const pushTimeout = 2 * time.Second

// BeforePush brings the copy of a synced repository up to its upstream before a push
// gets the refs to negotiate against. It takes at most two seconds; after that, or on
// an error, which is logged, the push sees what is here.
func (s *Service) BeforePush(ctx context.Context, r core.Repository) {
	if r.Upstream == nil || r.Upstream.Mode == providers.ModePublic {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	start := s.clock.Now()
	if err := s.Fresh(ctx, r); err != nil {
		s.log.Debug("the local copy may be behind its upstream", "repo_id", r.ID, "error", err)
	}
	s.log.Debug("looked at the upstream before a push", "repo_id", r.ID, "duration", s.clock.Now().Sub(start))
}

// Looker looks at upstreams for those who wait for it. Make one with
// [NewLooker]; Close ends its looks.
type Looker struct {
	look func(ctx context.Context, r core.Repository) error

	ctx    context.Context
	cancel context.CancelFunc
	looks  sync.WaitGroup

	mu    sync.Mutex
	queue map[string]*looks // by repository id; nil: closed, no look begins any more
}

// looks is what goes on for one repository: one look that runs, and at most one
// that waits for its end.
type looks struct{ next *look }

// look is one look, which begins after everybody who waits for it has asked.
type look struct {
	done chan struct{} // closed at its end
	err  error
}

// NewLooker returns a Looker that looks with [Service.Fresh].
func NewLooker(s *Service) *Looker { return newLooker(s.Fresh) }

func newLooker(f func(ctx context.Context, r core.Repository) error) *Looker {
	l := &Looker{look: f, queue: map[string]*looks{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Look makes the copy equal to the upstream by a look that begins after the
// call: one that is under way proves nothing about the time of asking, so it is
// not joined. All who ask during it share the next one. The error is of the
// look, or of ctx; the look goes on when its callers give up.
func (l *Looker) Look(ctx context.Context, r core.Repository) error {
	mine := l.join(r)
	select {
	case <-mine.done:
		return mine.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// join returns the next look at the repository.
func (l *Looker) join(r core.Repository) *look {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.queue == nil {
		// A request that outlived the end of the server's patience.
		closed := newLook()
		closed.err = context.Canceled
		close(closed.done)
		return closed
	}
	q := l.queue[r.ID]
	if q == nil {
		q = &looks{}
		l.queue[r.ID] = q
		first := newLook()
		l.looks.Go(func() { l.run(r, q, first) })
		return first
	}
	if q.next == nil {
		q.next = newLook()
	}
	return q.next
}

func newLook() *look { return &look{done: make(chan struct{})} }

// run makes a look, and the next one as long as somebody waits for it.
func (l *Looker) run(r core.Repository, q *looks, now *look) {
	for now != nil {
		ctx, cancel := context.WithTimeout(l.ctx, lookTimeout)
		now.err = l.look(ctx, r)
		cancel()
		close(now.done)
		l.mu.Lock()
		now, q.next = q.next, nil
		if now == nil {
			delete(l.queue, r.ID)
		}
		l.mu.Unlock()
	}
}

// Close ends all looks; whoever looks after it gets [context.Canceled].
func (l *Looker) Close() {
	l.cancel()
	l.mu.Lock()
	l.queue = nil
	l.mu.Unlock()
	l.looks.Wait()
}
