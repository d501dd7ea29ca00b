package git

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git/internal/gittest"
	"github.com/headwater-git/headwater/providers"
)

func TestParseProgress_lines(t *testing.T) {
	t.Parallel()
	cases := []struct {
		line string
		want Progress
		ok   bool
	}{
		{"Receiving objects:  45% (450/1000), 1.50 MiB | 600.00 KiB/s", Progress{"Receiving objects", 45, 450, 1000, 1572864, 614400, false}, true},
		{"Receiving objects: 100% (1000/1000), 2.00 GiB | 17 bytes/s, done.", Progress{"Receiving objects", 100, 1000, 1000, 2 << 30, 17, true}, true},
		{"Resolving deltas:   0% (0/10)", Progress{Phase: "Resolving deltas", Total: 10}, true},
		{"Resolving deltas: 100% (10/10), completed with 3 local objects.", Progress{Phase: "Resolving deltas", Percent: 100, Done: 10, Total: 10, Final: true}, true},
		{"remote: Compressing objects:  50% (1/2)        ", Progress{Phase: "remote: Compressing objects", Percent: 50, Done: 1, Total: 2}, true},
		{"remote: Enumerating objects: 1234, done.        ", Progress{Phase: "remote: Enumerating objects", Done: 1234, Final: true}, true},
		{"Enumerating objects: 12", Progress{Phase: "Enumerating objects", Done: 12}, true},
		{"remote: Total 20 (delta 3), reused 0 (delta 0)", Progress{}, false},
		{"remote: Open issues: 20", Progress{}, false},
		{"fatal: early EOF", Progress{}, false},
		{"Receiving objects:  45% (450", Progress{}, false},
		{"Receiving objects: 450% (450/1)", Progress{}, false},
		{"Receiving objects: -5% (1/2)", Progress{}, false},
		{"", Progress{}, false},
		{":", Progress{}, false},
	}
	for _, c := range cases {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			got, ok := ParseProgress(c.line)
			require.Equal(t, c.ok, ok)
			if ok {
				require.Equal(t, c.want, got)
			}
		})
	}
}

func TestParseProgress_realGit(t *testing.T) {
	t.Parallel()
	up := gittest.NewBare(t)
	gittest.AddCommit(t, up, "refs/heads/main", "a")
	dir := gittest.NewBare(t)
	r := gittest.Try(t, dir, "", "fetch", "--progress", gittest.HTTPBackend(t, up[:strings.LastIndexByte(up, '/')])+"/r.git", "refs/heads/*:refs/heads/*")
	require.Zero(t, r.Code, r.Stderr)
	final := map[string]bool{}
	w := NewLineWriter(func(line []byte, _ bool) {
		if p, ok := ParseProgress(string(line)); ok && p.Final {
			final[p.Phase] = true
		}
	})
	_, _ = w.Write([]byte(r.Stderr))
	require.NoError(t, w.Close())
	require.Subset(t, final, map[string]bool{"remote: Counting objects": true}, r.Stderr)
}

func TestLineWriter_Write_cutsLines(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		chunks []string
		want   []string // transient ones begin with "~"
	}{
		{"newlines", []string{"a\nb\n"}, []string{"a", "b"}},
		{"split", []string{"a", "b\nc", "\n"}, []string{"ab", "c"}},
		{"progress", []string{"1%\r", "2%\r", "3%, done.\n"}, []string{"~1%", "~2%", "3%, done."}},
		{"crlf", []string{"a\r\nb"}, []string{"~a", "a", "b"}},
		{"crlf split", []string{"a\r", "\nb\n"}, []string{"~a", "a", "b"}},
		{"empty lines", []string{"\n\r\r\n\na\n\r"}, []string{"a"}},
		{"no end", []string{"a"}, []string{"a"}},
		{"carriage return at the end", []string{"a\r"}, []string{"~a"}},
		{"long", []string{strings.Repeat("x", 3*maxLine) + "\nb\n"}, []string{strings.Repeat("x", maxLine), "b"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			w := NewLineWriter(func(line []byte, transient bool) {
				if transient {
					line = append([]byte("~"), line...)
				}
				got = append(got, string(line))
			})
			for _, chunk := range c.chunks {
				n, err := w.Write([]byte(chunk))
				require.NoError(t, err)
				require.Equal(t, len(chunk), n)
			}
			require.NoError(t, w.Close())
			require.Equal(t, c.want, got)
		})
	}
}

func TestRemoteMessages_Line_filters(t *testing.T) {
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
			m := NewRemoteMessages(func(s string) { got = append(got, s) }, providers.Secret("s3cr3t-s3cr3t"))
			m.Line([]byte(c.in), true)
			require.Empty(t, got)
			m.Line([]byte(c.in), false)
			require.Equal(t, c.want, got)
		})
	}
}

func TestRemoteMessages_Line_capsTheirNumber(t *testing.T) {
	t.Parallel()
	var got []string
	m := NewRemoteMessages(func(s string) { got = append(got, s) })
	for i := range 3 * maxMessages {
		m.Line(fmt.Appendf(nil, "remote: %d", i), false)
	}
	require.Len(t, got, maxMessages+1)
	require.Equal(t, "(the upstream said more; left out)", got[maxMessages])
}
