//go:build npm

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// clientTimeout bounds one operation of a foreign client.
const clientTimeout = 2 * time.Minute

// foreignClients are the Git clients that share no code with git itself, each
// with the program that runs it; go-git runs in the test.
var foreignClients = map[string][]string{
	"go-git":         nil,
	"isomorphic-git": {"node", "isomorphic.mjs"},
	"dulwich":        {"/usr/bin/python3", "dulwich_client.py"},
	"pygit2":         {"/usr/bin/python3", "pygit2_client.py"},
}

// TestClients runs the scripts of testdata/clients once with each foreign
// client. They have one command more:
//
//	client TOKEN refs URL               prints object ids and names
//	client TOKEN clone URL DIR [DEPTH]
//	client TOKEN fetch DIR
//	client TOKEN push DIR REF...        -REF deletes; a refused ref is a failure and its reason is on stderr
//
// and the condition [client:NAME].
func TestClients(t *testing.T) {
	modules := os.Getenv("HEADWATER_NODE_MODULES")
	require.NotEmpty(t, modules, "run scripts/test, which installs the clients and sets HEADWATER_NODE_MODULES")
	programs, err := filepath.Abs(filepath.Join("testdata", "clients", "programs"))
	require.NoError(t, err)
	s := newSuite(t)
	t.Run("clients", func(t *testing.T) {
		for name, program := range foreignClients {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := s.params(filepath.Join("testdata", "clients"), map[string]commandFunc{"client": runClient})
				setup := p.Setup
				p.Setup = func(env *testscript.Env) error {
					env.Setenv("HEADWATER_NODE_MODULES", modules)
					if err := setup(env); err != nil {
						return err
					}
					client := &foreignClient{}
					if program != nil {
						client.line = []string{program[0], filepath.Join(programs, program[1])}
					}
					env.Values[foreignClientKey{}] = client
					env.Defer(client.close)
					return nil
				}
				p.Condition = func(condition string) (bool, error) { return condition == "client:"+name, nil }
				testscript.Run(t, p)
			})
		}
	})
	s.finish(t)
}

// runClient is the command client of scripts.
func runClient(w *world, ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: client TOKEN VERB ARG...")
	}
	var stdout, stderr strings.Builder
	var err error
	client := ts.Value(foreignClientKey{}).(*foreignClient)
	if client.line == nil {
		if err = goGit(&stdout, &stderr, w.work, w.reveal(ts, args[0]), args[1:]); err != nil {
			stderr.WriteString(err.Error())
		}
	} else {
		err = client.run(w, ts, &stdout, &stderr, args[0], args[1:])
	}
	w.capture(stdout.String())
	w.capture(stderr.String())
	_, _ = io.WriteString(ts.Stdout(), stdout.String())
	_, _ = io.WriteString(ts.Stderr(), stderr.String())
	switch {
	case err != nil && !neg:
		ts.Fatalf("the client failed: %v", err)
	case err == nil && neg:
		ts.Fatalf("unexpected success of the client")
	}
}

// foreignClient is the process of a client in one script. It runs all of the script's
// operations: its start costs more than most of them.
type foreignClient struct {
	line    []string // nil: go-git, which needs none
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *json.Decoder
	end     context.CancelFunc
}

type foreignClientKey struct{}

// run has the process run one operation, with the token that a secret holds, and starts
// it if this is the first.
func (c *foreignClient) run(w *world, ts *testscript.TestScript, stdout, stderr io.Writer, token string, args []string) error {
	if c.cmd == nil {
		ts.Check(c.start(w, ts))
	}
	timer := time.AfterFunc(clientTimeout, c.end)
	defer timer.Stop()
	if err := json.NewEncoder(c.orders).Encode(map[string]any{"token_file": w.secretFile(token), "args": args}); err != nil {
		ts.Fatalf("the client's process: %v", err)
	}
	var answer struct {
		Failed         bool
		Stdout, Stderr string
	}
	if err := c.answers.Decode(&answer); err != nil {
		ts.Fatalf("the client's process ended, or took longer than %s: %v", clientTimeout, err)
	}
	_, _ = io.WriteString(stdout, answer.Stdout)
	_, _ = io.WriteString(stderr, answer.Stderr)
	if answer.Failed {
		return fmt.Errorf("%s failed", args[0])
	}
	return nil
}

func (c *foreignClient) start(w *world, ts *testscript.TestScript) error {
	ctx, cancel := context.WithCancel(context.Background())
	c.end = cancel
	c.cmd = exec.CommandContext(ctx, c.line[0], c.line[1:]...)
	c.cmd.Dir = w.work
	c.cmd.Env = []string{"PYTHONDONTWRITEBYTECODE=1"} // not beside its program
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "HEADWATER_NODE_MODULES"} {
		c.cmd.Env = append(c.cmd.Env, name+"="+ts.Getenv(name))
	}
	// What its libraries print on their own is searched for secrets like the rest.
	log, err := os.Create(filepath.Join(w.logs, "client.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	c.cmd.Stderr = log
	if c.orders, err = c.cmd.StdinPipe(); err != nil {
		return err
	}
	answers, err := c.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	c.answers = json.NewDecoder(answers)
	return c.cmd.Start()
}

// close ends the process, which ends by itself where its standard input does.
func (c *foreignClient) close() {
	if c.cmd == nil || c.cmd.Process == nil {
		return
	}
	_ = c.orders.Close()
	timer := time.AfterFunc(clientTimeout, c.end)
	_ = c.cmd.Wait()
	timer.Stop()
	c.end()
}
