package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/config"
	"github.com/headwater-git/headwater/providers/sdk"
)

// The test binary is three programs: the tests; a plugin serving a built-in
// (by self-exec, as in production); and a server that waits to be killed.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "provider" && os.Args[2] == "serve" {
		construct, ok := testBuiltins()[os.Args[3]]
		if !ok {
			fmt.Fprintln(os.Stderr, "unknown provider", os.Args[3])
			os.Exit(2)
		}
		sdk.Serve(construct())
		return
	}
	if len(os.Args) == 3 && os.Args[1] == "serve-until-killed" {
		serveUntilKilled(os.Args[2])
		return
	}
	dir, err := os.MkdirTemp("", "headwater-host-test")
	if err != nil {
		panic(err)
	}
	acmeBinary = sync.OnceValues(func() (string, error) { return buildAcme(dir) })
	code := m.Run()
	_ = os.RemoveAll(dir)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// acmeBinary builds the third-party plugin once, from its own module.
var acmeBinary func() (string, error)

func buildAcme(dir string) (string, error) {
	binary := filepath.Join(dir, "provider-acme")
	cmd := exec.Command("go", "build", "-o", binary, ".")
	cmd.Dir = filepath.Join("testdata", "thirdparty")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return binary, nil
}

// loopback is a built-in for tests.
type loopback struct {
	name string
	mode providers.Mode

	mu    sync.Mutex
	calls int
}

func testBuiltins() map[string]func() providers.Provider {
	builtin := func(name string, mode providers.Mode) func() providers.Provider {
		return func() providers.Provider { return &loopback{name: name, mode: mode} }
	}
	return map[string]func() providers.Provider{
		"loopback":        builtin("loopback", providers.ModeGeneric),
		"loopback-public": builtin("loopback-public", providers.ModePublic),
	}
}

func (l *loopback) Manifest() providers.Manifest {
	return providers.Manifest{
		Name: l.name, ContractVersion: providers.ContractVersion, WireNames: []string{"loopback", "loop"},
		Mode: l.mode, DefaultHost: "loop.example",
		Attributes: []providers.Attribute{{Name: "token", Type: "string", Sensitive: true}},
	}
}

func (l *loopback) Configure(_ context.Context, c providers.Config) error {
	if !json.Valid(c.Attributes) {
		return providers.Errorf(providers.CodeInvalidConfig, "attributes are not JSON")
	}
	return nil
}

func (l *loopback) Resolve(_ context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	if r.Locator.Name == "missing" {
		return providers.Remote{}, &providers.Error{Code: providers.CodeNotFound, Message: "no such repository", HTTPStatus: 404}
	}
	return providers.Remote{URL: "https://loop.example/" + r.Locator.Owner + "/" + r.Locator.Name + ".git", Host: "loop.example"}, nil
}

// Credential counts its calls in the secret.
func (l *loopback) Credential(_ context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	return providers.Credential{Kind: providers.CredentialBasic, Username: "u", Secret: providers.Secret(fmt.Sprint("secret-", l.calls))}, nil
}

// ParseWebhook does what the body says.
func (l *loopback) ParseWebhook(_ context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	if string(r.Body) == "leak" {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeSignatureInvalid, "not signed with %q", r.Secrets[0].Reveal())
	}
	return providers.WebhookResult{Verified: string(r.Body) != "unverified", Kind: providers.WebhookPush}, nil
}

// EnsureWebhook repeats everything it was sent, as careless hosts do.
func (l *loopback) EnsureWebhook(_ context.Context, r providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error) {
	if r.HookID == "leak" {
		return providers.RegisteredWebhook{}, providers.Errorf(providers.CodeInvalidArgument, "refused: %s %s %s", r.URL, r.Secret.Reveal(), path.Base(r.URL))
	}
	return providers.RegisteredWebhook{HookID: "7", Changed: r.HookID == ""}, nil
}

func (l *loopback) RemoveWebhook(_ context.Context, r providers.RemoveWebhookRequest) error {
	if r.HookID == "leak" {
		return providers.Errorf(providers.CodeUnavailable, "refused: %s", r.URL)
	}
	return nil
}

func (l *loopback) ReplayDeliveries(_ context.Context, r providers.ReplayRequest) (providers.ReplayResult, error) {
	return providers.ReplayResult{Failed: int(r.Since.Unix())}, nil
}

func (l *loopback) Probe(_ context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	return providers.ProbeResult{Reachable: true, Message: r.Remote.URL}, nil
}

func selfArgvForTests() []string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return []string{self, "provider", "serve"}
}

// serveUntilKilled is a server with two running plugins. It prints their pids
// and waits for ever.
func serveUntilKilled(configFile string) {
	cfg, err := config.Load(configFile, os.LookupEnv)
	if err != nil {
		panic(err)
	}
	c, err := New(Options{Config: cfg, Builtins: testBuiltins(), Self: selfArgvForTests})
	if err != nil {
		panic(err)
	}
	var pids []int
	for _, name := range []string{"acme", "loopback"} {
		i, err := c.Instance(name)
		if err != nil {
			panic(err)
		}
		if _, err := i.Resolve(context.Background(), providers.ResolveRequest{Locator: providers.Locator{Host: "h.example", Owner: "o", Name: "n"}}); err != nil {
			panic(err)
		}
		pids = append(pids, i.Status().PID)
	}
	_ = json.NewEncoder(os.Stdout).Encode(pids)
	select {}
}
