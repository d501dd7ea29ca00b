package serve

import (
	"bytes"
	"io"
	"strconv"

	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// answer passes upload-pack's output on, and records whether the client was sent
// an error of the protocol.
type answer struct {
	open func() io.Writer
	w    io.Writer // nil until the first byte
	sent bool      // an error: an ERR packet, or one of the fatal band, was passed on
	// short reports that pack-objects, whose messages upload-pack passes on as
	// progress, ran out of memory or another resource.
	short bool
	dir   string // of the repository
	// shortage says what, where and what to do; "" if it is memory or processes.
	shortage string
	// damage is what pack-objects said of a damaged repository, "" if nothing.
	damage string

	raw  bool   // the rest is not in pkt-lines: a pack without side-band
	head []byte // of the current packet
	skip int    // bytes of its payload still to pass on
	// progress reports that the current packet is of the band of progress.
	progress bool
	text     []byte // the last maxProgress bytes of progress
}

// upload-pack prints abortText for any failure of pack-objects, also when memory
// ran out. shortText replaces it and has the same length, so that no packet changes. What the
// line above it says is git's own, with what ran out.
var (
	abortText = []byte("aborting due to possible repository corruption on the remote side.")
	shortText = []byte("this server's memory limit for one fetch was hit; ask it for less.")
	// shortageText does the same for its disk and open files.
	shortageText = []byte("this server is out of disk space or open files. Try again later.  ")
)

// maxProgress is how many bytes of progress are kept for inspection.
const maxProgress = 4 << 10

// errPrefix begins the packet of an error, see
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
		text := shortText
		if a.shortage != "" {
			text = shortageText
		}
		p = bytes.ReplaceAll(p, abortText, text)
	}
	return a.w.Write(p)
}

// ReadFrom copies with a large buffer: io.Copy's own 32 KiB would cost twice
// the system calls of the pipe's 64 KiB.
func (a *answer) ReadFrom(r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{a}, r, make([]byte, 128<<10))
}

// look parses the packets in p: the length digits, and as much of the payload as
// shows its kind.
func (a *answer) look(p []byte) {
	const digits, enough = 4, 4 + len(errPrefix)
	for len(p) > 0 {
		if a.skip > 0 {
			n := min(a.skip, len(p))
			if a.progress {
				a.inspect(p[:n])
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
		a.sent = a.sent || bytes.HasPrefix(payload, []byte(errPrefix)) || len(payload) > 0 && payload[0] == pktline.BandFatal
		a.skip = max(0, int(length)-len(a.head))
		if a.progress = len(payload) > 0 && payload[0] == pktline.BandProgress; a.progress {
			a.inspect(payload[1:])
		}
		a.head = a.head[:0]
	}
}

// between reports whether another packet may follow what was passed on.
func (a *answer) between() bool { return !a.raw && a.skip == 0 && len(a.head) == 0 }

// inspect searches the text of progress for messages that git ran out of memory, or
// that the repository is damaged.
func (a *answer) inspect(p []byte) {
	if a.short {
		return
	}
	a.text = append(a.text, p...)
	if a.short = git.OutOfResources(a.text); a.short {
		a.shortage = git.ShortageIn(a.text, a.dir)
	}
	if a.damage == "" {
		a.damage = git.SaysDamaged(a.text)
	}
	if over := len(a.text) - maxProgress; over > 0 {
		a.text = append(a.text[:0], a.text[over:]...)
	}
}

// suspicion returns what git said of damage, "" if nothing. What it says when it has run out
// of memory or another resource is none: it calls an object corrupt that it could not hold.
func (a *answer) suspicion() string {
	if a.short {
		return ""
	}
	return a.damage
}
