package git

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/headwater-git/headwater/providers"
)

// Progress is one line of git's progress display.
type Progress struct {
	Phase          string // git's words: "Receiving objects", "remote: Compressing objects"
	Percent        int    // 0 where git does not know the total
	Done           int64
	Total          int64 // 0: unknown
	Bytes          int64 // transferred; 0 where the phase transfers nothing
	BytesPerSecond int64
	Final          bool // the phase is over
}

// ParseProgress parses a line as git's progress.c writes it:
//
//	Receiving objects:  45% (450/1000), 1.20 MiB | 600.00 KiB/s
//	Enumerating objects: 20, done.
//
// It reports false for any other line.
func ParseProgress(line string) (Progress, bool) {
	line = strings.TrimRightFunc(line, unicode.IsSpace)
	title := strings.TrimPrefix(line, "remote: ")
	prefix := line[:len(line)-len(title)]
	phase, rest, ok := strings.Cut(title, ":")
	if !ok || !isPhase(phase) {
		return Progress{}, false
	}
	p := Progress{Phase: prefix + phase}
	rest = strings.TrimLeft(rest, " ")
	counter, rest, _ := strings.Cut(rest, ",")
	if percent, count, ok := strings.Cut(counter, "% ("); ok {
		count, closed := strings.CutSuffix(count, ")")
		done, total, _ := strings.Cut(count, "/")
		n, ok1 := parseCount(percent)
		var ok2, ok3 bool
		p.Done, ok2 = parseCount(done)
		p.Total, ok3 = parseCount(total)
		if !closed || !ok1 || !ok2 || !ok3 || n > 100 {
			return Progress{}, false
		}
		p.Percent = int(n)
	} else if p.Done, ok = parseCount(counter); !ok || !countsThings(phase) {
		return Progress{}, false
	}
	for part := range strings.SplitSeq(rest, ",") {
		part = strings.TrimSpace(part)
		if size, rate, ok := strings.Cut(part, " | "); ok {
			p.Bytes = parseSize(size)
			p.BytesPerSecond = parseSize(strings.TrimSuffix(rate, "/s"))
		} else if strings.HasPrefix(part, "done.") || strings.HasPrefix(part, "completed with") {
			p.Final = true
		} else if n := parseSize(part); n > 0 {
			p.Bytes = n // no rate yet
		}
	}
	return p, true
}

// isPhase reports whether s could be a title of progress.c: words, the first
// with a capital.
func isPhase(s string) bool {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != ' ' && c != '-' {
			return false
		}
	}
	return true
}

// countsThings tells a phase without a total ("Enumerating objects: 20") from a
// sentence of the host ("Open issues: 20"): git's all begin with a verb in -ing.
func countsThings(phase string) bool {
	verb, _, ok := strings.Cut(phase, " ")
	return ok && strings.HasSuffix(verb, "ing")
}

func parseCount(s string) (int64, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err == nil
}

// parseSize reverses git's strbuf_humanise_bytes: "1.20 MiB", "17 bytes". It
// returns 0 for anything else.
func parseSize(s string) int64 {
	number, unit, ok := strings.Cut(s, " ")
	f, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(f >= 0 && f < 1<<32) {
		return 0
	}
	switch unit {
	case "byte", "bytes":
		return int64(f)
	case "KiB":
		return int64(f * (1 << 10))
	case "MiB":
		return int64(f * (1 << 20))
	case "GiB":
		return int64(f * (1 << 30))
	}
	return 0
}

// maxLine bounds a line of git's stderr; what is beyond is dropped.
const maxLine = 8 << 10

// lineWriter cuts what is written to it into lines.
type lineWriter struct {
	f        func(line []byte, transient bool)
	line     []byte
	carriage bool // the last byte was \r, and line was given out as transient
}

// NewLineWriter returns a writer that calls f for every line, without its end.
// A line that ends in a carriage return is transient: the next one is to be
// shown over it, as git does with progress. Where "\r\n" ends a line, f gets the
// line twice, first as transient, because the newline may be long in coming.
// Empty lines are left out and lines are cut at 8 KiB. Close gives out a last
// line without an end. The slice is valid during the call only. f runs in the
// goroutine that writes.
func NewLineWriter(f func(line []byte, transient bool)) io.WriteCloser { return &lineWriter{f: f} }

