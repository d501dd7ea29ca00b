package git

import (
	"errors"
	"runtime"
	"syscall"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/trace"
)

// Ending is how a git ended.
type Ending string

// The endings of a git.
const (
	EndedWell      Ending = "ok"
	EndedFailed    Ending = "failed"   // with an exit status of its own
	EndedResource  Ending = "resource" // at a ceiling, or short of what the machine has
	EndedCancelled Ending = "cancelled"
)

// Usage is what one git took, with the processes that it waited for itself.
type Usage struct {
	Command string // the git command, like "fetch"; never an argument
	Ending  Ending
	Took    time.Duration
	CPU     time.Duration // user and system
	Memory  int64         // bytes: the largest resident set of one process; 0 is unknown
}

// count tells whoever counts of a process that has ended.
func (g *Git) count(p *Process, err error) {
	trace.Record(p.ctx, "git "+p.name, p.start, p.start.Add(time.Since(p.start)), err)
	if g.ended == nil {
		return
	}
	u := Usage{Command: p.name, Ending: EndedWell, Took: time.Since(p.start), CPU: cpu(p.cmd.ProcessState)}
	_, exited := errors.AsType[*ExitError](err)
	switch {
	case err == nil:
	case core.KindOf(err) == core.KindResource:
		u.Ending = EndedResource
	case exited:
		u.Ending = EndedFailed
	default:
		u.Ending = EndedCancelled
	}
	if usage, ok := p.cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.Memory = usage.Maxrss
		if runtime.GOOS != "darwin" { // which counts bytes; the others kilobytes (getrusage(2))
			u.Memory <<= 10
		}
	}
	g.ended(u)
}
