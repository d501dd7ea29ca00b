package git

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/providers/subprocess"
)

// Config is one git configuration value of one call.
type Config struct{ Key, Value string }

// Set returns the configuration value.
func Set(key, value string) Config { return Config{Key: key, Value: value} }

// Command is one call of git.
type Command struct {
	Name  string   // subcommand
	Verb  string   // of subcommands that have one, as "write" of commit-graph
	Dir   string   // of the bare repository (GIT_DIR); "" for none
	In    string   // folder to work in, of a command without a repository; "" is that of temporary files
	Stage string   // not empty: the refs and settings are those of this one, the objects those of Dir
	Flags []string // written as constants at the call site; values are attached with "="
	Args  []string // positionals from data; none may begin with "-"
	Paths []string // after "--"

	Config []Config // per call, on top of the base configuration
	Remote *Remote  // adds what it takes to reach the upstream; its URL still goes into Args
	Env    []string // "K=V", on top of the allow-list

	Stdin      io.Reader
	Stdout     io.Writer
	Stderr     io.Writer  // nil keeps a bounded copy for the error only
	ExtraFiles []*os.File // inherited as fd 3, 4, ...
	Background bool       // lower CPU priority
	// Check says that this git finds out whether the repository is damaged: it has no
	// ceiling of memory, because what dies of one says nothing, and what it finds is no
	// suspicion but the answer.
	Check bool
}

// ExitError is returned when git ran and failed.
type ExitError struct {
	Name   string // subcommand
	Code   int    // exit status; -1 when a signal ended it
	Stderr string // bounded; not yet redacted
}

// Error names the subcommand, the status and git's last line. It is for logs;
// what people see comes from [hosterror.Classify].
func (e *ExitError) Error() string {
	return fmt.Sprintf("git %s: exit status %d: %s", e.Name, e.Code, LastLine(e.Stderr))
}

// Exit returns how a git that ran ended; nil for every other error. It is nil also for
// one that found the repository damaged, whose status says nothing of the request.
func Exit(err error) *ExitError {
	if core.KindOf(err) == core.KindDamaged {
		return nil
	}
	exit, _ := errors.AsType[*ExitError](err)
	return exit
}

// Limits of what is kept of a process's output.
const (
	stderrLimit = 16 << 10
	outputLimit = 64 << 20
	// killGrace is how long a cancelled git may take to remove its lock files
	// before it is killed. SIGKILL at once would leave refs/heads/x.lock behind.
	killGrace = 10 * time.Second
)

// errArgument is a programming error: data reached the place of an option.
var errArgument = errors.New("git argument looks like an option")

// argv returns the words of the call.
func (c Command) argv() ([]string, error) {
	args := []string{c.Name}
	if c.Verb != "" {
		args = append(args, c.Verb)
	}
	args = append(args, c.Flags...)
	for _, a := range c.Args {
		if strings.HasPrefix(a, "-") || strings.ContainsRune(a, 0) {
			return nil, fmt.Errorf("git %s: %w", c.Name, errArgument)
		}
	}
	args = append(args, c.Args...)
	if len(c.Paths) > 0 {
		args = append(args, "--")
		args = append(args, c.Paths...)
	}
	return args, nil
}

// configEnv puts configuration into the environment (git-config(1), GIT_CONFIG_COUNT).
func configEnv(cfg []Config) []string {
	env := make([]string, 0, 1+2*len(cfg))
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(cfg)))
	for i, c := range cfg {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+c.Key, "GIT_CONFIG_VALUE_"+n+"="+c.Value)
	}
	return env
}

// Process is a running git.
type Process struct {
	cmd    *exec.Cmd
	name   string
	stderr *boundedBuffer
	start  time.Time
	git    *Git
	ctx    context.Context
	watch  *stallWatch // nil: it talks to no host

	ceiling int64     // of its memory; see limitMemory
	flag    string    // of the server, that raises it
	spoken  *listener // nil: stderr is kept
	// suspect gets what git says of damage; nil: nobody does.
	suspect func(text []byte)

	mu     sync.Mutex
	reaped bool        // its number may be another process's by now
	killer *time.Timer // kills the group; nil: nothing ended it
}

