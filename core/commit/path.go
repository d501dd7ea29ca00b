package commit

import (
	"strings"
	"unicode/utf8"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// maxPath is the length limit of a path in bytes, as PATH_MAX of Linux.
const maxPath = 4096

// CleanPath returns the path without one leading slash, which SDKs leave on, or
// says, as KindInvalid, why nothing may be written there. Besides what a path
// cannot be at all, it refuses what some file system would take for ".git":
// who checks that out would run what was written there (CVE-2014-9390).
func CleanPath(path string) (string, error) {
	clean := strings.TrimPrefix(path, "/")
	refuse := func(reason string) (string, error) {
		return "", &core.Error{Kind: core.KindInvalid, Op: "check path", Subject: path, Message: "invalid path " + quote(path) + ": " + reason}
	}
	switch {
	case clean == "":
		return refuse("it is empty")
	case len(clean) > maxPath:
		return refuse("it is longer than 4096 bytes")
	case !utf8.ValidString(clean):
		return refuse("it is not UTF-8")
	}
	for _, c := range []byte(clean) {
		if c < ' ' || c == 0x7f {
			return refuse("control characters are not allowed")
		}
	}
	for part := range strings.SplitSeq(clean, "/") {
		switch {
		case part == "":
			return refuse("a part between slashes is empty")
		case part == ".", part == "..":
			return refuse(`"." and ".." are not allowed`)
		case isDotGit(part):
			return refuse(`a part means ".git" on some file system`)
		}
	}
	return clean, nil
}

// quote shortens a path for a message.
func quote(path string) string {
	if len(path) > 100 {
		path = strings.ToValidUTF8(path[:100], "") + "..."
	}
	return `"` + strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '?'
		}
		return c
	}, path) + `"`
}

// isDotGit reports whether a file system takes the name for ".git": one that
// folds case, HFS+, which also ignores some characters, or NTFS, which ignores
// dots and spaces at the end, has streams after a colon, takes a backslash for
// a slash, and knows the short name git~1.
func isDotGit(name string) bool {
	if strings.EqualFold(withoutIgnored(name), ".git") {
		return true
	}
	for part := range strings.SplitSeq(name, `\`) {
		part, _, _ = strings.Cut(part, ":")
		part = strings.TrimRight(part, ". ")
		if strings.EqualFold(part, ".git") || strings.EqualFold(part, "git~1") {
			return true
		}
	}
	return false
}

// withoutIgnored drops the characters that HFS+ ignores in names (git's
// utf8.c: next_hfs_char).
func withoutIgnored(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c >= 0x200c && c <= 0x200f, c >= 0x202a && c <= 0x202e, c >= 0x206a && c <= 0x206f, c == 0xfeff:
			return -1
		}
		return c
	}, name)
}

// readByGit reports whether git itself may read the file when somebody clones:
// .gitmodules and .gitattributes under any name that a file system takes for
// one of them. It says yes too often rather than too seldom; then git checks
// the content as it checks a push.
func readByGit(path string) bool {
	name := path[strings.LastIndexByte(path, '/')+1:]
	name = strings.ToLower(withoutIgnored(name[strings.LastIndexByte(name, '\\')+1:]))
	for _, prefix := range []string{".gitm", ".gita", "gitmod~", "gitatt~", "gi7eba", "gi7d29"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// Modes of files, as they stand in trees.
const (
	modeFile       = "100644"
	modeExecutable = "100755"
	modeSymlink    = "120000"
	modeGitlink    = "160000"
	modeFolder     = "40000"
)

// checkMode returns the mode to write. Errors: KindInvalid.
func checkMode(mode string) (string, error) {
	switch mode {
	case "":
		return modeFile, nil
	case modeFile, modeExecutable, modeSymlink, modeGitlink:
		return mode, nil
	}
	return "", core.Errorf(core.KindInvalid, "mode %q is not one of 100644, 100755, 120000 and 160000", mode)
}

// lastLine returns the last line of what git said, without its "fatal: ".
func lastLine(text string) string {
	line := git.LastLine(text)
	for _, prefix := range []string{"fatal: ", "error: "} {
		line = strings.TrimPrefix(line, prefix)
	}
	return line
}
