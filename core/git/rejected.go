package git

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/progress"
)

// shallowRef finds the refs that git fetch left alone because the upstream does
// not have their whole history (builtin/fetch.c). Lines of the host itself begin
// with "remote: ".
var shallowRef = regexp.MustCompile(`^warning: rejected (.+) because shallow roots are not allowed to be updated$`)

// ShallowError says that git fetch left refs as they were because their history
// is cut off at the upstream. Git ends with status 0 then, also with --dry-run,
// and the objects that did come stay here, on no ref.
type ShallowError struct {
	Ref   string // the first of them, by its name at the upstream, or an id
	Count int
	Err   error // how git ended; nil with status 0
}

// Error is the sentence for people.
func (e *ShallowError) Error() string {
	more := ""
	if e.Count > 1 {
		more = fmt.Sprintf(" and of %d more", e.Count-1)
	}
	return fmt.Sprintf("the upstream is a shallow repository: the history of %q%s is cut off there, and what is here was left as it was; "+
		"have the upstream completed (git fetch --unshallow), then sync again", e.Ref, more)
}

// Unwrap returns how git ended.
func (e *ShallowError) Unwrap() error { return e.Err }

// ShallowWriter returns a writer for git fetch's stderr, and a function that
// tells once git has ended how the fetch really did: ended is what git's status
// says.
func ShallowWriter() (w io.Writer, outcome func(ended error) error) {
	var e ShallowError
	lines := progress.NewLineWriter(func(line []byte, transient bool) {
		m := shallowRef.FindSubmatch(line)
		if m == nil || transient {
			return
		}
		if e.Count++; e.Count == 1 {
			e.Ref = string(m[1])
			if short, ok := strings.CutPrefix(e.Ref, core.TrackingPrefix); ok {
				e.Ref = "refs/" + short
			}
		}
	})
	return lines, func(ended error) error {
		_ = lines.Close() // never fails
		if e.Count == 0 {
			return ended
		}
		e.Err = ended
		return &e
	}
}

// NameTaken reports whether git fetch could not write a ref because its name is
// a folder of another one here, or that of it: no other try would help.
func NameTaken(err error) bool {
	_, fetched := errors.AsType[*ExitError](err)
	return fetched && refFailure(err) == RefConflict
}

// refFailure returns why git did not write a ref, by the words that it has for
// that in every command; RefUnknown if that is not why it failed.
func refFailure(err error) UpdateRefErrorKind {
	if re, ok := errors.AsType[*RefError](err); ok {
		return re.Kind
	}
	exit, ok := errors.AsType[*ExitError](err)
	if !ok {
		return RefUnknown
	}
	var own []string // a host's git may fail so too, and its lines begin with "remote: "
	for line := range strings.Lines(exit.Stderr) {
		if !strings.HasPrefix(line, "remote: ") {
			own = append(own, line)
		}
	}
	_, kind := ParseUpdateRefError(strings.Join(own, ""))
	return kind
}

// unavailable finds what is said of an object that a host does not give away by
// its id: by git's upload-pack.c, by JGit, and by fetch-pack.c on this machine
// where the host forbids it.
var unavailable = regexp.MustCompile(`not our ref|want [0-9a-f]{40,64} not valid|unadvertised object`)

// Unavailable reports whether a fetch by ids failed because the host does not
// have, or does not give, one of the objects.
func Unavailable(err error) bool {
	exit, ok := errors.AsType[*ExitError](err)
	return ok && unavailable.MatchString(exit.Stderr)
}
