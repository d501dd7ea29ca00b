package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/config"
)

// testLog collects what is logged.
type testLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// bundle is one catalog under test.
type bundle struct {
	*Catalog
	log *testLog
}

// setup makes a catalog with the loopback built-ins and the given blocks. Its
// end is checked: every process is gone.
func setup(t *testing.T, hcl string, change func(*Options)) bundle {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "providers.hcl"), []byte(hcl), nil)
	require.NoError(t, err)
	log := &testLog{}
	o := Options{
		Config:       cfg,
		Builtins:     testBuiltins(),
		Self:         selfArgvForTests,
		Logger:       hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Trace}),
		BackoffMin:   50 * time.Millisecond,
		BackoffMax:   200 * time.Millisecond,
		StartTimeout: time.Minute, // the machine of the tests may be busy
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, c.Close(ctx))
		for _, s := range c.Status() {
			require.Equal(t, StateClosed, s.State)
		}
	})
	return bundle{Catalog: c, log: log}
}

func (b bundle) instance(t *testing.T, name string) *Instance {
	t.Helper()
	i, err := b.Instance(name)
	require.NoError(t, err)
	return i
}

// acmeBlock is a block for the third-party plugin.
func acmeBlock(t *testing.T, body string) string {
	t.Helper()
	binary, err := acmeBinary()
	require.NoError(t, err)
	return externalBlock(t, "acme", binary, body)
}

func externalBlock(t *testing.T, name, binary, body string) string {
	t.Helper()
	src, err := os.ReadFile(binary)
	require.NoError(t, err)
	sum := sha256.Sum256(src)
	return fmt.Sprintf("provider %q {\n command = %q\n sha256 = %q\n%s\n}\n", name, binary, hex.EncodeToString(sum[:]), body)
}

func locate(owner, name string) providers.ResolveRequest {
	return providers.ResolveRequest{Locator: providers.Locator{Host: "acme.example", Owner: owner, Name: name}}
}

// requireWorks shows that an instance is unharmed.
func requireWorks(t *testing.T, i *Instance) {
	t.Helper()
	_, err := i.Resolve(t.Context(), locate("o", "n"))
	require.NoError(t, err)
}

func requireCode(t *testing.T, err error, code providers.Code) *providers.Error {
	t.Helper()
	var e *providers.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, code, e.Code, e.Message)
	require.NotContains(t, e.Message, "\n")
	return e
}

func TestInstance_calls_builtin(t *testing.T) {
	t.Parallel()
	b := setup(t, "", nil)
	i := b.instance(t, "loopback")
	require.Equal(t, StateIdle, i.Status().State)

	m, err := i.Manifest(t.Context())
	require.NoError(t, err)
	require.Equal(t, "loopback", m.Name)
	require.Zero(t, i.Status().PID, "a manifest of a built-in needs no process")

	remote, err := i.Resolve(t.Context(), locate("o", "n"))
	require.NoError(t, err)
	require.Equal(t, "https://loop.example/o/n.git", remote.URL)

	_, err = i.Resolve(t.Context(), locate("o", "missing"))
	e := requireCode(t, err, providers.CodeNotFound)
	require.Empty(t, cmp.Diff(&providers.Error{Code: providers.CodeNotFound, Message: "no such repository", HTTPStatus: 404}, e))

	_, err = i.ParseWebhook(t.Context(), providers.WebhookRequest{})
	requireCode(t, err, providers.CodeUnsupported)

	probe, err := i.Probe(t.Context(), providers.ProbeRequest{Remote: remote})
	require.NoError(t, err)
	require.True(t, probe.Reachable)

	s := i.Status()
	require.Equal(t, StateRunning, s.State)
	require.Equal(t, 1, s.Generation)
	require.NotZero(t, s.PID)
	require.NotEqual(t, os.Getpid(), s.PID)
}

