package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// quote is a command that a text has people run.
type quote struct {
	where string
	words []string
	// whole: it is written out, as in a block of a document. Else the command may be
	// named alone, and a sentence may go on after its arguments.
	whole bool
	// alone: these are all words of a command's name.
	alone bool
}

// prose is what begins like a command and is none.
var prose = []string{
	"headwater at its start", "headwater reachable objects",
}

// TestQuotedCommands parses every command of headwater that a message, a document or
// the reviewed words name, with the real commands: it exists, it has these flags, and
// it takes these arguments.
func TestQuotedCommands(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..", "..")
	var all []quote
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "bench") {
				return filepath.SkipDir
			}
			return nil
		}
		switch {
		case strings.HasSuffix(path, "_test.go"), strings.HasSuffix(path, ".gen.go"):
		case strings.HasSuffix(path, ".go"):
			all = append(all, quotedInGo(t, path)...)
		case strings.HasSuffix(path, ".md"):
			all = append(all, quotedInMarkdown(t, path)...)
		case strings.HasSuffix(path, ".html"):
			all = append(all, quotedInHTML(t, path)...)
		}
		return nil
	}))
	words, err := os.ReadFile(filepath.Join("testdata", "words.txt"))
	require.NoError(t, err)
	for line := range strings.Lines(string(words)) {
		all = append(all, quotedIn("words.txt", line, false)...)
	}
	known := map[string]bool{}
	walk(newRoot(noEnv), func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
	})
	ours := regexp.MustCompile("`git [^`]*`").ReplaceAllString(string(words), "")
	for _, m := range regexp.MustCompile(`--([a-z][a-z-]+)`).FindAllStringSubmatch(ours, -1) {
		require.True(t, known[m[1]], "no command has the flag --%s", m[1])
	}
	require.Greater(t, len(all), 300, "the texts are not found")
	for _, q := range all {
		if err := q.parse(); err != nil {
			t.Errorf("%s: headwater %s: %v", q.where, strings.Join(q.words, " "), err)
		}
	}
}

// parse reads the command line as the program would, up to what the command does.
func (q quote) parse() error {
	root := newRoot(noEnv)
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(q.words)
	if err != nil {
		return err
	}
	if q.alone && len(rest) > 0 {
		return fmt.Errorf("there is no such command")
	}
	args := q.arguments(rest)
	named := len(q.words) == len(rest) // no subcommand at all
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	if err := cmd.ParseFlags(args); err != nil && !strings.Contains(err.Error(), "invalid argument") { // of a placeholder
		return err
	}
	switch positional := cmd.Flags().Args(); {
	case named && len(args) == 0:
		return fmt.Errorf("there is no such command")
	case !q.whole && len(positional) == 0:
		return nil // it is named alone
	case cmd.HasSubCommands() && !cmd.Runnable() && len(positional) > 0:
		return fmt.Errorf("there is no such subcommand")
	default:
		return cmd.ValidateArgs(positional)
	}
}

// arguments returns those of the words after the command that belong to it.
func (q quote) arguments(rest []string) (args []string) {
	for i, word := range rest {
		if !q.whole && !strings.HasPrefix(word, "-") && !argument.MatchString(word) && (i == 0 || !strings.HasPrefix(rest[i-1], "--")) {
			break // the sentence goes on
		}
		args = append(args, word)
	}
	return args
}

// argument is a word that is no part of a sentence: a placeholder, a name with a slash,
// a flag, a file.
var argument = regexp.MustCompile(`^([A-Z][A-Z0-9_/-]*|.*[/.@=:<0-9].*)$`)

// start is where a command begins, not in a path or a longer word.
var start = regexp.MustCompile(`(^|[^A-Za-z0-9_/.@:"'=-])headwater ([a-z-].*)`)

// end is where a command that is quoted within a sentence ends.
var end = regexp.MustCompile("[;,`\\n()|&<>#'\"]|: |:$|\\.( |$)")

// inQuotes is an argument with blanks in it.
var inQuotes = regexp.MustCompile(`"[^"]*"|'[^']*'`)

// left is what an example leaves out, or may.
var left = strings.NewReplacer("[flags]", "", "[", "", "]", "", "...", "", "…", "", "\\", "")

// quotedIn returns the commands in a line.
func quotedIn(where, line string, whole bool) (all []quote) {
	for m := start.FindStringSubmatch(line); m != nil; m = start.FindStringSubmatch(line) {
		text := m[2]
		line = text
		if strings.HasPrefix(text, "headwater ") { // a user of that name
			continue
		}
		if slices.ContainsFunc(prose, func(p string) bool { return strings.HasPrefix("headwater "+text, p) }) {
			continue
		}
		text = left.Replace(inQuotes.ReplaceAllString(text, "QUOTED"))
		if at := end.FindStringIndex(text); at != nil {
			text = text[:at[0]]
		}
		all = append(all, quote{where: where, words: strings.Fields(text), whole: whole})
	}
	return all
}

// quotedInGo returns the commands in the strings of a file. What a string is put
// together with is an argument.
func quotedInGo(t *testing.T, path string) (all []quote) {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, 0)
	require.NoError(t, err)
	verb := regexp.MustCompile(`%[+#]?[a-z]`)
	ast.Inspect(file, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		text, ok := textOf(e)
		if !ok {
			return true
		}
		where := files.Position(e.Pos())
		for line := range strings.Lines(strings.ReplaceAll(verb.ReplaceAllString(text, "X/Y"), "\\\n", " ")) {
			all = append(all, quotedIn(fmt.Sprintf("%s:%d", path, where.Line), line, strings.HasPrefix(line, "  headwater "))...) // of an example
		}
		return false
	})
	return all
}

// textOf returns the text of a string expression, with X/Y for what is not in it.
func textOf(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			s, err := strconv.Unquote(e.Value)
			return s, err == nil
		}
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		a, aok := textOf(e.X)
		b, bok := textOf(e.Y)
		if !aok && !bok {
			return "", false
		}
		if !aok {
			a = "X/Y"
		}
		if !bok {
			b = "X/Y"
		}
		return a + b, true
	}
	return "", false
}

// quotedInMarkdown returns the commands in the code of a document: what is in a block
// is written out.
func quotedInMarkdown(t *testing.T, path string) (all []quote) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	text := strings.ReplaceAll(string(raw), "\\\n", " ")
	code := regexp.MustCompile("`([^`\n]+)`")
	block, n := false, 0
	for line := range strings.Lines(text) {
		n++
		where := fmt.Sprintf("%s:%d", path, n)
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "```"):
			block = !block
		case block:
			all = append(all, quotedIn(where, strings.TrimPrefix(strings.TrimSpace(line), "$ "), strings.HasPrefix(strings.TrimPrefix(strings.TrimSpace(line), "$ "), "headwater "))...)
		default:
			for _, m := range code.FindAllStringSubmatch(line, -1) {
				all = append(all, quotedIn(where, m[1], false)...)
			}
		}
	}
	return all
}

// quotedInHTML returns the commands in the code of a page. There it is a command's name
// alone, or with all that it takes.
func quotedInHTML(t *testing.T, path string) (all []quote) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`<code[^>]*>(headwater [^<{]+)</code>`).FindAllStringSubmatch(string(raw), -1) {
		for _, q := range quotedIn(path, m[1], true) {
			q.alone = !slices.ContainsFunc(q.words, argument.MatchString) && !strings.Contains(m[1], " -")
			q.whole = !q.alone
			all = append(all, q)
		}
	}
	return all
}
