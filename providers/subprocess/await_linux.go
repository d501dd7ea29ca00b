// Package subprocess is what git processes and plugin processes have in common.
package subprocess

import (
	"errors"

	"golang.org/x/sys/unix"
)

// AwaitEnd waits until a child process has ended, and leaves it to be waited for: as
// long as nobody does, its number and that of its group are not given to another, so
// that the group can still be killed. It reports whether it could.
func AwaitEnd(pid int) bool {
	for {
		// WNOWAIT leaves the child in a state in which it can be waited for.
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}
