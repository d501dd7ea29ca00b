package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/fsck"
	"github.com/headwater-git/headwater/core/git/hosterror"
	coremirror "github.com/headwater-git/headwater/core/mirror"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/server/api"
	rest "github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/console"
	"github.com/headwater-git/headwater/server/lfshttp"
)

// a failure that a person meets on all surfaces.
type wordsCase struct {
	name  string
	class core.ErrorClass
	err   error
	once  string // the host's words, which stand once on each surface
	app   bool   // the upstream is opened by an App
}

// gitSays is a git that failed with these words.
func gitSays(lines ...string) error {
	return fmt.Errorf("fetch: %w", &git.ExitError{Name: "fetch", Code: 128, Stderr: strings.Join(lines, "\n")})
}

func wordsCases() []wordsCase {
	const access = "fatal: unable to access 'https://git.example.org/river/delta.git/': "
	host := func(class core.ErrorClass, text string) error { return &hosterror.Error{Class: class, HostText: text} }
	return []wordsCase{
		{"the host refuses the credential in its words", core.ClassAuth,
			gitSays("remote: Bad credentials", "fatal: Authentication failed for 'https://git.example.org/river/delta.git/'"), "Bad credentials", false},
		{"a revoked credential, and git would ask for another", core.ClassAuth,
			gitSays("fatal: could not read Username for 'https://git.example.org': terminal prompts disabled"), "", false},
		{"a bare 403", core.ClassAuth, gitSays(access + "The requested URL returned error: 403"), "", false},
		{"a 401 for the token of an App", core.ClassAuth, gitSays("remote: Bad credentials", access+"The requested URL returned error: 401"), "Bad credentials", true},
		{"the App is gone", core.ClassRevoked,
			core.Errorf(core.KindPrecondition, "the GitHub App is no longer installed on river at github.com: install it again at https://github.com/apps/x/installations/new"), "", true},
		{"no such repository", core.ClassNotFound, gitSays("remote: Repository not found.", "fatal: repository 'https://git.example.org/river/delta.git/' not found"), "Repository not found", false},
		{"no such repository for an App", core.ClassNotFound, gitSays("remote: Repository not found.", "fatal: repository 'https://github.com/river/delta.git/' not found"), "Repository not found", true},
		{"a redirect", core.ClassMoved, gitSays(access + "The requested URL returned error: 301"), "", false},
		{"another repository has the name", core.ClassMoved,
			&upstream.ClassifiedError{Class: core.ClassMoved, Text: "the upstream is another repository than the one that was followed"}, "", false},
		{"a page of HTML", core.ClassProtocol, gitSays("fatal: https://git.example.org/river/delta.git/info/refs not valid: is this a git repository?"), "", false},
		{"slow down", core.ClassRateLimited, gitSays("remote: You have exceeded a secondary rate limit.", access+"The requested URL returned error: 429"), "secondary rate limit", false},
		{"a misspelt host", core.ClassNetwork, gitSays(access + "Could not resolve host: git.example.org"), "", false},
		{"a private certificate authority", core.ClassNetwork, gitSays(access + "SSL certificate problem: self-signed certificate"), "", false},
		{"nobody listens", core.ClassNetwork, gitSays(access + "Failed to connect to git.example.org port 443 after 0 ms: Couldn't connect to server"), "", false},
		{"cut off", core.ClassNetwork, gitSays("error: RPC failed; curl 18 transfer closed with outstanding read data remaining", "fatal: early EOF"), "", false},
		{"curl's time-out", core.ClassTimeout, gitSays(access + "Operation too slow. Less than 1000 bytes/sec transferred the last 30 seconds"), "", false},
		{"a time limit of ours", core.ClassTimeout, fmt.Errorf("list: %w", context.DeadlineExceeded), "", false},
		{"the time-out of Go's client", core.ClassTimeout, &url.Error{Op: "Get", URL: "https://git.example.org/x", Err: goTimeout{}}, "", false},
		{"too large a push", core.ClassTooLarge, gitSays("remote: fatal: pack exceeds maximum allowed size (1.00 MiB)", "error: remote unpack failed: unpack-objects abnormal exit"), "pack exceeds", false},
		{"an archived repository", core.ClassRefused, gitSays("remote: This repository was archived so it is read-only.", access+"The requested URL returned error: 403"), "was archived", false},
		{"an address that is not allowed", core.ClassRefused, host(core.ClassRefused, "the host's address 10.0.0.7 is private"), "", false},
		{"most branches lost", core.ClassDiverged,
			&upstream.ClassifiedError{Class: core.ClassDiverged, Text: "the upstream lost 9 of 10 branches at once; held back until a second listing agrees"}, "", false},
		{"an object that git refuses", core.ClassCorrupt,
			&fsck.RefusedError{Refusal: fsck.Refusal{Object: "0123456789012345678901234567890123456789", ID: "treeNotSorted", Text: "not properly sorted", Path: fsck.FolderPath("src/old work")}}, "the folder src/old work", false},
		{"an object that is never let in", core.ClassCorrupt,
			gitSays("error: object 0123456789012345678901234567890123456789: gitmodulesUrl: disallowed submodule url: -u", "fatal: fsck error in packed object"), "(.gitmodules)", false},
		{"a damaged pack", core.ClassCorrupt, gitSays("error: inflate: data stream error (incorrect data check)", "fatal: fetch-pack: invalid index-pack output"), "", false},
		{"the host has trouble", core.ClassUnavailable, gitSays("remote: Internal Server Error", access+"The requested URL returned error: 500"), "Internal Server Error", false},
		{"a bare 503", core.ClassUnavailable, gitSays(access + "The requested URL returned error: 503"), "", false},
		{"git runs out of memory", core.ClassResource,
			&core.Error{Kind: core.KindResource, Message: "git fetch ran out of memory: the server's operator may raise --git-memory-remote", Err: &git.ResourceError{Name: "fetch", Said: "Out of memory, malloc failed"}}, "", false},
		{"a full disk", core.ClassResource, gitSays("fatal: write error: No space left on device", "fatal: fetch-pack: invalid index-pack output"), "", false},
		{"the database's own words", core.ClassInternal, fmt.Errorf("sync state: %w", errors.New("SQL logic error: no such column: x (1)")), "", false},
	}
}

