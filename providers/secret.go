package providers

import (
	"fmt"
	"log/slog"
	"strings"
)

// Secret is a string that must not be seen. Every way of printing it gives
// "[redacted]"; Reveal is the one way to read it.
type Secret string

const redacted = "[redacted]"

var (
	_ fmt.Formatter  = Secret("")
	_ slog.LogValuer = Secret("")
)

// Reveal returns the secret itself. Never log or format the result.
func (s Secret) Reveal() string { return string(s) }

// Parts returns the secret and, if it is a scheme with a token, such as the
// value of a header "Bearer TOKEN", the token alone: what a redactor must find.
func (s Secret) Parts() []Secret {
	parts := []Secret{s}
	if i := strings.LastIndexByte(string(s), ' '); i >= 0 {
		parts = append(parts, s[i+1:])
	}
	return parts
}

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// Format writes "[redacted]" for every verb, so that %s, %v, %+v, %x and %q tell nothing.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue is what slog prints.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText keeps the secret out of JSON and every other encoding by text.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
