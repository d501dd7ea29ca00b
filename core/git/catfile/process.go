package catfile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// Object is the answer for one object name.
type Object struct {
	ID        core.ObjectID // "" if there is no such object
	Type      string        // "commit", "tree", "blob" or "tag"
	Size      int64         // of the whole object, in bytes
	Data      []byte        // its content, if that was asked for and is not over the limit
	Ambiguous bool          // an abbreviated id that fits several objects; ID is ""
}

// Found reports whether the object exists.
func (o Object) Found() bool { return o.ID != "" }

const (
	// maxBatch is how many requests are sent before the replies are read. git
	// queues them until the flush, so neither side can block the other.
	maxBatch = 512
	// maxSkip is how much of an unwanted content is read and thrown away;
	// beyond it, a new process is cheaper.
	maxSkip = 4 << 20
	// maxTogether is how much the contents of one query may have together: each
	// is held in memory by itself and all at the same time.
	maxTogether = 64 << 20
	// bufferSize must hold one reply line, which echoes the name asked for.
	bufferSize = 64 << 10
	maxName    = 16 << 10
)

// errProtocol says that the two sides are out of step; the process cannot be
// used any more.
var errProtocol = errors.New("git cat-file: unexpected reply")

// process is one "git cat-file --batch-command".
type process struct {
	dir    string
	folder os.FileInfo // what dir was when the process started
	proc   *git.Process
	cancel context.CancelFunc
	in     *os.File
	out    *os.File
	reply  *bufio.Reader
	uses   int
	ends   int       // calls of [Pool.End] for dir before it started
	since  time.Time // idle since
	ended  bool      // by itself, in the middle of an answer
}

// lastWords is how long a process that has closed its output may take to end.
const lastWords = 10 * time.Second

// start starts a process that lives until ctx ends or it is ended.
func start(ctx context.Context, g *git.Git, dir string, env []string) (*process, error) {
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("git cat-file: %w", err), inR.Close(), inW.Close())
	}
	defer inR.Close()
	defer outW.Close()
	ctx, cancel := context.WithCancel(ctx)
	p, err := g.Start(ctx, git.Command{
		Name: "cat-file",
		Dir:  dir,
		// --buffer: replies to a batch leave in few writes, at our "flush".
		// -z: requests end with NUL, so that a name may hold a line feed.
		Flags: []string{"--batch-command", "--buffer", "-z"},
		// Names are always full; a warning per request would fill stderr.
		Config: []git.Config{git.Set("core.warnAmbiguousRefs", "false")},
		Env:    env,
		Stdin:  inR,
		Stdout: outW,
	})
	if err != nil {
		cancel()
		return nil, errors.Join(err, inW.Close(), outR.Close())
	}
	return &process{dir: dir, proc: p, cancel: cancel, in: inW, out: outR, reply: bufio.NewReaderSize(outR, bufferSize)}, nil
}

// end stops the process and waits for it. It returns git's own complaint, if
// it had ended by itself with one.
func (c *process) end() error {
	// Closing its input ends a healthy process; one that is stuck in a write
	// needs the signal.
	_ = c.in.Close()
	_ = c.out.Close()
	if c.ended {
		// If the context ended now, that would be taken for the reason.
		timer := time.AfterFunc(lastWords, c.cancel)
		defer timer.Stop()
		defer c.cancel()
	} else {
		c.cancel()
	}
	err := c.proc.Wait()
	if _, ok := errors.AsType[*git.ExitError](err); ok || core.KindOf(err) == core.KindResource {
		return err
	}
	return nil
}

// query asks for the objects. With limit < 0 it asks for type and size alone,
// else for contents of up to limit bytes each. After an error the process must
// be ended. The context's end interrupts it.
func (c *process) query(ctx context.Context, limit int64, names []string) ([]Object, error) {
	stop := context.AfterFunc(ctx, func() {
		past := time.Unix(1, 0)
		_ = c.in.SetDeadline(past)
		_ = c.out.SetDeadline(past)
	})
	objects, err := c.exchange(limit, names)
	if !stop() && err == nil {
		// The deadlines are set or about to be: not to be used again.
		err = context.Cause(ctx)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	c.ended = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE)
	return objects, err
}

func (c *process) exchange(limit int64, names []string) ([]Object, error) {
	verb := "contents "
	if limit < 0 {
		verb = "info "
	}
	objects := make([]Object, 0, len(names))
	var together int64
	var request strings.Builder
	for len(names) > 0 {
		batch := names[:min(len(names), maxBatch)]
		names = names[len(batch):]
		request.Reset()
		for _, name := range batch {
			request.WriteString(verb)
			request.WriteString(name)
			request.WriteByte(0)
		}
		request.WriteString("flush\x00")
		if _, err := io.WriteString(c.in, request.String()); err != nil {
			return nil, err
		}
		for _, name := range batch {
			object, err := c.object(limit, name)
			if err != nil {
				return nil, err
			}
			if together += int64(len(object.Data)); together > maxTogether && len(objects) > 0 {
				return nil, &oversizeError{object, true}
			}
			objects = append(objects, object)
		}
	}
	return objects, nil
}

// object reads one reply.
func (c *process) object(limit int64, name string) (Object, error) {
	head, err := c.line()
	if err != nil {
		return Object{}, err
	}
	// A name with line feeds is echoed with them.
	for range strings.Count(name, "\n") {
		if !strings.HasPrefix(name, head) {
			break
		}
		more, err := c.line()
		if err != nil {
			return Object{}, err
		}
		head += "\n" + more
	}
	switch strings.TrimPrefix(head, name) {
	case " missing", " submodule":
		return Object{}, nil
	case " ambiguous":
		return Object{Ambiguous: true}, nil
	}
	word := strings.Split(head, " ")
	if len(word) == 2 && word[1] == "submodule" && core.ObjectID(word[0]).Valid() {
		// git 2.51 and later: the path is a submodule's, and its commit is in
		// another repository. Older ones say "missing".
		return Object{}, nil
	}
	if len(word) != 3 || !core.ObjectID(word[0]).Valid() {
		return Object{}, errProtocol
	}
	object := Object{ID: core.ObjectID(word[0]), Type: word[1]}
	if object.Size, err = strconv.ParseInt(word[2], 10, 64); err != nil || object.Size < 0 {
		return Object{}, errProtocol
	}
	if limit < 0 {
		return object, nil
	}
	if object.Size <= limit {
		object.Data = make([]byte, object.Size)
		if _, err := io.ReadFull(c.reply, object.Data); err != nil {
			return Object{}, err
		}
	} else {
		if object.Size > maxSkip {
			return Object{}, &oversizeError{object, false}
		}
		if _, err := c.reply.Discard(int(object.Size)); err != nil {
			return Object{}, err
		}
	}
	if end, err := c.reply.ReadByte(); err != nil || end != '\n' {
		return Object{}, errors.Join(errProtocol, err)
	}
	return object, nil
}

// oversizeError ends an exchange whose rest would be mostly thrown away.
type oversizeError struct {
	object   Object
	together bool // it is not, but all that came before and it
}

func (e *oversizeError) Error() string {
	return fmt.Sprintf("object %s is larger than the limit: %d bytes", e.object.ID, e.object.Size)
}

func (c *process) line() (string, error) {
	line, err := c.reply.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return string(line[:len(line)-1]), nil
}
