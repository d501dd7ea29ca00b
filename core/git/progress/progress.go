// Package progress cuts what git writes to its standard error into lines, and reads
// those that report progress.
package progress

import (
	"strconv"
	"strings"
	"unicode"
)

// Line is one line of git's progress display.
type Line struct {
	Phase          string // git's words: "Receiving objects", "remote: Compressing objects"
	Percent        int    // 0 where git does not know the total
	Done           int64
	Total          int64 // 0: unknown
	Bytes          int64 // transferred; 0 where the phase transfers nothing
	BytesPerSecond int64
	Final          bool // the phase is over
}

// Parse parses a line as git's progress.c writes it:
//
//	Receiving objects:  45% (450/1000), 1.20 MiB | 600.00 KiB/s
//	Enumerating objects: 20, done.
//
// It reports false for any other line.
func Parse(line string) (Line, bool) {
	line = strings.TrimRightFunc(line, unicode.IsSpace)
	title := strings.TrimPrefix(line, "remote: ")
	prefix := line[:len(line)-len(title)]
	phase, rest, ok := strings.Cut(title, ":")
	if !ok || !isPhase(phase) {
		return Line{}, false
	}
	p := Line{Phase: prefix + phase}
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
			return Line{}, false
		}
		p.Percent = int(n)
	} else if p.Done, ok = parseCount(counter); !ok || !countsThings(phase) {
		return Line{}, false
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
