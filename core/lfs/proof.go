package lfs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
)

const (
	// proofLife is how long an object that was read and found sound is served without
	// being read for that again.
	proofLife = time.Hour
	// maxProofs bounds what is remembered of that.
	maxProofs = 100_000
	// proveFirst is up to how many bytes an object is read whole before anything of it is
	// sent. A larger one would keep its client waiting: it is proven as it is sent, and its
	// last bytes are held back until then.
	proveFirst = 64 << 20
	// proofsAtOnce is how many objects are read at a time to prove them.
	proofsAtOnce = 2
)

// damagedFolder holds the files that are not their objects any more, under their ids.
const damagedFolder = "damaged"

// DamagedPath returns where the file of an object is that a disk has changed, if there
// is one.
func (f *Folder) DamagedPath(oid OID) string { return filepath.Join(f.dir, damagedFolder, string(oid)) }

// Damaged returns the ids of the files that were found changed and whose object has not
// come again since, in order.
func (f *Folder) Damaged() ([]OID, error) {
	entries, err := os.ReadDir(filepath.Join(f.dir, damagedFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list damaged LFS objects: %w", err)
	}
	var all []OID
	for _, e := range entries {
		if oid, err := ParseOID(e.Name()); err == nil {
			all = append(all, oid)
		}
	}
	return all, nil
}

// Sound reports whether the bytes of an object are what its id says; a file that the disk
// cannot read is not. KindNotFound: it is not here.
func (f *Folder) Sound(ctx context.Context, oid OID) (bool, error) {
	sound, _, err := f.check(ctx, oid, func(int64) error { return nil })
	return sound, err
}

// check is Sound that also returns what the file was. read is called with the number of
// bytes after each piece, and ends the reading by its error.
func (f *Folder) check(ctx context.Context, oid OID, read func(n int64) error) (sound bool, file os.FileInfo, err error) {
	b, err := os.Open(f.Path(oid))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil, notHere(oid)
	}
	if err != nil {
		return false, nil, fmt.Errorf("open an LFS object: %w", err)
	}
	defer b.Close()
	if file, err = b.Stat(); err != nil {
		return false, nil, fmt.Errorf("open an LFS object: %w", err)
	}
	sum, piece := sha256.New(), make([]byte, copyBuffer)
	for {
		if ctx.Err() != nil {
			return false, nil, context.Cause(ctx)
		}
		n, err := b.Read(piece)
		_, _ = sum.Write(piece[:n]) // never fails
		switch {
		case errors.Is(err, io.EOF):
			return OIDOf([32]byte(sum.Sum(nil))) == oid, file, nil
		case errors.Is(err, syscall.EIO):
			return false, file, nil
		case err != nil:
			return false, nil, fmt.Errorf("read an LFS object: %w", err)
		}
		if err := read(int64(n)); err != nil {
			return false, nil, err
		}
	}
}

// setAside moves the file of an object out of the way if it is still the one that was
// found changed.
func (f *Folder) setAside(oid OID, found os.FileInfo) error {
	now, err := os.Stat(f.Path(oid))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(found, now) {
		return nil // removed, or there is another one since
	}
	if err != nil {
		return fmt.Errorf("set a damaged LFS object aside: %w", err)
	}
	to := f.DamagedPath(oid)
	if err := durable.MkdirAll(filepath.Dir(to)); err != nil {
		return fmt.Errorf("set a damaged LFS object aside: %w", err)
	}
	if err := os.Rename(f.Path(oid), to); err != nil {
		return fmt.Errorf("set a damaged LFS object aside: %w", err)
	}
	return errors.Join(durable.SyncDir(filepath.Dir(to)), durable.SyncDir(filepath.Dir(f.Path(oid))))
}

// prove reports whether the file of an object is what its id says, and sets one aside that
// is not. It was not read for that within [proofLife]. KindNotFound: it is not here.
func (s *Service) prove(ctx context.Context, oid OID, read func(n int64) error) (bool, error) {
	sound, file, err := s.files.check(ctx, oid, read)
	if err != nil {
		return false, err
	}
	if !sound {
		return false, s.changed(oid, file)
	}
	s.proven(oid)
	return true, nil
}

