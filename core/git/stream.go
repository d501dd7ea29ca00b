package git

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/headwater-git/headwater/core"
)

// Stream is a running git whose output is read as it comes. It belongs to one
// goroutine, which must call Close in the end, also after Wait.
type Stream struct {
	out    *os.File
	proc   *Process
	cancel context.CancelFunc
	done   bool
	err    error
}

// Stream starts the command and returns its standard output. The command's
// Stdout must be nil.
func (g *Git) Stream(ctx context.Context, c Command) (*Stream, error) {
	// A pipe of our own, not exec's: what is read here is never copied by a
	// goroutine in between, and git blocks when nobody reads.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("git %s: %w", c.Name, err)
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(ctx)
	c.Stdout = w
	p, err := g.Start(ctx, c)
	if err != nil {
		cancel()
		_ = r.Close()
		return nil, err
	}
	return &Stream{out: r, proc: p, cancel: cancel}, nil
}

// Read reads git's output. Its end says nothing about success: a git that was
// killed ends its output too, so call Wait then.
func (s *Stream) Read(p []byte) (int, error) {
	if s.done {
		return 0, io.EOF
	}
	return s.out.Read(p)
}

// Wait is for after the end of the output. It returns how git ended: nil, an
// [*ExitError], or the cause for which the context ended.
func (s *Stream) Wait() error {
	if !s.done {
		s.done = true
		s.err = s.proc.Wait()
		s.cancel()
		_ = s.out.Close() // a pipe that was read has nothing to lose
	}
	return s.err
}

// Close ends git if it still runs and waits for it. That git did
// not finish is not an error: the caller has read enough.
func (s *Stream) Close() error {
	if !s.done {
		s.cancel()
		_ = s.Wait()
	}
	return nil
}

// OpenBlob streams the content of one blob. A cut-off blob shows in the error
// of Wait, not in that of Read.
func (g *Git) OpenBlob(ctx context.Context, dir string, id core.ObjectID) (*Stream, error) {
	return g.Stream(ctx, Command{Name: "cat-file", Dir: dir, Args: []string{"blob", string(id)}})
}
