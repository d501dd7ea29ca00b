package lfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
)

// Blobs keeps the bytes of objects, once each, under their ids. What is stored never
// changes, so a bucket can implement it as well as a folder. It is safe for concurrent
// use.
type Blobs interface {
	// Size returns the length of an object. KindNotFound: it is not here.
	Size(ctx context.Context, oid OID) (int64, error)
	// Open opens the bytes of an object. KindNotFound: it is not here.
	Open(ctx context.Context, oid OID) (Blob, error)
	// Adopt stores the file at path, whose bytes were proven to be the object's and
	// were flushed, in the place of what is there. The file is gone then.
	Adopt(ctx context.Context, oid OID, path string) error
	// Remove removes an object; one that is not there is no error.
	Remove(ctx context.Context, oid OID) error
	// Each calls f with every object, in the order of their ids, until f fails.
	Each(ctx context.Context, f func(Pointer) error) error
}

// Blob is an opened object.
type Blob interface {
	io.ReadSeekCloser
	// Size in bytes.
	Size() int64
}

// FolderName is the folder of objects in the data directory.
const FolderName = "lfs"

// Folder keeps objects as files: objects/ab/cd/OID, below a folder. What is not whole
// lies in incoming/ beside them.
type Folder struct{ dir string }

var _ Blobs = (*Folder)(nil)

// OpenFolder makes what is missing of a folder, and removes what an end of the program
// left in the middle.
func OpenFolder(dir string) (*Folder, error) {
	f := &Folder{dir: dir}
	if err := os.RemoveAll(f.incoming()); err != nil {
		return nil, fmt.Errorf("clear unfinished LFS objects: %w", err)
	}
	for _, d := range []string{f.incoming(), filepath.Join(dir, "objects")} {
		if err := durable.MkdirAll(d); err != nil {
			return nil, fmt.Errorf("make the folder of LFS objects: %w", err)
		}
	}
	return f, nil
}

// FolderOf is a folder of objects that is only read, as one of a server that runs.
func FolderOf(dir string) *Folder { return &Folder{dir: dir} }

func (f *Folder) incoming() string { return filepath.Join(f.dir, "incoming") }

// Path returns where the file of an object is, if it is here.
func (f *Folder) Path(oid OID) string {
	return ObjectPath(f.dir, oid)
}

// ObjectPath returns where the file of an object is below a folder of objects, that of
// the data directory or of a backup.
func ObjectPath(folder string, oid OID) string {
	return filepath.Join(folder, "objects", string(oid[:2]), string(oid[2:4]), string(oid))
}

// notHere says that there is no such object.
func notHere(oid OID) error {
	return core.Errorf(core.KindNotFound, "the LFS object %s is not here", oid)
}

// Size implements [Blobs].
func (f *Folder) Size(_ context.Context, oid OID) (int64, error) {
	info, err := os.Stat(f.Path(oid))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, notHere(oid)
	}
	if err != nil {
		return 0, fmt.Errorf("look for an LFS object: %w", err)
	}
	return info.Size(), nil
}

// Open implements [Blobs].
func (f *Folder) Open(_ context.Context, oid OID) (Blob, error) {
	file, err := os.Open(f.Path(oid))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notHere(oid)
	}
	if err != nil {
		return nil, fmt.Errorf("open an LFS object: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open an LFS object: %w", err), file.Close())
	}
	return &fileBlob{file, info.Size()}, nil
}

type fileBlob struct {
	*os.File
	size int64
}

// Size returns the length of the object.
func (b *fileBlob) Size() int64 { return b.size }

// Adopt implements [Blobs]. The file must be on the same disk.
func (f *Folder) Adopt(_ context.Context, oid OID, path string) error {
	to := f.Path(oid)
	if err := durable.MkdirAll(filepath.Dir(to)); err != nil {
		return fmt.Errorf("store an LFS object: %w", err)
	}
	// Two that store the same object replace it by the same bytes. What is there may be
	// damaged, which nobody has found yet.
	if err := os.Rename(path, to); err != nil {
		return fmt.Errorf("store an LFS object: %w", err)
	}
	if err := durable.SyncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if err := os.Remove(f.DamagedPath(oid)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a damaged LFS object: %w", err)
	}
	return nil
}

// Remove implements [Blobs].
func (f *Folder) Remove(_ context.Context, oid OID) error {
	if err := os.Remove(f.Path(oid)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove an LFS object: %w", err)
	}
	return nil
}

// Each implements [Blobs]. Files that are no objects are left out.
func (f *Folder) Each(ctx context.Context, each func(Pointer) error) error {
	return filepath.WalkDir(filepath.Join(f.dir, "objects"), func(_ string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		oid, err := ParseOID(d.Name())
		if err != nil {
			return nil //nolint:nilerr // no object of ours
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return each(Pointer{OID: oid, Size: info.Size()})
	})
}