// Write cuts p into lines. It never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n")
		if i != 0 && w.carriage {
			w.line, w.carriage = w.line[:0], false
		}
		if i < 0 {
			w.add(p)
			break
		}
		w.add(p[:i])
		w.end(p[i] == '\r')
		p = p[i+1:]
	}
	return written, nil
}

func (w *lineWriter) add(p []byte) {
	w.line = append(w.line, p[:min(len(p), maxLine-len(w.line))]...)
}

func (w *lineWriter) end(transient bool) {
	if transient {
		if !w.carriage && len(w.line) > 0 {
			w.f(w.line, true)
		}
		w.carriage = true
		return
	}
	if len(w.line) > 0 {
		w.f(w.line, false)
	}
	w.line, w.carriage = w.line[:0], false
}

// Close gives out what is left.
func (w *lineWriter) Close() error {
	if !w.carriage && len(w.line) > 0 {
		w.f(w.line, false)
	}
	w.line, w.carriage = nil, false
	return nil
}

const (
	maxMessage  = 1000 // bytes of one relayed message
	maxMessages = 1000 // relayed messages of one operation
)

// RemoteMessages picks from git's stderr what the upstream had to say to the
// person who pushes, for relaying: lines that begin with "remote: ", less that
// prefix, because our client's git puts it there again. Everything else is
// git's own talk with us ("To https://...", "error: failed to push some refs",
// hints) and is dropped, and so are transient lines. Messages are redacted,
// free of control characters, and bounded in length and number.
type RemoteMessages struct {
	emit    func(message string)
	secrets []providers.Secret
	count   int
}

// NewRemoteMessages returns a filter that gives messages to emit, one line
// each, without the line end. Use its Line method with [NewLineWriter].
func NewRemoteMessages(emit func(message string), secrets ...providers.Secret) *RemoteMessages {
	return &RemoteMessages{emit: emit, secrets: secrets}
}

// Line takes one line of stderr.
func (m *RemoteMessages) Line(line []byte, transient bool) {
	if transient || m.count > maxMessages {
		return
	}
	text, ok := remoteText(string(line))
	if !ok {
		return
	}
	m.count++
	if m.count > maxMessages {
		m.emit("(the upstream said more; left out)")
		return
	}
	m.emit(truncate(Redact(text, m.secrets...), maxMessage))
}

// remoteText returns what a line of git's stderr relays of the remote's words,
// free of control characters.
func remoteText(line string) (string, bool) {
	// git prints "remote: " for an empty line too, and trims it in some versions.
	text, ok := strings.CutPrefix(line, "remote:")
	if !ok {
		return "", false
	}
	return cleanText(strings.TrimPrefix(text, " ")), true
}

// cleanText removes terminal escape sequences, control characters, bytes that
// are no UTF-8, and the blanks with which git overwrites what stood on the line.
func cleanText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if n := escapeSequence(s[i:]); n > 0 {
			i += n
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteRune(utf8.RuneError)
		case r == '\t':
			b.WriteByte(' ')
		// Cf holds the characters that turn the direction of text around.
		case !unicode.IsControl(r) && !unicode.Is(unicode.Cf, r):
			b.WriteRune(r)
		}
		i += n
	}
	return strings.TrimRight(b.String(), " ")
}

// escapeSequence returns the length of the ECMA-48 control sequence at the
// start of s, 0 if there is none: ESC [ parameters final, ESC ] text BEL, or
// ESC and one more byte.
func escapeSequence(s string) int {
	if len(s) == 0 || s[0] != 0x1b {
		return 0
	}
	if len(s) == 1 {
		return 1
	}
	switch s[1] {
	case '[':
		for i := 2; i < len(s); i++ {
			if s[i] >= 0x40 && s[i] <= 0x7e {
				return i + 1
			}
		}
		return len(s)
	case ']':
		if i := strings.IndexByte(s, 0x07); i >= 0 {
			return i + 1
		}
		return len(s)
	}
	return 2
}

// truncate cuts s to at most limit bytes, between two characters, and marks the cut.
func truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const mark = "..."
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}
