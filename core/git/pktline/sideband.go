package pktline

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// The bands of the sideband protocol, see gitprotocol-pack(5).
const (
	BandData     byte = 1 // what the command is about: the pack or the report
	BandProgress byte = 2 // text for the person, shown with "remote: " in front
	BandFatal    byte = 3 // text for the person; the client gives up after it
)

const (
	// The payload of one packet of side-band-64k: less the length digits and the
	// band byte.
	sideband64kMax = MaxLength - headerLength - 1

	// maxReceiveHead bounds the commands and push options of one push, which
	// are held in memory. 100,000 refs take about 15 MB.
	maxReceiveHead = 32 << 20
)

// AppendSideband appends data to dst as side-band-64k packets of the band.
func AppendSideband(dst []byte, band byte, data []byte) []byte {
	for chunk := range slices.Chunk(data, sideband64kMax) {
		dst = appendBand(dst, band, chunk)
	}
	return dst
}

func appendBand(dst []byte, band byte, chunk []byte) []byte {
	dst = appendHeader(dst, 1+len(chunk))
	dst = append(dst, band)
	return append(dst, chunk...)
}

// ReceiveRequest is the head of the body of a git-receive-pack request: all
// that comes before the pack.
type ReceiveRequest struct {
	// Updates are the ref updates the client asks for, in its order. The names
	// are as sent, unchecked.
	Updates []core.RefUpdate
	// Capabilities are what the client chose, "name" or "name=value".
	Capabilities []string
	// PushOptions are the strings of git push --push-option.
	PushOptions []string
	// Shallow are the boundaries of a shallow clone that pushes.
	Shallow []core.ObjectID
	// Signed reports a push certificate (git push --signed). Its updates are
	// within the certificate and not in Updates, so a server that checks
	// updates must refuse such a request.
	Signed bool
	// Raw is the head as it was on the wire, flush packets included. Raw and
	// the unread rest of the stream together are the whole body.
	Raw []byte
}

// Has reports whether the client chose the capability, which has no value.
func (r ReceiveRequest) Has(capability string) bool {
	return slices.Contains(r.Capabilities, capability)
}

// Atomic reports whether all updates or none are to be made.
func (r ReceiveRequest) Atomic() bool { return r.Has("atomic") }

// ParseReceiveCommands reads the head of a git-receive-pack request body, see
// gitprotocol-pack(5), "Reference Update Request and Packfile Transfer". It
// reads no byte beyond the head. A body of one flush packet, with which
// git probes for authentication before it sends a large pack, is a request
// without updates.
//
// Errors: KindInvalid for a malformed head, KindTooLarge for a head over
// 32 MiB; others come from the stream.
func ParseReceiveCommands(r *Reader) (ReceiveRequest, error) {
	r.recording, r.record = true, nil
	defer func() { r.recording, r.record = false, nil }()

	var req ReceiveRequest
	err := req.parse(r)
	req.Raw = r.record
	return req, err
}

func (r *ReceiveRequest) parse(in *Reader) error {
	inCert := false
	for {
		line, more, err := receiveLine(in)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if inCert {
			inCert = string(line) != "push-cert-end"
			continue
		}
		// git takes capabilities from any line that has a NUL, not from the
		// first only; to see the request as git will, do the same.
		line, caps, _ := bytes.Cut(line, []byte{0})
		r.Capabilities = append(r.Capabilities, strings.Fields(string(caps))...)
		if id, ok := bytes.CutPrefix(line, []byte("shallow ")); ok {
			if !core.ObjectID(id).Valid() {
				return core.Errorf(core.KindInvalid, "the push names a bad shallow boundary %.80q", id)
			}
			r.Shallow = append(r.Shallow, core.ObjectID(id))
			continue
		}
		if string(line) == "push-cert" {
			r.Signed, inCert = true, true
			continue
		}
		u, ok := parseReceiveCommand(line)
		if !ok {
			return core.Errorf(core.KindInvalid, "the push holds a malformed command %.80q", line)
		}
		r.Updates = append(r.Updates, u)
	}
	if inCert {
		return core.Errorf(core.KindInvalid, "the push certificate has no end")
	}
	if !r.Has("push-options") {
		return nil
	}
	for {
		line, more, err := receiveLine(in)
		if err != nil || !more {
			return err
		}
		r.PushOptions = append(r.PushOptions, string(line))
	}
}

// receiveLine returns the next line without its newline; more is false at a flush packet.
func receiveLine(in *Reader) (line []byte, more bool, err error) {
	kind, line, err := in.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, false, core.Errorf(core.KindInvalid, "the push ends before its commands do")
	case err != nil:
		return nil, false, &core.Error{Kind: core.KindInvalid, Message: "the push cannot be read", Err: err}
	case kind == Flush:
		return nil, false, nil
	case kind != Data:
		return nil, false, core.Errorf(core.KindInvalid, "the push holds an unexpected packet")
	case len(in.record) > maxReceiveHead:
		return nil, false, core.Errorf(core.KindTooLarge, "the push updates too many refs at once, or has too many options: they exceed %d bytes", maxReceiveHead)
	}
	return bytes.TrimSuffix(line, []byte("\n")), true, nil
}

// parseReceiveCommand parses "old new ref".
func parseReceiveCommand(line []byte) (core.RefUpdate, bool) {
	before, rest, _ := strings.Cut(string(line), " ")
	after, name, _ := strings.Cut(rest, " ")
	u := core.RefUpdate{Name: name, Old: core.ObjectID(before), New: core.ObjectID(after)}
	return u, u.Old.Valid() && u.New.Valid() && len(u.Old) == len(u.New) && name != ""
}

// RefReport is the result of one ref update.
type RefReport struct {
	Ref    string
	Reason string // why it was refused; "" means done
	// Options are what a host said of a ref that became others: one list per ref
	// that came of it, as "refname NAME", "old-oid ID" and "new-oid ID".
	Options [][]string
}

// AppendReportStatus appends the report of a push to dst as pkt-lines, closed by a
// flush packet: the answer of the capabilities report-status and
// report-status-v2, which differ only for refs that a server renames, and this
// one does not. The text unpack is "ok" or why the pack was refused.
func AppendReportStatus(dst []byte, unpack string, results []RefReport) []byte {
	dst = Appendf(dst, "unpack %s\n", oneLine(unpack))
	for _, r := range results {
		if r.Reason == "" {
			dst = Appendf(dst, "ok %s\n", r.Ref)
		} else {
			dst = Appendf(dst, "ng %s %s\n", r.Ref, oneLine(r.Reason))
		}
	}
	return append(dst, FlushPacket...)
}

// AppendReport appends the report of the push in the form that the client
// asked for: in band 1 with side-band-64k, bare without, and none at all
// without report-status. With side-band-64k the flush packet that ends the
// response is included.
func (r ReceiveRequest) AppendReport(dst []byte, unpack string, results []RefReport) []byte {
	var report []byte
	if r.Has("report-status") || r.Has("report-status-v2") {
		report = AppendReportStatus(nil, unpack, results)
	}
	if !r.Has("side-band-64k") {
		return append(dst, report...)
	}
	return append(AppendSideband(dst, BandData, report), FlushPacket...)
}

// oneLine keeps a text from ending its line of the report.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == 0 {
			return ' '
		}
		return r
	}, s)
}
