package repo

import (
	"context"
	"sync"
)

// barrier lets the writers of a repository in side by side, or one that must be
// alone with its objects.
type barrier struct {
	mu    sync.Mutex
	gates map[string]*gate
}

// gate is the barrier of one repository; there is none while nobody uses it.
type gate struct {
	writers int
	closed  bool          // somebody is alone, or waits until they are
	waiting int           // callers that look again at each change
	changed chan struct{} // closed at each change
}

func (b *barrier) at(id string) *gate {
	g := b.gates[id]
	if g == nil {
		g = &gate{changed: make(chan struct{})}
		b.gates[id] = g
	}
	return g
}

// change wakes who waits; mu is held.
func (b *barrier) change(id string, g *gate) {
	close(g.changed)
	g.changed = make(chan struct{})
	b.tidy(id, g)
}

// tidy drops a gate that nobody uses; mu is held.
func (b *barrier) tidy(id string, g *gate) {
	if g.writers == 0 && !g.closed && g.waiting == 0 {
		delete(b.gates, id)
	}
}

// when waits until may is true and then runs do, both under mu.
func (b *barrier) when(ctx context.Context, id string, may func(g *gate) bool, do func(g *gate)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		g := b.at(id)
		if may(g) {
			do(g)
			return nil
		}
		g.waiting++
		changed := g.changed
		b.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		b.mu.Lock()
		g.waiting--
		if err != nil {
			b.tidy(id, g)
			return err
		}
	}
}

func (b *barrier) enter(ctx context.Context, id string) (leave func(), err error) {
	err = b.when(ctx, id, func(g *gate) bool { return !g.closed }, func(g *gate) { g.writers++ })
	if err != nil {
		return nil, err
	}
	return sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		g := b.at(id)
		g.writers--
		b.change(id, g)
	}), nil
}

func (b *barrier) close(ctx context.Context, id string) (open func(), err error) {
	if err := b.when(ctx, id, func(g *gate) bool { return !g.closed }, func(g *gate) { g.closed = true }); err != nil {
		return nil, err
	}
	open = sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		g := b.at(id)
		g.closed = false
		b.change(id, g)
	})
	if err := b.when(ctx, id, func(g *gate) bool { return g.writers == 0 }, func(*gate) {}); err != nil {
		open()
		return nil, err
	}
	return open, nil
}

// writer is a place within the barrier. What the same work calls with its context
// shares it, since a second place would wait for whoever waits for the first.
type writer struct {
	id    string
	mu    sync.Mutex
	users int
	leave func()
}

type writerKey struct{}

// Writing takes a place among those who add objects to a repository that no ref
// leads to yet, and holds it until done is called; until then nothing of the
// repository is forgotten. A writer takes it before its objects come, before it locks refs,
// and ends it when refs lead to them. It waits while a purge runs or waits for
// writers, which is a minute unless the repository is large. Calls with the context
// that it returns share the place. Errors: the cause of ctx's end.
func (r *Repos) Writing(ctx context.Context, id string) (_ context.Context, done func(), err error) {
	if w, ok := ctx.Value(writerKey{}).(*writer); ok && w.id == id && w.share() {
		return ctx, sync.OnceFunc(w.done), nil
	}
	leave, err := r.locks.EnterWriter(ctx, id)
	if err != nil {
		return ctx, nil, err
	}
	w := &writer{id: id, users: 1, leave: leave}
	return context.WithValue(ctx, writerKey{}, w), sync.OnceFunc(w.done), nil
}

// share adds a user, unless the place was given back already.
func (w *writer) share() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users == 0 {
		return false
	}
	w.users++
	return true
}

func (w *writer) done() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users--; w.users == 0 {
		w.leave()
	}
}
