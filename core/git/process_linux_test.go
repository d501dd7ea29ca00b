package git

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

// TestGit_Start_outlivesTheThreadThatAskedForIt starts a git from a goroutine that
// takes its thread with it, as those of a program that embeds the server may.
func TestGit_Start_outlivesTheThreadThatAskedForIt(t *testing.T) {
	t.Parallel()
	g, dir := newGit(t), gittest.NewBare(t)
	id := gittest.AddCommit(t, dir, "refs/heads/main", "one")
	in, feed := io.Pipe()
	answers, out := io.Pipe()
	var (
		p   *Process
		err error
	)
	gone, end := make(chan int), make(chan struct{})
	defer close(end)
	attempt := func() {
		runtime.LockOSThread()
		if syscall.Gettid() == syscall.Getpid() {
			// The first thread of a process is never destroyed; hold it.
			gone <- 0
			<-end
			runtime.UnlockOSThread()
			return
		}
		p, err = g.Start(t.Context(), Command{Name: "cat-file", Dir: dir, Flags: []string{"--batch-check"}, Stdin: in, Stdout: out})
		gone <- syscall.Gettid() // and never unlocked
	}
	go attempt()
	thread := <-gone
	if thread == 0 {
		go attempt()
		thread = <-gone
	}
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
		return os.IsNotExist(err)
	}, time.Minute, time.Millisecond, "the thread ends with its goroutine")
	go func() { _, _ = fmt.Fprintln(feed, id) }() // a git that has ended reads nothing
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(answers).ReadString('\n')
		line <- text
	}()
	ended := make(chan error, 1)
	go func() {
		ended <- p.Wait()
		_ = out.Close()
	}()
	require.Contains(t, <-line, id+" commit ")
	require.NoError(t, feed.Close())
	require.NoError(t, <-ended)
	require.Zero(t, g.starter.alive)
}

// TestProcess_childrenHaveTheGraceOfTheirLeader ends a git at once whose child has
// something to take away first, as git has lock files.
func TestProcess_childrenHaveTheGraceOfTheirLeader(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pidfile, lock := filepath.Join(dir, "pids"), filepath.Join(dir, "main.lock")
	g := scripted(t, "sh -c 'trap \"sleep 1; rm "+lock+"; exit\" TERM; touch "+lock+"; echo $$ > "+pidfile+"; while :; do sleep 1; done' </dev/null >/dev/null 2>&1 &\nwhile :; do sleep 1; done\n")
	ctx, cancel := context.WithCancel(t.Context())
	p, err := g.Start(ctx, Command{Name: "x"})
	require.NoError(t, err)
	pids := started(t, pidfile, 1)
	cancel()
	require.ErrorIs(t, p.Wait(), context.Canceled)
	require.NoFileExists(t, lock)
	require.False(t, alive(pids[0]), "Wait waits for the group")
}

// TestProcess_signalsNobodyAfterItsEnd cancels what has ended. The number of its
// group may be that of a stranger by then; a child that was left stands for them.
func TestProcess_signalsNobodyAfterItsEnd(t *testing.T) {
	t.Parallel()
	pidfile := filepath.Join(t.TempDir(), "pids")
	g := scripted(t, "sh -c 'echo $$ > "+pidfile+"; while :; do sleep 1; done' </dev/null >/dev/null 2>&1 &\nwhile [ ! -s "+pidfile+" ]; do sleep 0.01; done\n")
	p, err := g.Start(t.Context(), Command{Name: "x"})
	require.NoError(t, err)
	require.NoError(t, p.Wait())
	stranger := started(t, pidfile, 1)[0]
	t.Cleanup(func() { _ = syscall.Kill(stranger, syscall.SIGKILL) })
	require.ErrorIs(t, p.cmd.Cancel(), os.ErrProcessDone)
	require.True(t, alive(stranger))
}
