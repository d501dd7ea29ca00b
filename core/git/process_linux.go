package git

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// sysProcAttr gives each git its own process group, so that it can be ended
// with all its children, and ends it when the server dies: an orphaned fetch
// would go on writing beside the next server.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// lowerPriority makes a process yield to client work. A failure costs only speed.
func lowerPriority(pid int) { _ = unix.Setpriority(unix.PRIO_PGRP, pid, 10) }
