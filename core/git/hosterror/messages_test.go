package hosterror

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

func TestMessages_Line_filters(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		in   string
		want []string
	}{
		{"one level only", "remote: remote: hi", []string{"remote: hi"}},
		{"blank", "remote: ", []string{""}},
		{"blank, trimmed", "remote:", []string{""}},
		{"padding", "remote: Resolving deltas: 100% (1/1), done.        ", []string{"Resolving deltas: 100% (1/1), done."}},
		{"escapes", "remote: \x1b[31mred\x1b[K \x1b]0;title\x07\x1b(x\x07", []string{"red x"}},
		{"direction", "remote: a\u202eb", []string{"ab"}},
		{"not UTF-8", "remote: a\xffb", []string{"a\ufffdb"}},
		{"secret", "remote: you sent s3cr3t-s3cr3t", []string{"you sent [redacted]"}},
		{"secret behind an escape", "remote: s3cr3t\x1b[m-s3cr3t", []string{"[redacted]"}},
		{"long", "remote: " + strings.Repeat("x", 2000), []string{strings.Repeat("x", 997) + "..."}},
		{"where to", "To https://example.com/a", nil},
		{"failure", "error: failed to push some refs to 'https://example.com/a'", nil},
		{"hint", "hint: Updates were rejected", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			m := NewMessages(func(s string) { got = append(got, s) }, providers.Secret("s3cr3t-s3cr3t"))
			m.Line([]byte(c.in), true)
			require.Empty(t, got)
			m.Line([]byte(c.in), false)
			require.Equal(t, c.want, got)
		})
	}
}

func TestMessages_Line_capsTheirNumber(t *testing.T) {
	t.Parallel()
	var got []string
	m := NewMessages(func(s string) { got = append(got, s) })
	for i := range 3 * maxMessages {
		m.Line(fmt.Appendf(nil, "remote: %d", i), false)
	}
	require.Len(t, got, maxMessages+1)
	require.Equal(t, "(the upstream said more; left out)", got[maxMessages])
}
