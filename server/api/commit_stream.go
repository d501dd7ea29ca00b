package api

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/server/middleware"
)

const (
	// maxChunk is the size limit of one decoded piece of a content, in bytes.
	maxChunk = 4 << 20
	// maxChunkLine holds such a piece in base64, and what is around it.
	maxChunkLine = maxChunk/3*4 + 64<<10
	// maxMetadataLine holds the paths of about 200,000 files.
	maxMetadataLine = 32 << 20
	// drainLimit is how much of a refused request is still read, in bytes: a
	// client that is still sending would else see a broken connection instead
	// of the answer.
	drainLimit = 32 << 20
	drainTime  = 10 * time.Second
)

// Where a line has its piece.
const (
	blobField = "blob_chunk"
	diffField = "diff_chunk"
)

// stream is the body of a commit call: one JSON object per line, the metadata
// first, then the pieces of contents. What it holds in memory is one line.
type stream struct {
	in     *bufio.Reader
	line   []byte // reused
	field  string // blobField or diffField
	number int    // of the line, from 1
}

var _ commit.Chunks = (*stream)(nil)

// newStream reads from the body of a request. Pieces are in the field.
func newStream(body io.Reader, field string) *stream {
	return &stream{in: bufio.NewReaderSize(body, 64<<10), field: field}
}

// metadata decodes the first line into dest. Errors: KindInvalid.
func (s *stream) metadata(dest any) error {
	line, err := s.next(maxMetadataLine)
	if errors.Is(err, io.EOF) {
		return core.Errorf(core.KindInvalid, "the request body is empty; its first line must hold the metadata")
	}
	if err != nil {
		return err
	}
	var first struct {
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := decodeJSON(line, &first); err != nil {
		return s.at(err)
	}
	if len(first.Metadata) == 0 || bytes.Equal(first.Metadata, []byte("null")) {
		return core.Errorf(core.KindInvalid, "the first line of the request body must hold the metadata")
	}
	return decodeJSON(first.Metadata, dest)
}

// chunkBody is one piece on the wire.
type chunkBody struct {
	ContentID string `json:"content_id"`
	Data      []byte `json:"data"` // base64
	EOF       bool   `json:"eof"`
}

// Next implements [commit.Chunks].
func (s *stream) Next() (commit.Chunk, error) {
	line, err := s.next(maxChunkLine)
	if err != nil {
		return commit.Chunk{}, err // io.EOF above all
	}
	var piece struct {
		Blob *chunkBody `json:"blob_chunk"`
		Diff *chunkBody `json:"diff_chunk"`
	}
	if err := json.Unmarshal(line, &piece); err != nil {
		if _, bad := errors.AsType[base64.CorruptInputError](err); bad {
			return commit.Chunk{}, core.Errorf(core.KindInvalid, "line %d of the request body: the data is not valid base64", s.number)
		}
		return commit.Chunk{}, s.at(decodeJSON(line, &piece))
	}
	body := piece.Blob
	if s.field == diffField {
		body = piece.Diff
	}
	if body == nil {
		return commit.Chunk{}, core.Errorf(core.KindInvalid, "line %d of the request body holds no %q", s.number, s.field)
	}
	if len(body.Data) > maxChunk {
		return commit.Chunk{}, core.Errorf(core.KindInvalid, "line %d of the request body: a piece may have %d bytes at most", s.number, maxChunk)
	}
	return commit.Chunk{Content: body.ContentID, Data: body.Data, Last: body.EOF}, nil
}

// at names the line of an error.
func (s *stream) at(err error) error {
	return core.Errorf(core.KindInvalid, "line %d of the request body: %s", s.number, core.MessageOf(err))
}

// next returns the next line that is not blank, and io.EOF after the last. It
// is valid until the next call.
func (s *stream) next(limit int) ([]byte, error) {
	for {
		s.line = s.line[:0]
		s.number++
		for {
			part, err := s.in.ReadSlice('\n')
			if len(s.line)+len(part) > limit {
				return nil, core.Errorf(core.KindInvalid, "line %d of the request body is longer than %d bytes", s.number, limit)
			}
			s.line = append(s.line, part...)
			if err == nil {
				break
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if !errors.Is(err, io.EOF) {
				return nil, middleware.BodyError(err)
			}
			if len(bytes.TrimSpace(s.line)) == 0 {
				return nil, io.EOF
			}
			break
		}
		if line := bytes.TrimSpace(s.line); len(line) > 0 {
			return line, nil
		}
	}
}
