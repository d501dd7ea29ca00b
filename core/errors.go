package core

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what sort of failure an [Error] is. Callers branch on the kind,
// never on the text. The REST layer maps each kind to one HTTP status.
type Kind string

// The kinds of failure. A test in server/api fails on a kind that has no HTTP status.
const (
	KindInvalid             Kind = "invalid"              // the request itself is wrong
	KindUnauthenticated     Kind = "unauthenticated"      // no token, or one that does not verify
	KindPermission          Kind = "permission"           // a good token that does not open this
	KindNotFound            Kind = "not_found"            // no such thing, or not visible to the caller
	KindConflict            Kind = "conflict"             // exists already, or its state forbids this
	KindSyncing             Kind = "syncing"              // the first sync has not finished
	KindPrecondition        Kind = "precondition"         // something must be set up or be true first
	KindStale               Kind = "stale"                // a ref is not where the caller believed
	KindTooLarge            Kind = "too_large"            // over a size limit
	KindUnsupported         Kind = "unsupported"          // the host or this server cannot do it
	KindUpstreamRejected    Kind = "upstream_rejected"    // the upstream host said no
	KindLocked              Kind = "locked"               // another writer held the ref for too long
	KindRateLimited         Kind = "rate_limited"         // slow down; RetryAfter says how long
	KindUpstreamUnavailable Kind = "upstream_unavailable" // the upstream host cannot be reached
	KindUpstreamTimeout     Kind = "upstream_timeout"     // the upstream host did not answer in time
	KindTimeout             Kind = "timeout"              // the work took longer than this server allows
	KindNotFresh            Kind = "not_fresh"            // the copy is older than the caller demands, and could not be made fresh
	KindResource            Kind = "resource"             // this server ran out of memory, disk space, open files or processes, or its database is away
	KindRebuilding          Kind = "rebuilding"           // the content was damaged here, and is fetched again
	KindDamaged             Kind = "damaged"              // the content is missing or damaged here, and a person has to act
	KindReadOnly            Kind = "read_only"            // an operator has the server change nothing for a while
	KindInternal            Kind = "internal"             // our fault
)

// Kinds lists every kind, for tables that must be complete.
var kinds = []Kind{
	KindInvalid, KindUnauthenticated, KindPermission, KindNotFound, KindConflict, KindSyncing, KindPrecondition, KindStale,
	KindTooLarge, KindUnsupported, KindUpstreamRejected, KindLocked, KindRateLimited, KindUpstreamUnavailable,
	KindUpstreamTimeout, KindTimeout, KindNotFresh, KindResource, KindRebuilding, KindDamaged, KindReadOnly, KindInternal,
}

// Kinds returns every kind there is.
func Kinds() []Kind { return append([]Kind(nil), kinds...) }

// Error is the error type of the core. Message is one sentence for a person:
// lower case, what failed and what to do; it never holds a secret. Err is the
// cause, for logs.
type Error struct {
	Kind       Kind
	Op         string // what we were doing, e.g. "create repository"
	Subject    string // what it was done to, e.g. a repository or ref name
	Message    string
	Err        error
	RetryAfter time.Duration // zero: unknown
}

// Error joins op, subject, message and cause.
func (e *Error) Error() string {
	var parts []string
	if e.Op != "" {
		if e.Subject != "" {
			parts = append(parts, fmt.Sprintf("%s %q", e.Op, e.Subject))
		} else {
			parts = append(parts, e.Op)
		}
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	if len(parts) == 0 {
		return string(e.Kind)
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an [Error] of the kind whose message is the formatted text.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the outermost [Error] in err's chain, and
// [KindInternal] for any other error. What would be internal but comes of something
// that the machine ran out of, see [ShortageOf], is [KindResource]. KindOf(nil) is the
// empty kind.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	kind := KindInternal
	if e, ok := errors.AsType[*Error](err); ok {
		kind = e.Kind
	}
	if _, short := ShortageOf(err); short && kind == KindInternal {
		return KindResource
	}
	return kind
}

// PublicMessage returns what whoever meets err reads on any surface: its [MessageOf],
// but nothing of an internal error, whose message was written for the log.
func PublicMessage(err error) string {
	if KindOf(err) == KindInternal {
		return "internal error; the server's log has the details"
	}
	return MessageOf(err)
}

// MessageOf returns the sentence of err that a caller may be shown: the
// message of the outermost [Error]; for any other error a neutral text, because
// an unclassified error may hold paths or host internals.
func MessageOf(err error) string {
	e, ok := errors.AsType[*Error](err)
	if short, found := ShortageOf(err); found && (!ok || e.Kind == KindInternal) {
		return sentenceOf(err, short)
	}
	if ok {
		if e.Message != "" {
			return e.Message
		}
		return strings.ReplaceAll(string(e.Kind), "_", " ")
	}
	return "internal error; the server's log has the details"
}
