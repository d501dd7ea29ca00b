package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
)

// quarantineDir holds the folders of repositories that were replaced because they
// were damaged, each under the id of its [core.Damage].
const quarantineDir = "quarantine"

// Absent says what is not there of a repository without which git does not take its
// folder for one; "" if all of that is there. It starts no git. An error is one of
// the disk, and says nothing.
func (r *Repos) Absent(id string) (string, error) { return AbsentIn(r.Path(id)) }

// AbsentIn is [Repos.Absent] of a repository's folder.
func AbsentIn(dir string) (string, error) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "its folder is missing", nil
	} else if err != nil {
		return "", err
	}
	for _, name := range []string{"objects", "refs"} {
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && !info.IsDir():
			return "the folder " + name + " is missing in it", nil
		case err != nil:
			return "", err
		}
	}
	for _, name := range []string{"HEAD", "config"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "the file " + name + " is missing in it", nil
		case err != nil:
			return "", err
		case name == "HEAD" && !isHead(string(content)):
			return "the file HEAD in it names no branch", nil
		}
	}
	return "", nil
}

// isHead reports whether git takes a file HEAD of that content for one (setup.c and
// path.c of git, validate_headref).
func isHead(content string) bool {
	if target, ok := strings.CutPrefix(content, "ref:"); ok {
		return strings.HasPrefix(strings.TrimSpace(target), "refs/")
	}
	return core.ObjectID(strings.TrimSpace(content)).Valid()
}

// Quarantined returns where the folder of that name is in the quarantine, and
// whether there is one.
func (r *Repos) Quarantined(name string) (string, bool) {
	path := filepath.Join(r.root, quarantineDir, name)
	_, err := os.Lstat(path)
	return path, err == nil
}

// Replace puts a finished folder in the place of a repository's, whose own goes to
// the quarantine under the name, if there is one. It waits for the write lock, so
// that no ref transaction is under way meanwhile, and calls last under it, before
// anything moves; the caller keeps maintenance away. What is in the quarantine already
// is never overwritten: KindConflict.
func (r *Repos) Replace(ctx context.Context, id, with, name string, last func() error) error {
	unlock, err := r.locks.LockWrite(ctx, id)
	if err != nil {
		return fmt.Errorf("wait for the write lock: %w", err)
	}
	defer unlock()
	if err := last(); err != nil {
		return err
	}
	if err := r.point.Replaced(ctx, id); err != nil {
		return fmt.Errorf("replace a damaged repository: %w", err)
	}
	if _, err := os.Lstat(r.Path(id)); err == nil {
		if err := r.quarantine(id, name); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.fail("rebuild-moved")
	return r.moveInto(with, r.Path(id))
}

// quarantine moves a repository's folder to the quarantine and makes that durable.
func (r *Repos) quarantine(id, name string) error {
	to, there := r.Quarantined(name)
	if there {
		return core.Errorf(core.KindConflict, "%s is in the quarantine already; nothing is overwritten", name)
	}
	if err := durable.MkdirAll(filepath.Dir(to)); err != nil {
		return err
	}
	if err := rename(r.Path(id), to); err != nil {
		return fmt.Errorf("move a damaged repository to the quarantine: %w", err)
	}
	return nil
}
