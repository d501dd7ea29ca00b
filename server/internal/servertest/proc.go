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
func Processes() map[int]string { return descendants(os.Getpid()) }

func descendants(root int) map[int]string {
	parent := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
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
		for up := parent[pid]; up > 1; up = parent[up] {
			if up != root {
				continue
			}
			line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
			if err == nil {
				found[pid] = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
			}
			break
		}
	}
	return found
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
	done, ended := make(chan struct{}), make(chan Memory)
	go func() {
		var most Memory
		for {
			now := Memory{}
			for pid, line := range Processes() {
				now.Bytes += anonymous(pid)
				if strings.Contains(strings.SplitN(line, " ", 2)[0], "git") {
					now.Processes++
				}
			}
			most = Memory{max(most.Bytes, now.Bytes), max(most.Processes, now.Processes)}
			select {
			case <-done:
				ended <- most
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() Memory {
		close(done)
		return <-ended
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