// Start starts the command; the caller must call Wait. When ctx ends, the
// whole process group gets SIGTERM and, after ten seconds, SIGKILL. A command
// with a Remote is ended like that too when it makes no progress for long, and
// its error is then a [*hosterror.Error] of class timeout.
func (g *Git) Start(ctx context.Context, c Command) (*Process, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	args, err := c.argv()
	if err != nil {
		return nil, err
	}
	cfg := baseConfig()
	if c.Remote != nil {
		cfg = append(cfg, c.Remote.config()...)
		if g.stall == 0 {
			cfg = append(cfg, slowest()...)
		}
	}
	var watch *stallWatch
	if c.Remote != nil && g.stall > 0 {
		ctx, watch = newStallWatch(ctx)
	}
	cmd := exec.CommandContext(ctx, g.path, args...)
	cmd.Env = append(append(append([]string(nil), g.env...), configEnv(append(cfg, c.Config...))...), c.Env...)
	switch {
	case c.Dir == "":
		cmd.Dir = cmp.Or(c.In, os.TempDir())
	case c.Stage != "":
		cmd.Dir = c.Dir
		cmd.Env = append(cmd.Env, "GIT_DIR="+c.Stage, "GIT_OBJECT_DIRECTORY="+filepath.Join(c.Dir, "objects"))
	default:
		cmd.Dir = c.Dir
		cmd.Env = append(cmd.Env, "GIT_DIR="+c.Dir)
	}
	p := &Process{cmd: cmd, name: c.Name, start: time.Now(), git: g, ctx: ctx, watch: watch}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	if c.Stderr == nil {
		p.stderr = &boundedBuffer{limit: stderrLimit}
		cmd.Stderr = p.stderr
	} else {
		p.spoken = &listener{w: c.Stderr}
		cmd.Stderr = p.spoken
	}
	if p.ceiling, p.flag = g.memory.ceiling(c); c.Check {
		p.ceiling = 0
	}
	// What comes from a client or a host may be damaged without the repository being so.
	if f := g.damaged.Load(); f != nil && c.Dir != "" && !c.Check && c.Remote == nil && c.Name != "index-pack" && c.Name != "unpack-objects" {
		p.suspect = func(text []byte) { (*f)(c.Dir, string(text)) }
	}
	cmd.ExtraFiles = c.ExtraFiles
	cmd.SysProcAttr = sysProcAttr()
	cmd.Cancel = p.terminate
	cmd.WaitDelay = killGrace
	if err := g.starter.start(cmd); err != nil {
		if watch != nil {
			watch.stop()
		}
		if _, serr := os.Stat(cmd.Dir); cmd.Dir != "" && errors.Is(serr, fs.ErrNotExist) {
			// The system calls it a program that is not there.
			if p.suspect != nil {
				p.suspect([]byte("its folder is missing"))
			}
			err = fmt.Errorf("the folder %s is missing", cmd.Dir)
		}
		return nil, fmt.Errorf("start git %s: %w", c.Name, err)
	}
	limitMemory(cmd.Process.Pid, p.ceiling)
	if watch != nil {
		go watch.watch(cmd.Process.Pid, g.stall)
	}
	if c.Background {
		lowerPriority(cmd.Process.Pid)
	}
	return p, nil
}

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// terminate asks the process to end, with its group: git's children (remote
// helpers, index-pack) must go too. What is left of them after the grace is killed.
func (p *Process) terminate() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return os.ErrProcessDone
	}
	p.killer = time.AfterFunc(killGrace, p.kill)
	err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// kill kills the group.
func (p *Process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
}

