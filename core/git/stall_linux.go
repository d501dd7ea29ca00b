package git

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTick is the unit of CPU time in /proc: USER_HZ, which is 100 everywhere.
const clockTick = 10 * time.Millisecond

// canWatch reports whether this machine shows what processes do. A container
// may hide it.
func canWatch() bool {
	_, ok := workOf(syscall.Getpgrp())
	return ok
}

// members returns the processes of a group.
func members(group int) []int {
	// Not by the leader's children: those whose parent has ended count too.
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, _ := dir.Readdirnames(-1)
	_ = dir.Close()
	var pids []int
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if of, err := syscall.Getpgid(pid); err == nil && of == group {
			pids = append(pids, pid)
		}
	}
	sort.Ints(pids)
	return pids
}

// workOf returns what a process group has done; see proc(5). It is not ok if
// that cannot be known.
func workOf(group int) (w work, ok bool) {
	for _, pid := range members(group) {
		dir := "/proc/" + strconv.Itoa(pid)
		stat, err := os.ReadFile(dir + "/stat")
		if err != nil {
			continue // ended meanwhile
		}
		// The name stands in parentheses and may hold anything. Behind it, the
		// state is the 3rd field; 14th to 17th are the ticks of the process and
		// of its children that ended, in user and in kernel mode.
		f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(f) < 15 {
			return work{}, false
		}
		for _, ticks := range f[11:15] {
			n, _ := strconv.ParseInt(ticks, 10, 64)
			w.cpu += time.Duration(n) * clockTick
		}
		w.procs += strconv.Itoa(pid) + " "
		if f[0] == "Z" {
			ok = true
			continue // it waits for its parent and has no numbers any more
		}
		io, err := os.ReadFile(dir + "/io")
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(io)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			// The first two are of read and write, also on pipes; the others of
			// the disk, where packs that are mapped into memory show.
			switch name {
			case "rchar", "wchar", "read_bytes", "write_bytes":
				n, _ := strconv.ParseUint(value, 10, 64)
				w.io += n
				ok = true
			}
		}
	}
	return w, ok
}

// socketsOf returns how full the queues of the group's TCP sockets are: while a
// host takes or sends bytes, they change.
func socketsOf(group int) string {
	inodes := map[string]bool{}
	for _, pid := range members(group) {
		fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, fd := range fds {
			if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "socket:[") {
				inodes[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
			}
		}
	}
	out := []string{"sockets"}
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", group, table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 9 && inodes[f[9]] {
				out = append(out, f[9]+" "+f[3]+" "+f[4]) // inode, state, queues
			}
		}
	}
	return strings.Join(out, "\n")
}
