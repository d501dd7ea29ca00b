package providers

import (
	"fmt"
	"log/slog"
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
