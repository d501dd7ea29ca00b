//go:build unix && !linux

package git

import "time"

const clockTick = 10 * time.Millisecond

// canWatch reports that nothing is known here of what processes do.
func canWatch() bool { return false }

func workOf(int) (work, bool) { return work{}, false }

func socketsOf(int) string { return "" }
