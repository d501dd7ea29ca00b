package content

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/glob"
	"github.com/headwater-git/headwater/core/limit"
)

// Limits of searches.
const (
	DefaultGrepLines = 1000
	MaxGrepLines     = 10_000
	MaxGrepContext   = 100
	maxGrepText      = 8 << 20 // bytes of a page
	maxGrepLine      = 16 << 10
	maxGrepPaths     = 500
	maxExtensions    = 100
)

// GrepRequest asks for lines that match a pattern. Zero limits mean the
// defaults; those that are too large are brought into range.
type GrepRequest struct {
	At
	Pattern      string // see [CheckPattern]
	IgnoreCase   bool
	Paths        []string // files or folders
	IncludeGlobs []string // if any, a file must fit one
	ExcludeGlobs []string
	Extensions   []string // if any, a file must have one; with or without the dot
	Before       int      // lines of context
	After        int
	MaxLines     int // of the page, context included
	MaxPerFile   int // matches of one file; 0 is no limit
	MaxFiles     int // of the page; 0 is no limit
	Cursor       string
}

// GrepLine is one line of an answer.
type GrepLine struct {
	Number int
	Text   string // UTF-8, at most 16 KiB
	Match  bool   // else it is context
}

// GrepFile is the lines of one file.
type GrepFile struct {
	Path  string
	Lines []GrepLine
}

// GrepPage is a page of a search, by path. A file with very many lines may go
// on on the next page.
type GrepPage struct {
	Ref    string
	Commit core.ObjectID
	Files  []GrepFile
	Next   string // cursor; "" on the last page
}

// Grep searches the text files of a commit. Errors: KindInvalid, KindNotFound,
// KindTimeout.
func (s *Service) Grep(ctx context.Context, repo core.Repository, r GrepRequest) (GrepPage, error) {
	pattern, err := CheckPattern(r.Pattern)
	if err != nil {
		return GrepPage{}, err
	}
	f, err := newGrepFilter(r)
	if err != nil {
		return GrepPage{}, err
	}
	commit, offset, err := parseOffset("grep", r.Cursor)
	if err != nil {
		return GrepPage{}, err
	}
	dir, rev, err := s.open(ctx, repo, r.At)
	if err != nil {
		return GrepPage{}, err
	}
	if commit == "" {
		commit = rev.Commit
	}
	if err := s.cursorCommit(ctx, repo, commit, rev.Commit, "the commit that the cursor belongs to is gone"); err != nil {
		return GrepPage{}, err
	}
	if r.MaxLines <= 0 {
		r.MaxLines = DefaultGrepLines
	}
	r.MaxLines = min(r.MaxLines, MaxGrepLines)
	done, err := limit.Work(ctx)
	if err != nil {
		return GrepPage{}, err
	}
	defer done()
	// The time of the search counts from here, not that of the queue.
	ctx, cancel := limited(ctx, grepTimeout, "the search")
	defer cancel()
	if err := s.unfold.Check(ctx, dir, "name the paths to search", f.trees(commit)...); err != nil {
		return GrepPage{}, err
	}
	out, err := s.git.Stream(ctx, git.Command{
		// -e with its value attached: nothing in the pattern can be an option.
		Name: "grep", Dir: dir, Flags: append(r.flags(), "-e"+pattern), Args: []string{string(commit)}, Paths: f.pathspecs(),
		// One search must not take all processors.
		Config: []git.Config{git.Set("grep.threads", "2")},
	})
	if err != nil {
		return GrepPage{}, err
	}
	defer out.Close()
	p := &grepParser{in: bufio.NewReaderSize(out, 64<<10), prefix: string(commit) + ":", filter: f, skip: offset, limit: r}
	page := GrepPage{Ref: rev.Name, Commit: commit}
	more, err := p.page(&page)
	if err != nil {
		return GrepPage{}, err
	}
	if more {
		page.Next = offsetCursor("grep", commit, offset+p.lines)
		return page, nil
	}
	return page, s.grepEnd(ctx, dir, commit, out.Wait())
}

// flags returns the options of git grep that a request asks for.
func (r GrepRequest) flags() []string {
	clamp := func(n, top int) int { return min(max(n, 0), top) }
	flags := []string{
		"-E", "-n", "-I", "--full-name", "--no-color", "--no-recurse-submodules",
		// A line with the file's name before its lines, and an empty one after:
		// so matches can be distinguished from context, which -z does not allow.
		"--heading", "--break",
		"-B" + strconv.Itoa(clamp(r.Before, MaxGrepContext)), "-A" + strconv.Itoa(clamp(r.After, MaxGrepContext)),
	}
	if r.MaxPerFile > 0 {
		flags = append(flags, "--max-count="+strconv.Itoa(r.MaxPerFile))
	}
	if r.IgnoreCase {
		flags = append(flags, "-i")
	}
	return flags
}

