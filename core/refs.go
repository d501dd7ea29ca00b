package core

import (
	"slices"
	"strings"
)

// Hidden and special ref prefixes of a repository on disk.
const (
	// InternalPrefix holds what is ours alone; it is never advertised and a
	// client may not write it.
	InternalPrefix = "refs/internal/"
	// TrackingPrefix holds the last upstream state seen: tracking refs.
	TrackingPrefix = "refs/internal/upstream/"
	// EphemeralNamespace is the git namespace (gitnamespaces(7)) of ephemeral refs.
	EphemeralNamespace = "ephemeral"
	// EphemeralPrefix is where the ephemeral namespace lives on disk.
	EphemeralPrefix = "refs/namespaces/ephemeral/"
)

// Namespace says through which remote a ref is seen.
type Namespace string

// The namespaces. A ref name is always the client's name; [Namespace.Path]
// gives the name on disk.
const (
	Default   Namespace = ""
	Ephemeral Namespace = "ephemeral"
)

// Path returns the on-disk name of the ref that clients of the namespace call name.
func (n Namespace) Path(name string) string {
	if n == Ephemeral {
		return EphemeralPrefix + name
	}
	return name
}

// ObjectID is the hexadecimal name of a git object: 40 digits in a sha1
// repository, 64 in a sha256 one.
type ObjectID string

// ZeroSHA1 is the id that stands for "no object" in a sha1 repository.
const ZeroSHA1 ObjectID = "0000000000000000000000000000000000000000"

// IsZero reports whether id stands for "absent": empty or all zeros.
func (id ObjectID) IsZero() bool { return strings.Trim(string(id), "0") == "" }

// Same reports whether both are the same object, or both stand for "absent".
func (id ObjectID) Same(other ObjectID) bool { return id == other || id.IsZero() && other.IsZero() }

// OrZeros writes "absent" as zeros of the other id's length.
func (id ObjectID) OrZeros(other ObjectID) ObjectID {
	if !id.IsZero() {
		return id
	}
	return ObjectID(strings.Repeat("0", max(len(other), len(ZeroSHA1))))
}

// MaybeObjectID reports whether text may be an object id, whole or its beginning:
// 4 to 64 hexadecimal digits of either case. Git takes no fewer than four.
func MaybeObjectID(text string) bool {
	if len(text) < 4 || len(text) > 64 {
		return false
	}
	return strings.Trim(text, "0123456789abcdefABCDEF") == ""
}

// Valid reports whether id has the form of an object id.
func (id ObjectID) Valid() bool {
	if len(id) != 40 && len(id) != 64 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// RefUpdate moves one ref. A zero Old means the ref must not exist; a zero New
// deletes it. Name is the name the client used, see [Namespace].
type RefUpdate struct {
	Name string   `json:"name"`
	Old  ObjectID `json:"old"`
	New  ObjectID `json:"new"`
}

// IsDelete reports whether the update removes the ref.
func (u RefUpdate) IsDelete() bool { return u.New.IsZero() }

// IsCreate reports whether the update makes a new ref.
func (u RefUpdate) IsCreate() bool { return u.Old.IsZero() && !u.New.IsZero() }

// ValidateUpstreamRef checks the name of a branch or tag that a caller wants an
// upstream to be asked for: a full name, or the short one of a branch. Errors:
// KindInvalid.
func ValidateUpstreamRef(name string) error {
	full := name
	if !strings.HasPrefix(full, "refs/") {
		full = "refs/heads/" + full
	}
	if err := ValidateRefName(full); err != nil {
		return err
	}
	if !UpstreamOwned(Default, full) {
		return Errorf(KindInvalid, "ref %q is not a branch or tag", name)
	}
	return nil
}

// UpstreamOwned reports whether the upstream of a synced repository owns the
// ref whatever its settings say: branches and tags of the default namespace. It
// owns further refs that the settings name, see [Reserved].
func UpstreamOwned(ns Namespace, name string) bool {
	return ns == Default && (strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/"))
}

// ours are the roots of refs that no upstream has a say in.
var ours = []string{InternalPrefix, "refs/namespaces/", "refs/notes/"}

// reserved are the roots of refs that are mirrored under no name: what is ours,
// the branches and tags, which are mirrored anyway, and what hosts make and show
// for their own purposes.
var reserved = slices.Concat(ours, []string{
	"refs/heads/", "refs/tags/",
	"refs/pull/", "refs/merge-requests/", "refs/pull-requests/", "refs/for/", "refs/drafts/",
	"refs/keep-around/", "refs/environments/", "refs/pipelines/",
})

// below reports whether a ref is below one of the roots.
func below(roots []string, name string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return strings.HasPrefix(name, root) })
}

// Reserved reports whether no setting makes the upstream own the ref, beside
// branches and tags: notes are ours, and pull requests are read only.
func Reserved(name string) bool { return below(reserved, name) }

// OursAlone reports whether the upstream of a synced repository has no say in a
// ref: of another namespace, of the server itself, or a note.
func OursAlone(ns Namespace, name string) bool {
	return ns != Default || below(ours, name)
}

// TrackingRef returns the tracking ref of an upstream-owned ref.
func TrackingRef(name string) string { return TrackingPrefix + strings.TrimPrefix(name, "refs/") }
