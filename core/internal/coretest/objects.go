package coretest

import (
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1" //nolint:gosec // git's object ids
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// Commit makes a commit of one file with the message in it, and returns its
// id. Equal arguments make equal ids.
//
// The objects are written without git: most tests need commits, none is about how
// they came to be, and three processes each made fixtures dearer than tests.
func Commit(t testing.TB, dir, message string, parents ...core.ObjectID) core.ObjectID {
	t.Helper()
	git := gitDir(dir)
	if config, err := os.ReadFile(filepath.Join(git, "config")); err == nil && bytes.Contains(config, []byte("sha256")) {
		return commitByGit(t, dir, message, parents)
	}
	blob := WriteObject(t, git, "blob", []byte(message+"\n"))
	raw, err := hex.DecodeString(blob)
	require.NoError(t, err)
	tree := WriteObject(t, git, "tree", append([]byte("100644 file\x00"), raw...))
	var text strings.Builder
	fmt.Fprintf(&text, "tree %s\n", tree)
	for _, p := range parents {
		fmt.Fprintf(&text, "parent %s\n", p)
	}
	fmt.Fprintf(&text, "author A <a@example.com> 1700000000 +0000\ncommitter C <c@example.com> 1700000000 +0000\n\n%s\n", message)
	return core.ObjectID(WriteObject(t, git, "commit", []byte(text.String())))
}

func commitByGit(t testing.TB, dir, message string, parents []core.ObjectID) core.ObjectID {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	blob, err := TryRun(ctx, dir, message+"\n", "hash-object", "-w", "--stdin")
	require.NoError(t, err, blob)
	tree, err := TryRun(ctx, dir, "100644 blob "+blob+"\tfile\n", "mktree")
	require.NoError(t, err, tree)
	args := []string{"commit-tree", "-m", message, tree}
	for _, p := range parents {
		args = append(args, "-p", string(p))
	}
	return core.ObjectID(Run(t, dir, args...))
}

// Install gives a repository the loose objects and packs of another one, and puts
// refs on its commits, as a push that nobody watches would.
func Install(t testing.TB, from, to string, refs map[string]core.ObjectID) {
	t.Helper()
	src, dst := filepath.Join(gitDir(from), "objects"), filepath.Join(gitDir(to), "objects")
	require.NoError(t, filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(dst, name), 0o755)
		}
		if strings.HasPrefix(name, "info"+string(filepath.Separator)) {
			return nil
		}
		if err := os.Link(path, filepath.Join(dst, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	}))
	for ref, id := range refs {
		setRef(t, to, ref, id)
	}
}

// setRef puts a ref on a commit, under the lock that git takes (REF.lock,
// gitrepository-layout(5)); where that is not as simple, git does it.
func setRef(t testing.TB, dir, ref string, id core.ObjectID) {
	t.Helper()
	path := filepath.Join(gitDir(dir), filepath.FromSlash(ref))
	// Without the folder, a ref is where it must be.
	if !packedInTheWay(gitDir(dir), ref) && os.MkdirAll(filepath.Dir(path), 0o755) == nil {
		lock, err := os.OpenFile(path+".lock", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			_, err = fmt.Fprintf(lock, "%s\n", id)
			err = errors.Join(err, lock.Close())
			before, readErr := os.ReadFile(path)
			if err == nil && (errors.Is(readErr, fs.ErrNotExist) || readErr == nil && !bytes.HasPrefix(before, []byte("ref:"))) && os.Rename(path+".lock", path) == nil {
				return
			}
			require.NoError(t, os.Remove(path+".lock"))
		}
	}
	out, err := TryRun(context.WithoutCancel(t.Context()), dir, "", "update-ref", ref, string(id))
	require.NoError(t, err, out)
}

// packedInTheWay reports whether packed refs, or another format of refs, keep a ref
// from being made as a file.
func packedInTheWay(git, ref string) bool {
	if _, err := os.Stat(filepath.Join(git, "reftable")); err == nil {
		return true
	}
	packed, err := os.ReadFile(filepath.Join(git, "packed-refs"))
	if err != nil {
		return false
	}
	in := bytes.Contains(packed, []byte(" "+ref+"/"))
	for parent := filepath.Dir(ref); parent != "." && !in; parent = filepath.Dir(parent) {
		in = bytes.Contains(packed, []byte(" "+parent+"\n"))
	}
	return in
}

// gitDir returns the folder with the objects of a repository, bare or not.
func gitDir(dir string) string {
	if _, err := os.Stat(filepath.Join(dir, "objects")); err == nil {
		return dir
	}
	return filepath.Join(dir, ".git")
}

// WriteObject writes a loose object of any content to a folder with objects, unless
// it is there, and returns its id. Git is not asked: it would refuse many.
func WriteObject(t testing.TB, git, kind string, content []byte) string {
	t.Helper()
	object := append([]byte(fmt.Sprintf("%s %d\x00", kind, len(content))), content...)
	sum := sha1.Sum(object) //nolint:gosec // git's object ids
	id := hex.EncodeToString(sum[:])
	folder := filepath.Join(git, "objects", id[:2])
	path := filepath.Join(folder, id[2:])
	if _, err := os.Stat(path); err == nil {
		return id
	}
	require.NoError(t, os.MkdirAll(folder, 0o755))
	// By rename, as git does: readers never see half an object.
	tmp, err := os.CreateTemp(folder, "tmp_obj_")
	require.NoError(t, err)
	z := zlib.NewWriter(tmp)
	_, err = z.Write(object)
	require.NoError(t, errors.Join(err, z.Close(), tmp.Chmod(0o444), tmp.Close()))
	require.NoError(t, os.Rename(tmp.Name(), path))
	return id
}
