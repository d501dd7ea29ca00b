//go:build unix && !linux

package git

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sysProcAttr gives each git its own process group, so that it can be ended
// with all its children. There is no parent-death signal here.
func sysProcAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// awaitGroup does nothing.
func awaitGroup(int, time.Duration) {}

// lowerPriority makes a process yield to client work. A failure costs only speed.
func lowerPriority(pid int) { _ = unix.Setpriority(unix.PRIO_PGRP, pid, 10) }

// limitMemory does nothing: no other system lets one process limit another.
func limitMemory(int, int64) {}

// MachineMemory is unknown, so there are no ceilings to choose.
func MachineMemory() int64 { return 0 }
