package git

import (
	"os/exec"
	"runtime"
	"sync"
)

// starter starts processes from one thread, which lives as long as any of them.
// The signal that ends a git when the server dies (Pdeathsig, see sysProcAttr)
// belongs to the thread that made the process, not to the server: Go destroys a
// thread when a goroutine that was locked to it ends, as a program that embeds the
// server may do, and every git that was started there would be ended with it.
type starter struct {
	mu    sync.Mutex
	alive int         // processes that were started and not waited for
	work  chan func() // to the thread; open while alive is not 0
}

// start starts the process. Once it was waited for, ended must be called.
func (s *starter) start(cmd *exec.Cmd) error {
	s.mu.Lock()
	if s.alive == 0 {
		s.work = make(chan func())
		go serveStarts(s.work)
	}
	s.alive++
	work := s.work // closed when this process has ended, at the earliest
	s.mu.Unlock()
	started := make(chan error, 1)
	work <- func() { started <- cmd.Start() }
	err := <-started
	if err != nil {
		s.ended()
	}
	return err
}

// ended notes that a process has ended.
func (s *starter) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alive--; s.alive == 0 {
		close(s.work)
	}
}

// serveStarts runs what comes on a thread of its own until there is no process
// left that would miss it. Then the thread goes back to the runtime.
func serveStarts(work <-chan func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for start := range work {
		start()
	}
}
