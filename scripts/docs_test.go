package scripts_test

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

// TestDocs_links follows every relative link of the documentation.
func TestDocs_links(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```.*?```")
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, m := range link.FindAllStringSubmatch(block.ReplaceAllString(string(text), ""), -1) {
			require.FileExists(t, filepath.Join(filepath.Dir(page), m[1]), "%s links to %s", page, m[1])
		}
	}
}

// TestDocs_everyPageIsReachable wants the three pages that a stranger looks for by
// their names, and every page in the list of the README.
func TestDocs_everyPageIsReachable(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	pages, err := os.ReadDir("../docs")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, page := range pages {
		if page.Name() == "embed.go" {
			continue // has the pages in the program
		}
		names[page.Name()] = true
		require.Contains(t, string(readme), "](docs/"+page.Name()+")", "the README does not lead to docs/%s", page.Name())
	}
	for _, name := range []string{"CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"} {
		require.True(t, names[name], "docs/%s is missing", name)
	}
}

// TestDocs_llms holds llms.txt, the list of the documents for programs that read, against
// the documents: their titles and the first sentences of those that begin with one. Run it with
// HEADWATER_UPDATE=1 to write the file anew.
func TestDocs_llms(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, pages)
	link := regexp.MustCompile(`\[([^\]]+)\]\([^)]+\)`)
	var list, own strings.Builder
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		title, rest, ok := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
		require.True(t, ok && strings.HasPrefix(string(text), "# "), "%s does not begin with its title", page)
		name := filepath.Base(page)
		into := &list
		if name == strings.ToUpper(strings.TrimSuffix(name, ".md"))+".md" || name == "testing.md" || name == "releasing.md" {
			into = &own
		}
		into.WriteString("- [" + title + "](docs/" + name + ")")
		first, _, _ := strings.Cut(strings.TrimSpace(rest), "\n\n")
		if first != "" && !strings.ContainsAny(first[:1], "#|`<-") {
			sentence, _, _ := strings.Cut(link.ReplaceAllString(strings.Join(strings.Fields(first), " "), "$1")+" ", ". ")
			into.WriteString(": " + strings.TrimRight(sentence, " .:"))
		}
		into.WriteString("\n")
	}
	want := "# Headwater\n\n> A self-hosted Git storage server that keeps a fast copy of repositories which live elsewhere, and sends every write to their home first.\n\n" +
		"These are the documents of the version that serves them. The API is described for programs in [openapi.json](api/openapi.json), and for people on [a page](api); [docs/](docs/) lists these for people.\n\n" +
		"## Documents\n\n" + list.String() + "\n## Optional\n\n" + own.String()
	const file = "../docs/llms.txt"
	if os.Getenv("HEADWATER_UPDATE") != "" {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "llms.txt is out of date; run this test with HEADWATER_UPDATE=1")
}

// TestDocs_contributingNamesWhatExists checks the files, packages and tests that
// CONTRIBUTING.md sends people to.
func TestDocs_contributingNamesWhatExists(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/CONTRIBUTING.md")
	require.NoError(t, err)
	paths := regexp.MustCompile("`((?:core|docs|plugins|providers|scripts|server|store|\\.ci)/[^`:]*|providers\\.hcl)").FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, paths)
	for _, m := range paths {
		if strings.Contains(m[1], "N") { // NAME, NNNNN: to be filled in
			continue
		}
		path, _, _ := strings.Cut(m[1], " ")
		found, err := filepath.Glob(filepath.Join("..", path))
		require.NoError(t, err)
		require.NotEmpty(t, found, "CONTRIBUTING.md names %s", path)
	}
	tests := regexp.MustCompile(`\bTest[A-Z][A-Za-z]+_?[A-Za-z]*`).FindAllString(string(text), -1)
	require.NotEmpty(t, tests)
	for _, name := range tests {
		cmd := exec.CommandContext(t.Context(), "git", "grep", "-l", "^func "+name, "--", "*_test.go")
		cmd.Dir = ".."
		out, err := cmd.Output()
		require.NoError(t, err, "no test begins with %s", name)
		require.NotEmpty(t, out)
	}
}

// TestDocs_changelog holds the form of Keep a Changelog: a section for what is not
// released comes first, and changes are sorted under its six headings.
func TestDocs_changelog(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/CHANGELOG.md")
	require.NoError(t, err)
	versions := regexp.MustCompile(`(?m)^## (.*)$`).FindAllSubmatch(text, -1)
	require.NotEmpty(t, versions)
	require.Equal(t, "[Unreleased]", string(versions[0][1]))
	for _, v := range versions[1:] {
		require.Regexp(t, `^\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}$`, string(v[1]))
	}
	for line := range bytes.Lines(text) {
		if heading, ok := bytes.CutPrefix(line, []byte("### ")); ok {
			require.Contains(t, []string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}, strings.TrimSpace(string(heading)))
		}
	}
}

// TestDocs_codeIsTested wants every Go block of docs/embedding.md, but for its
// indentation, in the file that the comment above it names: an example that the
// tests of its package compile.
func TestDocs_codeIsTested(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/embedding.md")
	require.NoError(t, err)
	unindented := func(code string) string {
		var out strings.Builder
		for line := range strings.Lines(code) {
			out.WriteString(strings.TrimLeft(line, "\t"))
		}
		return out.String()
	}
	blocks := regexp.MustCompile("(?s)(?:<!-- (\\S+) -->\n)?```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		require.NotEmpty(t, block[1], "no comment names the file of:\n%s", block[2])
		code, err := os.ReadFile(filepath.Join("..", block[1]))
		require.NoError(t, err)
		require.Contains(t, unindented(string(code)), unindented(block[2]), "%s has other code", block[1])
	}
}

// TestDocs_pluginPasses has the plugin that docs/providers.md walks through pass the test
// there, in a module of its own as its readers do.
func TestDocs_pluginPasses(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/providers.md")
	require.NoError(t, err)
	program, rest, ok := strings.Cut(string(text), "## 10.")
	require.True(t, ok)
	code := func(text string) []byte {
		var out bytes.Buffer
		for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(text, -1) {
			out.WriteString(block[1] + "\n")
		}
		return out.Bytes()
	}
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	mod, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	sums, err := os.ReadFile("../go.sum")
	require.NoError(t, err)
	// The versions of the server's own libraries, so that nothing is downloaded.
	own := strings.Replace(string(mod), "module "+module, "module acme.example/provider-acme", 1) +
		"\nrequire " + module + " v0.0.0\n\nreplace " + module + " => " + root + "\n"
	dir := t.TempDir()
	for name, content := range map[string][]byte{"main.go": code(program), "acme_test.go": code(rest), "go.mod": []byte(own), "go.sum": sums} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	cmd := exec.CommandContext(t.Context(), "go", "test", "-mod=mod", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