func TestInstance_calls_thirdParty(t *testing.T) {
	t.Parallel()
	forge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, secret, _ := r.BasicAuth()
		if user != "acme" || secret != "stored-token" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer forge.Close()
	u, err := url.Parse(forge.URL)
	require.NoError(t, err)
	b := setup(t, acmeBlock(t, fmt.Sprintf("host %q {\n scheme = \"http\"\n allow_private = true\n}", u.Host)), nil)
	i, err := b.Find(t.Context(), "ACME", false, u.Host)
	require.NoError(t, err)
	require.Equal(t, "acme", i.Name())
	require.Equal(t, "http", i.HostPolicy(u.Host).Scheme)
	require.Equal(t, "https", i.HostPolicy("elsewhere.example").Scheme)

	remote, err := i.Resolve(t.Context(), providers.ResolveRequest{Locator: providers.Locator{Host: u.Host, Owner: "team/sub", Name: "app"}})
	require.NoError(t, err)
	require.Equal(t, forge.URL+"/team/sub/app.git", remote.URL)

	credential, err := i.Credential(t.Context(), providers.CredentialRequest{
		Remote: remote, Operation: providers.OpPush, Stored: &providers.StoredCredential{Secret: "stored-token"},
	})
	require.NoError(t, err)
	require.Equal(t, "acme", credential.Username)
	require.Equal(t, "stored-token", credential.Secret.Reveal())

	probe, err := i.Probe(t.Context(), providers.ProbeRequest{Remote: remote, Stored: &providers.StoredCredential{Secret: "stored-token"}})
	require.NoError(t, err)
	require.True(t, probe.CanPush)

	// The plugin's own client keeps to the policy: no block, no private address.
	remote.URL = strings.Replace(remote.URL, u.Host, "localhost:"+u.Port(), 1)
	remote.Host = "localhost:" + u.Port()
	_, err = i.Probe(t.Context(), providers.ProbeRequest{Remote: remote})
	e := requireCode(t, err, providers.CodeInvalidArgument)
	require.Contains(t, e.Message, "allow_private")
}

func TestInstance_environment_isStripped(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, `misbehave = "env"`), nil)
	_, err := b.instance(t, "acme").Resolve(t.Context(), locate("o", "n"))
	e := requireCode(t, err, providers.CodeNotFound)
	for pair := range strings.SplitSeq(strings.Trim(e.Message, "[]"), `" "`) {
		name, _, _ := strings.Cut(strings.Trim(pair, `"`), "=")
		allowed := strings.HasPrefix(name, "PLUGIN_") || strings.HasPrefix(name, "HEADWATER_PLUGIN")
		for _, inherited := range inheritedEnv {
			allowed = allowed || name == inherited
		}
		require.True(t, allowed, "the plugin inherits %s", name)
	}
}

func TestInstance_crash_recovers(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, fmt.Sprintf("misbehave = \"crash-once\"\nmarker = %q", filepath.Join(t.TempDir(), "marker"))), nil)
	acme, loop := b.instance(t, "acme"), b.instance(t, "loopback")
	requireWorks(t, loop)

	// The process dies under the call; the call is sent to the next one.
	remote, err := acme.Resolve(t.Context(), locate("o", "n"))
	require.NoError(t, err)
	require.Equal(t, "https://acme.example/o/n.git", remote.URL)
	s := acme.Status()
	require.Equal(t, 2, s.Generation)
	require.Equal(t, 1, s.Crashes)
	require.Contains(t, s.LastError, "crashed during Resolve (exit status 3)")

	requireWorks(t, loop)
	require.Equal(t, 1, loop.Status().Generation)
}

