package commit

import (
	"fmt"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
)

// Person is an author or committer.
type Person struct{ Name, Email string }

// maxIdentity is the length limit of names and e-mail addresses, in bytes.
const maxIdentity = 1024

// check refuses what would break the header of a commit. Errors: KindInvalid.
func (p Person) check(role string) error {
	for field, value := range map[string]string{"name": p.Name, "email": p.Email} {
		switch {
		case strings.TrimSpace(value) == "":
			return core.Errorf(core.KindInvalid, "%s.%s is required", role, field)
		case len(value) > maxIdentity:
			return core.Errorf(core.KindInvalid, "%s.%s is longer than %d bytes", role, field, maxIdentity)
		case strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f || c == '<' || c == '>' }):
			return core.Errorf(core.KindInvalid, "%s.%s must not hold '<', '>' or control characters", role, field)
		}
	}
	return nil
}

// header is the person in a commit, at the time.
func (p Person) header(at time.Time) string {
	return fmt.Sprintf("%s <%s> %d +0000", strings.TrimSpace(p.Name), strings.TrimSpace(p.Email), max(at.Unix(), 0))
}

// maxMessage is the size limit of a commit message, in bytes.
const maxMessage = 1 << 20

// checkMessage refuses what cannot be a commit message. Errors: KindInvalid.
func checkMessage(message string) error {
	switch {
	case strings.TrimSpace(message) == "":
		return core.Errorf(core.KindInvalid, "commit_message is required")
	case len(message) > maxMessage:
		return core.Errorf(core.KindInvalid, "commit_message is longer than %d bytes", maxMessage)
	case strings.ContainsRune(message, 0):
		return core.Errorf(core.KindInvalid, "commit_message must not hold NUL")
	}
	return nil
}

// Signed is the part of a commit that people write.
type Signed struct {
	Message   string
	Author    *Person
	Committer *Person // nil: the author
}

// missing reports whether a commit cannot be made of it.
func (d Signed) missing() bool { return strings.TrimSpace(d.Message) == "" || d.Author == nil }

// check checks what is there. Errors: KindInvalid.
func (d Signed) check() error {
	if d.Message != "" {
		if err := checkMessage(d.Message); err != nil {
			return err
		}
	}
	if d.Author != nil {
		if err := d.Author.check("author"); err != nil {
			return err
		}
	}
	if d.Committer != nil {
		return d.Committer.check("committer")
	}
	return nil
}

// require is check for where a commit is certain to be made.
func (d Signed) require() error {
	if d.Author == nil {
		return core.Errorf(core.KindInvalid, "author is required")
	}
	if err := checkMessage(d.Message); err != nil {
		return err
	}
	return d.check()
}

// encode returns the commit object.
func (d Signed) encode(tree core.ObjectID, parents []core.ObjectID, at time.Time) []byte {
	committer := d.Author
	if d.Committer != nil {
		committer = d.Committer
	}
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	for _, p := range parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	fmt.Fprintf(&b, "author %s\ncommitter %s\n\n%s", d.Author.header(at), committer.header(at), d.Message)
	if !strings.HasSuffix(d.Message, "\n") {
		b.WriteByte('\n') // as git commit ends every message
	}
	return []byte(b.String())
}
