package commit

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// Chunk is a piece of a content.
type Chunk struct {
	Content string // which content; "" in a diff
	Data    []byte // valid until the next piece is asked for
	Last    bool
}

// Chunks gives the pieces of contents in order, and io.EOF after the last.
type Chunks interface {
	Next() (Chunk, error)
}

// use is what a content is for.
type use struct {
	blob    bool // it is a file
	symlink bool // and the target of a symlink
	link    bool // it names a commit
}

// contents takes the contents of files off a stream: one after the other, each
// from its first to its last piece.
type contents struct {
	pack    *pack
	spool   spool // the content that is arriving, if it is more than one piece
	current string
	open    bool
	uses    map[string]use
	blobs   map[string]core.ObjectID
	links   map[string]string
	done    map[string]bool

	// all keeps the contents of files, if what becomes of them depends on others that come
	// later, and kept says where each is. nil: each goes into the pack at once.
	all  *spool
	kept map[string]section
}

// section is a content that is kept.
type section struct {
	in         *spool
	from, size int64
}

func (c section) open() io.Reader { return c.in.section(c.from, c.size) }

// keep has the contents of files kept until blob is asked for them.
func (c *contents) keep() {
	c.all = &spool{dir: c.spool.dir, limit: c.spool.limit}
	c.kept = map[string]section{}
}

// close frees what is kept.
func (c *contents) close() {
	if c.all != nil {
		_ = c.all.close() // a file without a name that nobody reads again
	}
}

// blob returns the blob of a content, and puts it into the pack if it was kept.
func (c *contents) blob(content string) (core.ObjectID, error) {
	id, ok := c.blobs[content]
	if ok || c.all == nil {
		return id, nil
	}
	kept := c.kept[content]
	id, err := c.pack.addFrom(typeBlob, kept.size, kept.open)
	c.blobs[content] = id
	return id, err
}

func (s *Service) newContents(p *pack) *contents {
	return &contents{
		pack: p, spool: spool{dir: s.temp, limit: s.maxSize},
		uses: map[string]use{}, blobs: map[string]core.ObjectID{}, links: map[string]string{}, done: map[string]bool{},
	}
}

// expect notes what the contents are for.
func (c *contents) expect(files []File) {
	for _, f := range files {
		u := c.uses[f.Content]
		switch {
		case f.Delete:
		case f.Mode == modeGitlink:
			u.link = true
		default:
			u.blob = true
			u.symlink = u.symlink || f.Mode == modeSymlink
		}
		if f.Content != "" {
			c.uses[f.Content] = u
		}
	}
}

// take reads everything. Errors: KindInvalid for what is out of order, too
// much or missing, KindTooLarge, and those of the stream.
func (c *contents) take(chunks Chunks) error {
	defer c.spool.close() //nolint:errcheck // a file that nobody reads again
	for {
		chunk, err := chunks.Next()
		if errors.Is(err, io.EOF) {
			return c.complete()
		}
		if err != nil {
			return err
		}
		if err := c.add(chunk); err != nil {
			return err
		}
	}
}

func (c *contents) add(chunk Chunk) error {
	u, known := c.uses[chunk.Content]
	switch {
	case !known:
		return core.Errorf(core.KindInvalid, "content %s belongs to no file", quote(chunk.Content))
	case c.open && chunk.Content != c.current:
		return core.Errorf(core.KindInvalid, "content %s begins before %s has ended", quote(chunk.Content), quote(c.current))
	case c.done[chunk.Content]:
		return core.Errorf(core.KindInvalid, "content %s was sent twice", quote(chunk.Content))
	case !u.blob && !u.link && len(chunk.Data) > 0:
		return core.Errorf(core.KindInvalid, "content %s belongs to a deletion and must be empty", quote(chunk.Content))
	}
	first := !c.open
	c.current, c.open = chunk.Content, !chunk.Last
	if first && chunk.Last {
		return c.finish(u, int64(len(chunk.Data)), func() io.Reader { return bytes.NewReader(chunk.Data) })
	}
	if _, err := c.spool.Write(chunk.Data); err != nil {
		return err
	}
	if !chunk.Last {
		return nil
	}
	if err := c.finish(u, c.spool.size, c.spool.reader); err != nil {
		return err
	}
	return c.spool.reset()
}

// finish has the whole current content.
func (c *contents) finish(u use, size int64, open func() io.Reader) error {
	c.done[c.current] = true
	if u.link {
		link, err := io.ReadAll(io.LimitReader(open(), 256))
		if err != nil {
			return err
		}
		c.links[c.current] = strings.TrimSpace(string(link))
	}
	if !u.blob {
		return nil
	}
	if u.symlink {
		target, err := io.ReadAll(io.LimitReader(open(), maxPath+1))
		if err != nil {
			return err
		}
		if err := checkTarget(target); err != nil {
			return core.Errorf(core.KindInvalid, "content %s: %s", quote(c.current), core.MessageOf(err))
		}
	}
	if c.all != nil {
		c.kept[c.current] = section{c.all, c.all.size, size}
		_, err := io.Copy(c.all, open())
		return err
	}
	id, err := c.pack.addFrom(typeBlob, size, open)
	c.blobs[c.current] = id
	return err
}

// complete checks that nothing is missing at the end of the stream.
func (c *contents) complete() error {
	if c.open {
		return core.Errorf(core.KindInvalid, "the request ends inside of content %s", quote(c.current))
	}
	for id, u := range c.uses {
		if (u.blob || u.link) && !c.done[id] {
			return core.Errorf(core.KindInvalid, "content %s is missing", quote(id))
		}
	}
	return nil
}

// checkTarget checks the target of a symlink, as far as it was read: no system
// can make one that is empty, has a NUL or is longer than a path. Errors:
// KindInvalid.
func checkTarget(target []byte) error {
	var reason string
	switch {
	case len(target) == 0:
		reason = "is empty"
	case len(target) > maxPath:
		reason = "is longer than 4096 bytes"
	case bytes.IndexByte(target, 0) >= 0:
		reason = "has a NUL"
	default:
		return nil
	}
	return core.Errorf(core.KindInvalid, "the target of a symlink %s; no system can make that one", reason)
}