func TestInstance_crash_again(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, ""), func(o *Options) { o.BackoffMin, o.BackoffMax = 300*time.Millisecond, time.Hour })
	acme, loop := b.instance(t, "acme"), b.instance(t, "loopback")
	_, err := acme.Resolve(t.Context(), locate("crash", "n"))
	e := requireCode(t, err, providers.CodeUnavailable)
	require.Equal(t, `provider "acme": its plugin crashed during Resolve (exit status 3); it starts again by itself, see its log`, e.Message)
	require.InDelta(t, 0.6, e.RetryAfter.Seconds(), 0.1, "the second crash in a row doubles the pause")
	require.Equal(t, StateBackoff, acme.Status().State)

	// In the pause calls fail at once and say when to come back.
	_, err = acme.Resolve(t.Context(), locate("o", "n"))
	e = requireCode(t, err, providers.CodeUnavailable)
	require.Greater(t, e.RetryAfter, time.Duration(0))
	require.LessOrEqual(t, e.RetryAfter, 600*time.Millisecond)
	requireWorks(t, loop)

	require.Eventually(t, func() bool {
		_, err := acme.Resolve(t.Context(), locate("o", "n"))
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	require.Equal(t, 3, acme.Status().Generation)
}

func TestInstance_crash_withChild(t *testing.T) {
	t.Parallel()
	// A child that holds the outputs of the dead plugin open must neither keep
	// the instance from recovering nor live on.
	marker := filepath.Join(t.TempDir(), "pids")
	b := setup(t, acmeBlock(t, fmt.Sprintf("marker = %q", marker)), nil)
	acme := b.instance(t, "acme")
	_, err := acme.Resolve(t.Context(), locate("child", "n"))
	requireCode(t, err, providers.CodeUnavailable)
	require.Eventually(t, func() bool {
		_, err := acme.Resolve(t.Context(), locate("o", "n"))
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	pids, err := os.ReadFile(marker)
	require.NoError(t, err)
	require.Len(t, strings.Fields(string(pids)), 2)
	for _, field := range strings.Fields(string(pids)) {
		pid, err := strconv.Atoi(field)
		require.NoError(t, err)
		requireGone(t, pid)
	}
}

func TestInstance_panic_failsOneCall(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, `token = "planted-token"`), nil)
	acme := b.instance(t, "acme")
	_, err := acme.Resolve(t.Context(), locate("panic", "n"))
	e := requireCode(t, err, providers.CodeUnavailable)
	require.Equal(t, "the plugin panicked in Resolve; its log says where", e.Message)
	requireWorks(t, acme)
	require.Equal(t, 1, acme.Status().Generation)
	require.Eventually(t, func() bool { return strings.Contains(b.log.String(), "provider panicked") }, time.Minute, 10*time.Millisecond)
	require.NotContains(t, b.log.String(), "planted-token")
}

func TestInstance_hang_isKilled(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, ""), func(o *Options) { o.CallTimeout = time.Second })
	acme, loop := b.instance(t, "acme"), b.instance(t, "loopback")
	requireWorks(t, acme)
	pid := acme.Status().PID

	_, err := acme.Resolve(t.Context(), locate("hang", "n"))
	e := requireCode(t, err, providers.CodeUnavailable)
	require.Equal(t, `provider "acme": its plugin did not answer Resolve within 1s and was stopped; it starts again by itself, see its log`, e.Message)
	requireWorks(t, loop)
	requireGone(t, pid)
	require.Eventually(t, func() bool {
		_, err := acme.Resolve(t.Context(), locate("o", "n"))
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	require.Equal(t, 2, acme.Status().Generation)
}

func TestInstance_slow_isNotKilled(t *testing.T) {
	t.Parallel()
	// A plugin that respects its context is no hang: it answers in the margin.
	b := setup(t, acmeBlock(t, ""), func(o *Options) { o.CallTimeout = 2 * time.Second })
	acme := b.instance(t, "acme")
	_, err := acme.Resolve(t.Context(), locate("slow", "n"))
	e := requireCode(t, err, providers.CodeUnavailable)
	require.Equal(t, "the host did not answer in time", e.Message)
	require.Equal(t, 1, acme.Status().Generation)
	require.Equal(t, StateRunning, acme.Status().State)
}

func TestInstance_context_endsOneCall(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, ""), nil)
	acme := b.instance(t, "acme")
	requireWorks(t, acme)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := acme.Resolve(ctx, locate("slow", "n"))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, StateRunning, acme.Status().State)
}

func TestInstance_ping_findsStoppedProcess(t *testing.T) {
	t.Parallel()
	b := setup(t, "", func(o *Options) { o.PingInterval = 100 * time.Millisecond })
	loop := b.instance(t, "loopback")
	requireWorks(t, loop)
	pid := loop.Status().PID
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	require.Eventually(t, func() bool { return loop.Status().Crashes == 1 }, time.Minute, 10*time.Millisecond)
	require.Contains(t, loop.Status().LastError, "did not answer a ping")
	requireGone(t, pid)
}

func TestInstance_exit_isNoticed(t *testing.T) {
	t.Parallel()
	b := setup(t, "", nil)
	loop := b.instance(t, "loopback")
	requireWorks(t, loop)
	require.NoError(t, syscall.Kill(loop.Status().PID, syscall.SIGKILL))
	require.Eventually(t, func() bool { return loop.Status().Crashes == 1 }, time.Minute, 10*time.Millisecond)
	require.Contains(t, loop.Status().LastError, "ended by itself (signal: killed)")
}

