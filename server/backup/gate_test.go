package backup

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
)

// startGate serves a gate over two repositories, of a data directory whose path is
// longer than an address of a socket may be.
func startGate(t *testing.T) (dir string, locks repo.Locker, released func() int) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), strings.Repeat("long", 40))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "run"), 0o700))
	locks = repo.NewLocker()
	seen := make(chan string, 10)
	g := NewGate(GateOptions{
		DataDir: dir, Locks: locks, Clock: core.SystemClock{}, Logger: hclog.NewNullLogger(),
		Repositories: func(context.Context) ([]string, error) { return []string{"repo_a", "repo_b"}, nil },
		Released:     func(id string) { seen <- id },
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return dir, locks, func() int { return len(seen) }
}

// reached is reach once the gate listens.
func reached(t *testing.T, dir string) *hold {
	t.Helper()
	var h *hold
	require.Eventually(t, func() bool {
		var err error
		h, err = reach(t.Context(), dir)
		return err == nil
	}, time.Minute, time.Millisecond)
	return h
}

func TestGate_holdsWritersAndMaintenance(t *testing.T) {
	t.Parallel()
	dir, locks, released := startGate(t)
	running, ok := locks.TryMaintain("repo_b")
	require.True(t, ok)
	h := reached(t, dir)
	frozen := make(chan error, 1)
	go func() {
		held, err := h.freeze(t.Context())
		if err == nil && !(held["repo_a"] && held["repo_b"]) {
			t.Errorf("held %v", held)
		}
		frozen <- err
	}()
	// Writers go on while the backup waits for maintenance.
	unlock, err := locks.LockWrite(t.Context(), "repo_a")
	require.NoError(t, err)
	unlock()
	running()
	require.NoError(t, <-frozen)

	blocked := func(id string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		unlock, err := locks.LockWrite(ctx, id)
		if err == nil {
			unlock()
		}
		return err != nil
	}
	require.True(t, blocked("repo_a"))
	require.True(t, blocked("repo_b"))
	second, err := reach(t.Context(), dir)
	require.NoError(t, err)
	_, err = second.freeze(t.Context())
	require.ErrorContains(t, err, "another backup is running")
	require.NoError(t, second.close())

	require.NoError(t, h.thaw(t.Context()))
	require.False(t, blocked("repo_a"))
	_, ok = locks.TryMaintain("repo_a")
	require.False(t, ok, "maintenance waits on")
	require.NoError(t, h.close())
	require.Eventually(t, func() bool { return released() == 2 }, time.Minute, time.Millisecond)
	_, ok = locks.TryMaintain("repo_a")
	require.True(t, ok)
}

// A command that dies while writers wait takes its locks along.
func TestGate_letsGoOfADeadCommand(t *testing.T) {
	t.Parallel()
	dir, locks, _ := startGate(t)
	h := reached(t, dir)
	_, err := h.freeze(t.Context())
	require.NoError(t, err)
	require.NoError(t, h.close())
	unlock, err := locks.LockWrite(t.Context(), "repo_b")
	require.NoError(t, err)
	unlock()
}

func TestOwnRefs(t *testing.T) {
	t.Parallel()
	same := map[string]core.ObjectID{"refs/heads/main": "1", "refs/internal/upstream/heads/main": "1", "refs/internal/upstream/heads/new": "2"}
	require.False(t, ownRefs(same), "what the upstream has")
	for name, id := range map[string]core.ObjectID{
		"refs/notes/commits": "1", "refs/internal/kept/x": "1", "refs/namespaces/ephemeral/refs/heads/x": "1",
		"refs/heads/main": "3", "refs/heads/other": "1", "refs/tags/v1": "1",
	} {
		refs := map[string]core.ObjectID{name: id}
		for other, at := range same {
			if _, ok := refs[other]; !ok {
				refs[other] = at
			}
		}
		require.True(t, ownRefs(refs), name)
	}
}