// changed sets the file of an object aside that is not what its id says.
func (s *Service) changed(oid OID, file os.FileInfo) error {
	s.adopting.Lock()
	defer s.adopting.Unlock()
	s.o.Logger.Error("an LFS object is not what its id says: the disk has changed it; it is not served any more",
		"oid", oid, "file", s.files.DamagedPath(oid))
	s.forgetProof(oid)
	return s.files.setAside(oid, file)
}

// proven remembers that an object was found sound now.
func (s *Service) proven(oid OID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.proofs) >= maxProofs {
		clear(s.proofs)
	}
	s.proofs[oid] = s.o.Clock.Now()
}

func (s *Service) forgetProof(oid OID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.proofs, oid)
}

// isProven reports whether an object was found sound within [proofLife].
func (s *Service) isProven(oid OID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.proofs[oid]
	return ok && s.o.Clock.Now().Sub(at) < proofLife
}

// openSound opens the file of an object so that nothing is read of it that is not its
// content, at most all but the last bytes of a large one. KindNotFound: it is not here, or
// not any more.
func (s *Service) openSound(ctx context.Context, oid OID) (Blob, error) {
	blob, err := s.blobs.Open(ctx, oid)
	if err != nil || s.isProven(oid) {
		return blob, err
	}
	proving := &provingBlob{Blob: blob, ctx: ctx, s: s, oid: oid, hash: sha256.New()} //nolint:containedctx // that of the request
	if blob.Size() > s.proveFirst {
		return proving, nil
	}
	if err := proving.prove(); err != nil {
		return nil, errors.Join(err, blob.Close())
	}
	return blob, nil
}

// provingBlob is an object that is proven as it is read from its beginning on. It belongs
// to one request.
type provingBlob struct {
	Blob
	ctx    context.Context //nolint:containedctx // that of the request
	s      *Service
	oid    OID
	hash   hash.Hash
	hashed int64 // bytes of the beginning
	at     int64 // offset of the next read
	proven bool
}

// Seek implements [io.Seeker].
func (b *provingBlob) Seek(offset int64, whence int) (int64, error) {
	at, err := b.Blob.Seek(offset, whence)
	if err == nil {
		b.at = at
	}
	return at, err
}

// Read returns what is proven, or lies before the bytes that are held back. KindNotFound:
// the object was found changed.
func (b *provingBlob) Read(p []byte) (int, error) {
	free := b.Size() - heldBack
	if !b.proven && (b.at > b.hashed || b.at >= free) {
		if err := b.proveRest(); err != nil {
			return 0, err
		}
	}
	if !b.proven {
		p = p[:min(int64(len(p)), free-b.at)]
	}
	n, err := b.Blob.Read(p)
	if !b.proven && b.at == b.hashed {
		_, _ = b.hash.Write(p[:n]) // never fails
		b.hashed += int64(n)
	}
	b.at += int64(n)
	return n, err
}

// proveRest proves the object before a read of its end, or of a part of it.
func (b *provingBlob) proveRest() error {
	if b.at != b.hashed || b.at < b.Size()-heldBack {
		return b.prove()
	}
	_, err := io.Copy(b.hash, b.Blob)
	if err == nil {
		_, err = b.Blob.Seek(b.at, io.SeekStart)
	}
	if err != nil {
		return err
	}
	if OIDOf([32]byte(b.hash.Sum(nil))) != b.oid {
		return b.prove() // which sets it aside, unless it was this reader's mistake
	}
	b.proven = true
	b.s.proven(b.oid)
	return nil
}

// prove reads the whole object, as one of few at a time.
func (b *provingBlob) prove() error {
	select {
	case b.s.proving <- struct{}{}:
		defer func() { <-b.s.proving }()
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
	if !b.s.isProven(b.oid) {
		// What a client waited for in vain is done when it comes again.
		sound, err := b.s.prove(b.s.life, b.oid, func(int64) error { return nil })
		if err != nil {
			return err
		}
		if !sound {
			return core.Errorf(core.KindNotFound, "the LFS object %s was damaged on this server's disk, and is not served: ask for it again", b.oid)
		}
	}
	b.proven = true
	return nil
}
