package discovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// Advertisement is what an upstream says it has.
type Advertisement struct {
	// Refs are the refs that were asked for, HEAD under that name among them.
	// Peeled values of tags and names that git does not allow are left out.
	Refs map[string]core.ObjectID
	// HeadTarget is the full name of the branch that HEAD points to, "" if it is
	// detached or not known.
	HeadTarget string
	// HeadUnborn reports that the branch HEAD points to does not exist yet.
	HeadUnborn   bool
	ObjectFormat string // "sha1" or "sha256"
	Protocol     int    // version the host spoke: 0, 1 or 2
	Agent        string // software of the host, as it calls itself
	BytesRead    int64  // of bodies, uncompressed
}

// Digest returns a hash of all branches, all tags and the target of HEAD: equal
// digests mean that there is nothing to sync.
func (a Advertisement) Digest() string {
	names := make([]string, 0, len(a.Refs))
	for name := range a.Refs {
		if strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	h := sha256.New()
	var line []byte
	for _, name := range names {
		line = append(append(append(append(line[:0], a.Refs[name]...), ' '), name...), '\n')
		h.Write(line)
	}
	h.Write(append(append(append(line[:0], "HEAD "...), a.HeadTarget...), '\n'))
	return hex.EncodeToString(h.Sum(nil))
}

// refFilter tells the refs that were asked for. A name that ends in "/" stands
// for everything below it, another for itself.
type refFilter struct {
	below []string
	exact map[string]struct{}
}

func newRefFilter(prefixes []string) refFilter {
	f := refFilter{exact: make(map[string]struct{})}
	for _, p := range prefixes {
		if strings.HasSuffix(p, "/") {
			f.below = append(f.below, p)
		} else {
			f.exact[p] = struct{}{}
		}
	}
	return f
}

// match takes bytes, so that a ref that is left out costs no string.
func (f refFilter) match(name []byte) bool {
	if _, ok := f.exact[string(name)]; ok {
		return true
	}
	for _, p := range f.below {
		if len(name) > len(p) && string(name[:len(p)]) == p {
			return true
		}
	}
	return false
}

// advertParser builds an Advertisement from packets.
type advertParser struct {
	Advertisement
	service  string
	filter   refFilter
	idLength int      // hexadecimal digits of an id in ObjectFormat
	lsRefs   []string // features of the ls-refs command, version 2
	hasLsRef bool
	offers   map[string]bool // capabilities that a request has to answer, or may use
	shallow  bool            // the host's own repository is
}

func newAdvertParser(service string, prefixes []string) *advertParser {
	p := &advertParser{service: service, filter: newRefFilter(prefixes), offers: make(map[string]bool)}
	p.Refs = make(map[string]core.ObjectID)
	p.ObjectFormat, p.idLength = "sha1", 40
	return p
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errBadResponse, fmt.Sprintf(format, args...))
}

// next returns the next line without its newline; ok is false at a flush packet.
func (p *advertParser) next(in *pktline.Reader) (line []byte, ok bool, err error) {
	kind, line, err := in.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, false, io.ErrUnexpectedEOF
	case err != nil:
		return nil, false, err
	case kind == pktline.Flush:
		return nil, false, nil
	case kind != pktline.Data:
		return nil, false, malformed("unexpected %s packet", kind)
	}
	line = bytes.TrimSuffix(line, []byte("\n"))
	if text, found := bytes.CutPrefix(line, []byte("ERR ")); found {
		text := hosterror.Text(string(text))
		return nil, false, &hosterror.Error{Class: hosterror.ClassOfWords(text), HostText: text, Err: errErrorPacket}
	}
	return line, true, nil
}

// parseAnswer reads the answer to GET info/refs. Versions 0 and 1 hold the refs;
// version 2 holds capabilities only, and listing takes a second request.
func (p *advertParser) parseAnswer(in *pktline.Reader) error {
	line, ok, err := p.next(in)
	if err != nil {
		return err
	}
	// Version 2 may leave this announcement out, and git does.
	if ok && bytes.HasPrefix(line, []byte("# service=")) {
		if string(line) != "# service="+p.service {
			return malformed("wrong service %.40q", line)
		}
		if _, ok, err := p.next(in); err != nil {
			return err
		} else if ok {
			return malformed("no flush packet behind the service announcement")
		}
		if line, ok, err = p.next(in); err != nil {
			return err
		}
	}
	switch {
	case ok && string(line) == "version 2":
		p.Protocol = 2
		return p.parseCapabilities(in)
	case ok && string(line) == "version 1":
		p.Protocol = 1
		line, ok, err = p.next(in)
	}
	for first := true; ok && err == nil; first = false {
		if first {
			var caps []byte
			line, caps, _ = bytes.Cut(line, []byte{0})
			if err := p.parseV0Capabilities(string(caps)); err != nil {
				return err
			}
		}
		if err := p.addV0Line(line); err != nil {
			return err
		}
		line, ok, err = p.next(in)
	}
	return err
}

