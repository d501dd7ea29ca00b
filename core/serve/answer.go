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
	// short says that pack-objects, whose words upload-pack passes on as progress,
	// ran out of memory or the like.
	short bool

	raw  bool   // what comes is no pkt-line: a pack without side-band
	head []byte // of the packet that is being looked at
	skip int    // bytes of its payload still to pass
	// progress says that the packet is of the band of progress.
	progress bool
	text     []byte // the end of what was said as progress
}

// upload-pack ends so whatever became of pack-objects, and a full memory is no
// corruption. What is said instead has the same length: no packet changes.
var (
	abortText = []byte("aborting due to possible repository corruption on the remote side.")
	shortText = []byte("this server's memory limit for one fetch was hit; ask it for less.")
)

// maxProgress is how much of the progress is kept to look at.
const maxProgress = 4 << 10

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
	if a.short && bytes.Contains(p, abortText) {
		p = bytes.ReplaceAll(p, abortText, shortText)
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
			if a.progress {
				a.hear(p[:n])
			}
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
		if a.progress = len(payload) > 0 && payload[0] == git.BandProgress; a.progress {
			a.hear(payload[1:])
		}
		a.head = a.head[:0]
	}
}

// between reports whether another packet may follow what was passed on.
func (a *answer) between() bool { return !a.raw && a.skip == 0 && len(a.head) == 0 }

// hear looks at progress.
func (a *answer) hear(p []byte) {
	if a.short {
		return
	}
	a.text = append(a.text, p...)
	a.short = git.OutOfResources(a.text)
	if over := len(a.text) - maxProgress; over > 0 {
		a.text = append(a.text[:0], a.text[over:]...)
	}
}
