package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/backup"
)

// gitAt runs git in a folder, with a token for the server's remotes if there is one.
func gitAt(t testing.TB, dir, token string, args ...string) (string, error) {
	t.Helper()
	if token != "" {
		args = append([]string{"-c", "http.extraHeader=Authorization: Bearer " + token}, args...)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "git", args...)
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com",
	}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// pushPause is between two pushes: they are to meet a backup, not to take the processors
// from all other tests.
const pushPause = 200 * time.Millisecond

// pusher pushes commits to a repository, one after another, and knows when which was
// acknowledged.
type pusher struct {
	name, token, work string

	mu   sync.Mutex
	tips []string // sent, oldest first
	oks  int      // of them acknowledged
}

func (p *pusher) run(t *testing.T, url string, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-time.After(pushPause):
		}
		_, err := gitAt(t, p.work, p.token, "commit", "--quiet", "--allow-empty", "-m", strconv.Itoa(n))
		if err != nil {
			t.Errorf("commit: %v", err)
			return
		}
		tip, _ := gitAt(t, p.work, p.token, "rev-parse", "HEAD")
		p.mu.Lock()
		p.tips = append(p.tips, tip)
		p.mu.Unlock()
		if out, err := gitAt(t, p.work, p.token, "push", "--quiet", url+"/"+p.name+".git", "HEAD:refs/heads/main"); err != nil {
			t.Errorf("push: %s", out)
			return
		}
		p.mu.Lock()
		p.oks++
		p.mu.Unlock()
	}
}

// state returns how many pushes were acknowledged and how many were begun.
func (p *pusher) state() (acknowledged, begun int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.oks, len(p.tips)
}

