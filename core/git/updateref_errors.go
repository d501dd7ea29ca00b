package git

import (
	"regexp"

	"github.com/headwater-git/headwater/core"
)

// UpdateRefErrorKind says why git update-ref refused a ref transaction.
type UpdateRefErrorKind string

// The reasons of update-ref.
const (
	RefStale    UpdateRefErrorKind = "stale"           // the ref is not where the caller believed
	RefConflict UpdateRefErrorKind = "name conflict"   // "a" and "a/b" cannot both be refs
	RefLocked   UpdateRefErrorKind = "locked"          // another process holds the ref or packed-refs
	RefNoObject UpdateRefErrorKind = "missing object"  // the new value is absent, or no commit where one must be
	RefBadName  UpdateRefErrorKind = "bad name"        // no valid ref name
	RefTooLong  UpdateRefErrorKind = "name too long"   // for a file or a path of the file system
	RefTwice    UpdateRefErrorKind = "named twice"     // one transaction updates the ref twice
	RefUnknown  UpdateRefErrorKind = "unknown failure" // git said something else
)

// Kind returns the failure in the terms of the core.
func (k UpdateRefErrorKind) Kind() core.Kind {
	switch k {
	case RefStale:
		return core.KindStale
	case RefConflict:
		return core.KindConflict
	case RefLocked:
		return core.KindLocked
	case RefNoObject, RefBadName, RefTooLong, RefTwice:
		return core.KindInvalid
	}
	return core.KindInternal
}

// Reason returns the failure as one line for a client.
func (k UpdateRefErrorKind) Reason() string {
	switch k {
	case RefStale:
		return "stale, fetch first" // part of the wire contract
	case RefConflict:
		return "the name conflicts with another ref (one is a folder of the other)"
	case RefLocked:
		return "another update of this ref is under way, try again"
	case RefNoObject:
		return "the new value is missing or is not a commit"
	case RefBadName:
		return "not a valid ref name"
	case RefTooLong:
		return "the ref name is too long: " + core.RefNameLimits
	case RefTwice:
		return "named twice in one push"
	}
	return "could not be written; the server's log has the details"
}

// updateRefErrors are the messages of refs.c, refs/files-backend.c,
// refs/reftable-backend.c and builtin/update-ref.c. The first group, if there
// is one, is the ref. More specific ones come first: most are wrapped in
// "cannot lock ref 'x': ...".
var updateRefErrors = []struct {
	kind UpdateRefErrorKind
	re   *regexp.Regexp
}{
	// Before all others: it is the reason behind "unable to resolve reference", too.
	{RefTooLong, regexp.MustCompile(`cannot lock ref '([^']*)': .*File name too long`)},
	{RefTooLong, regexp.MustCompile(`File name too long`)},
	{RefConflict, regexp.MustCompile(`'[^']*' exists; cannot create '([^']*)'`)},
	{RefConflict, regexp.MustCompile(`there is a non-empty directory '[^']*' blocking reference '([^']*)'`)},
	{RefConflict, regexp.MustCompile(`cannot process '[^']*' and '([^']*)' at the same time`)},
	// What git fetch and batched updates say of them, without the folder. From
	// 2.51 on a fetch has the last sentence alone.
	{RefConflict, regexp.MustCompile(`there are still refs under '([^']*)'|refname conflict|some local refs could not be updated; try running`)},
	{RefStale, regexp.MustCompile(`cannot lock ref '([^']*)': (?:is at [0-9a-f]+ but expected|reference (?:already exists|is missing but expected)|unable to resolve reference)`)},
	{RefStale, regexp.MustCompile(`(?:is at [0-9a-f]+ but expected [0-9a-f]+|reference already exists|reference is missing but expected|incorrect old value provided|unable to resolve reference '([^']*)')`)},
	{RefLocked, regexp.MustCompile(`cannot lock ref '([^']*)': Unable to create '.*\.lock': File exists`)},
	{RefLocked, regexp.MustCompile(`Unable to create '.*/(refs/[^']*)\.lock': File exists`)},
	{RefLocked, regexp.MustCompile(`Unable to create '.*\.lock': File exists|cannot lock references|unable to lock packed-refs`)},
	{RefNoObject, regexp.MustCompile(`trying to write ref '([^']*)' with nonexistent object`)},
	{RefNoObject, regexp.MustCompile(`trying to write non-commit object [0-9a-f]+ to branch '([^']*)'`)},
	{RefTwice, regexp.MustCompile(`multiple updates for (?:ref )?'([^']*)'`)},
	{RefBadName, regexp.MustCompile(`refusing to (?:update|force creation of|log) (?:ref|reference) with bad name '([^']*)'`)},
	{RefBadName, regexp.MustCompile(`invalid ref format: (\S*)`)},
}

// ParseUpdateRefError tells from the stderr of git update-ref, or of another command
// that writes refs, why it refused, and which ref it named: "" if none, as with a
// lock on packed-refs.
func ParseUpdateRefError(stderr string) (ref string, kind UpdateRefErrorKind) {
	for _, e := range updateRefErrors {
		m := e.re.FindStringSubmatch(stderr)
		if m == nil {
			continue
		}
		if len(m) > 1 {
			ref = m[1]
		}
		return ref, e.kind
	}
	return "", RefUnknown
}
