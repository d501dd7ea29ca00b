package limit

import (
	"context"
	"sync"
)

// lease is the one slot of a request.
type lease struct {
	limiter *Limiter
	caller  Caller

	mu      sync.Mutex
	key     Key
	release func() // nil: it has no slot
	held    func() // gives back the place of its body; nil: it has none
	upload  func() // gives back the place of its upload; nil: it has none
	ended   bool
}

type leaseKey struct{}

// Request returns a context for a caller's request. What is taken in it goes
// back when end is called, which must be when the request is over. A nil
// limiter bounds nothing.
func (l *Limiter) Request(ctx context.Context, c Caller) (_ context.Context, end func()) {
	if l == nil {
		return ctx, func() {}
	}
	r := &lease{limiter: l, caller: c}
	return context.WithValue(ctx, leaseKey{}, r), func() { r.free(true) }
}

// Take gives the request of ctx a slot if it has none yet: it must be called
// before git is started. The slot counts for the repository, which is the first
// one's if a request is about several. A context of no request needs none.
// Errors: those of [Limiter.Acquire].
func Take(ctx context.Context, repository string) error {
	r, ok := ctx.Value(leaseKey{}).(*lease)
	if !ok {
		return nil
	}
	// Held while it waits: another goroutine of the same request wants the same
	// slot, and the contexts of both end with the request.
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.release != nil || r.ended {
		return nil
	}
	key := Key{Caller: r.caller, Repository: repository}
	release, err := r.limiter.Acquire(ctx, key)
	if err != nil {
		return err
	}
	r.key, r.release = key, release
	return nil
}

// Free gives the slot back before the request ends: for a request that runs no
// git for a time that its client decides, as while an upload comes in. It may
// [Take] again.
func Free(ctx context.Context) {
	if r, ok := ctx.Value(leaseKey{}).(*lease); ok {
		r.free(false)
	}
}

func (r *lease) free(ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.release != nil {
		r.release()
	}
	r.release, r.ended = nil, r.ended || ended
	if !r.ended {
		return
	}
	for _, kept := range []*func(){&r.held, &r.upload} {
		if *kept != nil {
			(*kept)()
			*kept = nil
		}
	}
}

// Hold gives the request of ctx a place for a body in memory, until it ends. It must be
// called before the body is read, and before [Take]: a caller may send large bodies on
// any number of connections, and slowly. The place counts for the repository, "" if the
// request is about none. A context of no request needs none. Errors: those of
// [Limiter.Acquire].
func Hold(ctx context.Context, repository string) error {
	r, ok := ctx.Value(leaseKey{}).(*lease)
	if !ok {
		return nil
	}
	return r.keep(ctx, &r.held, r.limiter.bodies, repository)
}

// Upload gives the request of ctx a place for a body that goes to the disk as it comes,
// until the request ends. It must be called before the body is read: a client decides how
// long it takes. There are four times as many places as slots, and who waits for one waits
// for at most 20 seconds. A context of no request needs none. Errors: those of
// [Limiter.Acquire].
func Upload(ctx context.Context, repository string) error {
	r, ok := ctx.Value(leaseKey{}).(*lease)
	if !ok {
		return nil
	}
	return r.keep(ctx, &r.upload, r.limiter.uploads, repository)
}

// keep takes a place that the request has until it ends, unless it has it already.
func (r *lease) keep(ctx context.Context, place *func(), of *Limiter, repository string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if *place != nil || r.ended {
		return nil
	}
	release, err := of.Acquire(ctx, Key{Caller: r.caller, Repository: repository})
	if err == nil {
		*place = release
	}
	return err
}

// Work waits until a request may begin a piece of heavy work, on top of the
// slot that it has; done must be called at its end. Errors: those of
// [Limiter.Acquire].
func Work(ctx context.Context) (done func(), err error) {
	r, ok := ctx.Value(leaseKey{}).(*lease)
	if !ok {
		return func() {}, nil
	}
	r.mu.Lock()
	key := r.key
	r.mu.Unlock()
	key.Caller = r.caller
	return r.limiter.work.Acquire(ctx, key)
}