// goTimeout is the error of [http.Client] after its Timeout, by its text.
type goTimeout struct{}

func (goTimeout) Error() string {
	return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
}
func (goTimeout) Timeout() bool   { return true }
func (goTimeout) Temporary() bool { return true }

var _ net.Error = goTimeout{}

// surfaces returns what a person reads of a failure, surface by surface, from the
// functions that write it there.
func (c wordsCase) surfaces(t *testing.T) [][2]string {
	t.Helper()
	const name = "river/delta"
	class, text := upstream.Classify(c.err)
	require.Equal(t, c.class, class, c.name)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var out [][2]string
	show := func(surface, words string) {
		out = append(out, [2]string{surface, strings.TrimRight(words, "\n")})
	}

	refusal, known := push.UpstreamRefusal(c.err, true, false)
	require.True(t, known, c.name)
	pushed := ""
	if refusal.Next != "" {
		pushed = "remote: next: " + refusal.Next + "\n"
	}
	show("git push", pushed+"! [remote rejected] main -> main ("+refusal.Reason+")")

	show("git fetch", "remote: "+core.Freshness{Synced: true, ObservedAt: at, Staleness: time.Hour, Failing: true, Class: class, Reason: text}.Notice())

	answer := httptest.NewRecorder()
	api.WriteError(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), upstream.Failure("plan a sync", c.err))
	var body struct {
		Error string `json:"error"`
	}
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &body))
	show("REST", fmt.Sprintf("%d %s", answer.Code, body.Error))

	e := rest.SyncError{Class: rest.SyncErrorClass(class), Message: text}
	r := rest.Repository{RepoName: name, Sync: &rest.Sync{State: "failing", UpstreamState: rest.UpstreamStateActive, LastError: &e, ObservedAt: new(at.Add(-time.Hour))}}
	if class == core.ClassDiverged {
		r.Sync.State = rest.SyncStateHeld
	}
	if c.app {
		r.BaseRepo = &rest.BaseRepo{Provider: "github", Owner: "river", Name: "delta"}
	}
	var repo bytes.Buffer
	require.NoError(t, printRepo(&repo, r, at))
	var rows []string
	for line := range strings.Lines(repo.String()) {
		if strings.HasPrefix(line, "last error") || strings.HasPrefix(line, "next ") {
			rows = append(rows, strings.TrimSpace(line))
		}
	}
	show("repo show", strings.Join(rows, "\n"))

	var failed bytes.Buffer
	report(&failed, syncFailure(e, r))
	show("mirror", failed.String())

	set := rest.MirrorSet{Provider: "gitea"}
	if c.app {
		set.Provider = "github"
	} else {
		set.CredentialID = "river-2"
	}
	line, done, bad := outcomeOf(set, rest.MirrorEntry{Action: string(core.MirrorCreate), Name: name, Path: name, Class: e.Class, Error: e.Message})
	require.True(t, done && bad, c.name)
	show("mirror all", line)

	show("console", console.Sentence(r, at))

	show("git lfs", "batch response: "+lfshttp.Message(upstream.Failure("ask the upstream about LFS objects", c.err)))

	event, err := coremirror.SyncEvent(core.Repository{ID: "repo_1", Name: name}, core.Run{StartedAt: at, FinishedAt: at, Class: class, Error: text}, core.EventSyncFailed, 1)
	require.NoError(t, err)
	var payload struct {
		Error string `json:"error"`
	}
	require.NoError(t, json.Unmarshal(event.Payload, &payload))
	show("event", payload.Error)
	return out
}

