package servertest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Processes returns the command lines of this process's descendants by pid,
// those aside that have ended and wait to be reaped.
func Processes() map[int]string { return (&descendants{}).look() }

// WatchCommands collects the command lines of this process's descendants, all the time
// until stop is called.
func WatchCommands() (stop func() map[string]bool) {
	lines := map[string]bool{}
	end := watch(func(now map[int]string) {
		for _, line := range now {
			lines[line] = true
		}
	})
	return func() map[string]bool {
		end()
		return lines
	}
}

// pause is how long a watcher rests between two looks. The processes that are looked for
// live for some milliseconds, and a look takes some.
const pause = 3 * time.Millisecond

// watch calls look with this process's descendants again and again until it is ended.
func watch(look func(map[int]string)) (end func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for d := (descendants{}); ; {
			look(d.look())
			select {
			case <-done:
				return
			case <-time.After(pause):
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// descendants finds this process's descendants again and again. What was found to be somebody
// else's is not read again, which makes a look at a busy machine cheap.
type descendants struct{ others map[int]bool }

func (d *descendants) look() map[int]string {
	root, parent, others := os.Getpid(), map[int]int{}, map[int]bool{}
	names, _ := readNames("/proc") // there is one on every Linux
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if d.others[pid] {
			others[pid] = true
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", name, "stat"))
		if err != nil {
			continue // ended meanwhile
		}
		// The name in parentheses may hold anything; the rest is plain.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')'):]), " ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		parent[pid], _ = strconv.Atoi(fields[1])
	}
	found := map[int]string{}
	for pid := range parent {
		up := pid
		for up > 1 && up != root {
			up = parent[up]
		}
		switch {
		case up != root:
			others[pid] = true
		case pid != root:
			line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
			if err == nil {
				found[pid] = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
			}
		}
	}
	d.others = others // numbers are used again
	return found
}

// readNames returns the names in a folder.
func readNames(folder string) ([]string, error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Readdirnames(-1)
}

// waitForChildren waits until this process has no descendants and returns those
// that are left after a while.
func waitForChildren(atMost time.Duration) []string {
	for deadline := time.Now().Add(atMost); ; time.Sleep(20 * time.Millisecond) {
		left := Processes()
		if len(left) == 0 || time.Now().After(deadline) {
			var lines []string
			for pid, line := range left {
				lines = append(lines, fmt.Sprintf("%d %s", pid, line))
			}
			return lines
		}
	}
}

// RSS returns the resident memory of this process in bytes.
func RSS() (int64, error) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/self/statm: %q", statm)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// Memory is the most that this process's descendants used at one time.
type Memory struct {
	Bytes     int64 // resident, without what is mapped from files
	Processes int   // of git
}

// WatchMemory looks at this process's descendants all the time until stop is
// called.
func WatchMemory() (stop func() Memory) {
	var most Memory
	end := watch(func(processes map[int]string) {
		now := Memory{}
		for pid, line := range processes {
			now.Bytes += anonymous(pid)
			if strings.Contains(strings.SplitN(line, " ", 2)[0], "git") {
				now.Processes++
			}
		}
		most = Memory{max(most.Bytes, now.Bytes), max(most.Processes, now.Processes)}
	})
	return func() Memory {
		end()
		return most
	}
}

// anonymous returns the resident memory of a process without that of files; 0
// for one that has ended.
func anonymous(pid int) int64 {
	statm, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm"))
	fields := strings.Fields(string(statm))
	if err != nil || len(fields) < 3 {
		return 0
	}
	resident, _ := strconv.ParseInt(fields[1], 10, 64)
	shared, _ := strconv.ParseInt(fields[2], 10, 64)
	return (resident - shared) * int64(os.Getpagesize())
}