// parseV0Capabilities reads what stands behind the NUL of the first ref.
func (p *advertParser) parseV0Capabilities(caps string) error {
	for c := range strings.FieldsSeq(caps) {
		name, value, _ := strings.Cut(c, "=")
		p.offers[name] = true
		switch name {
		case "symref":
			if from, to, ok := strings.Cut(value, ":"); ok && from == "HEAD" && validRefName(to) {
				p.HeadTarget = to
			}
		case "agent":
			p.Agent = value
		case "object-format":
			if err := p.setObjectFormat(value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *advertParser) addV0Line(line []byte) error {
	if bytes.HasPrefix(line, []byte("shallow ")) {
		p.shallow = true
		return nil
	}
	id, name, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return malformed("bad ref line %.80q", line)
	}
	if string(name) == "capabilities^{}" {
		return nil // stands in for the first ref where there is none
	}
	return p.addRef(line, len(id))
}

// addRef keeps the ref of a line "id SP name" if it was asked for; the id has n
// digits.
func (p *advertParser) addRef(line []byte, n int) error {
	if n != p.idLength {
		return malformed("bad ref line %.120q", line)
	}
	name := line[n+1:]
	if bytes.HasSuffix(name, []byte("^{}")) || !p.filter.match(name) {
		return nil
	}
	both := string(line) // one string for the two
	id := core.ObjectID(both[:n])
	if !id.Valid() {
		return malformed("bad object id %q", id)
	}
	if name := both[n+1:]; validRefName(name) {
		p.Refs[name] = id
	}
	return nil
}

func (p *advertParser) setObjectFormat(name string) error {
	switch name {
	case "sha1":
		p.idLength = 40
	case "sha256":
		p.idLength = 64
	default:
		return malformed("unknown object format %.40q", name)
	}
	p.ObjectFormat = name
	return nil
}

// parseCapabilities reads the capability advertisement of version 2.
func (p *advertParser) parseCapabilities(in *pktline.Reader) error {
	for {
		line, ok, err := p.next(in)
		if err != nil || !ok {
			return err
		}
		name, value, _ := strings.Cut(string(line), "=")
		switch name {
		case "agent":
			p.Agent = value
		case "object-format":
			if err := p.setObjectFormat(value); err != nil {
				return err
			}
		case "ls-refs":
			p.hasLsRef, p.lsRefs = true, strings.Fields(value)
		}
		p.offers[name] = true
	}
}

// lsRefsRequest returns the body of the ls-refs command, gitprotocol-v2(5).
func (p *advertParser) lsRefsRequest(agent string, prefixes []string) []byte {
	b := pktline.Appendf(nil, "command=ls-refs\n")
	if p.offers["agent"] {
		b = pktline.Appendf(b, "agent=%s\n", agent)
	}
	if p.offers["object-format"] {
		b = pktline.Appendf(b, "object-format=%s\n", p.ObjectFormat)
	}
	b = append(b, pktline.DelimPacket...)
	b = pktline.Appendf(b, "symrefs\n") // tells HEAD's target
	if slices.Contains(p.lsRefs, "unborn") {
		b = pktline.Appendf(b, "unborn\n")
	}
	for _, prefix := range prefixes {
		b = pktline.Appendf(b, "ref-prefix %s\n", prefix)
	}
	return append(b, pktline.FlushPacket...)
}

// parseLsRefs reads the answer to the ls-refs command:
//
//	id SP name *(SP attribute)
//	"unborn" SP name *(SP attribute)
func (p *advertParser) parseLsRefs(in *pktline.Reader) error {
	for {
		line, ok, err := p.next(in)
		if err != nil || !ok {
			return err
		}
		id, rest, ok := bytes.Cut(line, []byte(" "))
		if !ok {
			return malformed("bad ref line %.80q", line)
		}
		name, attributes, _ := bytes.Cut(rest, []byte(" "))
		isHead := string(name) == "HEAD"
		if string(id) == "unborn" {
			p.HeadUnborn = p.HeadUnborn || isHead
		} else if err := p.addRef(line[:len(id)+1+len(name)], len(id)); err != nil {
			return err
		}
		if isHead {
			for a := range strings.FieldsSeq(string(attributes)) {
				if to, ok := strings.CutPrefix(a, "symref-target:"); ok && validRefName(to) && !core.RefNameTooLong(to) {
					p.HeadTarget = to
				}
			}
		}
	}
}

// validRefName reports whether the ref can exist in a repository. A host that
// sends another name may be after a file name.
func validRefName(name string) bool {
	return name == "HEAD" || core.RefNameWellFormed(name)
}