// notForPeople is what no surface shows: words of programs, not of anybody who
// could say them to a person.
var notForPeople = []string{
	"terminal prompts disabled", "could not read", "context deadline exceeded", "Client.Timeout", "Operation too slow", "curl",
	"requested URL", "unable to access", "SQL", "sqlite", "unpacker", "nothing:",
}

// TestWords prints what a person reads of each class of failure on each surface.
// Read the difference of the file in a review: does each say whose words they are,
// once, and a next step that works? Run it with HEADWATER_UPDATE=1 to write the file
// anew.
func TestWords(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	seen := map[core.ErrorClass]bool{}
	for _, c := range wordsCases() {
		seen[c.class] = true
		fmt.Fprintf(&got, "## %s: %s\n", c.class, c.name)
		for _, s := range c.surfaces(t) {
			surface, words := s[0], s[1]
			fmt.Fprintf(&got, "%-10s %s\n", surface, strings.ReplaceAll(words, "\n", "\n           "))
			for _, program := range notForPeople {
				require.NotContains(t, words, program, "%s on %s", c.name, surface)
			}
			if c.once != "" {
				require.Equal(t, 1, strings.Count(words, c.once), "%s on %s: %s", c.name, surface, words)
			}
			switch surface {
			case "repo show", "mirror", "mirror all", "git fetch", "console":
				require.Contains(t, words, "next", "%s on %s", c.name, surface)
			}
		}
		got.WriteByte('\n')
	}
	deliveryWords(t, &got)
	for _, class := range core.Classes() {
		require.True(t, seen[class], "no case of class %s", class)
	}
	path := filepath.Join("testdata", "words.txt")
	if os.Getenv("HEADWATER_UPDATE") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), got.String()), "run this test with HEADWATER_UPDATE=1, and read the difference")
}

