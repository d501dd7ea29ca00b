package host

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

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
		"complainingExit": {func(t *testing.T) string {
			return externalBlock(t, "acme", script(t, "echo cannot bind the socket >&2; exit 1"), "")
		}, providers.CodeInvalidConfig, "ended without a handshake: cannot bind the socket"},
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

// The path of a socket is short, whatever the operator's TMPDIR is.
func TestInstance_start_longTemporaryDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	require.NoError(t, os.Mkdir(dir, 0o700))
	block := acmeBlock(t, "")
	t.Setenv("TMPDIR", dir)
	b := setup(t, block, nil)
	requireWorks(t, b.instance(t, "acme"))
	requireWorks(t, b.instance(t, "loopback"))
}
