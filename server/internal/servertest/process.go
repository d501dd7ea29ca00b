package servertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/builtin"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server"
)

// processConfig is what a server process is started with.
type processConfig struct {
	DataDir    string
	Database   string
	ConfigFile string
	SQLFirst   bool
}

// runProcess is the server process: it serves until it is killed or its
// standard input ends. It talks to its parent by lines: it reads "arm NAME",
// after which whoever reaches that failpoint stays there for ever, and writes
// "listening URL", "armed NAME" and "hit NAME".
func runProcess(config string) int {
	if err := serveProcess(config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func serveProcess(config string) error {
	var c processConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	var mu sync.Mutex // of armed and of the lines
	armed := ""
	say := func(format string, args ...any) { fmt.Fprintf(os.Stdout, format+"\n", args...) }
	log := &Log{}
	srv, err := server.New(context.Background(), server.Options{
		DataDir: c.DataDir, Database: providers.Secret(c.Database), ConfigFile: c.ConfigFile, Builtins: builtin.All(), PluginCommand: builtin.Command(), Version: "test",
		Logger: log.logger(), SettlePeriod: settlePeriod, CommitPoint: commitPoint(c.SQLFirst),
		Failpoint: func(name string) {
			mu.Lock()
			stay := name == armed
			if stay {
				say("hit %s", name)
			}
			mu.Unlock()
			if stay {
				select {}
			}
		},
	})
	if err != nil {
		return err
	}
	web := httptest.NewServer(srv.Handler())
	ran := make(chan error, 1)
	go func() { ran <- srv.Run(context.Background()) }()
	mu.Lock()
	say("listening %s", web.URL)
	mu.Unlock()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		name, ok := strings.CutPrefix(lines.Text(), "arm ")
		if !ok {
			return fmt.Errorf("unknown line %q", lines.Text())
		}
		mu.Lock()
		armed = name
		say("armed %s", name)
		mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err = errors.Join(srv.Shutdown(ctx), <-ran)
	web.Close()
	return err
}

// Process is a server in a process of its own.
type Process struct {
	Caller
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string
}

// StartProcess starts a server in a process of its own. It is killed when the
// test ends.
func StartProcess(t testing.TB, o Options) *Process {
	t.Helper()
	config, err := json.Marshal(processConfig{DataDir: o.Dir, Database: databaseOf(t, o.Dir).Reveal(), ConfigFile: writeConfig(t, o), SQLFirst: o.SQLFirst})
	require.NoError(t, err)
	p := &Process{cmd: exec.Command("/proc/self/exe"), lines: make(chan string, 1000)}
	p.cmd.Env = append(os.Environ(), processVariable+"="+string(config))
	p.cmd.Stderr = os.Stderr
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.Kill)
	go func() {
		defer close(p.lines)
		sc := bufio.NewScanner(stdout)
		for sc.Scan() {
			p.lines <- sc.Text()
		}
	}()
	p.Caller = newCaller(t, o.Dir, p.expect(t, "listening "), nil)
	return p
}

// expect waits for a line with the prefix and returns the rest of it.
func (p *Process) expect(t testing.TB, prefix string) string {
	t.Helper()
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	for {
		select {
		case line, ok := <-p.lines:
			require.True(t, ok, "the server process ended before it said %q", prefix)
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				return rest
			}
		case <-timeout.C:
			require.FailNow(t, "the server process did not say "+prefix)
		}
	}
}

// Arm makes everything that reaches the failpoint from now on stay there.
func (p *Process) Arm(t testing.TB, failpoint string) {
	t.Helper()
	_, err := fmt.Fprintf(p.stdin, "arm %s\n", failpoint)
	require.NoError(t, err)
	p.expect(t, "armed "+failpoint)
}

// AwaitHits waits until n goroutines have reached the armed failpoint.
func (p *Process) AwaitHits(t testing.TB, n int) {
	t.Helper()
	for range n {
		p.expect(t, "hit ")
	}
}

// Kill ends the process as a power cut would, and waits for its end. It may be
// called twice.
func (p *Process) Kill() {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // it may have ended by itself
	for range p.lines {                       //nolint:revive // to the end, which StdoutPipe wants before Wait
	}
	_ = p.cmd.Wait() // says that it was killed
}

// WaitReady waits until the first sync of a repository has succeeded.
func (c Caller) WaitReady(t testing.TB, repo string) {
	t.Helper()
	require.Eventually(t, func() bool {
		a := c.API(t, http.MethodGet, repo, "", nil)
		return a.At("sync.state") == "ready"
	}, time.Minute, 20*time.Millisecond)
}
