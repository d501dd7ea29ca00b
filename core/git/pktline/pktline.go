// Package pktline reads and writes git's packets, see gitprotocol-common(5), and the
// messages that this server itself speaks in them: the sideband, the head of a
// push, its report, and the notice in the answer to a fetch. It runs nothing and
// connects to nothing.
package pktline

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// Kind says what a pkt-line is.
type Kind uint8

// The kinds of pkt-line, see gitprotocol-common(5) and, for the last two, gitprotocol-v2(5).
const (
	Data        Kind = iota + 1 // carries a payload, which may be empty
	Flush                       // 0000: end of a message
	Delim                       // 0001: end of a section of a message
	ResponseEnd                 // 0002: end of a response, stateless connections only
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Data:
		return "data"
	case Flush:
		return "flush"
	case Delim:
		return "delim"
	case ResponseEnd:
		return "response-end"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// The packets without a payload, as they are on the wire.
const (
	FlushPacket       = "0000"
	DelimPacket       = "0001"
	ResponseEndPacket = "0002"
)

const (
	// MaxLength is the greatest length of a pkt-line, its four length digits
	// included. git calls it LARGE_PACKET_MAX and refuses more.
	MaxLength = 65520
	// MaxPayload is the greatest payload of a pkt-line.
	MaxPayload = MaxLength - headerLength

	headerLength = 4
)

// ErrMalformed is what every error about the form of a pkt-line wraps, as
// opposed to errors of the stream below it.
var ErrMalformed = errors.New("malformed pkt-line")

// Reader reads pkt-lines. It reads no byte beyond the packet it returns, so
// that the owner of the stream can pass on the rest of it. Give it a [bufio.Reader]
// where small reads are expensive.
type Reader struct {
	r      io.Reader
	header [headerLength]byte
	buf    []byte // payload of the last packet, reused
	read   int64

	recording bool
	record    []byte
}

// NewReader returns a reader of the pkt-lines in r.
func NewReader(r io.Reader) *Reader { return &Reader{r: r} }

// Next reads one packet. The payload is valid until the next call; it is nil
// but for [Data]. The error is [io.EOF] if the stream ends between two
// packets, wraps [io.ErrUnexpectedEOF] if it ends within one, and wraps
// [ErrMalformed] if the length is none.
func (p *Reader) Next() (Kind, []byte, error) {
	n, err := io.ReadFull(p.r, p.header[:])
	p.consumed(p.header[:n])
	if err != nil {
		if err == io.EOF {
			return 0, nil, err
		}
		return 0, nil, fmt.Errorf("read pkt-line length: %w", err)
	}
	length, ok := parseLength(p.header)
	if !ok {
		return 0, nil, fmt.Errorf("%w: bad length %q", ErrMalformed, p.header[:])
	}
	switch length {
	case 0:
		return Flush, nil, nil
	case 1:
		return Delim, nil, nil
	case 2:
		return ResponseEnd, nil, nil
	case 3:
		return 0, nil, fmt.Errorf("%w: length 3 has no meaning", ErrMalformed)
	}
	if length > MaxLength {
		return 0, nil, fmt.Errorf("%w: length %d exceeds %d", ErrMalformed, length, MaxLength)
	}
	p.buf = slices.Grow(p.buf[:0], length-headerLength)[:length-headerLength]
	n, err = io.ReadFull(p.r, p.buf)
	p.consumed(p.buf[:n])
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the header promised more
		}
		return 0, nil, fmt.Errorf("read pkt-line of %d bytes: %w", length, err)
	}
	return Data, p.buf, nil
}

// BytesRead returns the number of bytes taken from the stream so far.
func (p *Reader) BytesRead() int64 { return p.read }

func (p *Reader) consumed(b []byte) {
	p.read += int64(len(b))
	if p.recording {
		p.record = append(p.record, b...)
	}
}

// parseLength decodes four hexadecimal digits. strconv would take a sign and
// underscores, and want a string.
func parseLength(header [headerLength]byte) (int, bool) {
	n := 0
	for _, c := range header {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | int(c)
	}
	return n, true
}

// Appendf appends the formatted text as one pkt-line to dst and adds no newline.
// A text longer than [MaxPayload] does not fit one packet and is cut there;
// [AppendSideband] splits long data.
func Appendf(dst []byte, format string, args ...any) []byte {
	start := len(dst)
	dst = append(dst, FlushPacket...) // place of the header
	dst = fmt.Appendf(dst, format, args...)
	n := min(len(dst)-start-headerLength, MaxPayload)
	appendHeader(dst[:start], n)
	return dst[:start+headerLength+n]
}

// appendHeader appends the length of a packet whose payload has n bytes.
func appendHeader(dst []byte, n int) []byte {
	const digits = "0123456789abcdef"
	n += headerLength
	return append(dst, digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15])
}
