package core

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
	"sync"
	"time"
)

// NewID returns prefix, an underscore, and a lower-case ULID
// (github.com/ulid/spec): 48 bits of now in milliseconds and 80 random bits, in
// 26 digits of Crockford's base 32. It is safe for concurrent use.
//
// Ids made by one process increase strictly, also within a millisecond and when
// the clock is set back, so "newest first" is "highest id first". Ids are
// unique, not secret: two made in one millisecond are close to each other.
func NewID(prefix string, now time.Time) string {
	return prefix + "_" + ids.next(now).String()
}

// FirstID returns the lowest id that [NewID] can make at a time: for listing
// what came since then.
func FirstID(prefix string, at time.Time) string {
	return prefix + "_" + ulid{hi: milliseconds(at) << 16}.String()
}

// milliseconds is the part of a ULID that is its time.
func milliseconds(at time.Time) uint64 { return uint64(min(max(at.UnixMilli(), 0), ulidMaxTime)) }

// ids is state of the package because the order of ids is a promise about the
// whole process: two sources could not keep it. Nothing else reads or sets it.
var ids idSource

// idSource makes increasing ULIDs.
type idSource struct {
	mu   sync.Mutex
	last ulid
}

// ulid is a ULID as two big-endian numbers: 48 bits of time and 16 random bits
// in hi, 64 random bits in lo.
type ulid struct{ hi, lo uint64 }

const (
	ulidDigits  = "0123456789abcdefghjkmnpqrstvwxyz"
	ulidLength  = 26
	ulidMaxTime = 1<<48 - 1
)

// next returns the ULID of now or, if that is not above the last one, one
// shortly above the last one.
func (s *idSource) next(now time.Time) ulid {
	// rand.Read never fails: it ends the process if the system has no entropy.
	var random [14]byte
	_, _ = rand.Read(random[:])
	ms := milliseconds(now)
	id := ulid{
		hi: ms<<16 | uint64(binary.BigEndian.Uint16(random[:2])),
		lo: binary.BigEndian.Uint64(random[2:10]),
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if ms <= s.last.hi>>16 {
		// A random step, so that processes which share a database do not walk
		// into each other's ids. A carry out of the random bits moves the time
		// on by a millisecond, which keeps the order.
		id = s.last
		id.lo += 1 + uint64(binary.BigEndian.Uint32(random[10:14]))
		if id.lo < s.last.lo {
			id.hi++
		}
	}
	s.last = id
	return id
}

// String returns the 26 digits. The first one carries 3 bits, the others 5.
func (u ulid) String() string {
	var b strings.Builder
	b.Grow(ulidLength)
	for shift := 5 * (ulidLength - 1); shift >= 0; shift -= 5 {
		var digit uint64
		if shift >= 64 {
			digit = u.hi >> (shift - 64)
		} else {
			// In Go a shift by 64 or more gives zero, so hi adds nothing once
			// the window lies within lo.
			digit = u.lo>>shift | u.hi<<(64-shift)
		}
		b.WriteByte(ulidDigits[digit&31])
	}
	return b.String()
}
