package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/repo"
)

// linkRefs links what is not an object of a repository's folder to another folder.
// Git and the server replace these files and never write into them. Loose refs come
// first: one that is packed meanwhile is found in packed-refs then.
func linkRefs(from, to string) error {
	err := linkTree(filepath.Join(from, "refs"), filepath.Join(to, "refs"), func(name string) bool { return !strings.HasSuffix(name, ".lock") })
	if err != nil {
		return err
	}
	for _, name := range []string{"packed-refs", "HEAD", "config", "shallow", repo.DescriptionFile} {
		if err := os.Link(filepath.Join(from, name), filepath.Join(to, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// linkObjects links a repository's objects, loose ones first: one that is packed
// meanwhile is found in a pack then. What git has not finished is left out.
func linkObjects(from, to string) error {
	from, to = filepath.Join(from, "objects"), filepath.Join(to, "objects")
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	keep := func(name string) bool {
		return !strings.HasPrefix(name, "tmp_") && !strings.HasPrefix(name, ".tmp-") && !strings.HasSuffix(name, ".lock") && !strings.HasSuffix(name, ".keep")
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() && len(e.Name()) == 2 {
			folders = append(folders, e.Name())
		}
	}
	for _, name := range append(folders, "pack", "info") {
		if err := linkTree(filepath.Join(from, name), filepath.Join(to, name), keep); err != nil {
			return err
		}
	}
	return nil
}

// linkTree links the files below a folder, if it is there, whose names are wanted.
func linkTree(from, to string, want func(name string) bool) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since it was listed
		}
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, below), 0o700)
		case !d.Type().IsRegular() || !want(d.Name()):
			return nil
		}
		if err := os.Link(path, filepath.Join(to, below)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// transfer moves the staged files of a repository to its folder in a backup: by link
// on the same disk, else by a link to the backup before where that has the same object
// or pack, else by copy. It returns how many files and bytes there are then, and how
// many bytes were copied.
func transfer(staged, before, to string) (files int, bytes, copied int64, err error) {
	files, bytes, err = eachFile(staged, to, func(path, below string, info fs.FileInfo) error {
		target := filepath.Join(to, below)
		if os.Link(path, target) == nil {
			return nil
		}
		if before != "" && strings.HasPrefix(below, "objects"+string(filepath.Separator)) && immutable(below) {
			old := filepath.Join(before, below)
			if had, err := os.Lstat(old); err == nil && had.Mode().IsRegular() && had.Size() == info.Size() && os.Link(old, target) == nil {
				return nil
			}
		}
		copied += info.Size()
		return durable.CopyFile(path, target, info.Mode().Perm())
	})
	return files, bytes, copied, err
}

// eachFile makes the folders of a tree below another folder, and calls f with the path
// of each file, that below the tree, and what is known of it. It returns how many files
// and bytes there are.
func eachFile(from, to string, f func(path, below string, info fs.FileInfo) error) (files int, bytes int64, err error) {
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, below), 0o700)
		}
		if !d.Type().IsRegular() {
			// A link would lead out of the folder, and opening a pipe would wait for ever.
			return fmt.Errorf("%w: %s", errNoFile, path)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		bytes += info.Size()
		return f(path, below, info)
	})
	return files, bytes, err
}

// immutable reports whether a file below objects/ has its content in its name.
func immutable(name string) bool {
	base := filepath.Base(name)
	if strings.HasPrefix(base, "pack-") {
		return strings.HasSuffix(base, ".pack") || strings.HasSuffix(base, ".idx") || strings.HasSuffix(base, ".rev")
	}
	return len(filepath.Base(filepath.Dir(name))) == 2
}

// copyTree copies a folder with all that is in it, and flushes it.
func copyTree(from, to string) (files int, bytes int64, err error) {
	files, bytes, err = eachFile(from, to, func(path, below string, info fs.FileInfo) error {
		return durable.CopyFile(path, filepath.Join(to, below), info.Mode().Perm())
	})
	if err == nil {
		err = syncDirs(to)
	}
	return files, bytes, err
}

// errNoFile is the error of something in a backup that no backup has.
var errNoFile = errors.New("there is something that is neither a file nor a folder")

// apart refuses a folder that lies in another one, by whatever links. It need not exist.
func apart(dir, of, why string) error {
	in, err := resolved(dir)
	if err != nil {
		return err
	}
	root, err := resolved(of)
	if err != nil {
		return err
	}
	if below, err := filepath.Rel(root, in); err == nil && filepath.IsLocal(below) {
		return core.Errorf(core.KindInvalid, "%s lies in %s: %s; name another folder, best on another disk", dir, of, why)
	}
	return nil
}

// resolved returns a path without links; what of it does not exist stays as it is.
func resolved(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for rest := ""; ; {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(path) == path {
			return "", err
		}
		path, rest = filepath.Dir(path), filepath.Join(filepath.Base(path), rest)
	}
}

// lockFolder keeps other backups out of a folder: one that begins takes away what is
// not whole there.
func lockFolder(dir string) (unlock func() error, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(core.Errorf(core.KindConflict, "another backup into %s is running; wait for its end", dir), f.Close())
	case err != nil && !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOLCK): // as some network disks say
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}

// syncDirs flushes a folder and those below it, of which the files are flushed or links.
func syncDirs(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		return durable.SyncDir(path)
	})
}

// digest returns the size and SHA-256 of a file.
func digest(path string) (ManifestFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return ManifestFile{}, err
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	return ManifestFile{Bytes: n, SHA256: hex.EncodeToString(h.Sum(nil))}, errors.Join(err, f.Close())
}

// readRefs returns the refs of a folder, which nobody writes to. They are stored as
// files, see core/git: Init.
func readRefs(dir string) (map[string]core.ObjectID, error) {
	refs := map[string]core.ObjectID{}
	packed, err := os.ReadFile(filepath.Join(dir, "packed-refs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(packed)) {
		id, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if ok && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "^") {
			refs[name] = core.ObjectID(id)
		}
	}
	err = filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		refs[filepath.ToSlash(name)] = core.ObjectID(strings.TrimSpace(string(text)))
		return err
	})
	return refs, err
}

// ownRefs reports whether a synced repository has a ref that a fetch from its upstream
// would not bring: one of the server's or of its users', or one that is elsewhere than
// the upstream's.
func ownRefs(refs map[string]core.ObjectID) bool {
	for name, id := range refs {
		if strings.HasPrefix(name, core.TrackingPrefix) {
			continue
		}
		short, public := strings.CutPrefix(name, "refs/")
		if !public || strings.HasPrefix(name, core.InternalPrefix) || strings.HasPrefix(name, "refs/namespaces/") || strings.HasPrefix(name, "refs/notes/") {
			return true
		}
		if refs[core.TrackingPrefix+short] != id {
			return true
		}
	}
	return false
}
