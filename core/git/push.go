package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"time"
)

// drainTime is how long after the end of a git its trace may still be read: a
// grandchild that outlives it may hold the pipe.
const drainTime = time.Second

// PushPhase is how far a git push has come.
type PushPhase int

// The phases, in their order.
const (
	PushAsked  PushPhase = iota // no answer of a git server was read: nothing moved
	PushListed                  // the host's refs are known, and nothing was sent: nothing moved
	PushSent                    // the host may have got it, and done it
)

// ErrNotSmart is that what answered a push was no list of refs of a git server: git
// took it for one of the old "dumb" protocol, which writes by WebDAV. A page of HTML
// is taken so, if it has no line ends.
var ErrNotSmart = errors.New("the answer is not that of a git server")

// Push runs a git push to its end and reports how far it came. [ErrNotSmart]: what
// answered is no git server.
//
// Git's trace says it (GIT_TRACE2_EVENT, see api-trace2): which version of its
// protocol the list of refs was in, if in any, and that the helper that talks
// HTTP starts send-pack, before which it sends no command. What git prints would
// not do, since a deletion prints nothing on the way, and a page without line
// ends passes for an empty list of the old "dumb" protocol.
//
// begun, if not nil, is called once when the helper starts send-pack: from then on
// the host's words come from its server, before that from a refused request.
//
// With report, it also returns the option lines of the host's report, which say
// what other refs an update became; a list for each ref that has some. Git itself
// prints only the name of the last.
func (g *Git) Push(ctx context.Context, c Command, report bool, begun func()) (phase PushPhase, options [][]string, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return PushAsked, nil, fmt.Errorf("git push: %w", err)
	}
	defer r.Close()
	// To fd 3, the first of the inherited files; brief leaves out the source lines.
	c.Env = append(slices.Clone(c.Env), "GIT_TRACE2_EVENT=3", "GIT_TRACE2_EVENT_BRIEF=1")
	if report {
		c.Env = append(c.Env, "GIT_TRACE_PACKET=3") // the bytes of a pack are left out of it
	}
	c.ExtraFiles = []*os.File{w}
	p, err := g.Start(ctx, c)
	_ = w.Close()
	if err != nil {
		return PushAsked, nil, err
	}
	seen := make(chan struct{})
	var dumb bool
	go func() {
		defer close(seen)
		phase, options, dumb = readTrace(r, begun)
	}()
	err = p.Wait()
	if derr := r.SetReadDeadline(time.Now().Add(drainTime)); derr != nil {
		return PushSent, nil, errors.Join(err, derr)
	}
	<-seen
	if dumb && err != nil {
		err = fmt.Errorf("%w: %w", ErrNotSmart, err)
	}
	return phase, options, err
}

// tracedReport finds a line of the host's report in a trace of packets: "ok REF" or
// "option KEY VALUE". Within the sideband the same text begins with the band.
var tracedReport = regexp.MustCompile(`^\S+ \S+ +packet: +\S+< (ok|option) (.+)\n$`)

// readTrace reads a trace to its end, and calls begun when a push begins to send.
// dumb is whether the helper started the program for the "dumb" protocol.
func readTrace(r io.Reader, begun func()) (phase PushPhase, options [][]string, dumb bool) {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadSlice('\n')
		// A line may be longer than the buffer; these words are at its beginning.
		switch {
		case bytes.Contains(line, []byte(`"child_start"`)) && bytes.Contains(line, []byte(`"send-pack"`)):
			if phase != PushSent && begun != nil {
				begun()
			}
			phase = PushSent
		case bytes.Contains(line, []byte(`"child_start"`)) && bytes.Contains(line, []byte(`"http-push"`)):
			dumb = true
		case bytes.Contains(line, []byte(`"negotiated-version"`)):
			phase = max(phase, PushListed)
		}
		switch m := tracedReport.FindSubmatch(line); {
		case m == nil:
		case string(m[1]) == "ok":
			options = append(options, nil) // what follows is about another ref
		case len(options) > 0:
			options[len(options)-1] = append(options[len(options)-1], string(m[2]))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return phase, slices.DeleteFunc(options, func(of []string) bool { return len(of) == 0 }), dumb
		}
	}
}