func TestInstance_signals_areIgnored(t *testing.T) {
	t.Parallel()
	b := setup(t, "", nil)
	loop := b.instance(t, "loopback")
	requireWorks(t, loop)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		require.NoError(t, syscall.Kill(loop.Status().PID, signal))
	}
	requireWorks(t, loop)
	require.Equal(t, 1, loop.Status().Generation)
}

func TestInstance_secrets_areCutOut(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, `token = "planted-token"`), nil)
	acme := b.instance(t, "acme")
	r := locate("log-secret", "stored-secret")
	r.Stored = &providers.StoredCredential{Secret: "stored-secret"}
	_, err := acme.Resolve(t.Context(), r)
	require.NoError(t, err)
	stderr := func() string { return strings.Join(acme.Status().Stderr, "\n") }
	require.Eventually(t, func() bool { return strings.Contains(stderr(), "and [redacted]") }, time.Minute, 10*time.Millisecond)
	out := b.log.String() + stderr()
	require.Contains(t, out, "using token [redacted]")
	require.NotContains(t, out, "planted-token")
	require.NotContains(t, out, "stored-secret")
}

func TestInstance_start_errors(t *testing.T) {
	t.Parallel()
	script := func(t *testing.T, body string) string {
		path := filepath.Join(t.TempDir(), "plugin")
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755))
		return path
	}
	cases := map[string]struct {
		block func(t *testing.T) string
		code  providers.Code
		want  string
	}{
		"wrongChecksum": {func(t *testing.T) string {
			return strings.Replace(acmeBlock(t, ""), `sha256 = "`, `sha256 = "`+strings.Repeat("0", 64)+`" # `, 1)
		}, providers.CodeInvalidConfig, "is not the sha256 in providers.hcl"},
		"missingBinary": {func(t *testing.T) string {
			return `provider "acme" { 
				command = "/nonexistent/plugin"
				sha256 = "` + strings.Repeat("0", 64) + `"
			}`
		}, providers.CodeInvalidConfig, "/nonexistent/plugin does not exist"},
		"notExecutable": {func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "plugin")
			require.NoError(t, os.WriteFile(path, []byte("x"), 0o644))
			return externalBlock(t, "acme", path, "")
		}, providers.CodeInvalidConfig, "is not an executable file"},
		"unknownFormat": {func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "plugin")
			require.NoError(t, os.WriteFile(path, []byte("garbage"), 0o755))
			return externalBlock(t, "acme", path, "")
		}, providers.CodeInvalidConfig, "cannot be executed"},
		"garbageHandshake": {func(t *testing.T) string {
			return externalBlock(t, "acme", script(t, "echo hello world; echo more"), "")
		}, providers.CodeInvalidConfig, `its plugin printed "hello world" instead of a handshake`},
		"endlessGarbage": {func(t *testing.T) string {
			return externalBlock(t, "acme", script(t, "exec yes"), "")
		}, providers.CodeInvalidConfig, `its plugin printed "y" instead of a handshake`},
		"silentExit": {func(t *testing.T) string {
			return externalBlock(t, "acme", script(t, "exit 0"), "")
		}, providers.CodeInvalidConfig, "ended without a handshake"},
		"otherVersion": {func(t *testing.T) string {
			return externalBlock(t, "acme", script(t, "echo '1|7|unix|/nonexistent|grpc|'; sleep 60"), "")
		}, providers.CodeInvalidConfig, "its plugin speaks version 7 of the provider contract and this server version 1"},
		"netRPC": {func(t *testing.T) string {
			return externalBlock(t, "acme", script(t, "echo '1|1|unix|/nonexistent|netrpc'; sleep 60"), "")
		}, providers.CodeInvalidConfig, "does not speak gRPC"},
		"noTLS": {func(t *testing.T) string {
			return externalBlock(t, "acme", script(t, "echo '1|1|unix|/nonexistent|grpc|'; sleep 60"), "")
		}, providers.CodeInvalidConfig, "offers no mutual TLS"},
		"otherName": {func(t *testing.T) string {
			return strings.Replace(acmeBlock(t, ""), `provider "acme"`, `provider "other" "acme"`, 1)
		}, providers.CodeInvalidConfig, `its plugin is the provider "acme"`},
		"unknownAttribute": {func(t *testing.T) string {
			return acmeBlock(t, `tokem = "planted-token"`)
		}, providers.CodeInvalidConfig, `provider "acme" has no attribute "tokem"; it has marker, misbehave, token`},
		"refused": {func(t *testing.T) string {
			return acmeBlock(t, "misbehave = \"refuse\"\ntoken = \"planted-token\"")
		}, providers.CodeInvalidConfig, `provider "acme": token [redacted] is not valid`},
		"crashInConfigure": {func(t *testing.T) string {
			return acmeBlock(t, `misbehave = "crash-configure"`)
		}, providers.CodeUnavailable, "ended while it was started (exit status 4)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, c.block(t), nil)
			acme, loop := b.instance(t, "acme"), b.instance(t, "loopback")
			_, err := acme.Resolve(t.Context(), locate("o", "n"))
			e := requireCode(t, err, c.code)
			require.Contains(t, e.Message, c.want)
			require.Contains(t, e.Message, "acme")
			require.NotContains(t, e.Message+b.log.String(), "planted-token")
			require.Positive(t, e.RetryAfter)

			_, err = acme.Resolve(t.Context(), locate("o", "n"))
			requireCode(t, err, c.code)
			requireWorks(t, loop)
		})
	}
}

