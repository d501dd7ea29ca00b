package discovery

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// report reads a host's answer to a push, see gitprotocol-pack(5), "Report Status".
type report struct {
	sideband bool
	messages io.Writer
	remote   git.Remote

	lines []git.PushLine
	whole bool // it was read to its end: nothing more comes of the refs
}

// read reads the answer. What was read before an error holds.
func (p *report) read(in *pktline.Reader) error {
	if !p.sideband {
		return p.parse(in)
	}
	bands := &bandReader{in: in, messages: p.messages, remote: p.remote}
	if err := p.parse(pktline.NewReader(bufio.NewReader(bands))); err != nil {
		return err
	}
	// The messages of a hook that runs afterwards, as git's post-receive.
	_, err := io.Copy(io.Discard, bands)
	return err
}

func (p *report) parse(in *pktline.Reader) error {
	for {
		kind, payload, err := in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case kind == pktline.Flush:
			p.whole = true
			return nil
		case kind != pktline.Data:
			return malformed("unexpected %s packet in the report of a push", kind)
		}
		line := strings.TrimSuffix(string(payload), "\n")
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "unpack", "option": // what each ref says of itself follows; what it became is asked for by nobody
		case "ok":
			p.lines = append(p.lines, git.PushLine{Flag: '*', To: rest})
		case "ng":
			ref, reason, _ := strings.Cut(rest, " ")
			p.lines = append(p.lines, git.PushLine{
				Flag: '!', To: ref, Summary: git.PushRemoteRejected, Reason: hosterror.Redact(reason, p.remote.Secrets()...),
			})
		case "ERR":
			text := hosterror.Text(rest, p.remote.Secrets()...)
			return &hosterror.Error{Class: hosterror.ClassOfWords(text), HostText: text, Err: errErrorPacket}
		default:
			return malformed("unexpected line %.80q in the report of a push", line)
		}
	}
}

// bandReader reads the data of side-band-64k, and passes messages on.
type bandReader struct {
	in       *pktline.Reader
	messages io.Writer
	remote   git.Remote
	rest     []byte // of the last packet
	ended    bool
}

// Read reads data.
func (b *bandReader) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.ended {
			return 0, io.EOF
		}
		kind, payload, err := b.in.Next()
		switch {
		case errors.Is(err, io.EOF):
			return 0, io.ErrUnexpectedEOF
		case err != nil:
			return 0, err
		case kind == pktline.Flush:
			b.ended = true
			continue
		case kind != pktline.Data || len(payload) == 0:
			return 0, malformed("unexpected packet in the answer to a push")
		}
		switch band, data := payload[0], payload[1:]; band {
		case pktline.BandData:
			b.rest = data
		case pktline.BandProgress:
			if b.messages != nil {
				_, _ = b.messages.Write(data) // the person may have left, and the push goes on
			}
		case pktline.BandFatal:
			text := hosterror.Text(string(data), b.remote.Secrets()...)
			return 0, &hosterror.Error{Class: hosterror.ClassOfWords(text), HostText: text, Err: errErrorPacket}
		case 'E': // "ERR text" outside of any band
			text := hosterror.Text(strings.TrimPrefix(string(payload), "ERR "), b.remote.Secrets()...)
			return 0, &hosterror.Error{Class: hosterror.ClassOfWords(text), HostText: text, Err: errErrorPacket}
		default:
			return 0, malformed("unknown band %d in the answer to a push", band)
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}
