package git

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"context"
	"crypto/sha1" //nolint:gosec // git's object ids
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
)

// Verification is what [Git.Verify] found in a repository.
type Verification struct {
	// Damage is what is wrong with objects or refs, "" if nothing is.
	Damage string
	// Derived says that the commit-graph or the index over all packs is wrong, which
	// git makes from the rest. See [RemoveDerived].
	Derived bool
}

// Verify reads all objects of a repository and follows all refs. It is slow, and has
// no ceiling of memory. It goes beyond "git fsck --connectivity-only", which sees
// neither a flipped byte in a blob nor one that pack-objects would copy as it is: every
// pack is verified by "git index-pack --verify", which computes the id of each object,
// and loose objects are read here. The caller keeps repacks away meanwhile.
//
// An error means that nothing is known: the disk could not be read, git ran out of
// memory, files or processes (KindResource), or ctx ended.
func (g *Git) Verify(ctx context.Context, dir string) (Verification, error) {
	packs, err := fs.Glob(os.DirFS(dir), "objects/pack/*.pack")
	if err != nil {
		return Verification{}, err
	}
	for _, name := range packs {
		said, err := g.verifyPack(ctx, dir, name)
		if said != "" || err != nil {
			return Verification{Damage: said}, err
		}
	}
	if said, err := verifyLoose(ctx, dir); said != "" || err != nil {
		return Verification{Damage: said}, err
	}
	return g.verifyConnectivity(ctx, dir)
}

// verifyPack returns what is wrong with a pack. One without index is none yet: the
// index is written last.
func (g *Git) verifyPack(ctx context.Context, dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	if _, err := os.Stat(strings.TrimSuffix(path, ".pack") + ".idx"); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	err := g.Run(ctx, Command{
		Name: "index-pack", Dir: dir, Check: true, Background: true,
		// --verify makes no index, and compares what it would be with the one there.
		Flags: []string{"--verify"}, Args: []string{path},
		Config: []Config{Set("pack.threads", "1")}, Stdout: io.Discard,
	})
	exit, ok := errors.AsType[*ExitError](err)
	switch {
	case !ok:
		return "", err
	case exit.Code < 0, hosterror.FindUnreadable([]byte(exit.Stderr)) != nil:
		return "", err
	}
	if _, gone := os.Stat(path); errors.Is(gone, fs.ErrNotExist) {
		return "", nil // taken away meanwhile; whether it is missed shows below
	}
	return fmt.Sprintf("the pack %s is damaged: %s", filepath.Base(name), LastLine(exit.Stderr)), nil
}

// VerifyTips looks whether the objects are there that the refs of a repository name. It
// reads no more of them than what they are. damaged is what is wrong, "" if nothing is.
// An error means that nothing is known.
func (g *Git) VerifyTips(ctx context.Context, dir string) (damaged string, err error) {
	err = g.Run(ctx, Command{
		Name: "for-each-ref", Dir: dir, Check: true, Background: true, Stdout: io.Discard,
		Flags: []string{"--format=%(objecttype)"}, // opens each
	})
	exit, ok := errors.AsType[*ExitError](err)
	if !ok || exit.Code < 0 || hosterror.FindUnreadable([]byte(exit.Stderr)) != nil {
		return "", err
	}
	return "a ref leads to nothing: " + LastLine(exit.Stderr), nil
}

// verifyConnectivity follows all refs.
func (g *Git) verifyConnectivity(ctx context.Context, dir string) (Verification, error) {
	// --connectivity-only: what the objects say of people and dates is no damage.
	// --no-dangling: what nothing points to is none either.
	err := g.Run(ctx, Command{
		Name: "fsck", Dir: dir, Check: true, Background: true, Stdout: io.Discard,
		Flags: []string{"--connectivity-only", "--no-dangling", "--no-reflogs", "--no-progress"},
	})
	exit, ok := errors.AsType[*ExitError](err)
	if !ok {
		return Verification{}, err
	}
	// Its exit status is a set of bits, builtin/fsck.c: 1 objects, 2 reachability, 4
	// packs, 8 refs, 16 commit-graph, 32 multi-pack-index.
	const derived = 16 | 32
	switch text := []byte(exit.Stderr); {
	case exit.Code < 0, hosterror.FindUnreadable(text) != nil:
		return Verification{}, err
	case exit.Code < 64 && exit.Code&^derived == 0:
		return Verification{Derived: true}, nil
	case exit.Code < 64:
		return Verification{Damage: "objects or refs are missing: " + firstError(exit.Stderr)}, nil
	case hosterror.FindDamaged(text) != nil:
		return Verification{Damage: string(hosterror.FindDamaged(text))}, nil
	}
	return Verification{}, err
}

// firstError returns the first line of git that is about an error. Fsck prints what
// is missing to its standard output, without a reason.
func firstError(text string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if rest, ok := strings.CutPrefix(line, "error: "); ok {
			return rest
		}
	}
	if line := LastLine(text); line != "" {
		return line
	}
	return "a ref leads to an object that is not here"
}

// LastLine returns the last line of what git printed, redacted: of a git that failed the one
// that says why.
func LastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return hosterror.Redact(lines[len(lines)-1])
}

