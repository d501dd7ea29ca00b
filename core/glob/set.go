package glob

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// span is a range of characters, both ends included.
type span struct{ first, last rune }

// posixClass returns the characters of a class of POSIX in the C locale, which is
// what git takes (git's sane-ctype); nil: there is none of that name.
func posixClass(name string) []span {
	switch name {
	case "alnum":
		return []span{{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}
	case "alpha":
		return []span{{'A', 'Z'}, {'a', 'z'}}
	case "blank":
		return []span{{' ', ' '}, {'\t', '\t'}}
	case "cntrl":
		return []span{{0, 0x1f}, {0x7f, 0x7f}}
	case "digit":
		return []span{{'0', '9'}}
	case "graph":
		return []span{{'!', '~'}}
	case "lower":
		return []span{{'a', 'z'}}
	case "print":
		return []span{{' ', '~'}}
	case "punct":
		return []span{{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}
	case "space":
		return []span{{' ', ' '}, {'\t', '\r'}}
	case "upper":
		return []span{{'A', 'Z'}}
	case "xdigit":
		return []span{{'0', '9'}, {'A', 'F'}, {'a', 'f'}}
	}
	return nil
}

// class turns the bracket expression at the start of text into one of a regular
// expression, as git's wildmatch.c reads it; end is where it ends, 0 if it does not
// end or names an unknown class.
func class(text string) (end int, set string) {
	i, not := 1, false
	if i < len(text) && (text[i] == '!' || text[i] == '^') {
		i, not = 2, true
	}
	var spans []span
	before := rune(-1) // the character that a "-" would make a range with
	for first := true; ; first = false {
		if i >= len(text) {
			return 0, ""
		}
		if text[i] == ']' && !first { // a first one is itself
			break
		}
		if name, ok := className(text[i:]); ok {
			known := posixClass(name)
			if known == nil {
				return 0, ""
			}
			spans, before = append(spans, known...), -1
			i += len("[::]") + len(name)
			continue
		}
		if text[i] == '-' && before >= 0 && i+1 < len(text) && text[i+1] != ']' {
			c, size := character(text[i+1:])
			if size == 0 {
				return 0, ""
			}
			if before <= c {
				spans = append(spans, span{before, c})
			}
			before = -1
			i += 1 + size
			continue
		}
		c, size := character(text[i:])
		if size == 0 {
			return 0, ""
		}
		spans, before = append(spans, span{c, c}), c
		i += size
	}
	return i + 1, expression(spans, not)
}

// className returns the name in a "[:name:]" at the start of text.
func className(text string) (string, bool) {
	rest, ok := strings.CutPrefix(text, "[:")
	if !ok {
		return "", false
	}
	// Git looks for the end of the set, and takes the colon before it.
	name, _, ok := strings.Cut(rest, "]")
	if !ok || !strings.HasSuffix(name, ":") {
		return "", false
	}
	return strings.TrimSuffix(name, ":"), true
}

// character returns the character at the start of text, which a backslash may
// quote, and its length in bytes; 0 if there is none.
func character(text string) (c rune, size int) {
	quoted := 0
	if text[0] == '\\' {
		quoted = 1
		if len(text) == 1 {
			return 0, 0
		}
	}
	c, size = utf8.DecodeRuneInString(text[quoted:])
	return c, quoted + size
}

// expression writes a set that never has a slash in it.
func expression(spans []span, not bool) string {
	var b strings.Builder
	for _, s := range spans {
		if s.first <= '/' && '/' <= s.last && !not {
			fmt.Fprint(&b, both(s.first, '/'-1), both('/'+1, s.last))
			continue
		}
		b.WriteString(both(s.first, s.last))
	}
	switch {
	case not:
		return `[^/` + b.String() + `]`
	case b.Len() == 0:
		return `[^\x00-\x{10FFFF}]` // nothing, as of "[/]"
	}
	return `[` + b.String() + `]`
}

// both writes one range; none if it is empty.
func both(first, last rune) string {
	if first > last {
		return ""
	}
	return fmt.Sprintf(`\x{%X}-\x{%X}`, first, last)
}
