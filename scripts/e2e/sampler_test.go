package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	// sampleInterval catches most of the git processes of an operation: each
	// lives for some milliseconds.
	sampleInterval = 5 * time.Millisecond
	// settled is how often one process is read: a forked one shows the command
	// line of its parent until it executes its own program.
	settled = 3
)

// sampler collects the command lines of this machine's processes as it runs.
type sampler struct {
	cancel context.CancelFunc
	done   chan struct{}
	once   sync.Once
	seen   map[int]int // of the goroutine alone

	mu    sync.Mutex
	lines map[string]bool
}

func startSampler(ctx context.Context) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{cancel: cancel, done: make(chan struct{}), lines: map[string]bool{}, seen: map[int]int{}}
	go s.run(ctx)
	return s
}

// stop ends the sampling and returns the command lines, arguments separated by
// spaces. It may be called twice.
func (s *sampler) stop() []string {
	s.once.Do(s.cancel)
	<-s.done
	return s.snapshot()
}

// snapshot returns the command lines so far.
func (s *sampler) snapshot() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for line := range s.lines {
		lines = append(lines, line)
	}
	return lines
}

func (s *sampler) run(ctx context.Context) {
	defer close(s.done)
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		s.sample()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sample reads the command lines of processes that are new.
func (s *sampler) sample() {
	proc, err := os.Open("/proc")
	if err != nil {
		return
	}
	names, _ := proc.Readdirnames(-1)
	_ = proc.Close()
	alive := make(map[int]int, len(s.seen))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		alive[pid] = s.seen[pid]
		if alive[pid] >= settled {
			continue
		}
		alive[pid]++
		line, err := os.ReadFile(filepath.Join("/proc", name, "cmdline"))
		if err == nil && len(line) > 0 {
			s.mu.Lock()
			s.lines[string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))] = true
			s.mu.Unlock()
		}
	}
	s.seen = alive // numbers are used again
}
