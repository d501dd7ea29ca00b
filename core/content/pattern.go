package content

import (
	"regexp/syntax"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// maxPattern is the length limit of a search pattern in bytes.
const maxPattern = 1024

// CheckPattern returns the POSIX extended regular expression that git is given
// for a caller's pattern. Errors: KindInvalid.
//
// The language is that of grep -E with \w \W \s \S \b \B \< \> of GNU, and \d
// and \D, which are rewritten. Back-references are refused, since matching them
// takes exponential time, and so are repetitions of repetitions that would make
// git's matcher huge: Go's parser, which knows such limits, reads the pattern
// first. Other escapes are refused rather than be read as something else.
func CheckPattern(pattern string) (string, error) {
	bad := func(reason string) error {
		return core.Errorf(core.KindInvalid, "invalid pattern: %s", reason)
	}
	if pattern == "" || len(pattern) > maxPattern {
		return "", bad("it is empty or too long")
	}
	for _, c := range []byte(pattern) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", bad("control characters are not allowed")
		}
	}
	var forGit, forGo strings.Builder
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '[':
			end := bracketEnd(pattern[i:])
			if end == 0 {
				return "", bad("a bracket expression is not closed")
			}
			forGit.WriteString(pattern[i : i+end])
			forGo.WriteByte('x') // one character, as far as size goes
			i += end - 1
		case c == '\\':
			i++
			if i == len(pattern) {
				return "", bad("it ends with a backslash")
			}
			switch e := pattern[i]; {
			case e == 'd':
				forGit.WriteString("[0-9]")
				forGo.WriteByte('x')
			case e == 'D':
				forGit.WriteString("[^0-9]")
				forGo.WriteByte('x')
			case strings.IndexByte("wWsSbB<>", e) >= 0:
				forGit.WriteString(pattern[i-1 : i+1])
				forGo.WriteByte('x')
			case e == '`' || e == '\'' || e >= '0' && e <= '9' || e >= 'a' && e <= 'z' || e >= 'A' && e <= 'Z' || e >= 0x80:
				return "", bad(`the escape \` + string(rune(e)) + ` is not supported; this is an extended regular expression as of grep -E`)
			default:
				forGit.WriteString(pattern[i-1 : i+1])
				forGo.WriteString(pattern[i-1 : i+1])
			}
		case c == '(' && strings.HasPrefix(pattern[i:], "(?"):
			return "", bad("(?...) is not supported; this is an extended regular expression as of grep -E")
		default:
			forGit.WriteByte(c)
			forGo.WriteByte(c)
		}
	}
	if _, err := syntax.Parse(forGo.String(), 0); err != nil {
		return "", &core.Error{Kind: core.KindInvalid, Message: "invalid pattern: it is no extended regular expression, or too large a one", Err: err}
	}
	return forGit.String(), nil
}

// bracketEnd returns the length of the bracket expression at the start of
// text; 0 if it does not end.
func bracketEnd(text string) int {
	i := 1
	if i < len(text) && text[i] == '^' {
		i++
	}
	if i < len(text) && text[i] == ']' {
		i++ // a first one is itself
	}
	for i < len(text) {
		switch {
		case text[i] == ']':
			return i + 1
		case text[i] == '[' && i+1 < len(text) && strings.IndexByte(":.=", text[i+1]) >= 0:
			end := strings.Index(text[i+2:], text[i+1:i+2]+"]")
			if end < 0 {
				return 0
			}
			i += 2 + end + 2
		default:
			i++
		}
	}
	return 0
}
