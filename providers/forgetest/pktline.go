package forgetest

import (
	"errors"
	"fmt"
	"io"
	"strconv"
)

// pktLine frames a line of git's protocol.
func pktLine(line string) string { return fmt.Sprintf("%04x%s", len(line)+4, line) }

var errBadPacket = errors.New("malformed pkt-line")

// pktReader reads pkt-lines and keeps what it has read.
type pktReader struct {
	r    io.Reader
	seen []byte // every byte consumed so far
}

// next returns the payload of the next packet, nil for a flush, a delimiter or
// a response end, and io.EOF at the end of the input.
func (p *pktReader) next() ([]byte, error) {
	var head [4]byte
	n, err := io.ReadFull(p.r, head[:])
	p.seen = append(p.seen, head[:n]...)
	if err != nil {
		return nil, err
	}
	size, err := strconv.ParseUint(string(head[:]), 16, 16)
	if err != nil || size == 3 {
		return nil, errBadPacket
	}
	if size < 4 {
		return nil, nil
	}
	payload := make([]byte, size-4)
	n, err = io.ReadFull(p.r, payload)
	p.seen = append(p.seen, payload[:n]...)
	return payload, err
}
