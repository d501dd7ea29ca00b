package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// secretsDir is the folder of a script's secrets. Git and curl read them from
// there, so that none is in a command line.
const secretsDir = ".secrets"

// world is what one script has.
type world struct {
	suite *suite
	vault *vault // of this script's secrets
	fail  func(text string)
	work  string // the script's folder
	data  string // the server's
	logs  string // folder for what is captured

	server  *process // nil: none is running
	servers int      // started so far
	forges  map[string]*forge
	proxies map[string]*egress

	mu      sync.Mutex
	outputs *os.File
}

type worldKey struct{}

func worldOf(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func newWorld(s *suite, env *testscript.Env) (*world, error) {
	w := &world{suite: s, vault: newVault(), work: env.WorkDir, data: filepath.Join(env.WorkDir, "data"), forges: map[string]*forge{}, proxies: map[string]*egress{}}
	w.fail = func(text string) {
		env.T().Log(text)
		env.T().FailNow()
	}
	var err error
	if w.logs, err = os.MkdirTemp(s.captured, filepath.Base(env.WorkDir)+"-"); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(w.work, secretsDir), 0o700); err != nil {
		return nil, err
	}
	w.outputs, err = os.Create(filepath.Join(w.logs, "outputs.log"))
	return w, err
}

// close ends what the script left running, and searches what it left behind.
func (w *world) close() {
	var problems []string
	if w.server != nil {
		if err := w.server.stop(); err != nil {
			problems = append(problems, "the server did not end well: "+err.Error())
		}
	}
	for name, f := range w.forges {
		if err := f.Close(); err != nil {
			problems = append(problems, fmt.Sprintf("forge %q: %v", name, err))
		}
	}
	if err := w.outputs.Close(); err != nil {
		problems = append(problems, err.Error())
	}
	problems = append(problems, w.vault.searchTree(w.work)...)
	problems = append(problems, w.races()...)
	if len(problems) > 0 {
		w.fail(strings.Join(problems, "\n"))
	}
}

// races returns what the race detector has said in any of the servers.
func (w *world) races() []string {
	var found []string
	logs, _ := filepath.Glob(filepath.Join(w.logs, "*.log"))
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			found = append(found, err.Error())
		} else if i := bytes.Index(text, []byte("WARNING: DATA RACE")); i >= 0 {
			found = append(found, string(text[i:min(len(text), i+4000)]))
		}
	}
	return found
}

// capture keeps an output for the search at the end.
func (w *world) capture(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = w.outputs.WriteString(text + "\n")
}

// secretFile returns the path of a secret.
func (w *world) secretFile(name string) string { return filepath.Join(w.work, secretsDir, name) }

// keep writes a secret and remembers it.
func (w *world) keep(ts *testscript.TestScript, name, secret string, users ...string) {
	w.vault.add(name, secret, users...)
	w.suite.vault.add(name, secret, users...)
	ts.Check(os.WriteFile(w.secretFile(name), []byte(secret), 0o600))
}

// keepPEM remembers a private key.
func (w *world) keepPEM(name, text string) {
	w.vault.addPEM(name, text)
	w.suite.vault.addPEM(name, text)
}

// reveal reads a secret.
func (w *world) reveal(ts *testscript.TestScript, name string) string {
	text, err := os.ReadFile(w.secretFile(name))
	ts.Check(err)
	return strings.TrimSpace(string(text))
}

// exec runs a program in the script's folder and environment, keeps what it
// prints, and fails the script if it succeeds or fails against expectation.
func (w *world) exec(ts *testscript.TestScript, neg bool, program string, args ...string) {
	err := ts.Exec(program, args...)
	if program != "headwater" || len(args) == 0 || args[0] != "token" {
		w.capture(ts.ReadFile("stdout")) // a token alone is what that command is for
	}
	w.capture(ts.ReadFile("stderr"))
	if (err != nil) == neg {
		return
	}
	if err == nil {
		ts.Fatalf("unexpected success of %s", program)
	}
	ts.Fatalf("%s: %v", program, err)
}
