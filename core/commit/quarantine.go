package commit

import (
	"bufio"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/fsck"
)

// quarantine is a place for objects that git makes while it is not sure yet
// that they are wanted: it sees those of the repository, and adds none. What
// is wanted is collected into a pack; the rest goes without a trace.
type quarantine struct {
	repository string
	dir        string
	env        []string
}

// newQuarantine makes one for the repository at a path.
func (s *Service) newQuarantine(repository string) (*quarantine, error) {
	dir, err := os.MkdirTemp(s.temp, "api-objects-")
	if err != nil {
		return nil, fmt.Errorf("make a quarantine: %w", err)
	}
	q := &quarantine{repository: repository, dir: dir}
	if err := os.Mkdir(q.objects(), 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("make a quarantine: %w", err), q.close())
	}
	q.env = []string{
		"GIT_OBJECT_DIRECTORY=" + q.objects(),
		"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + filepath.Join(repository, "objects"),
		"GIT_INDEX_FILE=" + filepath.Join(dir, "index"),
	}
	return q, nil
}

func (q *quarantine) objects() string { return filepath.Join(q.dir, "objects") }

func (q *quarantine) close() error { return os.RemoveAll(q.dir) }

// command is a git command in the repository whose objects stay in the quarantine.
func (q *quarantine) command(c git.Command) git.Command {
	c.Dir = q.repository
	c.Env = append(c.Env, q.env...)
	c.Config = append(c.Config,
		git.Set("core.fsync", "none"), // the objects are copied, with fsync, to where they stay
		// Nothing that any file system takes for .git gets into an index.
		git.Set("core.protectHFS", "true"), git.Set("core.protectNTFS", "true"))
	return c
}

// outputIn runs a git command whose objects stay in a quarantine, and returns what it prints.
func (s *Service) outputIn(ctx context.Context, q *quarantine, c git.Command) ([]byte, error) {
	return s.git.Output(ctx, q.command(c))
}

// collect puts every object of the quarantine into the pack.
func (q *quarantine) collect(p *pack) error {
	folders, err := os.ReadDir(q.objects())
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if folder.Name() == "pack" || folder.Name() == "info" {
			continue
		}
		files, err := os.ReadDir(filepath.Join(q.objects(), folder.Name()))
		if err != nil {
			return err
		}
		for _, f := range files {
			id := core.ObjectID(folder.Name() + f.Name())
			if !id.Valid() {
				return fmt.Errorf("unexpected file %q in a quarantine", f.Name())
			}
			if err := addLoose(p, id, filepath.Join(q.objects(), folder.Name(), f.Name())); err != nil {
				return fmt.Errorf("read object %s: %w", id, err)
			}
		}
	}
	return nil
}

// addLoose puts a loose object into the pack without holding it in memory.
func addLoose(p *pack, id core.ObjectID, path string) error {
	if p.seen[id] {
		return nil
	}
	kind, size, content, err := openLoose(path)
	if err != nil {
		return err
	}
	if err := content.Close(); err != nil {
		return err
	}
	var opened []io.Closer
	var failed error
	got, err := p.addFrom(kind, size, func() io.Reader {
		_, _, content, err := openLoose(path)
		if err != nil {
			failed = err
			return strings.NewReader("")
		}
		opened = append(opened, content)
		return content
	})
	for _, c := range opened {
		failed = errors.Join(failed, c.Close())
	}
	if err = errors.Join(err, failed); err == nil && got != id {
		err = errors.New("its content does not have its name")
	}
	return err
}

// looseFile is the content of a loose object.
type looseFile struct {
	io.Reader
	file *os.File
}

// Close closes the file.
func (l *looseFile) Close() error { return l.file.Close() }

// openLoose opens a loose object: deflated, with type and size in front.
func openLoose(path string) (kind objectType, size int64, content io.ReadCloser, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	z, err := zlib.NewReader(bufio.NewReader(f))
	if err != nil {
		return 0, 0, nil, err
	}
	in := bufio.NewReader(z)
	head, err := in.ReadString(0)
	if err != nil {
		return 0, 0, nil, err
	}
	word, length, _ := strings.Cut(strings.TrimSuffix(head, "\x00"), " ")
	for _, t := range []objectType{typeCommit, typeTree, typeBlob} {
		if word == t.String() {
			kind = t
		}
	}
	if size, err = strconv.ParseInt(length, 10, 64); err == nil && kind == 0 {
		err = fmt.Errorf("unexpected type %q", word)
	}
	return kind, size, &looseFile{in, f}, err
}

// vet has git check the objects of the pack as it checks those of a push.
func (s *Service) vet(ctx context.Context, dir string, p *pack) error {
	q, err := s.newQuarantine(dir)
	if err != nil {
		return err
	}
	defer q.close() //nolint:errcheck // the next start removes what is left
	tolerated, err := s.repos.Tolerated(ctx, p.repoID)
	if err != nil {
		return err
	}
	err = s.git.Run(ctx, q.command(git.Command{
		Name: "index-pack", Flags: []string{"--stdin", s.git.FsckStrict(tolerated)}, Stdin: p.reader(), Stdout: io.Discard,
	}))
	if _, text, ok := exitCode(err); ok {
		if refusal, ok := fsck.FindRefusal(text); ok {
			if path := p.paths[refusal.Object]; path != "" {
				refusal.Path = path
			}
			return &core.Error{Kind: core.KindInvalid, Message: refusal.Sentence(), Err: err}
		}
		return &core.Error{Kind: core.KindInvalid, Message: "git refuses the content: " + lastLine(text), Err: err}
	}
	return err
}
