package forgetest

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// errOtherFormat says that only git can read the refs of a repository.
var errOtherFormat = errors.New("the refs are not kept as files")

// ReadRefs reads all refs of a bare repository with their object ids, tags unpeeled and
// symbolic refs left out, without git: tests look at refs many times, and a process
// each costs more than what they test. The error is not nil where only git can tell:
// in a repository that stores its refs otherwise.
//
// The order, loose files and then packed-refs (gitrepository-layout(5)), is git's: a
// ref that is packed meanwhile is seen in one of them.
func ReadRefs(dir string) (map[string]string, error) {
	if _, err := os.Stat(filepath.Join(dir, "reftable")); err == nil {
		return nil, errOtherFormat
	}
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil {
		return nil, err // no repository
	}
	refs := map[string]string{}
	err := filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".lock") {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if id := strings.TrimSpace(string(content)); !strings.HasPrefix(id, "ref:") {
			refs[filepath.ToSlash(name)] = id
		} else {
			refs[filepath.ToSlash(name)] = "" // hides a packed one
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	packed, err := os.ReadFile(filepath.Join(dir, "packed-refs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range bytes.Lines(packed) {
		if line[0] == '#' || line[0] == '^' {
			continue
		}
		id, name, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), " ")
		if _, loose := refs[name]; ok && !loose {
			refs[name] = id
		}
	}
	for name, id := range refs {
		if id == "" {
			delete(refs, name)
		}
	}
	return refs, nil
}

// readHead returns the short name of the branch that HEAD of a bare repository is on.
// With another format of refs, git is not to be read past (HEAD says refs/heads/.invalid
// there, gitrepository-layout(5)): that is an error.
func readHead(dir string) (string, error) {
	head, err := os.ReadFile(filepath.Join(dir, "HEAD"))
	if err != nil {
		return "", err
	}
	branch, ok := strings.CutPrefix(strings.TrimSpace(string(head)), "ref: refs/heads/")
	if !ok || branch == ".invalid" {
		return "", errOtherFormat
	}
	return branch, nil
}
