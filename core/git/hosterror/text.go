package hosterror

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/headwater-git/headwater/providers"
)

// MaxText bounds what [Classify] and [Text] return, in bytes.
const MaxText = 500

// Text returns a text of the host as it may be shown: on one line, free of control
// characters, redacted, and at most [MaxText] bytes long.
func Text(s string, secrets ...providers.Secret) string {
	s = strings.Join(strings.Fields(cleanText(strings.NewReplacer("\n", " ", "\r", " ").Replace(s))), " ")
	return truncate(Redact(s, secrets...), MaxText)
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