// deliveryWords writes what a person reads of a delivery of a webhook that was tried,
// and of one that was given up.
func deliveryWords(t *testing.T, out *strings.Builder) {
	t.Helper()
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name string
		err  error
	}{
		{"a misspelt host", &net.DNSError{Err: "no such host", Name: "hooks.example.org", IsNotFound: true}},
		{"the DNS is down", &net.DNSError{Err: "server misbehaving", Name: "hooks.example.org", IsTemporary: true}},
		{"a private certificate authority", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}},
		{"a certificate of another host", &tls.CertificateVerificationError{Err: x509.HostnameError{Host: "hooks.example.org", Certificate: &x509.Certificate{}}}},
		{"an expired certificate", &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}},
		{"no TLS", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}},
		{"nobody listens", dial(syscall.ECONNREFUSED)},
		{"no way there", dial(syscall.EHOSTUNREACH)},
		{"too slow", context.DeadlineExceeded},
		{"cut off", io.ErrUnexpectedEOF},
	} {
		d := rest.Delivery{ID: "dlv_1", LastError: events.Describe(c.err, errors.Is(c.err, context.DeadlineExceeded)), State: rest.DeliveryStatePending, NextAttemptAt: &at}
		tried := strings.ReplaceAll(resultOf("wh_1", d), at.Local().Format(time.DateTime), "TIME")
		d.State, d.NextAttemptAt = rest.DeliveryStateFailed, nil
		fmt.Fprintf(out, "## delivery of a webhook: %s\n%-10s %s\n%-10s %s\n%-10s %s\n\n", c.name, "REST", d.LastError, "tried", tried, "given up", resultOf("wh_1", d))
		for _, program := range append([]string{"x509", "tcp", "EOF", "connect:"}, notForPeople...) {
			require.NotContains(t, d.LastError, program, c.name)
		}
		require.Contains(t, tried, "next try TIME", c.name)
	}
}

// TestWords_commandsWork types every command that a person is given in the reviewed
// words, as it is printed there, against a real server and its host: each one is done.
// What stands for something is put in: URL is the upstream's address after a move.
func TestWords_commandsWork(t *testing.T) {
	t.Parallel()
	forge, config, tokenFile := startForge(t)
	s := startServer(t, "", "--config", config)
	_, err := s.cli(t, "mirror", forge.CloneURL("river/delta"), "--username", "river", "--password-file", tokenFile)
	require.NoError(t, err)
	_, err = s.cli(t, "credential", "create", "river-2", "http://"+forge.Host()+"/river", "--username", "river", "--password-file", tokenFile)
	require.NoError(t, err)
	forge.RenameRepo("river/delta", "river/moved")

	raw, err := os.ReadFile(filepath.Join("testdata", "words.txt"))
	require.NoError(t, err)
	commands := map[string]bool{}
	for line := range strings.Lines(string(raw)) {
		line = strings.ReplaceAll(line, "headwater: ", "") // begins what the program says
		for _, q := range quotedIn("words.txt", line, false) {
			cmd, words, err := newRoot(noEnv).Find(q.words)
			require.NoError(t, err, line)
			args := append(strings.Fields(cmd.CommandPath())[1:], q.arguments(words)...)
			if cmd.Name() == "redeliver" {
				continue // TestWebhook_life types it for a real delivery
			}
			commands[strings.Join(args, " ")] = true
		}
	}
	secret, err := os.ReadFile(tokenFile)
	require.NoError(t, err)
	// What takes the upstream or the repository away comes last.
	last := []string{"repo repoint river/delta URL", "repo detach river/delta", "repo delete --yes river/delta"}
	order := slices.DeleteFunc(slices.Sorted(maps.Keys(commands)), func(c string) bool { return slices.Contains(last, c) })
	require.Len(t, commands, len(order)+len(last), "one of the last is not printed any more: %v", order)
	require.Contains(t, order, "credential set river/delta")
	require.Contains(t, order, "repo settings --tolerate treeNotSorted river/delta")
	for _, command := range append(order, last...) {
		args := strings.Fields(strings.NewReplacer("URL", forge.CloneURL("river/moved"), "REPO", "river/delta").Replace(command))
		root := newRoot(noEnv)
		var said bytes.Buffer
		root.SetArgs(append(args, "--data", string(s.dir)))
		root.SetOut(&said)
		root.SetErr(&said)
		root.SetIn(bytes.NewReader(secret)) // where one is asked for
		require.NoError(t, root.ExecuteContext(t.Context()), "headwater %s\n%s", command, &said)
	}
	_, err = s.cli(t, "repo", "show", "river/delta")
	require.ErrorContains(t, err, "no such repository")
}
