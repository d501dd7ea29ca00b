package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is USER_HZ, in which /proc tells CPU time: 100 on every Linux.
const clockTick = 10 * time.Millisecond

// stat is what /proc tells of a process.
type stat struct {
	pid, parent int
	own         time.Duration // user and system time
	children    time.Duration // of children that ended and were waited for, and theirs
}

// readStat parses /proc/PID/stat, see proc(5).
func readStat(pid int) (stat, bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, false
	}
	// The name, in parentheses, may hold anything.
	end := bytes.LastIndexByte(raw, ')')
	if end < 0 {
		return stat{}, false
	}
	f := strings.Fields(string(raw[end+1:]))
	if len(f) < 15 {
		return stat{}, false
	}
	n := func(i int) time.Duration {
		v, _ := strconv.ParseInt(f[i], 10, 64) // the kernel writes numbers
		return time.Duration(v) * clockTick
	}
	parent, _ := strconv.Atoi(f[1])
	return stat{pid: pid, parent: parent, own: n(11) + n(12), children: n(13) + n(14)}, true
}

// tree returns the processes below and including the roots.
func tree(roots ...int) []stat {
	byParent := map[int][]stat{}
	var found []stat
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		pid, err := strconv.Atoi(filepath.Base(d))
		if err != nil {
			continue
		}
		s, ok := readStat(pid)
		if !ok {
			continue
		}
		byParent[s.parent] = append(byParent[s.parent], s)
		for _, root := range roots {
			if pid == root {
				found = append(found, s)
			}
		}
	}
	for i := 0; i < len(found); i++ {
		found = append(found, byParent[found[i].pid]...)
	}
	return found
}

// cpuOf returns the CPU time that the processes and their descendants have
// used, those that ended included.
//
// Processes that nobody waits for are lost: see [keepAccount].
func cpuOf(roots ...int) time.Duration {
	var sum time.Duration
	for _, s := range tree(roots...) {
		sum += s.own + s.children
	}
	return sum
}

// memoryOf returns a memory figure of /proc/PID/status in bytes: VmRSS, VmHWM or RssAnon.
func memoryOf(pid int, field string) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			kb, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("no %s of process %d", field, pid)
}

// resetPeak starts VmHWM of the process anew.
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) //nolint:gosec // exists
}
