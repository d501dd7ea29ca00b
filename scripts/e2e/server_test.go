package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second
)

// passedOn are the variables of a script that its server sees.
var passedOn = []string{
	"PATH", "HOME", "TMPDIR", "GORACE", "HEADWATER_DATA", "HEADWATER_CONFIG", "HEADWATER_LISTEN", "HEADWATER_LOG_LEVEL",
	"HEADWATER_PUBLIC_URL", "HEADWATER_SEAL_KEY", "HEADWATER_TLS_SELF_SIGNED", "HEADWATER_DRAIN", "HEADWATER_ADMIN_LISTEN", "E2E_SECRET",
}

// poison are variables that would break a git which inherits them.
var poison = []string{
	"GIT_DIR=/poisoned", "GIT_WORK_TREE=/poisoned", "GIT_INDEX_FILE=/poisoned", "GIT_OBJECT_DIRECTORY=/poisoned",
	"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=core.bare", "GIT_CONFIG_VALUE_0=poisoned", "GIT_NAMESPACE=poisoned",
}

// process is a running server.
type process struct {
	cmd    *exec.Cmd
	url    string
	exited chan struct{}
	err    error // of its end, once exited is closed
}

// startServer starts headwater serve and waits until it is ready.
func (w *world) startServer(ts *testscript.TestScript, neg bool, args []string) {
	if w.server != nil {
		ts.Fatalf("a server is running already")
	}
	w.servers++
	log, err := os.Create(filepath.Join(w.logs, fmt.Sprintf("server-%d.log", w.servers)))
	ts.Check(err)
	defer log.Close()
	line := []string{"serve"}
	if ts.Getenv("HEADWATER_LISTEN") == "" {
		line = append(line, "--listen=127.0.0.1:0")
	}
	if ts.Getenv("HEADWATER_ADMIN_LISTEN") == "" {
		line = append(line, "--admin-listen=none") // servers of other scripts run beside it
	}
	if ts.Getenv("HEADWATER_LOG_LEVEL") == "" {
		line = append(line, "--log-level=trace") // says the most, so it is searched
	}
	if hcl := filepath.Join(w.work, providersFile); ts.Getenv("HEADWATER_CONFIG") == "" && exists(hcl) {
		line = append(line, "--config="+hcl)
	}
	cmd := exec.Command(filepath.Join(w.suite.bin, "headwater"), append(line, args...)...)
	cmd.Dir = w.work
	cmd.Env = poison
	for _, name := range passedOn {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	p := &process{cmd: cmd, exited: make(chan struct{})}
	ready := make(chan string, 1)
	go func() {
		defer close(p.exited)
		p.watch(io.TeeReader(stdout, log), ready)
		p.err = cmd.Wait()
	}()
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case p.url = <-ready:
	case <-p.exited:
	case <-timer.C:
		_ = cmd.Process.Kill()
		<-p.exited
	}
	said, _ := os.ReadFile(log.Name())
	fmt.Fprintf(ts.Stderr(), "%s", said)
	switch {
	case p.url == "" && !neg:
		ts.Fatalf("the server did not start")
	case p.url == "":
		return
	}
	w.server = p
	if neg {
		ts.Fatalf("the server started")
	}
	u, err := url.Parse(p.url)
	ts.Check(err)
	ts.Setenv("URL", p.url)
	ts.Setenv("HOST", u.Host)
	if key := filepath.Join(ts.Getenv("HEADWATER_DATA"), "keys", "local.pem"); exists(key) {
		w.keepPEM("local.pem", ts.ReadFile(key))
	}
}

// watch reads the server's stdout to its end and tells the URL when the server
// has printed all that it prints at its start.
func (p *process) watch(stdout io.Reader, ready chan<- string) {
	lines, address := bufio.NewScanner(stdout), ""
	for lines.Scan() {
		if _, after, ok := strings.Cut(lines.Text(), " is listening on "); ok {
			address = strings.TrimSpace(after)
		}
		if strings.HasPrefix(lines.Text(), "Next: ") {
			ready <- address
		}
	}
}

// stop ends the server as an operator does. It must end with exit code 0.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.exited:
		return p.err
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.exited
		return errors.New("it did not end within the time limit")
	}
}

func (w *world) stopServer(ts *testscript.TestScript, _ bool, _ []string) {
	if w.server == nil {
		ts.Fatalf("no server is running")
	}
	p := w.server
	w.server = nil
	ts.Check(p.stop())
}

func (w *world) killServer(ts *testscript.TestScript, _ bool, _ []string) {
	if w.server == nil {
		ts.Fatalf("no server is running")
	}
	p := w.server
	w.server = nil
	ts.Check(p.cmd.Process.Kill())
	<-p.exited
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
