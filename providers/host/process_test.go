package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestProcess_Wait_takesChildrenAlong starts a plugin that leaves a child behind. The
// child goes with it, and how the plugin itself ended is still known.
func TestProcess_Wait_takesChildrenAlong(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "sleep 1000 </dev/null >/dev/null 2>&1 3<&- & echo $! >"+file+"; exit 3")
	p, err := newProcess("x", cmd, &tail{})
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	require.Error(t, p.Wait(t.Context()))
	status, ok := p.exited(time.Second)
	require.True(t, ok)
	require.Equal(t, "exit status 3", status)
	require.NoError(t, p.Kill(t.Context()), "after the end nobody is killed")

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		state, err := exec.CommandContext(t.Context(), "ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
		return err != nil || strings.HasPrefix(string(state), "Z")
	}, time.Minute, 10*time.Millisecond, "the child %d is left", pid)
}