// A backup of a server under load, restored on an empty machine with what the documents
// say and nothing else: every ref that was acknowledged before is there, together with
// its event, so are keys and credentials, and a reader of events is sent a gap.
func TestBackup_restoreAfterBackupUnderLoad(t *testing.T) { //nolint:paralleltest // the load is its own
	forge, config, secret := startForge(t)
	s := startServer(t, "", "--config", config, "--webhooks-allow-http", "--webhooks-allow-private")
	_, err := s.cli(t, "mirror", "http://"+forge.Host()+"/river/delta", "--password-file", secret)
	require.NoError(t, err)
	var received atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { received.Add(1) }))
	defer receiver.Close()
	var pushers []*pusher
	for _, name := range []string{"team/one", "team/two"} {
		_, err := s.cli(t, "repo", "create", name)
		require.NoError(t, err)
		token, err := s.cli(t, "token", "--repo", name, "--scope", "git:write")
		require.NoError(t, err)
		p := &pusher{name: name, token: strings.TrimSpace(token), work: t.TempDir()}
		_, err = gitAt(t, p.work, p.token, "init", "--quiet", "-b", "main")
		require.NoError(t, err)
		pushers = append(pushers, p)
	}
	_, err = s.cli(t, "webhook", "create", receiver.URL, "--event", "push")
	require.NoError(t, err)

	stop := make(chan struct{})
	var load sync.WaitGroup
	for _, p := range pushers {
		load.Go(func() { p.run(t, s.url, stop) })
	}
	// Writes of the API and of the command line, beside the pushes.
	orgs := 0
	var orgsBefore int
	pushed := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool {
			one, _ := pushers[0].state()
			two, _ := pushers[1].state()
			return one >= n && two >= n
		}, time.Minute, 10*time.Millisecond)
	}
	for ; orgs < 2; orgs++ {
		_, err := s.cli(t, "org", "add", fmt.Sprintf("acme%d", orgs))
		require.NoError(t, err)
	}
	orgsBefore = orgs
	pushed(2)
	var before, after [2]int
	for i, p := range pushers {
		before[i], _ = p.state()
	}
	to, passphraseFile := t.TempDir(), filepath.Join(t.TempDir(), "passphrase")
	require.NoError(t, os.WriteFile(passphraseFile, []byte("correct horse\n"), 0o600))
	out, err := s.cli(t, "backup", to, "--with-keys", "--passphrase-file", passphraseFile, "--json")
	require.NoError(t, err)
	for i, p := range pushers {
		_, after[i] = p.state()
	}
	var made backup.Result
	require.NoError(t, json.Unmarshal([]byte(out), &made))
	require.Equal(t, 2, made.Manifest.Included(), "the mirror can be fetched again")
	n, _ := pushers[0].state()
	pushed(n + 1) // writers go on
	close(stop)
	load.Wait()
	last, err := s.cli(t, "events", "--json")
	require.NoError(t, err)
	cursor := lastSeq(t, last)
	require.NoError(t, s.stop())

	// The machine is lost. What remains is the backup and the passphrase.
	data := filepath.Join(t.TempDir(), "new machine")
	out, errs, err := runCLI(t, noEnv, "restore", to, "--data", data, "--passphrase-file", passphraseFile)
	require.NoError(t, err, errs)
	require.Contains(t, out, "ES256")
	require.Contains(t, out, "restore confirm")
	require.Contains(t, out, "headwater credential set --data '"+data+"' REPO", "as it was typed")
	_, _, err = runCLI(t, noEnv, "restore", to, "--data", data)
	require.ErrorContains(t, err, "nothing is ever overwritten")
	arrived := received.Load()
	s = startServer(t, dataDir(data), "--config", config, "--webhooks-allow-http", "--webhooks-allow-private")
	for i, p := range pushers {
		out, err := gitAt(t, p.work, p.token, "ls-remote", s.url+"/"+p.name+".git", "refs/heads/main")
		require.NoError(t, err, "the token of before is good: %s", out)
		at := -1
		for n, tip := range p.tips {
			if strings.HasPrefix(out, tip) {
				at = n + 1
			}
		}
		require.GreaterOrEqual(t, at, before[i], "all that was acknowledged before the backup")
		require.LessOrEqual(t, at, after[i])
		listed, err := s.cli(t, "events", "--repo", p.name, "--type", "push", "--json")
		require.NoError(t, err)
		require.Equal(t, at, strings.Count(listed, `"type":"push"`), "each ref with its event, and no event without its ref")
		clone, err := gitAt(t, t.TempDir(), p.token, "clone", "--quiet", s.url+"/"+p.name+".git", ".")
		require.NoError(t, err, clone)
	}
	listed, err := s.cli(t, "org", "list")
	require.NoError(t, err)
	require.GreaterOrEqual(t, strings.Count(listed, "acme"), orgsBefore)
	// The mirror comes back by itself, with the credential that was stored.
	require.Eventually(t, func() bool {
		out, err := s.cli(t, "repo", "list")
		return err == nil && strings.Contains(out, "ready")
	}, time.Minute, 100*time.Millisecond)
	token, err := s.cli(t, "token", "--repo", "river/delta", "--scope", "git:read")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		out, err := gitAt(t, t.TempDir(), strings.TrimSpace(token), "ls-remote", s.url+"/river/delta.git", "refs/heads/main")
		return err == nil && strings.HasPrefix(out, forge.Refs("river/delta")["refs/heads/main"])
	}, time.Minute, 50*time.Millisecond)

	// A position that was given before is never given again, and its reader is sent a gap.
	answer, err := s.cli(t, "events", "--since", strconv.FormatInt(cursor, 10), "--json")
	require.NoError(t, err)
	require.Contains(t, answer, `"gap"`)
	p := pushers[0]
	_, err = gitAt(t, p.work, p.token, "push", "--quiet", s.url+"/"+p.name+".git", "HEAD:refs/heads/later")
	require.NoError(t, err)
	answer, err = s.cli(t, "events", "--repo", p.name, "--json")
	require.NoError(t, err)
	require.Greater(t, lastSeq(t, answer), cursor+1<<20)

	require.Equal(t, arrived, received.Load(), "deliveries are held")
	out, err = s.cli(t, "restore", "confirm", "--drop")
	require.NoError(t, err, out)
	_, err = s.cli(t, "restore", "confirm")
	require.ErrorContains(t, err, "no deliveries are held")
	_, err = gitAt(t, p.work, p.token, "push", "--quiet", s.url+"/"+p.name+".git", "HEAD:refs/heads/confirmed")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return received.Load() > arrived }, time.Minute, 20*time.Millisecond)

	// The next backup shares what has not changed; one with a flipped byte is refused.
	require.NoError(t, s.stop())
	out, err = s.cli(t, "backup", to, "--keep", "1")
	require.NoError(t, err, "of a stopped server, too")
	require.Contains(t, out, "The keys are not in it")
	names, err := backup.Backups(to)
	require.NoError(t, err)
	require.Len(t, names, 1)
	database := filepath.Join(to, names[0], "headwater.db")
	text, err := os.ReadFile(database)
	require.NoError(t, err)
	text[len(text)/2] ^= 1
	require.NoError(t, os.WriteFile(database, text, 0o600))
	half := filepath.Join(t.TempDir(), "half")
	_, _, err = runCLI(t, noEnv, "restore", to, "--data", half)
	require.ErrorContains(t, err, "is damaged")
	_, _, err = runCLI(t, noEnv, "serve", "--data", half, "--listen", "127.0.0.1:0")
	require.ErrorContains(t, err, "did not finish")
	text[len(text)/2] ^= 1
	require.NoError(t, os.WriteFile(database, text, 0o600))
	_, errs, err = runCLI(t, noEnv, "restore", to, "--data", half)
	require.NoError(t, err, "again: %s", errs)
}

// lastSeq returns the highest position of events in JSON lines.
func lastSeq(t *testing.T, lines string) (last int64) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var e struct{ Seq int64 }
		require.NoError(t, json.Unmarshal([]byte(line), &e), line)
		last = max(last, e.Seq)
	}
	return last
}

func TestBackup_keysNeverInClear(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "headwater.db"), nil, 0o600))
	for _, tc := range []struct {
		args []string
		says string
	}{
		{[]string{"--with-keys"}, "never copied in clear"},
		{[]string{"--recipient", "age1x"}, "no keys are asked for"},
		{[]string{"--with-keys", "--recipient", "age1x"}, "bad --recipient"},
	} {
		_, _, err := runCLI(t, noEnv, append([]string{"backup", t.TempDir(), "--data", dir}, tc.args...)...)
		require.ErrorContains(t, err, tc.says)
	}
}
