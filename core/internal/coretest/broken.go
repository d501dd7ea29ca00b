package coretest

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// Broken are objects that fail one check of git-fsck(1) each.
type Broken struct {
	Check  string
	Commit core.ObjectID // to put a ref on
}

// BrokenCommits is [BrokenCommit] for checks of which there is one.
func BrokenCommits(t testing.TB, dir string, checks ...string) []Broken {
	t.Helper()
	var out []Broken
	for _, check := range checks {
		b, ok := BrokenCommit(t, dir, check)
		require.True(t, ok, check)
		out = append(out, b)
	}
	return out
}

// BrokenCommit writes to a repository a commit or tag that fails a check of git's by
// itself, by its tree or by a file. It returns false for a check that no object
// here fails.
func BrokenCommit(t testing.TB, dir, check string) (Broken, bool) {
	t.Helper()
	git := gitDir(dir)
	blob := func(text string) string { return WriteObject(t, git, "blob", []byte(text)) }
	tree := func(entries ...[2]string) string { // mode and name, id
		var raw []byte
		for _, e := range entries {
			id, err := hex.DecodeString(e[1])
			require.NoError(t, err)
			raw = append(append(append(raw, e[0]...), 0), id...)
		}
		return WriteObject(t, git, "tree", raw)
	}
	const who = "A <a@example.com> 1700000000 +0000"
	file := blob("content\n")
	good := tree([2]string{"100644 file", file})
	commit := func(tree, author, committer string) string {
		return WriteObject(t, git, "commit", []byte("tree "+tree+"\n"+author+committer+"\nmessage\n"))
	}
	by := func(author string) string { return commit(good, "author "+author+"\n", "committer "+who+"\n") }
	of := func(entries ...[2]string) string {
		return commit(tree(entries...), "author "+who+"\n", "committer "+who+"\n")
	}
	tag := func(text string) string {
		return WriteObject(t, git, "tag", []byte("object "+by(who)+"\ntype commit\n"+text+"\nmessage\n"))
	}
	modules := func(text string) string { return of([2]string{"100644 .gitmodules", blob(text)}) }
	all := map[string]func() string{
		"badDate":                 func() string { return by("A <a@example.com> yesterday +0000") },
		"badDateOverflow":         func() string { return by("A <a@example.com> 99999999999999999999 +0000") },
		"badTimezone":             func() string { return by("A <a@example.com> 1700000000 +051800") },
		"missingSpaceBeforeDate":  func() string { return by("A <a@example.com>1700000000 +0000") },
		"zeroPaddedDate":          func() string { return by("A <a@example.com> 01700000000 +0000") },
		"badEmail":                func() string { return by("A <a<b@example.com> 1700000000 +0000") },
		"badName":                 func() string { return by("A> <a@example.com> 1700000000 +0000") },
		"missingEmail":            func() string { return by("A 1700000000 +0000") },
		"missingNameBeforeEmail":  func() string { return by("<a@example.com> 1700000000 +0000") },
		"missingSpaceBeforeEmail": func() string { return by("A<a@example.com> 1700000000 +0000") },
		"multipleAuthors":         func() string { return by(who + "\nauthor B <b@example.com> 1700000000 +0000") },
		"zeroPaddedFilemode":      func() string { return of([2]string{"0100644 file", file}) },
		"badFilemode":             func() string { return of([2]string{"100664 file", file}) },
		"missingTaggerEntry":      func() string { return tag("tag v1\n") },
		"gitmodulesParse":         func() string { return modules("[submodule\n") },
		"missingAuthor":           func() string { return commit(good, "", "committer "+who+"\n") },
		"missingCommitter":        func() string { return commit(good, "author "+who+"\n", "") },
		"nulInCommit":             func() string { return by(who + "\ncommitter " + who + "\n\n\x00hidden\nx") },
		"duplicateEntries":        func() string { return of([2]string{"100644 file", file}, [2]string{"100644 file", blob("other\n")}) },
		"treeNotSorted":           func() string { return of([2]string{"100644 file", file}, [2]string{"100644 a", file}) },
		"fullPathname":            func() string { return of([2]string{"100644 a/b", file}) },
		"hasDot":                  func() string { return of([2]string{"40000 .", good}) },
		"hasDotdot":               func() string { return of([2]string{"40000 ..", good}) },
		"hasDotgit":               func() string { return of([2]string{"40000 .GIT", good}) },
		"nullSha1":                func() string { return of([2]string{"160000 x", strings.Repeat("0", 40)}) },
		"gitmodulesName":          func() string { return modules("[submodule \"../x\"]\n\turl = https://example.test/x\n") },
		"gitmodulesPath":          func() string { return modules("[submodule \"x\"]\n\tpath = -x\n\turl = https://example.test/x\n") },
		"gitmodulesUpdate":        func() string { return modules("[submodule \"x\"]\n\tupdate = !sh\n\turl = https://example.test/x\n") },
		"gitmodulesUrl":           func() string { return modules("[submodule \"x\"]\n\turl = --upload-pack=sh\n") },
		"gitmodulesSymlink":       func() string { return of([2]string{"120000 .gitmodules", file}) },
		"gitmodulesBlob":          func() string { return of([2]string{"40000 .gitmodules", good}) },
		"gitattributesLineLength": func() string { return of([2]string{"100644 .gitattributes", blob(strings.Repeat("a", 2049))}) },
	}
	object, ok := all[check]
	if !ok {
		return Broken{}, false
	}
	return Broken{check, core.ObjectID(object())}, true
}

// Refspecs are arguments of git push: each commit to a branch with the name of its
// check, a tag to a tag.
func Refspecs(all []Broken) []string {
	var out []string
	for _, b := range all {
		folder := "heads"
		if b.Check == "missingTaggerEntry" {
			folder = "tags"
		}
		out = append(out, fmt.Sprintf("%s:refs/%s/%s", b.Commit, folder, b.Check))
	}
	return out
}
