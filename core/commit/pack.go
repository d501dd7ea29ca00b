package commit

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// objectType is the type of an object in a pack (gitformat-pack(5)).
type objectType byte

const (
	typeCommit objectType = 1
	typeTree   objectType = 2
	typeBlob   objectType = 3
)

func (t objectType) String() string {
	switch t {
	case typeCommit:
		return "commit"
	case typeTree:
		return "tree"
	default:
		return "blob"
	}
}

const (
	// packHeader is the length of what a pack begins with, in bytes.
	packHeader = 12
	// unpackObjects is up to how many objects git stores loose; a larger pack
	// is kept as a pack. Fewer files against less work for the next repack.
	unpackObjects = 100
)

// pack collects new objects. The zero value is not usable; see
// [Service.newPack].
type pack struct {
	body    spool
	hash    func() hash.Hash
	deflate *sync.Pool
	seen    map[core.ObjectID]bool // in this pack or stored by an earlier one
	objects uint32
	blobs   int
	stored  int64 // bytes of the packs that were stored
	raw     int64 // bytes of all contents, unpacked
	limit   int64 // of raw; 0 is none
	// strict asks git to check the objects: somebody writes a file that git
	// itself reads, such as .gitmodules.
	strict bool
	repoID string                   // whose settings say what git is to tolerate
	paths  map[core.ObjectID]string // of files that git itself reads, for its refusals
}

// checkFile has git check the objects if it reads the file itself.
func (p *pack) checkFile(path string, id core.ObjectID) {
	if readByGit(path) {
		p.strict, p.paths[id] = true, path
	}
}

func (s *Service) newPack(r core.Repository) *pack {
	return &pack{body: spool{dir: s.temp}, hash: func() hash.Hash { return git.NewHash(r.ObjectFormat) }, deflate: s.deflate, seen: map[core.ObjectID]bool{}, limit: s.maxSize, repoID: r.ID, paths: map[core.ObjectID]string{}}
}

// add puts an object into the pack, unless it is there, and returns its name.
func (p *pack) add(t objectType, content []byte) (core.ObjectID, error) {
	return p.addFrom(t, int64(len(content)), func() io.Reader { return bytes.NewReader(content) })
}

// addFrom is add for a content that is read twice: for the name, and, if it is
// a new object, for the pack.
func (p *pack) addFrom(t objectType, size int64, open func() io.Reader) (core.ObjectID, error) {
	h := p.hash()
	fmt.Fprintf(h, "%s %d\x00", t, size)
	if _, err := io.Copy(h, open()); err != nil {
		return "", err
	}
	id := core.ObjectID(hex.EncodeToString(h.Sum(nil)))
	if p.seen[id] {
		return id, nil
	}
	if p.raw += size; p.limit > 0 && p.raw > p.limit {
		return "", core.Errorf(core.KindTooLarge, "the request brings more than %d bytes", p.limit)
	}
	if _, err := p.body.Write(entryHeader(t, size)); err != nil {
		return "", err
	}
	z, _ := p.deflate.Get().(*zlib.Writer)
	defer p.deflate.Put(z)
	z.Reset(&p.body)
	if _, err := io.Copy(z, open()); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	p.seen[id] = true
	p.objects++
	if t == typeBlob {
		p.blobs++
	}
	return id, nil
}

// entryHeader is type and size before the content of an object in a pack.
func entryHeader(t objectType, size int64) []byte {
	b := byte(t)<<4 | byte(size&15)
	var out []byte
	for size >>= 4; size > 0; size >>= 7 {
		out = append(out, b|0x80)
		b = byte(size & 0x7f)
	}
	return append(out, b)
}

// size is the length of the pack in bytes.
func (p *pack) size() int64 { return packHeader + p.body.size + int64(p.hash().Size()) }

// small reports whether the pack is best stored as loose objects.
func (p *pack) small() bool { return p.objects < unpackObjects && p.body.file == nil }

// reader reads the pack: the header, which knows the count only now, the
// objects, and the checksum of both.
func (p *pack) reader() io.Reader {
	head := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), p.objects)
	sum := p.hash()
	return io.MultiReader(io.TeeReader(io.MultiReader(bytes.NewReader(head), p.body.reader()), sum), &trailer{sum: sum})
}

// trailer reads a checksum that is taken when it is first read.
type trailer struct {
	sum  hash.Hash
	rest io.Reader
}

func (t *trailer) Read(b []byte) (int, error) {
	if t.rest == nil {
		t.rest = bytes.NewReader(t.sum.Sum(nil))
	}
	return t.rest.Read(b)
}

func (p *pack) close() { _ = p.body.close() }

// store hands the pack to the git of the repository at dir, and empties it.
// Errors: KindInvalid if git refuses what it was asked to check.
func (s *Service) store(ctx context.Context, dir string, p *pack) error {
	if p.objects == 0 {
		return nil
	}
	if p.strict {
		if err := s.vet(ctx, dir, p); err != nil {
			return err
		}
	}
	c := git.Command{Name: "unpack-objects", Dir: dir, Flags: []string{"-q"}, Stdin: p.reader()}
	if !p.small() {
		// --fix-thin is what receive-pack uses, too: a pack that is complete
		// stays as it is.
		c.Name, c.Flags, c.Stdout = "index-pack", []string{"--stdin", "--fix-thin"}, io.Discard
	}
	if err := s.git.Run(ctx, c); err != nil {
		return fmt.Errorf("store objects: %w", err)
	}
	p.stored += p.size()
	p.objects = 0
	return p.body.reset()
}
