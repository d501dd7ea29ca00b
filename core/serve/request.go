package serve

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/pktline"
	"github.com/headwater-git/headwater/core/limit"
)

// inMemory is how much of a request is kept in memory. All but a few fetches
// ask for less; hundreds of half requests cost no more than a few megabytes.
const inMemory = 64 << 10

// request is a whole request.
type request struct {
	small   []byte
	file    *os.File // of a larger one; has no name any more
	release func()   // of its place among the files
	probe   bool     // a lone flush packet: git looks whether it may ask at all
	thin    bool     // git gets it without some have lines, see maxHaves
}

// read takes in a request. Errors: KindTooLarge, KindInvalid, KindRateLimited if
// too many large ones come in at once, and those of the body's reader.
func (s *Service) read(ctx context.Context, f Fetch) (_ *request, err error) {
	q := &request{}
	defer func() {
		if err != nil {
			q.close()
		}
	}()
	body := io.LimitReader(f.Body, s.o.MaxRequest+1)
	var small bytes.Buffer
	n, err := io.Copy(&small, io.LimitReader(body, inMemory))
	if err != nil {
		return nil, err
	}
	q.small = small.Bytes()
	if n == inMemory {
		if n, err = s.spool(ctx, f, q, body); err != nil {
			return nil, err
		}
	}
	if n > s.o.MaxRequest {
		return nil, core.Errorf(core.KindTooLarge, "the request is larger than %d bytes, unpacked; fetch fewer refs at once", s.o.MaxRequest)
	}
	return q, q.check(f.Protocol)
}

// spool puts what has been read and the rest of the body into a file.
func (s *Service) spool(ctx context.Context, f Fetch, q *request, rest io.Reader) (int64, error) {
	var err error
	if q.release, err = s.spools.Acquire(ctx, limit.Key{Caller: f.Caller, Repository: f.Repo.ID}); err != nil {
		return 0, err
	}
	if q.file, err = os.CreateTemp(s.o.TempDir, "fetch-*"); err != nil {
		return 0, fmt.Errorf("keep a large request: %w", err)
	}
	// Without a name it goes with the process, however that ends.
	if err := os.Remove(q.file.Name()); err != nil {
		return 0, fmt.Errorf("keep a large request: %w", err)
	}
	if _, err := q.file.Write(q.small); err != nil {
		return 0, fmt.Errorf("keep a large request: %w", err)
	}
	n, err := io.Copy(q.file, rest)
	n += int64(len(q.small))
	q.small = nil
	return n, err
}

// reader returns the request from its beginning. Git reads a file itself.
func (q *request) reader() (io.Reader, error) {
	if q.file == nil {
		return bytes.NewReader(q.small), nil
	}
	if _, err := q.file.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read a large request: %w", err)
	}
	return q.file, nil
}

func (q *request) close() {
	if q.file != nil {
		_ = q.file.Close() // read, and gone
	}
	if q.release != nil {
		q.release()
	}
}

// check checks the form of the request, as far as that is possible without the
// repository: whole packets, of which the first begins a request and a flush
// packet or "done" ends it.
func (q *request) check(protocol string) error {
	r, err := q.reader()
	if err != nil {
		return err
	}
	packets := pktline.NewReader(bufio.NewReaderSize(r, 32<<10))
	wrong := func(what string) error {
		return core.Errorf(core.KindInvalid, "the body is not a request to git upload-pack: %s", what)
	}
	var count, flushes int
	last := pktline.Kind(0)
	done := false
	prefixes, haves := 0, 0
	for ; ; count++ {
		kind, payload, err := packets.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return wrong("it ends within a packet")
		}
		if err != nil {
			return wrong("it holds what is no pkt-line")
		}
		if count == 0 && kind != pktline.Flush {
			if problem := first(kind, string(payload), protocol == "version=2"); problem != "" {
				return wrong(problem)
			}
		}
		if kind == pktline.Flush {
			flushes++
		}
		if bytes.HasPrefix(payload, refPrefix) {
			prefixes++
		}
		if bytes.HasPrefix(payload, havePrefix) {
			haves++
		}
		if spec, ok := bytes.CutPrefix(payload, filterPrefix); ok && parts(spec) > maxFilters {
			return core.Errorf(core.KindInvalid, "the filter has more than %d parts; combine fewer", maxFilters)
		}
		last, done = kind, kind == pktline.Data && strings.TrimSuffix(string(payload), "\n") == "done"
	}
	switch {
	case count == 0:
		return wrong("it is empty")
	case count == 1 && last == pktline.Flush:
		q.probe = true
	case last == pktline.Flush, done && flushes > 0 && protocol != "version=2":
	default:
		return wrong("its end is missing")
	}
	q.thin = haves > maxHaves && protocol != "version=2"
	if prefixes > maxPrefixes {
		return q.dropPrefixes()
	}
	return nil
}

// maxPrefixes is how many prefixes a listing of refs heeds. Git compares every
// ref with every prefix: a few kilobytes of them, compressed, and some ten
// thousand refs took minutes. They are there to save the listing of the rest, and
// a server may show more refs than asked for, see gitprotocol-v2(5); git itself
// heeds none if there are 65536.
const maxPrefixes = 512

var refPrefix, filterPrefix = []byte("ref-prefix "), []byte("filter ")

// dropPrefixes takes the prefixes out of a request for a listing of refs.
func (q *request) dropPrefixes() error {
	r, err := q.reader()
	if err != nil {
		return err
	}
	packets := pktline.NewReader(bufio.NewReaderSize(r, 32<<10))
	var rest []byte
	for {
		kind, payload, err := packets.Next()
		if err != nil {
			break // the end: the whole of it has been read before
		}
		switch {
		case kind == pktline.Flush:
			rest = append(rest, pktline.FlushPacket...)
		case kind == pktline.Delim:
			rest = append(rest, pktline.DelimPacket...)
		case kind == pktline.Data && !bytes.HasPrefix(payload, refPrefix):
			rest = pktline.Appendf(rest, "%s", payload)
		}
		if len(rest) > inMemory {
			return core.Errorf(core.KindInvalid, "the body is not a request to git upload-pack: it holds more than a listing of refs takes")
		}
	}
	if q.file != nil {
		_ = q.file.Close() // read, and gone
		q.file = nil
	}
	q.small = rest
	return nil
}

// maxFilters is how many filters one request may combine. Git asks each of them
// about each object and has each remember what it has seen: eight thousand of the
// same, which are 200 bytes on the wire, take gigabytes and minutes.
const maxFilters = 16

// parts returns how many filters a specification may combine. Within one part the
// sign between them is percent-encoded, at each level once more and in more than
// one way; so every percent sign counts.
func parts(spec []byte) int {
	return 1 + bytes.Count(spec, []byte{'+'}) + bytes.Count(spec, []byte{'%'})
}

// first says what is wrong with the first packet of a request; "" is nothing.
func first(kind pktline.Kind, payload string, v2 bool) string {
	payload = strings.TrimSuffix(payload, "\n")
	switch {
	case kind != pktline.Data:
		return "it does not begin with what it wants"
	case v2:
		// Only these are advertised. Capabilities may precede the command.
		if command, ok := strings.CutPrefix(payload, "command="); ok && command != "ls-refs" && command != "fetch" {
			return fmt.Sprintf("there is no command %.40q", command)
		}
		return ""
	}
	for _, prefix := range []string{"want ", "shallow ", "deepen", "filter "} {
		if strings.HasPrefix(payload, prefix) {
			return ""
		}
	}
	return "it does not begin with what it wants"
}
