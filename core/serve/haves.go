package serve

import (
	"bufio"
	"bytes"
	"io"

	"github.com/headwater-git/headwater/core/git/pktline"
)

// maxHaves is how many have lines of a request in protocol version 0 or 1 git is
// given. Version 2 looks once, at the end of the request, whether it knows enough of
// what the client has; the older ones look after each line about an object that is not
// here (get_common_commits in upload-pack.c), and each look may walk all of history: a
// hundred thousand such lines, five megabytes, are a hundred thousand walks.
//
// What is left out costs nothing but a larger pack. A client sends first what it knows
// to be common, and takes no answer to a line for "not here" (gitprotocol-pack(5)).
// Git and JGit send hundreds before the first common commit; only a client with
// thousands of commits that nobody else has comes near.
const maxHaves = 4096

var havePrefix = []byte("have ")

// fewerHaves is a request without the have lines past maxHaves.
type fewerHaves struct {
	packets *pktline.Reader
	left    int    // have lines that may come
	next    []byte // packets that are still to be read
}

func newFewerHaves(r io.Reader) *fewerHaves {
	return &fewerHaves{packets: pktline.NewReader(bufio.NewReaderSize(r, 32<<10)), left: maxHaves}
}

// Read implements [io.Reader]. Packets keep their order.
func (h *fewerHaves) Read(p []byte) (int, error) {
	for len(h.next) == 0 {
		kind, payload, err := h.packets.Next()
		if err != nil {
			return 0, err
		}
		switch {
		case kind == pktline.Flush:
			h.next = append(h.next, pktline.FlushPacket...)
		case kind == pktline.Delim:
			h.next = append(h.next, pktline.DelimPacket...)
		case kind == pktline.Data && bytes.HasPrefix(payload, havePrefix):
			if h.left--; h.left >= 0 {
				h.next = pktline.Appendf(h.next, "%s", payload)
			}
		case kind == pktline.Data:
			h.next = pktline.Appendf(h.next, "%s", payload)
		}
	}
	n := copy(p, h.next)
	h.next = h.next[n:]
	return n, nil
}