func TestInstance_start_timeout(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "plugin")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\nsleep 600\n"), 0o755))
	for name, block := range map[string]string{
		"noHandshake":     externalBlock(t, "acme", path, ""),
		"hangInConfigure": acmeBlock(t, `misbehave = "hang-configure"`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, block, func(o *Options) { o.StartTimeout = 2 * time.Second })
			_, err := b.instance(t, "acme").Resolve(t.Context(), locate("o", "n"))
			e := requireCode(t, err, providers.CodeUnavailable)
			require.Equal(t, `provider "acme": its plugin was not ready within 2s and was stopped; see its log`, e.Message)
		})
	}
}

func TestCatalog_Close_drains(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, ""), func(o *Options) { o.CallTimeout = 5 * time.Second })
	acme := b.instance(t, "acme")
	requireWorks(t, acme)
	pid := acme.Status().PID
	result := make(chan error, 1)
	go func() {
		_, err := acme.Resolve(context.Background(), locate("slow", "n"))
		result <- err
	}()
	require.Eventually(t, func() bool { return strings.Contains(b.log.String(), "plugin started") }, time.Minute, 10*time.Millisecond)

	require.NoError(t, b.Close(t.Context()))
	requireGone(t, pid)
	err := <-result
	e := requireCode(t, err, providers.CodeUnavailable)
	require.Contains(t, []string{"the host did not answer in time", `provider "acme": the server is shutting down`}, e.Message)
	_, err = acme.Resolve(t.Context(), locate("o", "n"))
	require.Contains(t, requireCode(t, err, providers.CodeUnavailable).Message, "shutting down")
}

func TestCatalog_Close_byForce(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, ""), nil)
	acme := b.instance(t, "acme")
	requireWorks(t, acme)
	pid := acme.Status().PID
	result := make(chan error, 1)
	go func() {
		_, err := acme.Resolve(context.Background(), locate("hang", "n"))
		result <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := b.Close(ctx); err != nil { // the call may come too late to be waited for
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	requireGone(t, pid)
	requireCode(t, <-result, providers.CodeUnavailable)
}

func TestPlugin_hostKilled_ends(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "providers.hcl")
	require.NoError(t, os.WriteFile(file, []byte(acmeBlock(t, "")), 0o600))
	cmd := exec.Command(selfArgvForTests()[0], "serve-until-killed", file)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var pids []int
	decodeErr := json.NewDecoder(out).Decode(&pids)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.NoError(t, decodeErr)
	require.Len(t, pids, 2)
	for _, pid := range pids {
		requireGone(t, pid)
	}
}

// requireGone waits until a process is gone, or a zombie that only its adoptive
// parent has not collected.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return true
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		return strings.HasPrefix(rest, "Z")
	}, time.Minute, 10*time.Millisecond, "process %d lives", pid)
}
