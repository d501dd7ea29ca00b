package core

import (
	"context"
	"time"
)

// LFSMode says what a repository does with Git LFS. The empty one is [LFSOnDemand].
type LFSMode string

// The modes of LFS.
const (
	LFSUnset    LFSMode = ""
	LFSOff      LFSMode = "off"       // nothing of LFS is served
	LFSOnDemand LFSMode = "on-demand" // an upstream's objects are fetched when they are asked for
	LFSMirror   LFSMode = "mirror"    // an upstream's objects are fetched when a sync has brought their pointers
)

// LFSPolicy says when a ref that the upstream has moved follows. The empty one is
// [LFSFollow].
type LFSPolicy string

// The policies of LFS.
const (
	LFSPolicyUnset LFSPolicy = ""
	LFSFollow      LFSPolicy = "follow" // at once; its objects come after it
	LFSHold        LFSPolicy = "hold"   // when the objects of its tree are here, or the host does not have them
)

// LFSObject says that a repository has an LFS object: its bytes were proven by
// whoever sent them, or by the upstream.
type LFSObject struct {
	OID  string // SHA-256 of the bytes, in hexadecimal digits
	Size int64  // in bytes
}

// LFSUsage is what a repository has of LFS objects.
type LFSUsage struct {
	Objects int64
	Bytes   int64
}

// LFSLock is a lock of a path that LFS clients respect. For a repository with an
// upstream the lock is the upstream's, and the row says who asked for it.
type LFSLock struct {
	ID       string // "lock_" and a ULID, or the upstream's
	RepoID   string
	Path     string
	Ref      string // full name that the client gave; may be ""
	Owner    string // token subject
	LockedAt time.Time
}

// LockOwner returns the name under which an actor holds locks: the subject of the token,
// or the key that signed it if it names nobody.
func (a Actor) LockOwner() string {
	if a.Subject != "" {
		return a.Subject
	}
	return "key " + a.KeyID
}

// LFSLockFilter selects locks of one repository, by id.
type LFSLockFilter struct {
	RepoID   string
	Path     string // "" is all
	ID       string // "" is all
	NotOwner string // only those of others; "" is all
	After    string // cursor: only ids above; "" starts at the first
	Limit    int    // must be positive
}

// LFSStore keeps which repositories have which LFS objects, and who locks what.
type LFSStore interface {
	// AddLFSObjects records that a repository has objects; those that it has stay
	// as they are. They are not unused any more. KindNotFound: no such repository.
	AddLFSObjects(ctx context.Context, repoID string, objects []LFSObject, at time.Time) error
	// HasLFSObjects returns those of the ids that the repository has.
	HasLFSObjects(ctx context.Context, repoID string, oids []string) ([]LFSObject, error)
	// LFSObjects lists what a repository has, ids above after, in order.
	LFSObjects(ctx context.Context, repoID, after string, limit int) ([]LFSObject, error)
	// OldLFSObjects lists those that were added before a time, ids above after, in order.
	OldLFSObjects(ctx context.Context, repoID string, before time.Time, after string, limit int) ([]LFSObject, error)
	// TouchLFSObjects has those of the ids that the repository has count as added at a
	// time, and returns them.
	TouchLFSObjects(ctx context.Context, repoID string, oids []string, at time.Time) ([]string, error)
	// CopyLFSObjects records that a repository has all that another one has.
	CopyLFSObjects(ctx context.Context, from, to string, at time.Time) error
	// DropLFSObjects takes objects away from a repository, at most those that were
	// added before a time, and returns how many there were.
	DropLFSObjects(ctx context.Context, repoID string, oids []string, before time.Time) (int, error)
	LFSUsage(ctx context.Context, repoID string) (LFSUsage, error)
	// MarkUnusedLFS returns those of the ids that no repository has and that were
	// first seen so before a time; the others of them are seen so from now on.
	MarkUnusedLFS(ctx context.Context, oids []string, now, before time.Time) ([]string, error)
	// ForgetUnusedLFS removes the mark of an object if no repository has it, and
	// reports whether that is so.
	ForgetUnusedLFS(ctx context.Context, oid string) (bool, error)

	// AddLFSLock inserts; KindConflict: the path is locked, or the id is there.
	AddLFSLock(ctx context.Context, l LFSLock) error
	// LFSLocks lists locks by id.
	LFSLocks(ctx context.Context, f LFSLockFilter) ([]LFSLock, error)
	// RemoveLFSLock is KindNotFound if there is none of the id.
	RemoveLFSLock(ctx context.Context, repoID, id string) error
}
