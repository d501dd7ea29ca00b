package host

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"

	"github.com/headwater-git/headwater/providers/subprocess"
	"github.com/headwater-git/headwater/providers/v1/wire"
)

// inheritedEnv is all that a plugin inherits: where programs, time zones and
// certificates are. Nothing that may hold a secret, and no proxy variables,
// because a proxy would choose the address that is contacted.
var inheritedEnv = [...]string{"PATH", "HOME", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// parentFD is the descriptor of the parent-death pipe in the plugin: the first
// one after the standard three.
const parentFD = 3

func environment(logLevel string) []string {
	env := []string{
		wire.EnvParentFD + "=" + strconv.Itoa(parentFD),
		wire.EnvLogLevel + "=" + logLevel,
	}
	for _, name := range inheritedEnv {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// process runs one plugin for go-plugin. It is a runner of our own because the
// default one inherits standard input, kills a single pid, and gives no access
// to what the plugin printed.
type process struct {
	name   string
	cmd    *exec.Cmd
	stdout *handshakeReader
	stderr *stderrReader
	pipes  []io.Reader // the bare ends of stdout and stderr

	parentRead, parentWrite *os.File

	done chan struct{} // closed when the process has ended and was waited for

	mu      sync.Mutex
	started int // pid; 0 before the start
	killed  bool
	reaped  bool
	status  string // how it ended, for people
}

var _ runner.Runner = (*process)(nil)

// newProcess prepares cmd, which go-plugin has filled with its environment.
func newProcess(name string, cmd *exec.Cmd, t *tail) (*process, error) {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	// go-plugin forces os.Stdin on the command; nil is /dev/null.
	cmd.Stdin = nil
	// The terminal's interrupt goes to a process group, and a kill has to reach
	// what the plugin may have started: both want a group of its own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// The plugin reads nothing from this pipe but its end: when this process
	// is gone, however, the kernel closes the writing end.
	parentRead, parentWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{parentRead}
	return &process{
		name:        name,
		cmd:         cmd,
		stdout:      newHandshakeReader(stdout),
		stderr:      newStderrReader(stderr, t),
		pipes:       []io.Reader{stdout, stderr},
		parentRead:  parentRead,
		parentWrite: parentWrite,
		done:        make(chan struct{}),
	}, nil
}

// Start implements [runner.Runner].
func (p *process) Start(context.Context) error {
	err := p.cmd.Start()
	_ = p.parentRead.Close()
	if err != nil {
		_ = p.parentWrite.Close()
		return err
	}
	p.mu.Lock()
	p.started = p.cmd.Process.Pid
	late := p.killed
	p.mu.Unlock()
	if late {
		return p.Kill(context.Background())
	}
	return nil
}

// Wait implements [runner.Runner]. go-plugin calls it once, when both outputs
// have ended.
func (p *process) Wait(context.Context) error {
	// What the plugin started dies with it. Where that can be, it comes before the
	// plugin is waited for: after it, its number and that of its group may be
	// another's.
	held := subprocess.AwaitEnd(p.pid())
	if held {
		p.endGroup()
	}
	err := p.cmd.Wait()
	if !held {
		p.endGroup()
	}
	p.mu.Lock()
	p.status = p.cmd.ProcessState.String()
	p.mu.Unlock()
	_ = p.parentWrite.Close()
	close(p.done)
	return err
}

// endGroup kills what is left of the group, and lets nobody do so again.
func (p *process) endGroup() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.started, syscall.SIGKILL)
	p.reaped = true
}

// Kill implements [runner.Runner]: it kills the process group. It may be called
// at any time and more than once.
func (p *process) Kill(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = true
	if p.started == 0 || p.reaped {
		return nil
	}
	err := syscall.Kill(-p.started, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		err = nil
	}
	// A child that left the group may hold the outputs open; its end is not
	// waited for.
	for _, pipe := range p.pipes {
		if d, ok := pipe.(interface{ SetReadDeadline(time.Time) error }); ok {
			_ = d.SetReadDeadline(time.Now().Add(time.Second))
		}
	}
	return err
}

// exited returns how the process ended, waiting for a moment: a connection
// breaks a little before the process is gone.
func (p *process) exited(wait time.Duration) (status string, ok bool) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		select {
		case <-p.done: // both were ready
		default:
			return "", false
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status, true
}

// pid returns the process id, or 0 before the start.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.started
}

// Stdout implements [runner.Runner].
func (p *process) Stdout() io.ReadCloser { return p.stdout }

// Stderr implements [runner.Runner].
func (p *process) Stderr() io.ReadCloser { return p.stderr }

// Name implements [runner.Runner]. It names the logger of the plugin.
func (p *process) Name() string { return p.name }

// ID implements [runner.Runner].
func (p *process) ID() string { return strconv.Itoa(p.pid()) }

// Diagnose implements [runner.Runner]. Package host makes its own messages.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost implements [runner.Runner]: both see the same file system.
func (p *process) PluginToHost(network, address string) (string, string, error) {
	return network, address, nil
}

// HostToPlugin implements [runner.Runner].
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}
