package e2e

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"
)

const (
	// sampleInterval is a look at the list of processes: seldom enough to cost little, and
	// often enough to catch each kind of git process, which there are thousands of in a
	// run, each for some milliseconds, some at every look.
	sampleInterval = 15 * time.Millisecond
	// settled is how often one process is read: a forked one shows the command
	// line of its parent until it executes its own program.
	settled = 3
)

// sampler collects the command lines of all that this process starts, and what
// that starts in turn, as it runs.
type sampler struct {
	cancel context.CancelFunc
	done   chan struct{}
	once   sync.Once
	seen   map[int]sight // of the goroutine alone

	mu    sync.Mutex
	lines map[string]bool
}

// sight is what the sampler knows of one process.
type sight struct {
	ours  bool // a descendant of this process
	times int  // how often its command line was read
}

func startSampler(ctx context.Context) *sampler {
	ctx, cancel := context.WithCancel(ctx)
	s := &sampler{cancel: cancel, done: make(chan struct{}), lines: map[string]bool{}, seen: map[int]sight{os.Getpid(): {ours: true, times: settled}}}
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
	// Parents have smaller numbers than their children, mostly; where they have
	// not, the child is found to be ours in the next round.
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	alive := make(map[int]sight, len(s.seen))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		known := s.seen[pid]
		if known.times >= settled {
			alive[pid] = known
			continue
		}
		known.times++
		known.ours = known.ours || s.seen[parentOf(name)].ours || alive[parentOf(name)].ours
		alive[pid] = known
		if !known.ours {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", name, "cmdline"))
		if err == nil && len(line) > 0 {
			s.mu.Lock()
			s.lines[string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))] = true
			s.mu.Unlock()
		}
	}
	s.seen = alive // numbers are used again
}

// parentOf returns the number of a process's parent, 0 if it has gone.
func parentOf(pid string) int {
	stat, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return 0
	}
	// "pid (name) state ppid ...": the name may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0
	}
	return parent
}
