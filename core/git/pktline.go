package git

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// PktKind says what a pkt-line is.
type PktKind uint8

// The kinds of pkt-line, see gitprotocol-common(5) and, for the last two, gitprotocol-v2(5).
const (
	PktData        PktKind = iota + 1 // carries a payload, which may be empty
	PktFlush                          // 0000: end of a message
	PktDelim                          // 0001: end of a section of a message
	PktResponseEnd                    // 0002: end of a response, stateless connections only
)

// String names the kind.
func (k PktKind) String() string {
	switch k {
	case PktData:
		return "data"
	case PktFlush:
		return "flush"
	case PktDelim:
		return "delim"
	case PktResponseEnd:
		return "response-end"
	}
	return fmt.Sprintf("PktKind(%d)", uint8(k))
}

// The packets without a payload, as they are on the wire.
const (
	FlushPkt       = "0000"
	DelimPkt       = "0001"
	ResponseEndPkt = "0002"
)

const (
	// MaxPkt is the greatest length of a pkt-line, its four length digits
	// included. git calls it LARGE_PACKET_MAX and refuses more.
	MaxPkt = 65520
	// MaxPktPayload is the greatest payload of a pkt-line.
	MaxPktPayload = MaxPkt - pktHeader

	pktHeader = 4
)

// ErrMalformedPkt is what every error about the form of a pkt-line wraps, as
// opposed to errors of the stream below it.
var ErrMalformedPkt = errors.New("malformed pkt-line")

// PktReader reads pkt-lines. It reads no byte beyond the packet it returns, so
// that the owner of the stream can pass on the rest of it. Give it a [bufio.Reader]
// where small reads are expensive.
type PktReader struct {
	r      io.Reader
	header [pktHeader]byte
	buf    []byte // payload of the last packet, reused
	read   int64

	recording bool
	record    []byte
}

// NewPktReader returns a reader of the pkt-lines in r.
func NewPktReader(r io.Reader) *PktReader { return &PktReader{r: r} }

// Next reads one packet. The payload is valid until the next call; it is nil
// but for [PktData]. The error is [io.EOF] if the stream ends between two
// packets, wraps [io.ErrUnexpectedEOF] if it ends within one, and wraps
// [ErrMalformedPkt] if the length is none.
func (p *PktReader) Next() (PktKind, []byte, error) {
	n, err := io.ReadFull(p.r, p.header[:])
	p.consumed(p.header[:n])
	if err != nil {
		if err == io.EOF {
			return 0, nil, err
		}
		return 0, nil, fmt.Errorf("read pkt-line length: %w", err)
	}
	length, ok := pktLength(p.header)
	if !ok {
		return 0, nil, fmt.Errorf("%w: bad length %q", ErrMalformedPkt, p.header[:])
	}
	switch length {
	case 0:
		return PktFlush, nil, nil
	case 1:
		return PktDelim, nil, nil
	case 2:
		return PktResponseEnd, nil, nil
	case 3:
		return 0, nil, fmt.Errorf("%w: length 3 has no meaning", ErrMalformedPkt)
	}
	if length > MaxPkt {
		return 0, nil, fmt.Errorf("%w: length %d exceeds %d", ErrMalformedPkt, length, MaxPkt)
	}
	p.buf = slices.Grow(p.buf[:0], length-pktHeader)[:length-pktHeader]
	n, err = io.ReadFull(p.r, p.buf)
	p.consumed(p.buf[:n])
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the header promised more
		}
		return 0, nil, fmt.Errorf("read pkt-line of %d bytes: %w", length, err)
	}
	return PktData, p.buf, nil
}

// BytesRead returns the number of bytes taken from the stream so far.
func (p *PktReader) BytesRead() int64 { return p.read }

func (p *PktReader) consumed(b []byte) {
	p.read += int64(len(b))
	if p.recording {
		p.record = append(p.record, b...)
	}
}

// pktLength decodes four hexadecimal digits. strconv would take a sign and
// underscores, and want a string.
func pktLength(header [pktHeader]byte) (int, bool) {
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

// AppendPktf appends the formatted text as one pkt-line to dst and adds no newline.
// A text longer than [MaxPktPayload] does not fit one packet and is cut there;
// [AppendSideband] splits long data.
func AppendPktf(dst []byte, format string, args ...any) []byte {
	start := len(dst)
	dst = append(dst, FlushPkt...) // place of the header
	dst = fmt.Appendf(dst, format, args...)
	n := min(len(dst)-start-pktHeader, MaxPktPayload)
	appendPktHeader(dst[:start], n)
	return dst[:start+pktHeader+n]
}

// appendPktHeader appends the length of a packet whose payload has n bytes.
func appendPktHeader(dst []byte, n int) []byte {
	const digits = "0123456789abcdef"
	n += pktHeader
	return append(dst, digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15])
}
