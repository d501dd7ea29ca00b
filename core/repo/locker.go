package repo

import (
	"context"
	"strings"
	"sync"
	"time"
)

// Locker hands out the locks of repositories. One data directory belongs to
// one server, so locks in memory suffice; it is an interface so that several
// servers can share a store one day.
type Locker interface {
	// LockRef locks a ref of a repository by its name on disk; who wants several takes
	// [LockRefs]. While it waits it calls waiting, if not nil, every five seconds. It
	// returns the context's error if that ends first.
	LockRef(ctx context.Context, repoID, ref string, waiting func()) (unlock func(), err error)
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

// waitNotice is how often a waiting client is notified that it waits.
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

// LockRef implements [Locker].
func (l *memoryLocker) LockRef(ctx context.Context, repoID, ref string, waiting func()) (func(), error) {
	return l.lock(ctx, refKey(repoID, ref), waiting)
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
