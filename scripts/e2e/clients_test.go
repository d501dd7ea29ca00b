//go:build npm

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

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
				p := s.params(filepath.Join("testdata", "clients"), map[string]commandFunc{
					"client": func(w *world, ts *testscript.TestScript, neg bool, args []string) {
						if len(args) < 3 {
							ts.Fatalf("usage: client TOKEN VERB ARG...")
						}
						token := args[0]
						if program != nil {
							ts.Setenv("CLIENT_TOKEN_FILE", w.secretFile(token))
							w.exec(ts, neg, program[0], append([]string{filepath.Join(programs, program[1])}, args[1:]...)...)
							return
						}
						err := goGit(ts.Stdout(), ts.Stderr(), w.work, w.reveal(ts, token), args[1:])
						switch {
						case err != nil && !neg:
							ts.Fatalf("go-git: %v", err)
						case err == nil && neg:
							ts.Fatalf("unexpected success of go-git")
						case err != nil:
							_, _ = ts.Stderr().Write([]byte(err.Error()))
						}
					},
				})
				setup := p.Setup
				p.Setup = func(env *testscript.Env) error {
					env.Setenv("HEADWATER_NODE_MODULES", modules)
					return setup(env)
				}
				p.Condition = func(condition string) (bool, error) { return condition == "client:"+name, nil }
				testscript.Run(t, p)
			})
		}
	})
	s.finish(t)
}
