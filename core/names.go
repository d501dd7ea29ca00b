package core

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxRepositoryName is the length limit of a public repository name, in bytes.
const MaxRepositoryName = 255

var repositoryID = regexp.MustCompile(`^repo_[0-9a-hjkmnp-tv-z]{26}$`)

// ValidateRepositoryName reports, as a KindInvalid [*Error], why name cannot be
// the public name of a repository: 1 to 255 bytes of printable text in any
// script, in parts that are joined by '/'. Clients percent-encode it in a path.
//
// What else is refused would be read as something else: parts "." and ".." by
// path cleaners, ".git", "+ephemeral" and "+import" at the end by the Git
// routes, a first part "api" or "webhooks" by the other routes, "org" by tokens
// (there it means every repository), and the form of an internal id by every
// place that takes a name or an id. Control characters, and those that change
// the direction of text, would make one name look like another in logs.
func ValidateRepositoryName(name string) error {
	refuse := func(reason string) error {
		return &Error{Kind: KindInvalid, Op: "check repository name", Subject: name, Message: "invalid repository name: " + reason}
	}
	switch {
	case name == "":
		return refuse("it is empty")
	case len(name) > MaxRepositoryName:
		return refuse("it is longer than 255 bytes")
	case !utf8.ValidString(name):
		return refuse("it is not UTF-8")
	case name == "org":
		return refuse(`"org" is reserved for organisation-wide tokens`)
	case strings.HasSuffix(name, "+ephemeral"), strings.HasSuffix(name, "+import"):
		return refuse(`the endings "+ephemeral" and "+import" are reserved for Git remotes`)
	case strings.ContainsFunc(name, unprintable):
		return refuse("control characters and invisible ones are not allowed")
	case repositoryID.MatchString(name):
		return refuse("it has the form of an internal id")
	}
	for i, part := range strings.Split(name, "/") {
		switch {
		case part == "":
			return refuse("a part between slashes is empty")
		case part == ".", part == "..":
			return refuse(`a part must not be "." or ".."`)
		case strings.HasSuffix(part, ".git"):
			return refuse(`a part must not end with ".git"`)
		case i == 0 && ReservedPath(part):
			return refuse(`it must not start with "` + part + `", which is a path of the server itself`)
		}
	}
	return nil
}

// inPaths escapes what a path of a URL may have, but what others take for more: of a path
// with a colon, git gives credential helpers what is before it undecoded, as if it were a
// scheme; the others mean something to shells, into which a URL is pasted.
var inPaths = strings.NewReplacer(":", "%3A", "$", "%24", "&", "%26", ";", "%3B")

// RemotePath returns the path of a repository's remote in a URL, escaped and without a
// slash before it. For a shell it is a plain word.
func RemotePath(name string) string {
	return inPaths.Replace((&url.URL{Path: name + ".git"}).EscapedPath())
}

// ReservedPath reports whether the server has a path of its own that begins with
// the part, so that no repository can have it.
func ReservedPath(part string) bool { return part == "api" || part == "webhooks" }

// unprintable reports whether a character cannot be seen: what Unicode does not
// call graphic, but for the two joiners that some scripts spell words with.
func unprintable(c rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d'
	return !unicode.IsGraphic(c) && c != nonJoiner && c != joiner
}

// FirstBranch returns the branch that the default branch of a repository becomes
// with its first branches: the configured one if it is there, else the only one,
// else "main", "master", or the first by bytes. Names are short; "" if there is
// no branch.
func FirstBranch(configured string, branches []string) string {
	for _, name := range []string{configured, "main", "master"} {
		if slices.Contains(branches, name) {
			return name
		}
	}
	if len(branches) == 0 {
		return ""
	}
	return slices.Min(branches)
}

// What the name of a ref may have at most, in bytes. Git says nothing of it, but
// stores refs as files: a part is a file's name, which has 255 bytes with the
// ".lock" of a change and some room, and all of it is in one path.
const (
	maxRefPart = 245
	maxRefName = 2000
)

// RefNameLimits says how long the name of a ref may be.
var RefNameLimits = fmt.Sprintf("a part between slashes may have %d bytes, and all of it %d", maxRefPart, maxRefName)

// RefNameTooLong reports whether no ref of that name can be stored here.
func RefNameTooLong(name string) bool {
	if len(name) > maxRefName {
		return true
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxRefPart {
			return true
		}
	}
	return false
}

// RefNameWellFormed reports whether name is the full name of a ref by the rules of
// git-check-ref-format(1), however long it is: what a host may have.
func RefNameWellFormed(name string) bool {
	return refNameFault(name) == "" && !strings.HasPrefix(name, "-")
}

// ValidateRefName reports, as a KindInvalid [*Error], why name is not a full
// ref name such as "refs/heads/main". The rules are those of
// git-check-ref-format(1) without options, which takes a leading '-' for one, and
// [RefNameTooLong].
func ValidateRefName(name string) error {
	reason := refNameFault(name)
	switch {
	case strings.HasPrefix(name, "-"):
		reason = "it must not start with '-'"
	case reason == "" && RefNameTooLong(name):
		reason = RefNameLimits
	}
	if reason != "" {
		return &Error{Kind: KindInvalid, Op: "check ref name", Subject: name, Message: "invalid ref name: " + reason}
	}
	return nil
}

// ValidateBranchName reports, as a KindInvalid [*Error], why name is not the
// short name of a branch, such as "main". The rules are those of
// git check-ref-format --branch, which refuses what other git commands would
// take for an option or for a revision, and [RefNameTooLong].
func ValidateBranchName(name string) error {
	var reason string
	switch {
	case name == "":
		reason = "it is empty"
	case name[0] == '-':
		reason = "it must not start with '-'"
	case name == "HEAD":
		reason = `"HEAD" names the current commit`
	default:
		reason = refNameFault("refs/heads/" + name)
		if reason == "" && RefNameTooLong("refs/heads/"+name) {
			reason = RefNameLimits
		}
	}
	if reason != "" {
		return &Error{Kind: KindInvalid, Op: "check branch name", Subject: name, Message: "invalid branch name: " + reason}
	}
	return nil
}

// refNameFault returns what is wrong with a full ref name, or "".
func refNameFault(name string) string {
	if !strings.Contains(name, "/") {
		return "a full name has at least two parts, as in refs/heads/main"
	}
	if strings.HasSuffix(name, ".") {
		return "it must not end with '.'"
	}
	if strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return `".." and "@{" are not allowed`
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c == 0x7f || strings.IndexByte(`~^:?*[\`, c) >= 0 {
			return `control characters, space and any of ~^:?*[\ are not allowed`
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return "a part between slashes is empty"
		case part[0] == '.':
			return "a part must not start with '.'"
		case strings.HasSuffix(part, ".lock"):
			return `a part must not end with ".lock"`
		}
	}
	return ""
}
