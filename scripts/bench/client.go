package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// client runs git as a user would, apart from every configuration of the
// machine.
type client struct {
	home  string
	token string // sent as HTTP Basic from the first request on
}

// with returns a client that sends the token.
func (c client) with(token string) client {
	c.token = token
	return c
}

// env is the environment of the client's git.
func (c client) env() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + c.home, "LC_ALL=C", "TMPDIR=" + os.TempDir(),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Bench", "GIT_AUTHOR_EMAIL=bench@example.test", "GIT_COMMITTER_NAME=Bench", "GIT_COMMITTER_EMAIL=bench@example.test",
		"GIT_AUTHOR_DATE=1700000000 +0000", "GIT_COMMITTER_DATE=1700000000 +0000",
	}
	config := [][2]string{
		{"gc.auto", "0"}, {"maintenance.auto", "false"}, {"core.fsync", "none"},
		{"http.postBuffer", "16777216"}, {"advice.detachedHead", "false"},
	}
	if c.token != "" {
		config = append(config, [2]string{"http.extraHeader", "Authorization: Basic " + basic("bench", c.token)})
	}
	env = append(env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", len(config)))
	for i, kv := range config {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, kv[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, kv[1]))
	}
	return env
}

// run runs git in dir ("" for none) and returns its standard output.
func (c client) run(ctx context.Context, dir string, args ...string) (string, error) {
	return c.pipe(ctx, dir, nil, args...)
}

// pipe is run with a standard input.
func (c client) pipe(ctx context.Context, dir string, stdin io.Reader, args ...string) (string, error) {
	out, _, err := c.spend(ctx, dir, stdin, args...)
	return out, err
}

// spend is pipe that also returns the CPU time of git and its children.
func (c client) spend(ctx context.Context, dir string, stdin io.Reader, args ...string) (string, time.Duration, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, c.env(), stdin
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", 0, fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// command runs a program of the machine for its effect.
func command(ctx context.Context, env []string, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	if env != nil {
		cmd.Env = env
	}
	// Into a file, not a pipe: servers that the program leaves running keep
	// it open.
	out, err := os.CreateTemp("", "bench-output-")
	if err != nil {
		return err
	}
	defer func() {
		_ = out.Close()
		_ = os.Remove(out.Name())
	}()
	cmd.Stdout, cmd.Stderr = out, out
	// A signal to the benchmark's group must not end what stops its servers.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		return fmt.Errorf("%s: %w: %s", name, err, bytes.TrimSpace(said))
	}
	return nil
}
