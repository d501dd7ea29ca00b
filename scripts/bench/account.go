package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// fcgiwrap ignores SIGCHLD, so the kernel forgets what CPU time its CGI
// programs used. For CPU times a second baseline server therefore runs this
// program under the name of git http-backend: it runs the real one and notes
// what that and its descendants used.
const (
	accountProgram = "git-http-backend"
	accountReal    = "real-git-http-backend"
	accountFile    = "cpu-microseconds"
)

// prepareAccount makes the folder that stands in for git's own.
func (b *bench) prepareAccount(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	gitDir, err := b.git.run(ctx, "", "--exec-path")
	if err != nil {
		return err
	}
	return errors.Join(
		os.Symlink(self, filepath.Join(dir, accountProgram)),
		os.Symlink(filepath.Join(gitDir, accountProgram), filepath.Join(dir, accountReal)))
}

// keepAccount is the program under git http-backend's name. It returns the exit
// status.
func keepAccount(self string) int {
	dir := filepath.Dir(self)
	cmd := exec.Command(filepath.Join(dir, accountReal)) //nolint:noctx // ends with its connection
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_EXEC_PATH=") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	out, err := os.OpenFile(filepath.Join(dir, accountFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(out, int64(used/time.Microsecond))
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}
