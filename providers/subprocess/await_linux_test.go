package subprocess_test

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/headwater-git/headwater/providers/subprocess"
)

func TestAwaitEnd(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("true")
	require.NoError(t, cmd.Start())
	pid := cmd.Process.Pid
	require.True(t, subprocess.AwaitEnd(pid))
	require.NoError(t, unix.Kill(pid, 0), "the number is still its own")
	require.NoError(t, cmd.Wait(), "its status is still there")
	require.False(t, subprocess.AwaitEnd(pid), "there is no such child any more")
}
