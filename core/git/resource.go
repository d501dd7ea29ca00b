package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/git/hosterror"
)

// ResourceError is a git that ended because it ran out of what this machine has,
// or of what the server allows it. It is not an [ExitError], and does not
// unwrap to one: what git says then ("packed object is corrupt", exit statuses
// that mean something else in better times) is no word about the repository, the
// request or the host. Errors of git's runner have it below a
// [core.KindResource] [*core.Error] that says what to do.
type ResourceError struct {
	Name    string // subcommand
	Ceiling int64  // of its memory in bytes; 0 is none
	Said    string // redacted: the line of git, or the signal

	dir string // where it worked
}

// Error is for logs.
func (e *ResourceError) Error() string {
	if e.Ceiling > 0 {
		return fmt.Sprintf("git %s, which may allocate %d bytes, ran out of resources: %s", e.Name, e.Ceiling, e.Said)
	}
	return fmt.Sprintf("git %s ran out of resources: %s", e.Name, e.Said)
}

// resource returns the error of a git that ran out of something; nil if it ended
// for another reason.
func (p *Process) resource(err error) error {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return nil
	}
	text := ""
	if p.stderr != nil {
		text = p.stderr.String()
	}
	said := ""
	if p.spoken != nil {
		said = p.spoken.found
	}
	ended := p.ctx.Err()
	status, _ := exit.Sys().(syscall.WaitStatus)
	switch line := string(hosterror.FindExhausted([]byte(text))); {
	case line != "":
		said = line
	case said != "":
	case ended != nil: // what follows may be what we did to it
	case status.Signaled() && (status.Signal() == syscall.SIGKILL || status.Signal() == syscall.SIGSEGV || status.Signal() == syscall.SIGABRT):
		said = "ended by signal " + status.Signal().String()
	}
	// A time limit is the better reason, and a signal of ours is none.
	if said == "" || ended != nil && (!errors.Is(context.Cause(p.ctx), context.Canceled) || strings.Contains(said, "died of signal")) {
		return nil
	}
	e := &ResourceError{Name: p.name, Ceiling: max(p.ceiling, 0), Said: hosterror.Redact(said), dir: p.cmd.Dir}
	return &core.Error{Kind: core.KindResource, Message: e.sentence(p.flag), Err: e}
}

// sentence says what was hit and what to do.
func (e *ResourceError) sentence(flag string) string {
	if text := ShortageIn([]byte(e.Said), e.dir); text != "" {
		return text
	}
	switch {
	case strings.HasSuffix(e.Said, "Resource temporarily unavailable"):
		return "git could not start more threads or processes; ask again later, or have the operator raise their limit"
	case e.Ceiling == 0:
		return "git ran out of memory; ask for less at once"
	}
	return fmt.Sprintf("git ran out of memory, of which it may have %d MiB for this; ask for less at once, or have the operator raise %s", e.Ceiling>>20, flag)
}

// ShortageIn returns the sentence for what a text of git, which worked in the folder,
// says that the disk or the table of files ran out of: what, where and what to do; ""
// if there is none, or one about memory or processes.
func ShortageIn(text []byte, dir string) string {
	short, ok := hosterror.FindShortage(text)
	if !ok {
		return ""
	}
	return durable.Sentence(short, dir)
}

// OutOfResources reports whether a text of git, as a server relays it to its
// client, says that it ran out of something.
func OutOfResources(text []byte) bool { return hosterror.FindExhausted(text) != nil }

// SaysDamaged returns the message in a text of git, as a server relays it to its
// client, that says that the repository is damaged; "" if there is none, or one that
// git ran out of something.
func SaysDamaged(text []byte) string { return string(hosterror.FindDamaged(text)) }

// listener passes git's standard error on and keeps the first message that git
// ran out of a resource.
type listener struct {
	w     io.Writer
	line  []byte // as far as it has come
	found string
}

// maxNoticed bounds the part of a line that is kept.
const maxNoticed = 2 << 10

// Write writes p, and fails only if that does.
func (l *listener) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0 && l.found == ""; {
		line, after, ended := bytes.Cut(rest, []byte{'\n'})
		l.line = append(l.line, line[:min(len(line), max(0, maxNoticed-len(l.line)))]...)
		if rest = after; !ended {
			break
		}
		// progress.Line may precede it on the same line.
		last := l.line[bytes.LastIndexByte(l.line, '\r')+1:]
		l.found = string(hosterror.FindExhausted(last))
		l.line = l.line[:0]
	}
	return l.w.Write(p)
}
