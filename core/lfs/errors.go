package lfs

import "errors"

// What callers of an [Upstream] decide by; found with errors.Is. Whoever shows the error
// shows its text, which has the host's words.
var (
	// ErrUnsupported says that the host offers no LFS for the repository, or, of a
	// method about locks, no locks.
	ErrUnsupported = errors.New("the host does not offer it")
	// ErrExpired says that the host's permission for a transfer ended before the bytes
	// were there: a new batch, and all the bytes from the beginning, may help.
	ErrExpired = errors.New("the host's permission for the transfer has expired")
	// ErrUnconfirmed says of a change that the host may have made it: the request went
	// out, and no answer came that says yes or no.
	ErrUnconfirmed = errors.New("the host has not confirmed it, and may have done it")
	// ErrCut says that the bytes ended early: the rest may be asked for from there.
	ErrCut = errors.New("the bytes of the object ended early")
)
