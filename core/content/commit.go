package content

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/headwater-git/headwater/core"
)

// maxCommit is the size limit of a commit object, in bytes.
const maxCommit = 16 << 20

// Signature is who made a commit, and when.
type Signature struct {
	Name, Email string
	When        time.Time // with the offset that is written in the commit
}

// Commit is a commit.
type Commit struct {
	ID        core.ObjectID
	Tree      core.ObjectID
	Parents   []core.ObjectID
	Author    Signature
	Committer Signature
	Message   string // UTF-8, without the line feeds at its end
	// Signed commits alone have these: the armoured block, and the bytes that
	// it signs, which are the commit object without its signature headers.
	Signature string
	Payload   string
}

// parseCommit reads a commit object. It is lenient, because old history is:
// what cannot be read is left zero.
func parseCommit(id core.ObjectID, data []byte) Commit {
	c := Commit{ID: id, Parents: []core.ObjectID{}}
	var payload, signature strings.Builder
	head, message, _ := bytes.Cut(data, []byte("\n\n"))
	// Each object format has its own header; the other one's signature is of
	// another form of the commit, and not part of what this one signs.
	own := "gpgsig"
	if len(id) == 64 {
		own = "gpgsig-sha256"
	}
	encoding, inside := "", ""
	for line := range strings.SplitSeq(string(head), "\n") {
		if strings.HasPrefix(line, " ") {
			switch {
			case inside == own:
				signature.WriteString("\n" + line[1:])
			case inside == "":
				payload.WriteString(line + "\n")
			}
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		inside = ""
		if strings.HasPrefix(key, "gpgsig") {
			if inside = key; key == own {
				signature.WriteString(value)
			}
			continue
		}
		payload.WriteString(line + "\n")
		switch key {
		case "tree":
			c.Tree = core.ObjectID(value)
		case "parent":
			c.Parents = append(c.Parents, core.ObjectID(value))
		case "author":
			c.Author = parseSignature(value)
		case "committer":
			c.Committer = parseSignature(value)
		case "encoding":
			encoding = value
		}
	}
	c.Message = strings.TrimRight(decode(string(message), encoding), "\n")
	for _, s := range []*Signature{&c.Author, &c.Committer} {
		s.Name, s.Email = decode(s.Name, encoding), decode(s.Email, encoding)
	}
	if signature.Len() > 0 {
		c.Signature = strings.TrimRight(signature.String(), "\n") + "\n"
		c.Payload = payload.String() + "\n" + string(message)
	}
	return c
}

// parseSignature reads "Name <email> seconds offset".
func parseSignature(text string) Signature {
	open, shut := strings.IndexByte(text, '<'), strings.LastIndexByte(text, '>')
	if open < 0 || shut < open {
		return Signature{Name: strings.TrimSpace(text), When: time.Unix(0, 0).UTC()}
	}
	s := Signature{Name: strings.TrimSpace(text[:open]), Email: strings.TrimSpace(text[open+1 : shut])}
	seconds, offset, _ := strings.Cut(strings.TrimSpace(text[shut+1:]), " ")
	s.When = parseTime(seconds, offset)
	return s
}

// maxSeconds is a little before the last second that git itself can show, in the
// year 2147483647.
const maxSeconds = 67767976233446399

// parseTime reads git's form of a time. A year may have more than the four digits
// of RFC 3339; git shows them, too. What git cannot show becomes the epoch, and an
// offset of more than a day UTC.
func parseTime(seconds, offset string) time.Time {
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil || unix < 0 || unix > maxSeconds {
		unix = 0
	}
	zone, err := strconv.Atoi(offset)
	east := zone/100*3600 + zone%100*60
	if err != nil || len(offset) != 5 || east <= -24*3600 || east >= 24*3600 || east == 0 {
		return time.Unix(unix, 0).UTC()
	}
	return time.Unix(unix, 0).In(time.FixedZone("", east))
}

// decode turns text of a commit into UTF-8: from Latin-1 if the commit says so,
// else byte by byte where it is not UTF-8.
func decode(text, encoding string) string {
	if utf8.ValidString(text) {
		return text
	}
	switch strings.ToLower(encoding) {
	case "iso-8859-1", "iso8859-1", "latin1", "latin-1":
		runes := make([]rune, 0, len(text))
		for _, b := range []byte(text) {
			runes = append(runes, rune(b))
		}
		return string(runes)
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// commits reads commits by their ids.
func (s *Service) commits(ctx context.Context, dir string, ids ...core.ObjectID) ([]Commit, error) {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	objects, err := s.cat.Contents(ctx, dir, maxCommit, names...)
	if err != nil {
		return nil, err
	}
	commits := make([]Commit, len(objects))
	for i, o := range objects {
		if o.Type != "commit" {
			return nil, core.Errorf(core.KindNotFound, "commit %q not found", names[i])
		}
		commits[i] = parseCommit(o.ID, o.Data)
	}
	return commits, nil
}

// Commit returns one commit by any revision. An empty revision is KindInvalid.
func (s *Service) Commit(ctx context.Context, repo core.Repository, at At) (Commit, error) {
	if at.Ref == "" {
		return Commit{}, core.Errorf(core.KindInvalid, "name a commit")
	}
	dir, rev, err := s.open(ctx, repo, at)
	if err != nil {
		return Commit{}, err
	}
	commits, err := s.commits(ctx, dir, rev.Commit)
	if err != nil {
		return Commit{}, err
	}
	return commits[0], nil
}
