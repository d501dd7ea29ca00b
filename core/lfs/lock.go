package lfs

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"unicode/utf8"

	"github.com/headwater-git/headwater/core"
)

const (
	// maxLockPath bounds the paths of locks, in bytes.
	maxLockPath = 4096
	// MaxLockPage is the most locks of a page, and what is listed if nobody says.
	MaxLockPage = 100
)

// OwnedLock is a lock, and whether the one who asks holds it.
type OwnedLock struct {
	Lock
	Ours bool
}

// checkLockPath refuses what is no path in a working tree.
func checkLockPath(path string) error {
	if path == "" || len(path) > maxLockPath || !utf8.ValidString(path) || strings.ContainsAny(path, "\x00\r\n") || !fs.ValidPath(path) || path == "." {
		return core.Errorf(core.KindInvalid, "a lock is of a path in the working tree, from its top, in UTF-8, of at most %d bytes, without empty parts, %q and %q", maxLockPath, ".", "..")
	}
	return nil
}

// view returns a stored lock as it is shown.
func view(l core.LFSLock) Lock {
	return Lock{ID: l.ID, Path: l.Path, LockedAt: l.LockedAt, Owner: l.Owner}
}

// Lock locks a path for an owner, who is named by the token's subject. *[LockedError]
// says that it is locked already.
func (s *Service) Lock(ctx context.Context, repo core.Repository, owner, path, ref string) (Lock, error) {
	if err := s.Check(ctx, repo); err != nil {
		return Lock{}, err
	}
	if err := checkLockPath(path); err != nil {
		return Lock{}, err
	}
	up, err := s.upstream(ctx, repo)
	if err != nil {
		return Lock{}, err
	}
	now := s.o.Clock.Now()
	l := core.LFSLock{ID: core.NewID("lock", now), RepoID: repo.ID, Path: path, Ref: ref, Owner: owner, LockedAt: now}
	if up == nil {
		return s.lockHere(ctx, l)
	}
	// One at a time, so that a lock which nobody here knows is of nobody else here.
	end, err := s.locking.take(ctx, lockKey{repo.ID, path})
	if err != nil {
		return Lock{}, err
	}
	defer end()
	// The host may have locked it when the client has left, and its owner has to be known.
	ctx = context.WithoutCancel(ctx)
	theirs, err := up.Lock(ctx, path, ref)
	if errors.Is(err, ErrUnconfirmed) {
		theirs, err = s.confirmLock(ctx, up, l, err)
	}
	if locked, ok := errors.AsType[*LockedError](err); ok {
		owned, oerr := s.owned(ctx, repo, []Lock{locked.Lock}, owner)
		if oerr != nil {
			return Lock{}, oerr
		}
		return Lock{}, &LockedError{Lock: owned[0].Lock}
	}
	if err != nil {
		return Lock{}, err
	}
	l.ID, l.LockedAt = theirs.ID, theirs.LockedAt
	err = s.o.Store.AddLFSLock(ctx, l)
	if core.KindOf(err) == core.KindConflict {
		err = s.replaceLock(ctx, l)
	}
	return view(l), err
}

// lockHere stores a lock of a local repository.
func (s *Service) lockHere(ctx context.Context, l core.LFSLock) (Lock, error) {
	err := s.o.Store.AddLFSLock(ctx, l)
	if core.KindOf(err) != core.KindConflict {
		return view(l), err
	}
	there, lerr := s.o.Store.LFSLocks(ctx, core.LFSLockFilter{RepoID: l.RepoID, Path: l.Path, Limit: 1})
	if lerr != nil || len(there) == 0 {
		return Lock{}, errors.Join(err, lerr) // unlocked in this moment: the client may try again
	}
	return Lock{}, &LockedError{Lock: view(there[0])}
}

// replaceLock stores who asked for a lock in the place of one of the same path that
// the upstream does not have any more.
func (s *Service) replaceLock(ctx context.Context, l core.LFSLock) error {
	old, err := s.o.Store.LFSLocks(ctx, core.LFSLockFilter{RepoID: l.RepoID, Path: l.Path, Limit: 1})
	if err != nil {
		return err
	}
	for _, o := range old {
		if err := s.o.Store.RemoveLFSLock(ctx, l.RepoID, o.ID); err != nil && core.KindOf(err) != core.KindNotFound {
			return err
		}
	}
	return s.o.Store.AddLFSLock(ctx, l)
}

