package middleware

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/headwater-git/headwater/core"
)

// CheckText refuses JSON with texts that are none: encoding/json would put
// U+FFFD in the place of what it cannot read, and a path or a message would be
// written that nobody sent. Errors: KindInvalid.
func CheckText(raw []byte) error {
	if !utf8.Valid(raw) {
		return core.Errorf(core.KindInvalid, "the request body is not UTF-8; encode it as such")
	}
	for rest := raw; ; {
		i := bytes.IndexByte(rest, '\\')
		if i < 0 || i+1 >= len(rest) {
			return nil
		}
		rest = rest[i:]
		first, ok := escaped(rest)
		if !ok {
			rest = rest[2:] // another escape, or one that is not JSON
			continue
		}
		rest = rest[6:]
		if !utf16.IsSurrogate(first) {
			continue
		}
		if second, ok := escaped(rest); ok && utf16.DecodeRune(first, second) != utf8.RuneError {
			rest = rest[6:]
			continue
		}
		return core.Errorf(core.KindInvalid, `a text of the request body holds \u%04x, which is half of a character; send both halves, or the character itself`, first)
	}
}

// escaped returns the code unit of an escape such as \u00e9 that text begins with.
func escaped(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(unit), err == nil
}
