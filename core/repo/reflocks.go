package repo

import (
	"context"
	"slices"
)

// RefLocks are the locks of a writer's refs, by their names on disk. Each can be
// handed on by itself: a ref whose last update is open stays locked when the
// writer has gone.
type RefLocks struct{ unlock map[string]func() }

// LockRefs takes the locks of refs, by their names on disk, each once and in sorted
// order: two writers that want the same refs then take them in the same order, so
// neither waits for the other for ever. waiting is that of [Locker.LockRef]. Errors: the
// cause of ctx's end, and then nothing is locked.
func LockRefs(ctx context.Context, l Locker, id string, names []string, waiting func()) (*RefLocks, error) {
	locks := &RefLocks{unlock: make(map[string]func(), len(names))}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		unlock, err := l.LockRef(ctx, id, name, waiting)
		if err != nil {
			locks.Release()
			return nil, err
		}
		locks.unlock[name] = unlock
	}
	return locks, nil
}

// LockRefs is [LockRefs] with the locker of the repositories.
func (r *Repos) LockRefs(ctx context.Context, id string, names []string, waiting func()) (*RefLocks, error) {
	return LockRefs(ctx, r.locks, id, names, waiting)
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