// Locks lists locks, and says which of them the owner holds. next is the cursor of the
// following page, "" on the last.
func (s *Service) Locks(ctx context.Context, repo core.Repository, owner string, q LockQuery) (locks []OwnedLock, next string, err error) {
	if err := s.Check(ctx, repo); err != nil {
		return nil, "", err
	}
	if q.Limit <= 0 || q.Limit > MaxLockPage {
		q.Limit = MaxLockPage
	}
	up, err := s.upstream(ctx, repo)
	if err != nil {
		return nil, "", err
	}
	if up != nil {
		theirs, next, err := up.Locks(ctx, q)
		if err != nil {
			return nil, "", err
		}
		locks, err := s.owned(ctx, repo, theirs, owner)
		return locks, next, err
	}
	rows, err := s.o.Store.LFSLocks(ctx, core.LFSLockFilter{RepoID: repo.ID, Path: q.Path, ID: q.ID, After: q.Cursor, Limit: q.Limit + 1})
	if err != nil {
		return nil, "", err
	}
	if len(rows) > q.Limit {
		rows = rows[:q.Limit]
		next = rows[q.Limit-1].ID
	}
	for _, row := range rows {
		locks = append(locks, OwnedLock{view(row), row.Owner == owner})
	}
	return locks, next, nil
}

// owned says of locks of an upstream who asked for them here. The host knows one account
// for all who do.
func (s *Service) owned(ctx context.Context, repo core.Repository, theirs []Lock, owner string) ([]OwnedLock, error) {
	owners := map[string]string{}
	for _, l := range theirs {
		rows, err := s.o.Store.LFSLocks(ctx, core.LFSLockFilter{RepoID: repo.ID, ID: l.ID, Limit: 1})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			owners[l.ID] = row.Owner
		}
	}
	var locks []OwnedLock
	for _, l := range theirs {
		here, ok := owners[l.ID]
		if ok {
			l.Owner = here
		}
		locks = append(locks, OwnedLock{l, ok && here == owner})
	}
	return locks, nil
}

// Unlock removes a lock and returns it. KindPermission: another one holds it, and force is
// not set; it is returned as well, if it is known here. KindNotFound: there is no such lock.
func (s *Service) Unlock(ctx context.Context, repo core.Repository, owner, id, ref string, force bool) (Lock, error) {
	if err := s.Check(ctx, repo); err != nil {
		return Lock{}, err
	}
	up, err := s.upstream(ctx, repo)
	if err != nil {
		return Lock{}, err
	}
	rows, err := s.o.Store.LFSLocks(ctx, core.LFSLockFilter{RepoID: repo.ID, ID: id, Limit: 1})
	if err != nil {
		return Lock{}, err
	}
	switch {
	case len(rows) == 0 && up == nil:
		return Lock{}, core.Errorf(core.KindNotFound, "there is no lock %q", id)
	case len(rows) == 0 && !force:
		return Lock{}, core.Errorf(core.KindPermission, "the lock %q was not made through this server; unlock it at the upstream, or with --force", id)
	case len(rows) > 0 && rows[0].Owner != owner && !force:
		return view(rows[0]), core.Errorf(core.KindPermission, "%s is locked by %s; ask them to unlock it, or use --force", rows[0].Path, rows[0].Owner)
	}
	var l Lock
	if up != nil {
		ctx = context.WithoutCancel(ctx)
		l, err = up.Unlock(ctx, id, ref, force)
		if errors.Is(err, ErrUnconfirmed) {
			l = Lock{ID: id}
			if len(rows) > 0 {
				l = view(rows[0])
			}
			l, err = s.confirmUnlock(ctx, up, l, err)
		}
		if err != nil {
			return Lock{}, err
		}
	}
	if len(rows) > 0 {
		l = view(rows[0])
		err = s.o.Store.RemoveLFSLock(ctx, repo.ID, id)
		if up != nil && core.KindOf(err) == core.KindNotFound {
			err = nil
		}
	}
	return l, err
}
