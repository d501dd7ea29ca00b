package content

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// diffFile is one file of the lists that come before the patches.
type diffFile struct {
	state     string
	path, old string
	additions int
	deletions int
	binary    bool
}

// header is the line with which the patch of the file begins.
func (f diffFile) header() string {
	old := f.old
	if old == "" {
		old = f.path
	}
	return "diff --git " + quotePath("a/"+old) + " " + quotePath("b/"+f.path)
}

// patchReader reads the output of "git diff-tree -z --raw --numstat --patch":
// a list of files with states, one with numbers of lines, and the patches in
// the same order.
type patchReader struct {
	in    *bufio.Reader
	exact bool
	// inside says that the last piece was not the end of its line.
	inside bool
	ended  bool   // with the lists
	ahead  []byte // header line that was read but belongs to a later file
}

func newPatchReader(r io.Reader, exact bool) *patchReader {
	return &patchReader{in: bufio.NewReaderSize(r, 128<<10), exact: exact}
}

var errDiff = core.Errorf(core.KindInternal, "the output of git diff-tree cannot be read")

// word reads up to the next NUL; io.EOF only if there is nothing.
func (p *patchReader) word() (string, error) {
	word, err := p.in.ReadString(0)
	if err != nil {
		if errors.Is(err, io.EOF) && word != "" {
			err = errDiff
		}
		return "", err
	}
	return word[:len(word)-1], nil
}

// files reads both lists. The second one decides which files there are: with
// white space ignored, those without another change are only in the first.
func (p *patchReader) files() ([]diffFile, error) {
	states := map[string]string{}
	var files []diffFile
	for {
		word, err := p.word()
		if errors.Is(err, io.EOF) {
			p.ended = true
			return files, nil // no patches follow
		}
		if err != nil {
			return nil, err
		}
		switch {
		case word == "":
			return files, nil
		case word[0] == ':':
			state := word[strings.LastIndexByte(word, ' ')+1:]
			path, err := p.word()
			if err != nil {
				return nil, errDiff
			}
			if state != "" && (state[0] == 'R' || state[0] == 'C') {
				if path, err = p.word(); err != nil {
					return nil, errDiff
				}
			}
			states[path] = state
		default:
			f, err := p.numbers(word)
			if err != nil {
				return nil, err
			}
			f.state = states[f.path]
			files = append(files, f)
		}
	}
}

// numbers reads one entry of the second list, whose first word is given.
func (p *patchReader) numbers(word string) (diffFile, error) {
	parts := strings.SplitN(word, "\t", 3)
	if len(parts) != 3 {
		return diffFile{}, errDiff
	}
	f := diffFile{path: parts[2]}
	if parts[0] == "-" {
		f.binary = true
	} else {
		var errs [2]error
		f.additions, errs[0] = strconv.Atoi(parts[0])
		f.deletions, errs[1] = strconv.Atoi(parts[1])
		if errors.Join(errs[:]...) != nil {
			return diffFile{}, errDiff
		}
	}
	if f.path == "" { // a rename: two more words
		var err error
		if f.old, err = p.word(); err != nil {
			return diffFile{}, errDiff
		}
		if f.path, err = p.word(); err != nil {
			return diffFile{}, errDiff
		}
	}
	return f, nil
}

// file reads the patch of one file. A change of type is two patches with the
// same header, a removal and an addition.
func (p *patchReader) file(f diffFile) (DiffFile, error) {
	file := DiffFile{
		Path: f.path, OldPath: f.old, State: f.state, Additions: f.additions, Deletions: f.deletions, Binary: f.binary,
	}
	header := []byte(f.header() + "\n")
	var text bytes.Buffer
	keep := func(line []byte) {
		file.Bytes += int64(len(line))
		if file.Bytes > maxDiffText {
			text = bytes.Buffer{} // gives the memory back
			return
		}
		text.Write(line)
	}
	for {
		line, fresh, err := p.line()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return DiffFile{}, err
		}
		if fresh && bytes.HasPrefix(line, []byte("diff --git ")) && !bytes.Equal(line, header) {
			p.ahead = bytes.Clone(line)
			break
		}
		keep(line)
	}
	switch {
	case f.binary, p.exact && !utf8.Valid(text.Bytes()):
		file.Filtered, file.Whole = true, true
	case file.Bytes > maxDiffText:
		file.Filtered = true
	default:
		file.Raw, file.Whole = text.Bytes(), true
	}
	return file, nil
}

// line returns the next piece of the patches, a line or a part of a long one;
// fresh says that a line begins with it. It is valid until the next call.
func (p *patchReader) line() (line []byte, fresh bool, err error) {
	if p.ahead != nil {
		line, p.ahead = p.ahead, nil
		return line, true, nil
	}
	fresh = !p.inside
	line, err = p.in.ReadSlice('\n')
	p.inside = errors.Is(err, bufio.ErrBufferFull)
	if p.inside || errors.Is(err, io.EOF) && len(line) > 0 {
		err = nil
	}
	return line, fresh, err
}

// quotePath writes a path as git does in patches: as it is, or in quotes with
// escapes if it holds anything but plain ASCII.
func quotePath(path string) string {
	plain := true
	for _, c := range []byte(path) {
		if c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			plain = false
			break
		}
	}
	if plain {
		return path
	}
	const letters = "abtnvfr" // of the bytes 7 to 13
	quoted := []byte{'"'}
	for _, c := range []byte(path) {
		switch {
		case c >= 7 && c <= 13:
			quoted = append(quoted, '\\', letters[c-7])
		case c == '"', c == '\\':
			quoted = append(quoted, '\\', c)
		case c < ' ', c >= 0x7f:
			quoted = fmt.Appendf(quoted, `\%03o`, c)
		default:
			quoted = append(quoted, c)
		}
	}
	return string(append(quoted, '"'))
}

// unquotePath is the other way; false for what git would not write.
func unquotePath(text string) (string, bool) {
	if !strings.HasPrefix(text, `"`) {
		return text, true
	}
	if len(text) < 2 || text[len(text)-1] != '"' {
		return "", false
	}
	text = text[1 : len(text)-1]
	var path []byte
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			path = append(path, text[i])
			continue
		}
		i++
		if i >= len(text) {
			return "", false
		}
		if at := strings.IndexByte("abtnvfr", text[i]); at >= 0 {
			path = append(path, byte(7+at))
			continue
		}
		if text[i] == '"' || text[i] == '\\' {
			path = append(path, text[i])
			continue
		}
		if i+3 > len(text) {
			return "", false
		}
		value, err := strconv.ParseUint(text[i:i+3], 8, 8)
		if err != nil {
			return "", false
		}
		path = append(path, byte(value))
		i += 2
	}
	return string(path), true
}

// exitCode returns the exit status of a git that ran and failed; 0 for
// everything else.
func exitCode(err error) int {
	if exit := git.Exit(err); exit != nil {
		return exit.Code
	}
	return 0
}
