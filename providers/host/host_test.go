package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
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

// externalNamed is a block for the third-party plugin under another name.
func externalNamed(t *testing.T, name string) string {
	t.Helper()
	return strings.Replace(acmeBlock(t, ""), `provider "acme"`, fmt.Sprintf("provider \"acme\" %q", name), 1)
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
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
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

	// It does not know the operations of LFS, and is asked for those of git.
	credential, err = i.Credential(t.Context(), providers.CredentialRequest{
		Remote: remote, Operation: providers.OpLFS, Stored: &providers.StoredCredential{Secret: "stored-token"},
	})
	require.NoError(t, err)
	require.Equal(t, "stored-token", credential.Secret.Reveal())
	credential, err = i.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpLFS})
	require.NoError(t, err)
	require.Equal(t, providers.CredentialNone, credential.Kind)
	_, err = i.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpLFSWrite})
	requireCode(t, err, providers.CodeUnauthenticated)

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
	require.Equal(t, `provider "acme": its plugin crashed during Resolve (exit status 3); it starts again by itself: try again in a moment; the log of this server has what it said`, e.Message)
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
	require.Equal(t, `provider "acme": its plugin did not answer Resolve within 1s and was stopped; it starts again by itself: try again in a moment; the log of this server has what it said`, e.Message)
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

// A process that does not run costs a call the time of one ping, not that of the
// call: it is killed, and the call goes to its successor.
func TestInstance_stoppedProcess_costsAPing(t *testing.T) {
	t.Parallel()
	b := setup(t, "", func(o *Options) {
		o.CallPingInterval, o.PingTimeout, o.CallTimeout = 50*time.Millisecond, 500*time.Millisecond, time.Hour
	})
	loop := b.instance(t, "loopback")
	requireWorks(t, loop)
	pid := loop.Status().PID
	stopProcess(t, pid)
	requireWorks(t, loop)
	requireGone(t, pid)
	require.Equal(t, 2, loop.Status().Generation)
	require.Contains(t, loop.Status().LastError, "did not answer a ping")
}

// One that is stopped under every attempt makes an error that says so.
func TestInstance_stoppedProcess_isNamed(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, ""), func(o *Options) {
		o.CallPingInterval, o.PingTimeout, o.CallTimeout = 50*time.Millisecond, 500*time.Millisecond, time.Hour
	})
	acme := b.instance(t, "acme")
	requireWorks(t, acme)
	result := make(chan error, 1)
	go func() {
		_, err := acme.Resolve(context.Background(), locate("slow", "n"))
		result <- err
	}()
	for stopped := 0; ; {
		select {
		case err := <-result:
			e := requireCode(t, err, providers.CodeUnavailable)
			require.Contains(t, e.Message, `provider "acme": its plugin stopped responding during Resolve and was ended`)
			require.Positive(t, e.RetryAfter)
			require.Equal(t, 2, acme.Status().Crashes, "tried twice")
			return
		case <-time.After(10 * time.Millisecond):
			if pid := acme.Status().PID; pid != 0 && pid != stopped && acme.super.underWay() {
				stopProcess(t, pid)
				stopped = pid
			}
		}
	}
}

func TestOptions_stoppedProcessCostsTenSeconds(t *testing.T) {
	t.Parallel()
	o := Options{}.withDefaults()
	require.Less(t, o.CallPingInterval+o.PingTimeout+o.BackoffMin, 9*time.Second, "and a second for the start of the next")
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

// stopProcess stops a process and waits until all of it stands.
func stopProcess(t *testing.T, pid int) {
	t.Helper()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	require.Eventually(t, func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, thread := range threads {
			stat, err := os.ReadFile(thread)
			if _, rest, _ := strings.Cut(string(stat), ") "); err == nil && !strings.HasPrefix(rest, "T") {
				return false
			}
		}
		return err == nil
	}, time.Minute, time.Millisecond)
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
