//go:build unix && !linux

package git

import "os/exec"

// starter starts processes. Without a parent-death signal any thread may do so.
type starter struct{}

func (*starter) start(cmd *exec.Cmd) error { return cmd.Start() }

func (*starter) ended() {}