// verifyLoose reads the loose objects and returns what is wrong with one. Git itself
// checks them in "git fsck" only, together with much that is no damage.
func verifyLoose(ctx context.Context, dir string) (string, error) {
	root := filepath.Join(dir, "objects")
	folders, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return "the folder objects is missing", nil
	}
	if err != nil {
		return "", err
	}
	for _, folder := range folders {
		if len(folder.Name()) != 2 || !folder.IsDir() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(root, folder.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		for _, f := range files {
			id := core.ObjectID(folder.Name() + f.Name())
			if !id.Valid() {
				continue
			}
			if ctx.Err() != nil {
				return "", context.Cause(ctx)
			}
			good, err := intactLoose(filepath.Join(root, folder.Name(), f.Name()), id)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
			if !good && err == nil {
				return fmt.Sprintf("the object %s is damaged", id), nil
			}
		}
	}
	return "", nil
}

// VerifyFiles reads the packs of a repository, their indexes and its loose objects, and
// compares them with the checksums at their ends and with their names. It starts no git
// and follows no ref, so it is as fast as the disk, and it sees a byte that has changed
// since the file was written. damaged is what is wrong, "" if nothing is; an error is
// of the disk.
func VerifyFiles(ctx context.Context, dir string) (damaged string, err error) {
	config, err := os.ReadFile(filepath.Join(dir, "config"))
	if err != nil {
		return "", err
	}
	for _, pattern := range []string{"objects/pack/pack-*.pack", "objects/pack/pack-*.idx"} {
		names, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			return "", err
		}
		for _, name := range names {
			good, err := EndsWithChecksum(filepath.Join(dir, name), HashIn(config), func(int64) error { return ctx.Err() })
			if err != nil {
				return "", err
			}
			if !good {
				return fmt.Sprintf("%s is not what it was when it was written", filepath.Base(name)), nil
			}
		}
	}
	return verifyLoose(ctx, dir)
}

// NewHash returns the hash that ids and checksums of an object format, "sha1" or "sha256",
// are made with.
func NewHash(format string) hash.Hash {
	if format == "sha256" {
		return sha256.New()
	}
	return sha1.New() //nolint:gosec // git's object ids
}

// HashIn returns the hash of the object format that a repository's file config names.
func HashIn(config []byte) hash.Hash {
	if bytes.Contains(config, []byte("sha256")) {
		return NewHash("sha256")
	}
	return NewHash("sha1")
}

// checksumStep is how many bytes [EndsWithChecksum] reads at once.
const checksumStep = 1 << 20

// EndsWithChecksum reports whether a file ends with the checksum of what is before it,
// as packs and their indexes do (gitformat-pack(5)). It calls read with the number of
// bytes that it has read each time, which may wait, or end it by an error.
func EndsWithChecksum(path string, h hash.Hash, read func(n int64) error) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	rest := info.Size() - int64(h.Size())
	if rest < 0 {
		return false, nil
	}
	for rest > 0 {
		n, err := io.CopyN(h, f, min(rest, checksumStep))
		if err != nil {
			return false, err
		}
		rest -= n
		if err := read(n); err != nil {
			return false, err
		}
	}
	want := make([]byte, h.Size())
	if _, err := io.ReadFull(f, want); err != nil {
		return false, err
	}
	return bytes.Equal(want, h.Sum(nil)), nil
}

// intactLoose reports whether the content of a loose object has its name. An error
// is of the disk.
func intactLoose(path string, id core.ObjectID) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	disk := &diskReader{r: f}
	z, err := zlib.NewReader(bufio.NewReader(disk))
	if err != nil {
		return false, disk.err
	}
	sum := hashOf(id)
	if _, err := io.Copy(sum, z); err != nil { //nolint:gosec // it goes nowhere, so it may be as large as it likes
		return false, disk.err
	}
	return hex.EncodeToString(sum.Sum(nil)) == string(id), nil
}

// hashOf returns the hash that ids of that length are made with.
func hashOf(id core.ObjectID) hash.Hash {
	if len(id) == 2*sha256.Size {
		return NewHash("sha256")
	}
	return NewHash("sha1")
}

// diskReader keeps the error of the disk apart from what its reader makes of it.
type diskReader struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (d *diskReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		d.err = err
	}
	return n, err
}

// RemoveDerived removes what git makes of the objects: [RemoveCommitGraph] and
// [RemovePackIndex].
func RemoveDerived(dir string) error {
	return errors.Join(RemoveCommitGraph(dir), RemovePackIndex(dir))
}

// RemoveCommitGraph removes the commit-graph. Git reads without it, only slower, until
// maintenance has made it anew.
func RemoveCommitGraph(dir string) error {
	return removeFiles(dir, "objects/info/commit-graph", "objects/info/commit-graphs/*")
}

// RemovePackIndex removes the index over all packs with its bitmap, which git does
// without just so.
func RemovePackIndex(dir string) error {
	return removeFiles(dir, "objects/pack/multi-pack-index*")
}

// removeFiles removes the files below dir that the patterns fit.
func removeFiles(dir string, patterns ...string) error {
	var errs []error
	for _, pattern := range patterns {
		// Not [filepath.Glob]: the path of dir itself may hold a "[".
		names, err := fs.Glob(os.DirFS(dir), pattern)
		errs = append(errs, err)
		for _, name := range names {
			if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
