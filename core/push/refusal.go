package push

import (
	"bytes"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/fsck"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// maxPacketHeader is the length of the digits that begin a packet.
const maxPacketHeader = 4

// refusalWriter passes on the answer of git receive-pack to a client with
// side-band-64k. When git refused an object, its lines about that are taken out of
// the text for the person, and the report says in one sentence what git refused
// and what to do: without it a client shows "unpacker error". What this machine ran out
// of is in the report likewise, and git's lines about that stay.
type refusalWriter struct {
	dir     string // of the repository
	name    string // of the repository, for commands that are printed; "" has a placeholder there
	w       io.Writer
	packet  []byte // of the answer, as far as it has come
	text    []byte // of the band for people: a line that has no end yet
	report  []byte // of the band with data, held until the answer ends
	refusal *fsck.Refusal
	short   string // the sentence of what this machine ran out of; "" is nothing
	plain   bool   // it does not look like packets: everything passes through
}

// Write passes on what is complete.
func (r *refusalWriter) Write(p []byte) (int, error) {
	if r.plain {
		return r.w.Write(p)
	}
	r.packet = append(r.packet, p...)
	var out []byte
	for len(r.packet) >= maxPacketHeader {
		length, err := strconv.ParseUint(string(r.packet[:maxPacketHeader]), 16, 16)
		if err != nil || length > 0 && length < maxPacketHeader+1 {
			out = append(out, r.end()...)
			out = append(out, r.packet...)
			r.plain, r.packet = true, nil
			break
		}
		size := max(int(length), maxPacketHeader)
		if len(r.packet) < size {
			break
		}
		out = append(out, r.take(r.packet[:size])...)
		r.packet = r.packet[size:]
	}
	if len(out) > 0 {
		if _, err := r.w.Write(out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// take returns what to send for a packet.
func (r *refusalWriter) take(packet []byte) []byte {
	if len(packet) <= maxPacketHeader { // flush
		return append(r.end(), packet...)
	}
	content := packet[maxPacketHeader+1:]
	switch packet[maxPacketHeader] {
	case pktline.BandData:
		r.report = append(r.report, content...)
		return nil
	case pktline.BandProgress:
		if len(content) == 0 {
			return packet // keeps the connection alive
		}
		return r.lines(content)
	}
	return packet
}

// lines returns packets with the text's lines that are complete, less git's about
// a refused object.
func (r *refusalWriter) lines(text []byte) []byte {
	r.text = append(r.text, text...)
	var pass []byte
	for {
		end := bytes.IndexAny(r.text, "\r\n")
		if end < 0 {
			break
		}
		line := r.text[:end+1]
		if !r.about(string(bytes.TrimRight(line, "\r\n"))) {
			pass = append(pass, line...)
		}
		r.text = r.text[end+1:]
	}
	return pktline.AppendSideband(nil, pktline.BandProgress, pass)
}

// about reports whether a line is git's about a refused object, and notes that.
func (r *refusalWriter) about(line string) bool {
	if found, ok := fsck.FindRefusal(line); ok {
		if r.refusal == nil {
			if r.name != "" {
				found.Repo = core.ShellArg(r.name)
			}
			r.refusal = &found
		}
		return true
	}
	if r.short == "" {
		r.short = git.ShortageIn([]byte(line), r.dir)
	}
	// What index-pack, unpack-objects and receive-pack say after it.
	return r.refusal != nil && (strings.HasPrefix(line, "fatal: fsck error in") || strings.HasPrefix(line, "fatal: Error in object"))
}

// end returns what was held back until the answer ends.
func (r *refusalWriter) end() []byte {
	out := pktline.AppendSideband(nil, pktline.BandProgress, r.text)
	report := r.report
	if first, rest, ok := cutPacket(report); ok && !bytes.HasPrefix(first, []byte("unpack ok")) {
		if text := r.reason(first); text != "" {
			report = append(pktline.Appendf(nil, "unpack %s\n", text), rest...)
		}
	}
	r.text, r.report = nil, nil
	return append(out, pktline.AppendSideband(nil, pktline.BandData, report)...)
}

// noQuarantine is what receive-pack reports, without errno, when it cannot make the
// folder of the quarantine (builtin/receive-pack.c, unpack).
const noQuarantine = "unable to create temporary object directory"

// reason returns what the report is to say in place of git's status, "" for that itself.
func (r *refusalWriter) reason(status []byte) string {
	switch {
	case r.refusal != nil:
		return r.refusal.Sentence()
	case r.short == "" && bytes.Contains(status, []byte(noQuarantine)):
		if err := durable.Probe(filepath.Join(r.dir, "objects")); err != nil {
			r.short = core.MessageOf(err)
		}
	}
	return r.short
}

// cutPacket cuts the first packet off.
func cutPacket(packets []byte) (content, rest []byte, ok bool) {
	if len(packets) < maxPacketHeader {
		return nil, nil, false
	}
	length, err := strconv.ParseUint(string(packets[:maxPacketHeader]), 16, 16)
	if err != nil || length <= maxPacketHeader || int(length) > len(packets) {
		return nil, nil, false
	}
	return packets[maxPacketHeader:length], packets[length:], true
}
