package git

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

// newLimited returns a git whose every child has the ceiling.
func newLimited(t *testing.T, mib int64) *Git {
	t.Helper()
	n := mib << 20
	g, err := New(t.Context(), Options{Memory: Memory{Read: n, Serve: n, Receive: n, Remote: n, Maintain: n}})
	require.NoError(t, err)
	return g
}

// requireShort requires that an error says git ran out of something.
func requireShort(t *testing.T, err error, sentence string) {
	t.Helper()
	require.Equal(t, core.KindResource, core.KindOf(err), "%v", err)
	require.Equal(t, sentence, core.MessageOf(err))
	short := new(ResourceError)
	require.ErrorAs(t, err, &short)
	exit := new(ExitError)
	require.NotErrorAs(t, err, &exit, "it says nothing about the repository")
}

func TestProcess_ceiling(t *testing.T) {
	t.Parallel()
	dir := gittest.NewBare(t)
	blob := strings.TrimSpace(gittest.Try(t, dir, strings.Repeat("0123456789abcde\n", 6<<20), "hash-object", "-w", "--stdin").Stdout)
	tree := gittest.Mktree(t, dir, "100644 blob "+blob+"\tlarge")
	commit := gittest.Run(t, dir, "commit-tree", "-m", "m", tree)
	gittest.Run(t, dir, "update-ref", "refs/heads/main", commit)
	loose := func(name string) string { return dir + "/objects/" + name[:2] + "/" + name[2:] }
	const sentence = "git ran out of memory, of which it may have 64 MiB for this; ask for less at once, or have the operator raise --git-memory-"
	g := newLimited(t, 64)
	var suspected []string
	suspect := func(_, said string) { suspected = append(suspected, said) }
	g.OnDamaged(suspect)

	search := Command{Name: "grep", Dir: dir, Flags: []string{"-e9z"}, Args: []string{commit}}
	requireShort(t, g.Run(t.Context(), search), sentence+"read")
	var said bytes.Buffer
	search.Stderr = TailWriter(&said)
	requireShort(t, g.Run(t.Context(), search), sentence+"read")
	require.Contains(t, said.String(), "Out of memory", "what listens keeps nothing back")
	requireShort(t, g.Run(t.Context(), Command{Name: "repack", Dir: dir, Flags: []string{"-a", "-d", "--quiet"}, Config: []Config{Set("core.bigFileThreshold", "1g")}}), sentence+"maintain")

	search.Check = true
	require.ErrorContains(t, g.Run(t.Context(), search), "exit status 1", "what finds out about damage has no ceiling")
	require.Empty(t, suspected, "what runs out of memory raises no suspicion")

	// Without the ceiling all is well, so it was no corruption.
	free := newLimited(t, -1)
	require.ErrorContains(t, free.Run(t.Context(), Command{Name: "grep", Dir: dir, Flags: []string{"-e9z"}, Args: []string{commit}}), "exit status 1")

	// A tree that is damaged is damaged, with a ceiling and without.
	require.NoError(t, os.Chmod(loose(tree), 0o600))
	require.NoError(t, os.WriteFile(loose(tree), []byte("x\x9cdamaged"), 0o600))
	free.OnDamaged(suspect)
	for n, g := range []*Git{g, free} {
		exit := new(ExitError)
		require.ErrorAs(t, g.Run(t.Context(), Command{Name: "ls-tree", Dir: dir, Args: []string{commit}}), &exit)
		require.NotZero(t, exit.Code)
		require.Len(t, suspected, n+1)
		require.Regexp(t, "^(fatal|error): .*"+tree, suspected[n])
	}
}

// TestLimitMemory_reachesChildren holds that a child that was started before
// its parent got the ceiling gets it, too.
func TestLimitMemory_reachesChildren(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "cat & echo started; wait")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.ReadFull(out, make([]byte, len("started\n")))
	require.NoError(t, err)
	limitMemory(cmd.Process.Pid, 100<<20)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	require.NoError(t, err)
	pids := append(strings.Fields(string(children)), fmt.Sprint(cmd.Process.Pid))
	require.Len(t, pids, 2)
	for _, pid := range pids {
		limits, err := os.ReadFile("/proc/" + pid + "/limits")
		require.NoError(t, err)
		require.Regexp(t, `Max data size\s+104857600\s+104857600`, string(limits))
		adjust, err := os.ReadFile("/proc/" + pid + "/oom_score_adj")
		require.NoError(t, err)
		require.Equal(t, endsFirst+"\n", string(adjust))
	}
	require.NoError(t, in.Close())
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
}

func TestProcess_signals(t *testing.T) {
	t.Parallel()
	dir := gittest.NewBare(t)
	g, err := New(t.Context(), Options{})
	require.NoError(t, err)
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSEGV, syscall.SIGABRT} {
		in, w := io.Pipe()
		p, err := g.Start(t.Context(), Command{Name: "cat-file", Dir: dir, Flags: []string{"--batch"}, Stdin: in})
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(p.Pid(), s))
		require.NoError(t, w.Close())
		short := new(ResourceError)
		require.ErrorAs(t, p.Wait(), &short, "%s", s)
		require.Contains(t, short.Said, s.String())
	}
	// What we end ourselves, or somebody asks to end, is none.
	in, w := io.Pipe()
	p, err := g.Start(t.Context(), Command{Name: "cat-file", Dir: dir, Flags: []string{"--batch"}, Stdin: in})
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(p.Pid(), syscall.SIGTERM))
	require.NoError(t, w.Close())
	exit := new(ExitError)
	require.ErrorAs(t, p.Wait(), &exit)

	in, w = io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	p, err = g.Start(ctx, Command{Name: "cat-file", Dir: dir, Flags: []string{"--batch"}, Stdin: in})
	require.NoError(t, err)
	<-ctx.Done()
	require.NoError(t, w.Close())
	require.ErrorIs(t, p.Wait(), context.DeadlineExceeded)
}

