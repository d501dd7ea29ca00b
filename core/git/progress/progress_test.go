package progress

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

func TestParse_lines(t *testing.T) {
	t.Parallel()
	cases := []struct {
		line string
		want Line
		ok   bool
	}{
		{"Receiving objects:  45% (450/1000), 1.50 MiB | 600.00 KiB/s", Line{"Receiving objects", 45, 450, 1000, 1572864, 614400, false}, true},
		{"Receiving objects: 100% (1000/1000), 2.00 GiB | 17 bytes/s, done.", Line{"Receiving objects", 100, 1000, 1000, 2 << 30, 17, true}, true},
		{"Resolving deltas:   0% (0/10)", Line{Phase: "Resolving deltas", Total: 10}, true},
		{"Resolving deltas: 100% (10/10), completed with 3 local objects.", Line{Phase: "Resolving deltas", Percent: 100, Done: 10, Total: 10, Final: true}, true},
		{"remote: Compressing objects:  50% (1/2)        ", Line{Phase: "remote: Compressing objects", Percent: 50, Done: 1, Total: 2}, true},
		{"remote: Enumerating objects: 1234, done.        ", Line{Phase: "remote: Enumerating objects", Done: 1234, Final: true}, true},
		{"Enumerating objects: 12", Line{Phase: "Enumerating objects", Done: 12}, true},
		{"remote: Total 20 (delta 3), reused 0 (delta 0)", Line{}, false},
		{"remote: Open issues: 20", Line{}, false},
		{"fatal: early EOF", Line{}, false},
		{"Receiving objects:  45% (450", Line{}, false},
		{"Receiving objects: 450% (450/1)", Line{}, false},
		{"Receiving objects: -5% (1/2)", Line{}, false},
		{"", Line{}, false},
		{":", Line{}, false},
	}
	for _, c := range cases {
		t.Run(c.line, func(t *testing.T) {
			t.Parallel()
			got, ok := Parse(c.line)
			require.Equal(t, c.ok, ok)
			if ok {
				require.Equal(t, c.want, got)
			}
		})
	}
}

func TestParse_realGit(t *testing.T) {
	t.Parallel()
	up := gittest.NewBare(t)
	gittest.AddCommit(t, up, "refs/heads/main", "a")
	dir := gittest.NewBare(t)
	r := gittest.Try(t, dir, "", "fetch", "--progress", gittest.HTTPBackend(t, up[:strings.LastIndexByte(up, '/')])+"/r.git", "refs/heads/*:refs/heads/*")
	require.Zero(t, r.Code, r.Stderr)
	final := map[string]bool{}
	w := NewLineWriter(func(line []byte, _ bool) {
		if p, ok := Parse(string(line)); ok && p.Final {
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
