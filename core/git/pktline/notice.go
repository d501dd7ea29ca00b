package pktline

import (
	"io"
	"strconv"
)

// noticeMax bounds a notice so that it fits a packet of the old capability
// side-band (git before 1.7): 1000 bytes, of which the header, the band and the
// newline take some.
const noticeMax = 1000 - headerLength - 1 - len("\n")

// noticeWriter inserts one line of text for the user into the answer to a fetch.
type noticeWriter struct {
	w      io.Writer
	packet []byte // to insert; nil: done, everything passes through
	head   []byte // of the current packet
	skip   int    // bytes of its payload still to pass on
}

// NewNoticeWriter returns a writer for the answer of git upload-pack, protocol
// v0 to v2, that inserts the text as a progress line: the client shows it as
// "remote: TEXT". It goes before the first side-band packet; an answer without
// one (a listing of refs, a client without side-band) is not changed.
// A text that is too long is cut.
func NewNoticeWriter(w io.Writer, text string) io.Writer {
	if len(text) > noticeMax {
		text = text[:noticeMax]
	}
	return &noticeWriter{w: w, packet: AppendSideband(nil, BandProgress, []byte(text+"\n"))}
}

// Write passes p on, with the notice at its place.
func (n *noticeWriter) Write(p []byte) (int, error) {
	if n.packet == nil {
		return n.w.Write(p)
	}
	rest := p
	var out []byte
	for len(rest) > 0 && n.packet != nil {
		if n.skip > 0 {
			take := min(n.skip, len(rest))
			out, rest, n.skip = append(out, rest[:take]...), rest[take:], n.skip-take
			continue
		}
		n.head, rest = append(n.head, rest[0]), rest[1:]
		out = n.look(out)
	}
	out = append(out, rest...)
	if _, err := n.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// look examines the head of a packet: its length digits, and the first byte of
// its payload. When that suffices to decide, it appends to out what to send.
func (n *noticeWriter) look(out []byte) []byte {
	if len(n.head) < headerLength {
		return out
	}
	length, err := strconv.ParseUint(string(n.head[:headerLength]), 16, 16)
	switch {
	case err != nil:
		n.packet = nil // a pack without side-band: no place for text
	case len(n.head) == headerLength && length > headerLength:
		return out // the first byte of the payload decides
	case length > headerLength && n.head[headerLength] >= BandData && n.head[headerLength] <= BandFatal:
		out = append(out, n.packet...)
		n.packet = nil
	case length > headerLength:
		n.skip = int(length) - len(n.head)
	}
	out = append(out, n.head...)
	n.head = n.head[:0]
	return out
}
