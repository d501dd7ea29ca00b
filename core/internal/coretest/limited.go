package coretest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// LimitedGit returns a program for [Options.GitPath] that starts git, and a path: while a
// file is there, the subcommand may not make a file longer than 512 bytes. That is a
// write that fails in the midst, as on a full disk, with an error of the system.
func LimitedGit(t testing.TB, subcommand string) (program, limit string) {
	t.Helper()
	git, err := exec.LookPath("git")
	require.NoError(t, err)
	dir := t.TempDir()
	program, limit = filepath.Join(dir, "git"), filepath.Join(dir, "limit")
	// Where SIGXFSZ is ignored, write(2) fails with EFBIG; see setrlimit(2).
	script := fmt.Sprintf("#!/bin/sh\nif [ -e '%s' ] && [ \"$1\" = %s ]; then trap '' XFSZ; ulimit -f 1; fi\nexec '%s' \"$@\"\n", limit, subcommand, git)
	require.NoError(t, os.WriteFile(program, []byte(script), 0o700))
	return program, limit
}
