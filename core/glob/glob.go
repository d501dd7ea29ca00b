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

// List is a list of glob patterns. They match as those of gitignore(5), wildmatch of
// git: "*", "?" and "[...]" never match a slash, and sets know ranges and POSIX
// classes such as "[[:digit:]]". A pattern without a slash fits names in any
// folder, one that ends with a slash everything in a folder. Beyond git's, "**"
// crosses slashes wherever it stands, "{a,b}" is either, and what git does with bytes
// is done with characters.
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
