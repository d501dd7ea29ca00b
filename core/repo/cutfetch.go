package repo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// CleanCutFetch removes what fetches that were cut left in a folder: the repository's
// own, or a new one that is to take its place. That is packs without a name and their
// indexes, which git index-pack never removes when it fails (builtin/index-pack.c), and
// the marks that keep a fetched pack from repacking until its refs are written. No git
// fetch may be at work in the folder. Pushes may be: theirs come into quarantines, which
// are left alone. It returns false, and nothing is removed, while the repository is being
// repacked: temporary packs of that have the same names.
func (r *Repos) CleanCutFetch(id, dir string) (done bool, err error) {
	unlock, ok := r.locks.TryMaintain(id)
	if !ok {
		return false, nil
	}
	defer unlock()
	var errs []error
	for _, pattern := range []string{"tmp_pack_*", "tmp_idx_*", "tmp_rev_*"} {
		left, err := globIn(filepath.Join(dir, "objects", "pack"), pattern)
		errs = append(errs, err)
		for _, path := range left {
			r.log.Info("removing what a cut fetch left", "repo_id", id, "file", strings.TrimPrefix(path, dir))
			errs = append(errs, os.Remove(path))
		}
	}
	errs = append(errs, r.cleanKeeps(id, dir, "fetch-pack "))
	return true, errors.Join(errs...)
}
