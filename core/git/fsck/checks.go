package fsck

import (
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// Class says what becomes of an object that fails a check.
type Class int

// The classes.
const (
	// ByDefault is tolerated everywhere: what old tools wrote of people, dates and
	// modes. Every git reads it, and its history cannot be written anew.
	ByDefault Class = iota
	// BySetting is refused unless the repository's settings name it: git can read
	// it, but programs may read it differently, or it is rare enough to be an accident.
	BySetting
	// Never is refused whatever the settings say: it attacks whoever checks it
	// out, or git itself cannot read it.
	Never
)

// Check is one check of git's.
type Check struct {
	ID     string // git's message id, as in receive.fsck.ID
	Class  Class
	Reason string // completes "because"

	// since is the first minor version of git 2 that is asked to ignore it; 0 is
	// every version that is supported. Git dies of a name that it does not know.
	since int
}

// The reasons, one for each kind of fault.
const (
	person = "old tools wrote names and addresses like that"
	date   = "old tools wrote dates like that"
	mode   = "old tools wrote tags and file modes like that"
	inert  = "git ignores the content of such a file"

	hidden    = "programs disagree about who wrote it, or hide a part of it"
	ambiguous = "which of the files is checked out depends on the program"
	truncated = "what is signed and what is not depends on the program"

	escape     = "checking it out could write outside of the work tree, or into its .git folder"
	submodule  = "a clone with submodules could run commands or write files elsewhere"
	attributes = "git before 2.39.1 can be made to write beyond its memory by it"
	nothing    = "it points to an object that cannot exist"
	unreadable = "git itself cannot read the object"
	refs       = "it is about the files of refs of one repository, not about objects"
)

// Checks returns every check of git 2.39 to 2.55.
func Checks() []Check {
	return []Check{
		{"badDate", ByDefault, date, 0},
		{"badDateOverflow", ByDefault, date, 0},
		{"badTimezone", ByDefault, date, 0},
		{"missingSpaceBeforeDate", ByDefault, date, 0},
		{"zeroPaddedDate", ByDefault, date, 0},
		{"badEmail", ByDefault, person, 0},
		{"badName", ByDefault, person, 0},
		{"missingEmail", ByDefault, person, 0},
		{"missingNameBeforeEmail", ByDefault, person, 0},
		{"missingSpaceBeforeEmail", ByDefault, person, 0},
		{"multipleAuthors", ByDefault, person, 0},
		{"badFilemode", ByDefault, mode, 0},
		{"zeroPaddedFilemode", ByDefault, mode, 0},
		{"badTagName", ByDefault, mode, 0},
		{"missingTaggerEntry", ByDefault, mode, 0},
		{"extraHeaderEntry", ByDefault, mode, 0},
		{"gitattributesSymlink", ByDefault, inert, 0},
		{"gitignoreSymlink", ByDefault, inert, 0},
		{"mailmapSymlink", ByDefault, inert, 0},
		{"gitmodulesParse", ByDefault, inert, 0},

		{"missingAuthor", BySetting, hidden, 0},
		{"missingCommitter", BySetting, hidden, 0},
		{"nulInCommit", BySetting, hidden, 0},
		{"duplicateEntries", BySetting, ambiguous, 0},
		{"treeNotSorted", BySetting, ambiguous, 0},
		// 2.53 may know them already; 2.54 surely does.
		{"badGpgsig", BySetting, truncated, 54},
		{"badHeaderContinuation", BySetting, truncated, 54},

		{"emptyName", Never, escape, 0},
		{"fullPathname", Never, escape, 0},
		{"hasDot", Never, escape, 0},
		{"hasDotdot", Never, escape, 0},
		{"hasDotgit", Never, escape, 0},
		{"largePathname", Never, escape, 43},
		{"gitmodulesBlob", Never, submodule, 0},
		{"gitmodulesLarge", Never, submodule, 0},
		{"gitmodulesMissing", Never, submodule, 0},
		{"gitmodulesName", Never, submodule, 0},
		{"gitmodulesPath", Never, submodule, 0},
		{"gitmodulesSymlink", Never, submodule, 0},
		{"gitmodulesUpdate", Never, submodule, 0},
		{"gitmodulesUrl", Never, submodule, 0},
		{"gitattributesBlob", Never, attributes, 0},
		{"gitattributesLarge", Never, attributes, 0},
		{"gitattributesLineLength", Never, attributes, 0},
		{"gitattributesMissing", Never, attributes, 0},
		{"nullSha1", Never, nothing, 0},
		{"badObjectSha1", Never, unreadable, 0},
		{"badParentSha1", Never, unreadable, 0},
		{"badTree", Never, unreadable, 0},
		{"badTreeSha1", Never, unreadable, 0},
		{"badType", Never, unreadable, 0},
		{"missingObject", Never, unreadable, 0},
		{"missingTag", Never, unreadable, 0},
		{"missingTagEntry", Never, unreadable, 0},
		{"missingTree", Never, unreadable, 0},
		{"missingType", Never, unreadable, 0},
		{"missingTypeEntry", Never, unreadable, 0},
		{"nulInHeader", Never, unreadable, 0},
		{"unknownType", Never, unreadable, 0},
		{"unterminatedHeader", Never, unreadable, 0},

		{"badHeadTarget", Never, refs, 54},
		{"badPackedRefEntry", Never, refs, 54},
		{"badPackedRefHeader", Never, refs, 54},
		{"badRefContent", Never, refs, 54},
		{"badRefFiletype", Never, refs, 47},
		{"badRefName", Never, refs, 47},
		{"badRefOid", Never, refs, 54},
		{"badReferentName", Never, refs, 54},
		{"badReftableTableName", Never, refs, 54},
		{"emptyPackedRefsFile", Never, refs, 54},
		{"packedRefEntryNotTerminated", Never, refs, 54},
		{"packedRefUnsorted", Never, refs, 54},
		{"refMissingNewline", Never, refs, 54},
		{"symlinkRef", Never, refs, 54},
		{"symrefTargetIsNotARef", Never, refs, 54},
		{"trailingRefContent", Never, refs, 54},
	}
}

// Find returns the check of an id. Git takes ids in any case, and so do settings.
func Find(id string) (Check, bool) {
	all := Checks()
	i := slices.IndexFunc(all, func(c Check) bool { return strings.EqualFold(c.ID, id) })
	if i < 0 {
		return Check{}, false
	}
	return all[i], true
}

// Ignored returns the ids that a git 2.minor is to ignore in a repository whose
// settings tolerate some: those tolerated everywhere, and those of the settings,
// without what that git does not check.
func Ignored(minor int, tolerated []string) []string {
	var ids []string
	for _, c := range Checks() {
		named := slices.ContainsFunc(tolerated, func(id string) bool { return strings.EqualFold(id, c.ID) })
		if c.since <= minor && (c.Class == ByDefault || c.Class == BySetting && named) {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// Tolerable lists the ids that settings may name, in the order of [Checks].
func Tolerable() []string {
	var ids []string
	for _, c := range Checks() {
		if c.Class == BySetting {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// CheckTolerated returns the ids in git's spelling, each once. Errors: KindInvalid for
// an id that no setting can tolerate, with the reason. What is tolerated
// everywhere is left out.
func CheckTolerated(ids []string) ([]string, error) {
	var out []string
	for _, id := range ids {
		c, ok := Find(id)
		switch {
		case !ok:
			return nil, core.Errorf(core.KindInvalid, "tolerate: git has no check %q; use one of %s", id, strings.Join(Tolerable(), ", "))
		case c.Class == Never:
			return nil, core.Errorf(core.KindInvalid, "tolerate: %s is never tolerated, because %s; use one of %s", c.ID, c.Reason, strings.Join(Tolerable(), ", "))
		case c.Class == BySetting && !slices.Contains(out, c.ID):
			out = append(out, c.ID)
		}
	}
	return out, nil
}
