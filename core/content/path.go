package content

import (
	"strings"

	"github.com/headwater-git/headwater/core"
)

// maxPath is the length limit of a path in bytes, as PATH_MAX of Linux.
const maxPath = 4096

// ValidatePath reports, as a KindInvalid [*core.Error], why path cannot name a
// file or folder of a repository: it must be relative and clean, and no part
// may be ".git" in any case, which no repository that was checked on arrival
// has. Control characters but NUL are in names that people have pushed, so they
// can be read here; see commit.CleanPath for what may be written.
func ValidatePath(path string) error {
	refuse := func(reason string) error {
		return &core.Error{Kind: core.KindInvalid, Op: "check path", Subject: path, Message: "invalid path: " + reason}
	}
	switch {
	case path == "":
		return refuse("it is empty")
	case len(path) > maxPath:
		return refuse("it is too long")
	case path[0] == '/':
		return refuse("it must be relative to the root of the repository")
	case strings.ContainsRune(path, 0):
		return refuse("a NUL is not allowed")
	}
	for part := range strings.SplitSeq(path, "/") {
		switch {
		case part == "":
			return refuse("a part between slashes is empty")
		case part == ".", part == "..":
			return refuse(`"." and ".." are not allowed`)
		case strings.EqualFold(part, ".git"):
			return refuse(`".git" is not allowed`)
		}
	}
	return nil
}

// folderPath checks the path of a folder, which may end with a slash; "" and
// "/" are the root.
func folderPath(path string) (string, error) {
	if path == "/" {
		return "", nil
	}
	path = strings.TrimSuffix(path, "/")
	if path == "" {
		return "", nil
	}
	return path, ValidatePath(path)
}

// checkPaths checks a list of paths to files or folders. Errors: KindInvalid.
func checkPaths(paths []string, limit int) ([]string, error) {
	if len(paths) > limit {
		return nil, core.Errorf(core.KindInvalid, "more than %d paths are not allowed", limit)
	}
	var clean []string
	for _, path := range paths {
		path, err := folderPath(path)
		if err != nil {
			return nil, err
		}
		if path == "" {
			return nil, nil // the root: everything
		}
		clean = append(clean, path)
	}
	return clean, nil
}

// inside reports whether path is one of the paths or below one; with no paths
// everything is.
func inside(path string, paths []string) bool {
	if len(paths) == 0 {
		return true
	}
	for _, p := range paths {
		if path == p || strings.HasPrefix(path, p+"/") {
			return true
		}
	}
	return false
}
