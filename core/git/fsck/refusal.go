package fsck

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// Refusal is an object that git refused.
type Refusal struct {
	Object core.ObjectID
	ID     string // of the check
	Text   string // git's own description
	Path   string // of the object in its repository, or its name; "" if it is not known
	Repo   string // the repository's name as commands take it; "" has a placeholder there
}

// refused matches the line in which git-index-pack(1), git-unpack-objects(1) and
// git-fsck(1) name an object (fsck_error_function in git's fsck.c). Git prints
// ids of checks in their own spelling.
var refused = regexp.MustCompile(`(?m)^error: (?:object|in [a-z]+) ([0-9a-f]{64}|[0-9a-f]{40})(?: \([^\n]*\))?: ([a-z][A-Za-z0-9]+): ([^\n]*)$`)

// FindRefusal returns the first object that git on this machine says it refused, in
// the text of its standard error. Lines of a host begin with "remote: " and do
// not count.
func FindRefusal(stderr string) (Refusal, bool) {
	m := refused.FindStringSubmatch(stderr)
	if m == nil {
		return Refusal{}, false
	}
	r := Refusal{Object: core.ObjectID(m[1]), ID: m[2], Text: strings.TrimSpace(m[3])}
	// These checks are of files with one name. Git does not say in which folder.
	switch {
	case r.ID == "gitmodulesSymlink", r.ID == "gitattributesSymlink": // the object is the tree
	case strings.HasPrefix(r.ID, "gitmodules"):
		r.Path = ".gitmodules"
	case strings.HasPrefix(r.ID, "gitattributes"):
		r.Path = ".gitattributes"
	}
	return r, true
}

// OfFolder reports whether the object is a folder, of which git says no more than its
// id. A commit has no path, and the names of the files that git checks are known.
func (r Refusal) OfFolder() bool {
	switch r.ID {
	case "gitmodulesSymlink", "gitattributesSymlink", "gitignoreSymlink", "mailmapSymlink", "badTree", "badFilemode", "zeroPaddedFilemode":
		return true
	}
	c, ok := Find(r.ID)
	return ok && (c.Reason == escape || c.Reason == ambiguous || c.Reason == nothing)
}

// maxPath is how many bytes of a path a sentence has room for.
const maxPath = 120

// FolderPath returns a folder's path, as git-rev-list(1) prints it, in the words that a
// sentence has for it.
func FolderPath(path string) string {
	if path == "" {
		return "the top folder"
	}
	if len(path) > maxPath { // what is near the object helps more
		path = "..." + strings.ToValidUTF8(path[len(path)-maxPath:], "")
	}
	if quoted := strconv.Quote(path); strings.Trim(quoted, `"`) != path {
		path = quoted // of unprintable characters
	}
	return "the folder " + path
}

// RefusedError says which object a command of git ended at, when more is known than git
// said itself.
type RefusedError struct {
	Refusal Refusal
	Err     error
}

// Error is [Refusal.Sentence].
func (e *RefusedError) Error() string { return e.Refusal.Sentence() }

// Unwrap returns how the command ended.
func (e *RefusedError) Unwrap() error { return e.Err }

// Sentence says what was refused, why, and what to do, on one line.
func (r Refusal) Sentence() string {
	object := string(r.Object)
	if r.Path != "" {
		object += fmt.Sprintf(" (%s)", r.Path)
	}
	text := fmt.Sprintf("git refuses object %s: %s: %s; ", object, r.ID, r.Text)
	c, ok := Find(r.ID)
	switch {
	case ok && c.Class == BySetting:
		text += fmt.Sprintf("if that is as it should be, allow it with `headwater repo settings --tolerate %s %s`", c.ID, cmp.Or(r.Repo, "REPO"))
		if c.Reason == ambiguous && r.Path == "" { // it is about a folder
			text += fmt.Sprintf("; `git rev-list --objects --all | grep %.12s` names the folder", r.Object)
		}
		return text
	case ok && c.Class == Never && r.Path == "":
		return text + fmt.Sprintf("that is never allowed, because %s; find where it is with `git rev-list --objects --all | grep %.12s` and take it out of the history", c.Reason, r.Object)
	case ok && c.Class == Never:
		return text + fmt.Sprintf("that is never allowed, because %s; take it out of the history", c.Reason)
	}
	return text + "this server has no rule for that check; ask its operator to update it"
}