func TestOutOfResources(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"fatal: Out of memory, malloc failed (tried to allocate 20 bytes)":                              true,
		"x\nerror: Out of memory, malloc failed (tried to allocate 20 bytes)\nfatal: object is corrupt": true,
		"fatal: packfile ./objects/pack/pack-1.pack cannot be mapped: Cannot allocate memory":           true,
		"fatal: mmap failed: Cannot allocate memory":                                                    true,
		"error: unable to open ./objects/12: Too many open files":                                       true,
		"fatal: unable to create thread: Resource temporarily unavailable":                              true,
		"error: index-pack died of signal 9":                                                            true,
		"fatal: inflate: out of memory":                                                                 true,
		"fatal: command line, '((a{255}){255}){255}': Memory exhausted":                                 true,
		"error: index-pack died of signal 15":                                                           false,
		"remote: fatal: Out of memory, malloc failed (tried to allocate 20 bytes)":                      false, // the host's
		"fatal: command line, 'fatal: Out of memory, (': Unmatched ( or \\(":                            false,
		"fatal: command line, '(: Cannot allocate memory': Unmatched ( or \\(":                          false,
		"fatal: write error: No space left on device":                                                   true,
		"error: unable to create temporary file: Disk quota exceeded":                                   true,
		"fatal: unable to write file x: File too large":                                                 true,
		"remote: fatal: write error: No space left on device":                                           false, // the host's
		"fatal: bad revision 'x: No space left on device'":                                              false,
		"fatal: packed object 12 (stored in ./objects/pack/pack-1.pack) is corrupt":                     false, // by itself
	} {
		require.Equal(t, want, OutOfResources([]byte(text)), text)
	}
}

func TestListener(t *testing.T) {
	t.Parallel()
	text := "Receiving objects:  1% (1/3)\rReceiving objects: 100% (3/3)\r" + "fatal: Out of memory, calloc failed\n"
	for _, size := range []int{1, 7, len(text)} {
		var out bytes.Buffer
		l := &listener{w: &out}
		for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
			_, err := l.Write(rest[:min(size, len(rest))])
			require.NoError(t, err)
		}
		require.Equal(t, text, out.String())
		require.Equal(t, "fatal: Out of memory, calloc failed", l.found)
	}
}

func TestMemory_defaults(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	require.Equal(t, Memory{256 * mib, 512 * mib, 512 * mib, 512 * mib, 512 * mib}, Memory{}.defaultsFor(1<<30))
	require.Equal(t, Memory{1024 * mib, 4096 * mib, 4096 * mib, 4096 * mib, 4096 * mib}, Memory{}.defaultsFor(1<<40))
	require.Equal(t, Memory{-1, -1, -1, -1, -1}, Memory{}.defaultsFor(0))
	require.Equal(t, Memory{5, -1, 7, 512 * mib, 512 * mib}, Memory{Read: 5, Serve: -1, Receive: 7}.defaultsFor(1<<29))
	require.Positive(t, MachineMemory())
}

// A real write that fails for want of space is none of git's own faults, and the sentence
// says what ran out, where, and what to do.
func TestProcess_fullDisk(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close() //nolint:errcheck // nothing was written
	g, err := New(t.Context(), Options{})
	require.NoError(t, err)
	dir := gittest.NewBare(t)
	err = g.Run(t.Context(), Command{Name: "rev-parse", Dir: dir, Flags: []string{"--is-bare-repository"}, Stdout: full})
	requireShort(t, err, "no space is left on the disk of the folder "+filepath.Base(dir)+" of the data directory; the operator has to free space there, then try again")
	require.NotContains(t, core.MessageOf(err), dir)
	// One without a repository names where it works, and not where temporary files are.
	in := t.TempDir()
	err = g.Run(t.Context(), Command{Name: "check-ref-format", In: in, Flags: []string{"--branch"}, Args: []string{"main"}, Stdout: full})
	requireShort(t, err, "no space is left on the disk of the folder "+filepath.Base(in)+" of the data directory; the operator has to free space there, then try again")
}

// Each shortage is found in a message of git by its text, and in an error by its errno.
func TestShortageIn(t *testing.T) {
	t.Parallel()
	for _, s := range core.Shortages() {
		want := s.Sentence("the folder a.git of the data directory")
		require.Equal(t, want, ShortageIn([]byte("progress\nfatal: write error: "+s.Text), "/absent/a.git"), s.Text)
		err := fmt.Errorf("write a lock: %w", &os.PathError{Op: "open", Path: "/secret", Err: s.Errno})
		require.Equal(t, core.KindResource, core.KindOf(err))
		require.NotContains(t, core.MessageOf(err), "/secret")
		require.Contains(t, core.MessageOf(err), "the data directory")
		require.Equal(t, core.KindResource, core.KindOf(&core.Error{Kind: core.KindInternal, Message: "the database failed", Err: err}))
		require.Equal(t, core.KindStale, core.KindOf(&core.Error{Kind: core.KindStale, Err: err}), "who knows better keeps it")
	}
	require.Empty(t, ShortageIn([]byte("fatal: Out of memory, malloc failed"), ""))
}
