package scripts

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGate_patternsNameTests holds the patterns of scripts/test against the tests that
// there are: a renamed test would drop out of its suite, and nobody would know.
func TestGate_patternsNameTests(t *testing.T) {
	script, err := os.ReadFile("test")
	require.NoError(t, err)
	var all []string
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, file := range trackedFiles(t, "*_test.go") {
		text, err := os.ReadFile(filepath.Join("..", file))
		require.NoError(t, err)
		for _, m := range declared.FindAllSubmatch(text, -1) {
			all = append(all, string(m[1]))
		}
	}
	patterns := regexp.MustCompile(`(?m)^(\w+_tests)='([^']+)'$`).FindAllSubmatch(script, -1)
	require.Len(t, patterns, 6)
	names := strings.Join(all, "\n")
	for _, m := range patterns {
		for word := range strings.SplitSeq(string(m[2]), "|") {
			require.True(t, regexp.MustCompile("(?m)"+word).MatchString(names), "%s in %s names no test", word, m[1])
		}
	}
}

// TestGate_suitesHaveDeadlines wants a time limit for everything that runs tests: one that
// waits for ever ends its suite with the stack of each goroutine.
func TestGate_suitesHaveDeadlines(t *testing.T) {
	script, err := os.ReadFile("test")
	require.NoError(t, err)
	joined := strings.ReplaceAll(string(script), "\\\n", " ")
	runs := regexp.MustCompile(`(?m)^[^#\n]*\b(?:suite|release_suite|go test) -.*$`).FindAllString(joined, -1)
	require.Greater(t, len(runs), 15)
	for _, line := range runs {
		if !strings.Contains(line, `"$@"`) { // what passes on what it was given
			require.Regexp(t, `-timeout [1-9]\d*m|-fuzztime`, line)
		}
	}
}

// TestGate_oneVetIsEnough wants the linters, of which go vet is one, to see every file:
// they have all tags, and no file is built only without one of them.
func TestGate_oneVetIsEnough(t *testing.T) {
	rules, err := os.ReadFile("../.golangci.yml")
	require.NoError(t, err)
	require.Contains(t, string(rules), "\n    - govet ")
	require.Contains(t, string(rules), "build-tags: [peers, npm, python]")
	without := regexp.MustCompile(`!(npm|peers|python)\b`)
	for _, file := range trackedFiles(t, "*.go") {
		text, err := os.ReadFile(filepath.Join("..", file))
		require.NoError(t, err)
		if line, _, _ := bytes.Cut(text, []byte("\n")); bytes.HasPrefix(line, []byte("//go:build")) {
			require.NotRegexp(t, without, string(line), file)
		}
	}
}

// trackedFiles lists the files of the repository that match a pattern.
func trackedFiles(t *testing.T, pattern string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", pattern)
	cmd.Dir = ".."
	out, err := cmd.Output()
	require.NoError(t, err)
	var files []string
	for file := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if _, err := os.Stat(filepath.Join("..", file)); err == nil {
			files = append(files, file)
		}
	}
	return files
}
