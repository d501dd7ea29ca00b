package host

import (
	"errors"

	"golang.org/x/sys/unix"
)

// awaitEnd waits until the process has ended, and leaves it to be waited for: as
// long as nobody does, its number and that of its group are not given to another.
// It reports whether it could.
func awaitEnd(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil
		}
	}
}
