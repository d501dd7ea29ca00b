package content

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// smallBlob is up to which size a blob is read whole, by a process of the pool.
// A larger one has a process of its own, so that a slow client holds up nobody.
const smallBlob = 1 << 20

// File is one file of a commit.
type File struct {
	Blob       core.ObjectID
	Size       int64
	LastCommit core.ObjectID // on the way back from the commit, the first to touch the file
	ModTime    time.Time     // when that was committed
	s          *Service
	dir        string
}

// File finds a file. Errors: KindInvalid for a bad ref or path; KindNotFound
// also when there is a folder or a submodule at the path.
func (s *Service) File(ctx context.Context, repo core.Repository, at At, path string) (File, error) {
	if err := ValidatePath(path); err != nil {
		return File{}, err
	}
	dir, rev, err := s.open(ctx, repo, at)
	if err != nil {
		return File{}, err
	}
	objects, err := s.cat.Info(ctx, dir, string(rev.Commit)+":"+path)
	if err != nil {
		return File{}, err
	}
	if objects[0].Type != "blob" {
		return File{}, core.Errorf(core.KindNotFound, "file %q not found", path)
	}
	last, err := s.lastTouch(ctx, repo, dir, rev.Commit, path)
	if err != nil {
		return File{}, err
	}
	return File{Blob: objects[0].ID, Size: objects[0].Size, LastCommit: last.id, ModTime: last.when, s: s, dir: dir}, nil
}

// Open returns the content. It reads nothing until it is read. A seek forward
// skips, one backward begins anew. The caller must Close it.
func (f File) Open(ctx context.Context) io.ReadSeekCloser {
	return &blobReader{ctx: ctx, file: f}
}

// blobReader belongs to one request, and so does its context.
type blobReader struct {
	ctx    context.Context
	file   File
	want   int64         // offset of the next Read
	at     int64         // offset of the stream
	small  *bytes.Reader // content of a small blob
	stream *git.Stream   // of a large one
}

var errSeek = errors.New("seek outside of the blob")

// Seek implements [io.Seeker] without reading.
func (b *blobReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.want
	case io.SeekEnd:
		offset += b.file.Size
	}
	if offset < 0 || offset > b.file.Size {
		return 0, errSeek
	}
	b.want = offset
	return offset, nil
}

// Read implements [io.Reader].
func (b *blobReader) Read(p []byte) (int, error) {
	if b.want >= b.file.Size {
		return 0, io.EOF
	}
	if b.file.Size <= smallBlob {
		return b.readSmall(p)
	}
	if b.stream != nil && b.at > b.want {
		_ = b.Close()
	}
	if b.stream == nil {
		stream, err := b.file.s.git.OpenBlob(b.ctx, b.file.dir, b.file.Blob)
		if err != nil {
			return 0, err
		}
		b.stream, b.at = stream, 0
	}
	if skip := b.want - b.at; skip > 0 {
		n, err := io.CopyN(io.Discard, b.stream, skip)
		b.at += n
		if err != nil {
			return 0, b.ended(err)
		}
	}
	n, err := b.stream.Read(p)
	b.at, b.want = b.at+int64(n), b.want+int64(n)
	if err != nil {
		return n, b.ended(err)
	}
	return n, nil
}

// ended replaces a premature EOF by git's exit error.
func (b *blobReader) ended(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	if err := b.stream.Wait(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

func (b *blobReader) readSmall(p []byte) (int, error) {
	if b.small == nil {
		objects, err := b.file.s.cat.Contents(b.ctx, b.file.dir, smallBlob, string(b.file.Blob))
		if err != nil {
			return 0, err
		}
		if !objects[0].Found() {
			return 0, core.Errorf(core.KindNotFound, "blob %s is gone", b.file.Blob)
		}
		b.small = bytes.NewReader(objects[0].Data)
	}
	n, err := b.small.ReadAt(p, b.want)
	b.want += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

// Close ends git.
func (b *blobReader) Close() error {
	if b.stream == nil {
		return nil
	}
	err := b.stream.Close()
	b.stream = nil
	return err
}
