package repo

import (
	"context"
	"sort"
	"strings"
	"sync"
	"time"
)

// Locker hands out the locks of repositories. One data directory belongs to
// one server, so locks in memory suffice; it is an interface so that several
// servers can share a store one day.
type Locker interface {
	// LockRefs locks refs of a repository by their names on disk, in sorted
	// order. While it waits it calls waiting, if not nil, every five seconds.
	// It returns the context's error if that ends first.
	LockRefs(ctx context.Context, repoID string, refs []string, waiting func()) (unlock func(), err error)
	// RefLocked reports whether a write session holds the ref.
	RefLocked(repoID, ref string) bool
	// AnyRefLocked reports whether a write session holds any ref of a repository.
	AnyRefLocked(repoID string) bool
	// LockWrite takes the repository's write lock.
	LockWrite(ctx context.Context, repoID string) (unlock func(), err error)
	// TryMaintain takes the maintenance lock, or says that it is taken.
	TryMaintain(repoID string) (unlock func(), ok bool)
	// LockMaintain takes the maintenance lock when it is free.
	LockMaintain(ctx context.Context, repoID string) (unlock func(), err error)
	// EnterWriter lets in one who adds objects that no ref leads to yet; see
	// [Repos.Writing].
	EnterWriter(ctx context.Context, repoID string) (leave func(), err error)
	// BarWriters waits until no such writer is left, and keeps new ones waiting
	// meanwhile and until unbar is called.
	BarWriters(ctx context.Context, repoID string) (unbar func(), err error)
}

// waitNotice is how often a waiting client is told that it waits.
const waitNotice = 5 * time.Second

// memoryLocker is a table of reference-counted locks by key.
type memoryLocker struct {
	mu      sync.Mutex
	locks   map[string]*keyLock
	writers barrier
}

// keyLock is held by whoever put the token into the channel.
type keyLock struct {
	users int // holders and waiters; the entry goes when there are none
	token chan struct{}
}

var _ Locker = (*memoryLocker)(nil)

// NewLocker returns a locker for one process.
func NewLocker() Locker {
	return &memoryLocker{locks: map[string]*keyLock{}, writers: barrier{gates: map[string]*gate{}}}
}

func refKey(repoID, ref string) string { return "ref\x00" + repoID + "\x00" + ref }

// enter returns the lock of the key and counts the caller as a user.
func (l *memoryLocker) enter(key string) *keyLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.locks[key]
	if k == nil {
		k = &keyLock{token: make(chan struct{}, 1)}
		l.locks[key] = k
	}
	k.users++
	return k
}

func (l *memoryLocker) leave(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.locks[key]
	if k.users--; k.users == 0 {
		delete(l.locks, key)
	}
}

func (l *memoryLocker) lock(ctx context.Context, key string, waiting func()) (func(), error) {
	k := l.enter(key)
	unlock := sync.OnceFunc(func() {
		<-k.token
		l.leave(key)
	})
	select {
	case k.token <- struct{}{}:
		return unlock, nil
	default:
	}
	if waiting != nil {
		waiting()
	}
	tick := time.NewTicker(waitNotice) //nolint:forbidigo // shows a client that its connection lives, and decides nothing
	defer tick.Stop()
	for {
		select {
		case k.token <- struct{}{}:
			return unlock, nil
		case <-ctx.Done():
			l.leave(key)
			return nil, context.Cause(ctx)
		case <-tick.C:
			if waiting != nil {
				waiting()
			}
		}
	}
}

// LockRefs implements [Locker]. Sorting makes two sessions that want the same
// refs take them in the same order, so neither waits for the other for ever.
func (l *memoryLocker) LockRefs(ctx context.Context, repoID string, refs []string, waiting func()) (func(), error) {
	refs = append([]string(nil), refs...)
	sort.Strings(refs)
	var held []func()
	release := func() {
		for i := len(held) - 1; i >= 0; i-- {
			held[i]()
		}
	}
	for i, ref := range refs {
		if i > 0 && ref == refs[i-1] {
			continue
		}
		unlock, err := l.lock(ctx, refKey(repoID, ref), waiting)
		if err != nil {
			release()
			return nil, err
		}
		held = append(held, unlock)
	}
	return sync.OnceFunc(release), nil
}

// RefLocked implements [Locker].
func (l *memoryLocker) RefLocked(repoID, ref string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.locks[refKey(repoID, ref)]
	return k != nil && len(k.token) > 0
}

// AnyRefLocked implements [Locker].
func (l *memoryLocker) AnyRefLocked(repoID string) bool {
	prefix := refKey(repoID, "")
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, k := range l.locks {
		if strings.HasPrefix(key, prefix) && len(k.token) > 0 {
			return true
		}
	}
	return false
}

// LockWrite implements [Locker].
func (l *memoryLocker) LockWrite(ctx context.Context, repoID string) (func(), error) {
	return l.lock(ctx, "write\x00"+repoID, nil)
}

func maintainKey(repoID string) string { return "maintain\x00" + repoID }

// LockMaintain implements [Locker].
func (l *memoryLocker) LockMaintain(ctx context.Context, repoID string) (func(), error) {
	return l.lock(ctx, maintainKey(repoID), nil)
}

// EnterWriter implements [Locker].
func (l *memoryLocker) EnterWriter(ctx context.Context, repoID string) (func(), error) {
	return l.writers.enter(ctx, repoID)
}

// BarWriters implements [Locker].
func (l *memoryLocker) BarWriters(ctx context.Context, repoID string) (func(), error) {
	return l.writers.close(ctx, repoID)
}

// TryMaintain implements [Locker].
func (l *memoryLocker) TryMaintain(repoID string) (func(), bool) {
	key := maintainKey(repoID)
	k := l.enter(key)
	select {
	case k.token <- struct{}{}:
		return sync.OnceFunc(func() {
			<-k.token
			l.leave(key)
		}), true
	default:
		l.leave(key)
		return nil, false
	}
}
