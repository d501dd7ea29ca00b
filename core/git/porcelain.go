package git

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// maxPorcelainLine bounds one line of git's porcelain output: two ref names and
// a reason, each at most one packet.
const maxPorcelainLine = 4 * pktline.MaxLength

// What git says in the output of a push where it, or the host, refused a ref.
const (
	PushRejected       = "[rejected]"        // a summary: git did
	PushRemoteRejected = "[remote rejected]" // a summary: the host did
	PushStale          = "stale info"        // a reason: the lease did not hold
)

// PushLine is the result for one ref in the output of git push --porcelain,
// see git-push(1), OUTPUT.
type PushLine struct {
	Flag    byte   // ' ' fast-forward, '+' forced, '-' deleted, '*' created, '=' up to date, '!' refused
	From    string // what was pushed; "" for a deletion
	To      string // full name of the upstream's ref
	Summary string // "old..new", "[new branch]", "[remote rejected]", ...
	Reason  string // text in the parentheses behind the summary; may be empty
}

// Accepted reports whether the upstream's ref is now where we wanted it.
func (l PushLine) Accepted() bool { return strings.IndexByte(" +-*=", l.Flag) >= 0 }

// RefusalReason returns why the ref was refused, in the host's own words where
// it gave any, redacted and fit for one line of a report; "" if it was accepted.
func (l PushLine) RefusalReason() string {
	if l.Accepted() {
		return ""
	}
	if l.Summary == PushRejected && l.Reason == PushStale {
		// git's words for a lease that does not hold. To our client it is the
		// upstream that is not where our copy said.
		return "upstream has changed, fetch first"
	}
	return cmp.Or(hosterror.Text(l.Reason), hosterror.Text(strings.Trim(l.Summary, "[]")), "rejected")
}

// ParsePushPorcelain reads the standard output of git push --porcelain. Lines
// that are not about a ref ("To URL", "Done") are skipped. A ref without a line is
// neither accepted nor refused: what became of it is unknown. On an error the
// lines read so far are returned with it.
func ParsePushPorcelain(r io.Reader) ([]PushLine, error) {
	var lines []PushLine
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, maxPorcelainLine)
	for sc.Scan() {
		if l, ok := parsePushLine(sc.Text()); ok {
			lines = append(lines, l)
		}
	}
	if err := sc.Err(); err != nil {
		return lines, fmt.Errorf("read push results: %w", err)
	}
	return lines, nil
}

// parsePushLine parses "flag TAB from:to TAB summary [SP (reason)]".
func parsePushLine(line string) (PushLine, bool) {
	flag, rest, _ := strings.Cut(line, "\t")
	refs, text, ok := strings.Cut(rest, "\t")
	if !ok || len(flag) != 1 || strings.IndexByte(" +-*=!", flag[0]) < 0 {
		return PushLine{}, false
	}
	// A colon is not allowed in a ref name, but a source may be an expression
	// that has one ("rev:path"), so the last one parts the two.
	i := strings.LastIndexByte(refs, ':')
	if i < 0 || i == len(refs)-1 {
		return PushLine{}, false
	}
	l := PushLine{Flag: flag[0], From: refs[:i], To: refs[i+1:], Summary: text}
	// The reason is the host's text and may hold parentheses itself; the
	// summary never does.
	if summary, reason, ok := strings.Cut(text, " ("); ok && strings.HasSuffix(reason, ")") {
		l.Summary, l.Reason = summary, strings.TrimSuffix(reason, ")")
	}
	return l, true
}
