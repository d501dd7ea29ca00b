package serve

import (
	"bytes"
	"io"
	"strconv"

	"github.com/headwater-git/headwater/core/git"
)

// answer passes upload-pack's output on, and notes whether it told the client
// in the protocol that it failed.
type answer struct {
	open func() io.Writer
	w    io.Writer // nil until the first byte
	told bool      // an ERR packet, or one of the fatal band, was passed on

	raw  bool   // what comes is no pkt-line: a pack without side-band
	head []byte // of the packet that is being looked at
	skip int    // bytes of its payload still to pass
}

// errPrefix begins the packet that says why there is no answer, see
// gitprotocol-common(5).
const errPrefix = "ERR "

// Write passes p on.
func (a *answer) Write(p []byte) (int, error) {
	if a.w == nil {
		a.w = a.open()
	}
	if !a.raw {
		a.look(p)
	}
	return a.w.Write(p)
}

// ReadFrom copies with a large buffer: io.Copy's own 32 KiB would cost twice
// the system calls of the pipe's 64 KiB.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{a}, r, make([]byte, 128<<10))
}

// look follows the packets in p: length digits, and as much of the payload as
// tells what it is.
func (a *answer) look(p []byte) {
	const digits, enough = 4, 4 + len(errPrefix)
	for len(p) > 0 {
		if a.skip > 0 {
			n := min(a.skip, len(p))
			p, a.skip = p[n:], a.skip-n
			continue
		}
		a.head, p = append(a.head, p[0]), p[1:]
		if len(a.head) < digits {
			continue
		}
		length, err := strconv.ParseUint(string(a.head[:digits]), 16, 16)
		if err != nil {
			a.raw = true
			return
		}
		if want := min(int(length), enough); len(a.head) < want {
			continue
		}
		payload := a.head[digits:]
		a.told = a.told || bytes.HasPrefix(payload, []byte(errPrefix)) || len(payload) > 0 && payload[0] == git.BandFatal
		a.skip = max(0, int(length)-len(a.head))
		a.head = a.head[:0]
	}
}
