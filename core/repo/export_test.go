package repo

// LockEntries returns how many locks the locker remembers.
func LockEntries(l Locker) int {
	m := l.(*memoryLocker)
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.locks)
}
