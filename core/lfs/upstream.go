package lfs

import (
	"context"
	"io"
	"time"
)

// Operation is what a batch is for.
type Operation string

// The operations of the batch API (docs/api/batch.md of git-lfs).
const (
	Download Operation = "download"
	Upload   Operation = "upload"
)

// Upstream is the LFS server of one repository's upstream, as one credential
// sees it. Its errors quote what the host said, and core/upstream: Classify and
// Failure know their class; [ErrUnsupported], [ErrExpired] and [ErrCut] are in the
// chains of some. It is safe for concurrent use.
type Upstream interface {
	// Batch asks for all objects at once and returns one [Transfer] for each,
	// in their order. ref is the full name of the ref that an upload is for; ""
	// if it is not known. The error says that nothing was answered at all; what
	// the host says of one object is in its Transfer, and so is a failure that came
	// when other objects had been answered.
	Batch(ctx context.Context, operation Operation, ref string, objects []Pointer) ([]Transfer, error)

	// Get opens the bytes of an object from offset on, exactly Pointer.Size less
	// offset of them, or reading them ends with an error. They are not verified: who
	// stores them hashes them. An action that has expired is asked for anew, and so is
	// that of a Transfer without one: a Transfer with its Pointer alone will do.
	Get(ctx context.Context, transfer Transfer, offset int64) (io.ReadCloser, error)

	// Put sends the bytes of an object, exactly Pointer.Size of them, and
	// verifies it at the host if the host asks for that. An error of body is
	// returned as it is, and ends the request before its last bytes: so a body that
	// verifies itself, and fails in place of [io.EOF], is never taken by the host. A
	// body that was read in part is not read again: after an error the caller begins
	// anew. body is not read after Put has returned.
	Put(ctx context.Context, transfer Transfer, body io.Reader) error

	// Locks lists the locks of the upstream, at most query.Limit of them. next
	// is the cursor of the following page, "" on the last.
	Locks(ctx context.Context, query LockQuery) (locks []Lock, next string, err error)

	// Ours reports whether the account of the credential holds the lock with the id.
	Ours(ctx context.Context, id, ref string) (bool, error)

	// Lock locks a path. *[LockedError] says that it is locked already. [ErrUnconfirmed]
	// is in the chain if the host may have locked it, and so of Unlock.
	Lock(ctx context.Context, path, ref string) (Lock, error)

	// Unlock removes a lock; force removes that of another account.
	Unlock(ctx context.Context, id, ref string, force bool) (Lock, error)
}

// Transfer is what the upstream answered about one object of a batch.
type Transfer struct {
	Pointer Pointer
	// Err is what the host says against it: for a download that it does not
	// have it, for an upload a quota, a size, a policy. nil if it may be
	// transferred.
	Err error
	// Present is set for an upload if the upstream has the object already and
	// wants no bytes.
	Present bool
	// Action belongs to the implementation: addresses and headers that expire.
	// Headers in it are secrets.
	Action any
}

// Lock is a lock of a path that LFS clients respect
// (docs/api/locking.md of git-lfs).
type Lock struct {
	ID       string
	Path     string
	LockedAt time.Time
	// Owner is the name that is shown for who holds it.
	Owner string
}

// LockQuery filters a listing of locks. Zero values filter nothing.
type LockQuery struct {
	Path   string
	ID     string
	Ref    string
	Cursor string
	// Limit is the most locks of a page; 0: the host's default.
	Limit int
}

// LockedError says that a path is locked already, and by which lock.
type LockedError struct{ Lock Lock }

func (e *LockedError) Error() string {
	return e.Lock.Path + " is locked already by " + e.Lock.Owner
}
