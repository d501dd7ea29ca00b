package repo

import (
	"context"
	"slices"
)

// RefLocks are the locks of a writer's refs, by their names on disk. Each can be
// handed on by itself: a ref whose last update is open stays locked when the
// writer has gone.
type RefLocks struct{ unlock map[string]func() }

// LockRefs takes the locks of refs, by their names on disk, in sorted order, as
// [Locker.LockRefs] does for all at once. While it waits it calls waiting, if not
// nil, every five seconds. Errors: the cause of ctx's end.
func (r *Repos) LockRefs(ctx context.Context, id string, names []string, waiting func()) (*RefLocks, error) {
	l := &RefLocks{unlock: make(map[string]func(), len(names))}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		unlock, err := r.locks.LockRefs(ctx, id, []string{name}, waiting)
		if err != nil {
			l.Release()
			return nil, err
		}
		l.unlock[name] = unlock
	}
	return l, nil
}

// Take returns what unlocks a ref, which is the caller's to do from now on; nil if
// the ref is not among the locked ones. No locks at all may be asked, too.
func (l *RefLocks) Take(name string) func() {
	if l == nil {
		return nil
	}
	unlock := l.unlock[name]
	delete(l.unlock, name)
	return unlock
}

// Release unlocks what was not taken.
func (l *RefLocks) Release() {
	for _, unlock := range l.unlock {
		unlock()
	}
	clear(l.unlock)
}
