package fsck

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// Refusal is an object that git refused.
type Refusal struct {
	Object core.ObjectID
	ID     string // of the check
	Text   string // git's own description
	Path   string // of the object in its repository; "" if it is not known
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