// reap waits for the end of the process, and of its group if the context ended
// it. The group is named by the process's number, which may be another's as soon
// as the system was asked how the process ended, so that comes last.
func (p *Process) reap() error {
	pid := p.cmd.Process.Pid
	held := subprocess.AwaitEnd(pid)
	if held && p.ctx.Err() != nil {
		awaitGroup(pid, 2*killGrace)
	}
	p.mu.Lock()
	p.reaped = held
	p.mu.Unlock()
	err := p.cmd.Wait()
	if p.ctx.Err() != nil && !held || errors.Is(err, exec.ErrWaitDelay) {
		// Somebody of the group still has our pipes, and while anybody is in it
		// the number is not given away.
		_ = syscall.Kill(-pid, syscall.SIGKILL)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
	if p.killer != nil {
		p.killer.Stop()
	}
	return err
}

// Wait waits for the end and returns nil, an [*ExitError], a [*ResourceError] in
// a [*core.Error], or the context's error when that ended the process. An [*ExitError]
// of a git that found the repository damaged is in a [*core.Error] of KindDamaged. It is
// called once.
func (p *Process) Wait() error {
	err := p.explain(p.reap())
	p.git.count(p, err)
	return err
}

// explain makes an error of how the process ended.
func (p *Process) explain(err error) error {
	p.git.starter.ended()
	if p.watch != nil {
		defer p.watch.stop() // after the context was asked why it ended
	}
	if p.git.log.IsDebug() {
		p.git.log.Debug("git finished", "command", p.name, "duration", time.Since(p.start), "cpu", cpu(p.cmd.ProcessState), "status", p.cmd.ProcessState.ExitCode())
	}
	if err == nil {
		return nil
	}
	if short := p.resource(err); short != nil {
		return short
	}
	e := &ExitError{Name: p.name}
	if p.stderr != nil {
		e.Stderr = p.stderr.String()
	}
	// Also of one that its reader has given up: what broke off is why.
	damaged := hosterror.FindDamaged([]byte(e.Stderr))
	if damaged != nil && p.suspect != nil {
		p.suspect(damaged)
	}
	if ctxErr := p.ctx.Err(); ctxErr != nil {
		return fmt.Errorf("git %s: %w", p.name, context.Cause(p.ctx))
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		e.Code = exit.ExitCode()
		if damaged != nil && p.suspect != nil {
			return &core.Error{Kind: core.KindDamaged, Message: damagedSentence, Err: e, RetryAfter: damagedRetry}
		}
		return e
	}
	return fmt.Errorf("git %s: %w", p.name, err)
}

// damagedSentence is what a person reads of a git that could not read the repository. What
// comes of the suspicion is not known yet.
const damagedSentence = "a part of this repository could not be read here; it is being verified, and is fetched again if it has an upstream: " +
	"retry shortly, and see headwater repo show if it stays"

// damagedRetry is when a reader is asked to come again: most repositories are verified
// within that.
const damagedRetry = 10 * time.Second

func cpu(s *os.ProcessState) time.Duration { return s.UserTime() + s.SystemTime() }

// Run runs the command to its end.
func (g *Git) Run(ctx context.Context, c Command) error {
	p, err := g.Start(ctx, c)
	if err != nil {
		return err
	}
	return p.Wait()
}

// Output runs the command and returns its standard output, at most 64 MiB.
func (g *Git) Output(ctx context.Context, c Command) ([]byte, error) {
	out := &boundedBuffer{limit: outputLimit}
	c.Stdout = out
	if err := g.Run(ctx, c); err != nil {
		return nil, err
	}
	if out.truncated {
		return nil, fmt.Errorf("git %s: output is larger than %d bytes", c.Name, outputLimit)
	}
	return out.Bytes(), nil
}

// boundedBuffer keeps the first bytes written to it and swallows the rest.
type boundedBuffer struct {
	bytes.Buffer
	limit     int
	truncated bool
}

// Write never fails: a full buffer must not stop the process that writes.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	if room := b.limit - b.Len(); room < len(p) {
		b.truncated = true
		if room > 0 {
			b.Buffer.Write(p[:room])
		}
		return len(p), nil
	}
	return b.Buffer.Write(p)
}

// ReadFrom hides bytes.Buffer's, which knows no limit.
func (b *boundedBuffer) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{b}, r)
}

// TailWriter keeps the last 16 KiB in w: git's reason for a failure comes
// after its progress.
func TailWriter(w *bytes.Buffer) io.Writer { return &tailWriter{w: w} }

type tailWriter struct{ w *bytes.Buffer }

// Write never fails.
func (t *tailWriter) Write(p []byte) (int, error) {
	t.w.Write(p)
	if over := t.w.Len() - 2*stderrLimit; over > 0 {
		t.w.Next(t.w.Len() - stderrLimit)
	}
	return len(p), nil
}
