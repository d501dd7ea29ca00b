// Package glob matches slash-separated names, paths and ref names, with
// patterns as shells know them.
package glob

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/headwater-git/headwater/core"
)

const (
	maxGlobs = 100
	maxGlob  = 1024 // bytes of one
)

// List is a list of glob patterns. "*" and "?" stop at slashes, "**" is any
// number of folders, "[abc]" and "{a,b}" work as usual. A pattern without a
// slash fits names in any folder, one that ends with a slash everything in a
// folder.
type List []*regexp.Regexp

// Parse reads patterns. They become regular expressions of Go, which take
// time linear in the path whatever the pattern is. Errors: KindInvalid.
func Parse(patterns []string) (List, error) {
	if len(patterns) > maxGlobs {
		return nil, core.Errorf(core.KindInvalid, "more than %d globs are not allowed", maxGlobs)
	}
	var list List
	for _, pattern := range patterns {
		re, err := parse(pattern)
		if err != nil {
			return nil, &core.Error{Kind: core.KindInvalid, Message: fmt.Sprintf("invalid glob %q", pattern), Err: err}
		}
		list = append(list, re)
	}
	return list, nil
}

// Match reports whether one of the patterns fits.
func (g List) Match(name string) bool {
	for _, re := range g {
		if re.MatchString(name) {
			return true
		}
	}
	return false
}

var errGlob = core.Errorf(core.KindInvalid, "it is empty, too long, unfinished or holds a control character")

func parse(pattern string) (*regexp.Regexp, error) {
	if pattern == "" || len(pattern) > maxGlob {
		return nil, errGlob
	}
	for _, c := range []byte(pattern) {
		if c < ' ' || c == 0x7f {
			return nil, errGlob
		}
	}
	anchored := strings.Contains(strings.TrimSuffix(pattern, "/"), "/")
	pattern = strings.TrimPrefix(pattern, "/")
	if strings.HasSuffix(pattern, "/") {
		pattern += "**"
	}
	var re strings.Builder
	re.WriteString(`(?s)\A`)
	if !anchored {
		re.WriteString(`(?:.*/)?`)
	}
	braces := 0
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			if !strings.HasPrefix(pattern[i:], "**") {
				re.WriteString(`[^/]*`)
				continue
			}
			i++
			if strings.HasPrefix(pattern[i+1:], "/") && (i == 1 || pattern[i-2] == '/') {
				i++
				re.WriteString(`(?:.*/)?`)
				continue
			}
			re.WriteString(`.*`)
		case '?':
			re.WriteString(`[^/]`)
		case '[':
			end, set := class(pattern[i:])
			if end == 0 {
				return nil, errGlob
			}
			re.WriteString(set)
			i += end - 1
		case '{':
			braces++
			re.WriteString(`(?:`)
		case '}':
			if braces == 0 {
				re.WriteString(`\}`)
				continue
			}
			braces--
			re.WriteByte(')')
		case ',':
			if braces > 0 {
				re.WriteByte('|')
				continue
			}
			re.WriteByte(',')
		case '\\':
			if i++; i == len(pattern) {
				return nil, errGlob
			}
			re.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		default:
			re.WriteString(regexp.QuoteMeta(string([]byte{c})))
		}
	}
	if braces > 0 {
		return nil, errGlob
	}
	re.WriteString(`\z`)
	return regexp.Compile(re.String())
}

// class turns the bracket expression at the start of text into one of a
// regular expression; end is where it ends, 0 if it does not.
func class(text string) (end int, set string) {
	i, not := 1, false
	if i < len(text) && (text[i] == '!' || text[i] == '^') {
		i, not = 2, true
	}
	shut := strings.IndexByte(text[min(i+1, len(text)):], ']') // a first ']' is itself
	if shut < 0 {
		return 0, ""
	}
	shut += i + 1
	var b strings.Builder
	b.WriteByte('[')
	if not {
		b.WriteString(`^/`)
	}
	for _, c := range text[i:shut] {
		if strings.ContainsRune(`\[]^&~`, c) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	b.WriteByte(']')
	return shut + 1, b.String()
}