// grepEnd returns what the end of a git grep in a commit means to the caller.
func (s *Service) grepEnd(ctx context.Context, dir string, commit core.ObjectID, end error) error {
	switch exitCode(end) {
	case 1:
		return nil // nothing matches
	case 128:
		if _, object, err := s.first(ctx, dir, []string{string(commit)}, "^{commit}"); err == nil && !object.Found() {
			return core.Errorf(core.KindNotFound, "the commit that the cursor belongs to is gone")
		}
		return &core.Error{Kind: core.KindInvalid, Message: "invalid pattern: git cannot use it as an extended regular expression", Err: end}
	}
	return end
}

// grepFilter says which files are searched.
type grepFilter struct {
	paths            []string
	include, exclude glob.List
	extensions       []string
}

func newGrepFilter(r GrepRequest) (f grepFilter, err error) {
	if f.paths, err = checkPaths(r.Paths, maxGrepPaths); err != nil {
		return f, err
	}
	if f.include, err = glob.Parse(r.IncludeGlobs); err != nil {
		return f, err
	}
	if f.exclude, err = glob.Parse(r.ExcludeGlobs); err != nil {
		return f, err
	}
	if len(r.Extensions) > maxExtensions {
		return f, core.Errorf(core.KindInvalid, "more than %d extensions are not allowed", maxExtensions)
	}
	for _, e := range r.Extensions {
		e = strings.TrimPrefix(strings.TrimPrefix(e, "*"), ".")
		if e == "" || strings.ContainsAny(e, "/\\*?[") || ValidatePath(e) != nil {
			return f, core.Errorf(core.KindInvalid, "invalid extension %q", e)
		}
		f.extensions = append(f.extensions, "."+e)
	}
	return f, nil
}

// trees returns what of a commit is searched, as names of objects.
func (f grepFilter) trees(commit core.ObjectID) []string {
	if len(f.paths) == 0 {
		return []string{string(commit)}
	}
	var names []string
	for _, path := range f.paths {
		names = append(names, string(commit)+":"+path)
	}
	return names
}

// pathspecs tells git what it need not read. They are not the whole filter:
// git joins them by "or".
func (f grepFilter) pathspecs() []string {
	var specs []string
	for _, p := range f.paths {
		specs = append(specs, ":(top,literal)"+p)
	}
	if len(specs) > 0 {
		return specs
	}
	for _, e := range f.extensions {
		specs = append(specs, ":(top,glob)**/*"+e)
	}
	return specs
}

func (f grepFilter) match(path string) bool {
	if !inside(path, f.paths) || f.exclude.Match(path) || len(f.include) > 0 && !f.include.Match(path) {
		return false
	}
	for _, e := range f.extensions {
		if strings.HasSuffix(path, e) {
			return true
		}
	}
	return len(f.extensions) == 0
}

// grepParser reads the output of git grep.
type grepParser struct {
	in     *bufio.Reader
	prefix string // of the lines that name files: the commit and a colon
	filter grepFilter
	limit  GrepRequest
	skip   int // lines that earlier pages had
	lines  int // of this page
	bytes  int
}

// page reads one page; more says that there are further lines.
func (p *grepParser) page(page *GrepPage) (more bool, err error) {
	path, wanted, listed := "", false, false
	for {
		text, err := p.line()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if name, ok := strings.CutPrefix(text, p.prefix); ok {
			path, ok = unquotePath(name)
			wanted, listed = ok && p.filter.match(path), false
			continue
		}
		line, ok := parseGrepLine(text)
		if !ok || !wanted {
			continue // between files, or between places of one
		}
		if p.skip > 0 {
			p.skip--
			continue
		}
		full := p.lines >= p.limit.MaxLines || p.bytes >= maxGrepText
		if full || !listed && p.limit.MaxFiles > 0 && len(page.Files) >= p.limit.MaxFiles {
			return true, nil
		}
		if !listed {
			page.Files = append(page.Files, GrepFile{Path: path})
			listed = true
		}
		file := &page.Files[len(page.Files)-1]
		file.Lines = append(file.Lines, line)
		p.lines++
		p.bytes += len(line.Text)
	}
}

// parseGrepLine reads "12:text" of a match or "12-text" of context.
func parseGrepLine(line string) (GrepLine, bool) {
	i := 0
	for i < len(line) && line[i] >= '0' && line[i] <= '9' {
		i++
	}
	if i == 0 || i > 18 || i == len(line) || line[i] != ':' && line[i] != '-' {
		return GrepLine{}, false
	}
	number, err := strconv.Atoi(line[:i])
	return GrepLine{Number: number, Text: text(strings.TrimSuffix(line[i+1:], "\r"), maxGrepLine), Match: line[i] == ':'}, err == nil
}

// text cuts a text to a length in bytes, not within a character, and makes it
// UTF-8 where it is not.
func text(s string, limit int) string {
	if len(s) > limit {
		end := limit
		for end > 0 && end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// line returns the next line, of which it keeps as much as can be of use.
func (p *grepParser) line() (string, error) {
	const keep = maxGrepLine + 8<<10 // with its number, or a long path
	var line []byte
	for {
		part, err := p.in.ReadSlice('\n')
		line = append(line, part[:min(len(part), keep-len(line))]...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) && len(line) > 0 {
			err = nil
		}
		return strings.TrimSuffix(string(line), "\n"), err
	}
}
