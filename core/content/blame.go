package content

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

const (
	maxBlameRanges = 16
	maxBlameRange  = 256 // bytes of one
)

// BlameRequest asks where the lines of a file come from.
type BlameRequest struct {
	At
	Path        string
	Ranges      []string // each an argument of git blame -L; none is the whole file
	DetectMoves bool     // also within the file
}

// BlameLine is one line of a file.
type BlameLine struct {
	Number         int // in the file, from 1
	Commit         core.ObjectID
	OriginalNumber int // in the file as the commit left it
	OriginalPath   string
	Previous       core.ObjectID // where the file was before the commit; "" if nowhere
	Author         Signature
	Committer      Signature
	Summary        string
}

// Blame is a blame whose lines are read one by one.
type Blame struct {
	Ref    string
	Commit core.ObjectID
	out    *git.Stream
	in     *bufio.Reader
	cancel context.CancelFunc
	origin map[core.ObjectID]*blameOrigin
	ranges bool
}

// blameOrigin is what git tells once per commit; path and previous again where
// lines of one commit come from several files.
type blameOrigin struct {
	author, committer Signature
	summary           string
	path              string
	previous          core.ObjectID
}

// CheckBlameRange reports, as a KindInvalid [*core.Error], why text cannot be
// an argument of git blame -L: "10,20", "10,+5", "/regex/,/regex/", ":name".
func CheckBlameRange(text string) error {
	bad := core.Errorf(core.KindInvalid, "invalid range: give each as git blame -L takes it, such as 10,20 or /regex/,+5")
	if text == "" || len(text) > maxBlameRange {
		return bad
	}
	for _, c := range []byte(text) {
		if c < ' ' || c == 0x7f {
			return bad
		}
	}
	if c := text[0]; c != '/' && c != ':' && c != '^' && c != ',' && (c < '0' || c > '9') {
		return bad
	}
	return nil
}

// Blame starts a blame. The caller must Close it. Errors: KindInvalid, also for
// ranges outside of the file; KindNotFound.
func (s *Service) Blame(ctx context.Context, repo core.Repository, r BlameRequest) (*Blame, error) {
	if err := ValidatePath(r.Path); err != nil {
		return nil, err
	}
	if len(r.Ranges) > maxBlameRanges {
		return nil, core.Errorf(core.KindInvalid, "at most %d ranges are allowed", maxBlameRanges)
	}
	// --porcelain tells of a commit with its first line only.
	flags := []string{"--porcelain"}
	for _, text := range r.Ranges {
		if err := CheckBlameRange(text); err != nil {
			return nil, err
		}
		flags = append(flags, "-L"+text)
	}
	if r.DetectMoves {
		flags = append(flags, "-M")
	}
	dir, rev, err := s.open(ctx, repo, r.At)
	if err != nil {
		return nil, err
	}
	objects, err := s.cat.Info(ctx, dir, string(rev.Commit)+":"+r.Path)
	if err != nil {
		return nil, err
	}
	if objects[0].Type != "blob" {
		return nil, core.Errorf(core.KindNotFound, "file %q not found", r.Path)
	}
	ctx, cancel := limited(ctx, blameTimeout, "the blame")
	out, err := s.git.Stream(ctx, git.Command{
		Name: "blame", Dir: dir, Flags: flags, Args: []string{string(rev.Commit)}, Paths: []string{r.Path}, Env: literal(),
	})
	if err != nil {
		cancel()
		return nil, err
	}
	b := &Blame{
		Ref: rev.Name, Commit: rev.Commit, out: out, in: bufio.NewReaderSize(out, 64<<10), cancel: cancel,
		origin: map[core.ObjectID]*blameOrigin{}, ranges: len(r.Ranges) > 0,
	}
	// git judges the ranges before its first line: wait for that, so that the
	// caller can still answer with an error.
	if _, err := b.in.Peek(1); err != nil {
		defer b.Close()
		if err := b.end(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// end returns how git ended, after the end of its output.
func (b *Blame) end() error {
	err := b.out.Wait()
	// Commit and file were found before, so what git can still refuse is a
	// range.
	if exitCode(err) >= 128 && b.ranges {
		return &core.Error{Kind: core.KindInvalid, Message: "a range does not fit the file", Err: err}
	}
	return err
}

var errBlame = core.Errorf(core.KindInternal, "the output of git blame cannot be read")

// Next returns the next line; false after the last one.
func (b *Blame) Next() (BlameLine, bool, error) {
	head, err := b.in.ReadString('\n')
	if errors.Is(err, io.EOF) && head == "" {
		return BlameLine{}, false, b.end()
	}
	if err != nil {
		return BlameLine{}, false, err
	}
	words := strings.Fields(head)
	if len(words) < 3 || !core.ObjectID(words[0]).Valid() {
		return BlameLine{}, false, errBlame
	}
	line := BlameLine{Commit: core.ObjectID(words[0])}
	line.OriginalNumber, _ = strconv.Atoi(words[1])
	line.Number, _ = strconv.Atoi(words[2])
	if err := b.header(line.Commit); err != nil {
		return BlameLine{}, false, err
	}
	origin := b.origin[line.Commit]
	line.Author, line.Committer, line.Summary = origin.author, origin.committer, origin.summary
	line.OriginalPath, line.Previous = origin.path, origin.previous
	return line, true, nil
}

// header reads the lines up to the text of the line, which is skipped.
func (b *Blame) header(commit core.ObjectID) error {
	origin := b.origin[commit]
	if origin == nil {
		origin = &blameOrigin{}
		b.origin[commit] = origin
	}
	var previous core.ObjectID
	times := map[string]string{}
	for {
		if text, err := b.in.Peek(1); err != nil {
			return errors.Join(errBlame, err)
		} else if text[0] == '\t' {
			break
		}
		text, err := b.in.ReadString('\n')
		if err != nil {
			return errors.Join(errBlame, err)
		}
		key, value, _ := strings.Cut(strings.TrimSuffix(text, "\n"), " ")
		switch key {
		case "author":
			origin.author.Name = value
		case "author-mail":
			origin.author.Email = strings.Trim(value, "<>")
		case "author-time", "author-tz", "committer-time", "committer-tz":
			times[key] = value
		case "committer":
			origin.committer.Name = value
		case "committer-mail":
			origin.committer.Email = strings.Trim(value, "<>")
		case "summary":
			origin.summary = value
		case "previous":
			id, _, _ := strings.Cut(value, " ")
			previous = core.ObjectID(id)
		case "filename":
			// It comes last, after "previous" if there is one.
			origin.path, _ = unquotePath(value)
			origin.previous = previous
		}
	}
	if len(times) > 0 {
		origin.author.When = parseTime(times["author-time"], times["author-tz"])
		origin.committer.When = parseTime(times["committer-time"], times["committer-tz"])
	}
	return b.skipLine()
}

// skipLine reads to the end of a line without keeping it: it may be as long as
// the file.
func (b *Blame) skipLine() error {
	for {
		_, err := b.in.ReadSlice('\n')
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

// Close ends git.
func (b *Blame) Close() error {
	defer b.cancel()
	return b.out.Close()
}
