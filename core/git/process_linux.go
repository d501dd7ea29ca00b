package git

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sysProcAttr gives each git its own process group, so that it can be ended
// with all its children, and ends it when the server dies: an orphaned fetch
// would go on writing beside the next server.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// awaitGroup waits, so long at most, until nobody of the group runs any more. It is
// for groups that are being ended, so it may look again and again.
func awaitGroup(group int, atMost time.Duration) {
	late := time.NewTimer(atMost)
	defer late.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for slices.ContainsFunc(members(group), runs) {
		select {
		case <-late.C:
			return
		case <-again.C:
		}
	}
}

// runs reports whether a process has not ended.
func runs(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The state follows the name in parentheses, which may hold anything.
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	return len(f) > 0 && f[0] != "Z" && f[0] != "X"
}

// lowerPriority makes a process yield to client work. A failure costs only speed.
func lowerPriority(pid int) { _ = unix.Setpriority(unix.PRIO_PGRP, pid, 10) }

// endsFirst is how much more likely than the server a git is to be chosen by the
// kernel when the machine's memory is used up (proc_pid_oom_score_adj(5)).
const endsFirst = "500"

// limitMemory gives a process that was just started its ceiling, which its
// children inherit. 0 is none.
//
// It is RLIMIT_DATA, which counts what is allocated. RLIMIT_AS would count the
// packs as well, that git maps whole and the kernel can drop at any time.
//
// The limit comes after the start, since Go can set none for a child alone, and
// a shell between that sets it would cost every git a process. In the moment
// before it, git can have done no harm: what it holds already counts, and a
// child that it started meanwhile, as its remote helper, is looked for here and
// gets the limit, too. One that is being started in the very moment of the
// search gets away with none; each of them reads its input first, and the next
// request has another chance of one in a million.
func limitMemory(pid int, ceiling int64) {
	// A failure costs only the bound: the process has ended, or the system
	// forbids it.
	if ceiling > 0 {
		l := unix.Rlimit{Cur: uint64(ceiling), Max: uint64(ceiling)}
		_ = unix.Prlimit(pid, unix.RLIMIT_DATA, &l, nil)
	}
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(endsFirst), 0o600)
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for word := range strings.FieldsSeq(string(children)) {
		if child, err := strconv.Atoi(word); err == nil {
			limitMemory(child, ceiling)
		}
	}
}

// MachineMemory returns how much memory there is for the server and its gits:
// the machine's, or what its control group allows; 0 if that is unknown.
func MachineMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	all := int64(uint64(info.Totalram) * uint64(info.Unit)) //nolint:unconvert // of 32 bits on some machines
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, _ := os.ReadFile(path)
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
			all = min(all, n) // else there is none, or it says "max"
		}
	}
	return all
}
