package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	rest "github.com/headwater-git/headwater/server/client"
)

// TestMirror_lifeOfARepository walks through the commands on a real server and
// a host: mirror by the host block of providers.hcl, look, sync, rotate the
// credential, detach, delete. No secret may show up anywhere.
func TestMirror_lifeOfARepository(t *testing.T) {
	t.Parallel()
	forge, config, tokenFile := startForge(t)
	s := startServer(t, "", "--config", config)
	secret, err := os.ReadFile(tokenFile)
	require.NoError(t, err)
	token := strings.TrimSpace(string(secret))

	out, err := s.cli(t, "mirror", forge.CloneURL("river/delta"), "--username", "river", "--password-file", tokenFile)
	require.NoError(t, err)
	require.Contains(t, out, "Done. river/delta is at "+s.url+"/river/delta.git")
	require.Contains(t, out, "git-credential --data "+core.ShellWord(string(s.dir)))
	seen := out

	out, err = s.cli(t, "repo", "list")
	require.NoError(t, err)
	require.Regexp(t, `river/delta +main +`+forge.Host()+`/river/delta +ready`, out)
	out, err = s.cli(t, "repo", "show", "river/delta")
	require.NoError(t, err)
	require.Regexp(t, `runs +1\n`, out)
	out, err = s.cli(t, "repo", "show", "river/delta", "--json")
	require.NoError(t, err)
	require.Contains(t, out, `"state":"ready"`)
	seen += out

	out, err = s.cli(t, "repo", "sync", "--wait", "river/delta")
	require.NoError(t, err)
	require.Contains(t, out, "up to date")

	rotated := filepath.Join(t.TempDir(), "rotated")
	require.NoError(t, os.WriteFile(rotated, []byte(forge.Token()), 0o600))
	_, err = s.cli(t, "credential", "set", "river/delta", "--password-file", rotated)
	require.NoError(t, err, "a credential is replaced")
	_, err = s.cli(t, "repo", "sync", "--wait", "river/delta")
	require.NoError(t, err)
	out, err = s.cli(t, "credential", "reseal")
	require.NoError(t, err)
	require.Contains(t, out, "Encrypted 3 secrets")
	_, err = s.cli(t, "credential", "reseal", "--prune")
	require.ErrorContains(t, err, "a server is running")
	_, err = s.cli(t, "repo", "sync", "--wait", "river/delta")
	require.NoError(t, err, "the running server opens what was sealed anew")

	_, err = s.cli(t, "credential", "delete", "river/delta")
	require.NoError(t, err)
	_, err = s.cli(t, "credential", "delete", "river/delta")
	require.ErrorContains(t, err, "no stored credential")

	_, err = s.cli(t, "repo", "detach", "river/delta")
	require.NoError(t, err)
	out, err = s.cli(t, "repo", "show", "river/delta")
	require.NoError(t, err)
	require.Regexp(t, `state +local`, out)
	_, err = s.cli(t, "repo", "delete", "--yes", "river/delta")
	require.NoError(t, err)
	_, err = s.cli(t, "repo", "show", "river/delta")
	require.ErrorContains(t, err, "no such repository")

	require.NoError(t, s.stop())
	_, err = s.cli(t, "credential", "reseal", "--prune")
	require.NoError(t, err)
	require.NotContains(t, seen+s.log.String(), token)
	key, err := os.ReadFile(s.dir.keyFile())
	require.NoError(t, err)
	require.NotContains(t, s.log.String(), strings.Split(string(key), "\n")[1])
}

// nextOf is the next step that an error tells.
func nextOf(t *testing.T, err error) string {
	t.Helper()
	var step *stepError
	require.ErrorAs(t, err, &step)
	return step.next
}

// TestRepo_createAndWhatALocalRepositoryLacks follows a person who makes a local
// repository and asks it for what only synced ones have.
func TestRepo_createAndWhatALocalRepositoryLacks(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	out, err := s.cli(t, "repo", "create", "team/app", "--default-branch", "trunk")
	require.NoError(t, err)
	require.Contains(t, out, "Created. team/app is at "+s.url+"/team/app.git")
	require.Contains(t, out, "git clone -c ")
	out, err = s.cli(t, "repo", "show", "team/app")
	require.NoError(t, err)
	require.Regexp(t, `(?s)default branch +trunk.*state +local`, out)
	_, err = s.cli(t, "repo", "create", "team/app")
	require.Equal(t, "see its state: headwater repo show team/app", nextOf(t, err))
	_, err = s.cli(t, "repo", "create", "team/app.git")
	require.ErrorContains(t, err, "cannot name the repository")

	for _, args := range [][]string{
		{"repo", "sync", "team/app"}, {"repo", "runs", "team/app"}, {"repo", "webhook", "team/app"}, {"repo", "ensure", "team/app", "--ref", "main"},
	} {
		_, err = s.cli(t, args...)
		require.Equal(t, "link it to one: headwater repo attach team/app URL", nextOf(t, err), args)
	}
	_, err = s.cli(t, "rewrite", "approve", "team/app", "rw_1")
	require.Equal(t, "see what exists: headwater rewrite list team/app", nextOf(t, err))
	_, err = s.cli(t, "webhook", "show", "wh_1")
	require.Equal(t, "see what exists: headwater webhook list", nextOf(t, err))
	_, err = s.cli(t, "repo", "settings", "team/app", "--retention", "5x")
	require.ErrorContains(t, err, `"5x" is not a duration with its unit`)
	out, err = s.cli(t, "repo", "settings", "team/app")
	require.NoError(t, err)
	require.Regexp(t, `freshness +revalidate`, out, "what an empty policy means: docs/freshness.md")

	for _, args := range [][]string{{"org", "add", "local"}, {"org", "key", "list", "nobody"}, {"org", "key", "disable", "local", "key_1"}} {
		_, err = s.cli(t, args...)
		require.Error(t, err)
		require.NotRegexp(t, `sql|constraint`, err.Error(), args)
	}
}

// TestRepo_attach_wantsAWordBeforeRefsAreLost links a repository that has a branch of
// its own, with nobody at a terminal to ask.
func TestRepo_attach_wantsAWordBeforeRefsAreLost(t *testing.T) {
	t.Parallel()
	forge, config, tokenFile := startForge(t)
	s := startServer(t, "", "--config", config)
	_, err := s.cli(t, "repo", "create", "team/app")
	require.NoError(t, err)
	work := t.TempDir()
	git := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", work}, args...)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	git("init", "--quiet")
	git("-c", "user.name=n", "-c", "user.email=n@example.org", "commit", "--quiet", "--allow-empty", "-m", "ours")
	token, err := s.cli(t, "token", "--repo", "team/app", "--scope", "git:write")
	require.NoError(t, err)
	git("-c", "http.extraHeader=Authorization: Bearer "+strings.TrimSpace(token), "push", "--quiet", s.url+"/team/app.git", "HEAD:refs/heads/ours")

	link := []string{"repo", "attach", "team/app", forge.CloneURL("river/delta"), "--username", "river", "--password-file", tokenFile}
	out, err := s.cli(t, link...)
	require.Contains(t, nextOf(t, err), "--yes")
	require.Regexp(t, `delete +refs/heads/ours`, out, "the plan is shown")
	out, err = s.cli(t, "repo", "show", "team/app")
	require.NoError(t, err)
	require.Regexp(t, `state +local`, out, "nothing was changed")
	_, err = s.cli(t, append(link, "--yes")...)
	require.NoError(t, err)
}

func TestMirror_failureTellsTheHostsWordsAndWhatToDo(t *testing.T) {
	t.Parallel()
	forge, config, token := startForge(t)
	s := startServer(t, "", "--config", config)
	_, err := s.cli(t, "mirror", forge.CloneURL("river/delta"))
	var step *stepError
	require.ErrorAs(t, err, &step)
	require.Contains(t, step.Error(), "(auth)")
	require.Contains(t, step.next, "headwater credential set river/delta")

	for range 2 {
		out, err := s.cli(t, "mirror", forge.CloneURL("river/delta"), "--username", "river", "--password-file", token)
		require.NoError(t, err)
		require.Contains(t, out, "mirrored already")
		require.Contains(t, out, "Done.")
	}
	_, err = s.cli(t, "mirror", forge.CloneURL("river/other"), "--id", "river/delta")
	require.ErrorContains(t, err, "does not follow")
	require.Contains(t, nextOf(t, err), "headwater repo repoint river/delta")
}

func TestMirror_refusesALoopbackHostThatIsNotAllowed(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	_, err := s.cli(t, "mirror", "http://127.0.0.1:9/a/b", "--provider", "gitea")
	require.ErrorContains(t, err, "allow_private")
	_, err = s.cli(t, "mirror", "https://git.example.org/a/b")
	require.ErrorContains(t, err, "no provider of the server names the host")
}

func TestOrg_keysWorkBesideARunningServer(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	private := filepath.Join(t.TempDir(), "acme.pem")
	_, err := s.cli(t, "org", "key", "add", "acme", "--generate", private)
	require.ErrorContains(t, err, "no organisation")
	_, err = s.cli(t, "org", "add", "acme")
	require.NoError(t, err)
	_, err = s.cli(t, "org", "add", "acme")
	require.ErrorContains(t, err, "exists already")
	_, err = s.cli(t, "org", "add", "Not A Label")
	require.Error(t, err)

	list := []string{"repo", "list", "--org", "acme", "--key", private}
	_, err = s.cli(t, "org", "key", "add", "acme", "--generate", private)
	require.NoError(t, err)
	info, err := os.Stat(private)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, err = s.cli(t, "org", "key", "add", "acme", "--generate", private)
	require.ErrorContains(t, err, "exists already", "a key is never overwritten")
	_, err = s.cli(t, list...)
	require.NoError(t, err, "the running server knows the new key")

	out, err := s.cli(t, "org", "key", "list", "acme")
	require.NoError(t, err)
	fields := strings.Fields(strings.Split(out, "\n")[1])
	_, err = s.cli(t, "org", "key", "disable", "acme", fields[0])
	require.NoError(t, err)
	out, err = s.cli(t, "org", "list")
	require.NoError(t, err)
	require.Regexp(t, `acme +0 `, out)
	// The server may remember a parsed key for a second, and no longer.
	require.Eventually(t, func() bool {
		_, err := s.cli(t, list...)
		return err != nil && strings.Contains(err.Error(), "no active key")
	}, time.Minute, 100*time.Millisecond)
}

func TestProvider_check(t *testing.T) {
	t.Parallel()
	forge, config, token := startForge(t)
	out, _, err := runCLI(t, noEnv, "provider", "list", "--config", config)
	require.NoError(t, err)
	require.Equal(t, 9, strings.Count(out, "\n"), "a header and eight providers")

	out, _, err = runCLI(t, noEnv, "provider", "check", "gitea", "--config", config,
		"--repo", forge.CloneURL("river/delta"), "--username", "river", "--password-file", token)
	require.NoError(t, err, out)
	require.Contains(t, out, "default branch main")
	require.Contains(t, out, "reachable yes, pull yes, push yes")

	out, _, err = runCLI(t, noEnv, "provider", "check", "gitea", "--repo", forge.CloneURL("river/delta"))
	require.Error(t, err, "a loopback host is not allowed without the configuration")
	require.Contains(t, out, "FAILED")

	plugin := filepath.Join(t.TempDir(), "provider-codeberg")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", plugin, "../../../plugins/codeberg/cmd/provider-codeberg")
	built, err := build.CombinedOutput()
	require.NoError(t, err, string(built))
	out, _, err = runCLI(t, noEnv, "provider", "check", plugin)
	require.NoError(t, err, out)
	require.Contains(t, out, "configure   ok")
	wrong := filepath.Join(t.TempDir(), "providers.hcl")
	require.NoError(t, os.WriteFile(wrong, []byte("provider \"codeberg\" \"own\" {\n  command = \""+plugin+"\"\n  sha256 = \""+strings.Repeat("0", 64)+"\"\n}\n"), 0o600))
	out, _, err = runCLI(t, noEnv, "provider", "check", plugin, "--config", wrong)
	require.Error(t, err, "the block of the binary counts, with its checksum")
	require.Contains(t, out, "FAILED")

	_, _, err = runCLI(t, noEnv, "provider", "check", "nowhere")
	require.ErrorContains(t, err, "nowhere")
}

func TestClient_unreachableServer(t *testing.T) {
	t.Parallel()
	dir, _ := newDataDir(t)
	_, _, err := runCLI(t, noEnv, "repo", "list", "--data", string(dir), "--server", "http://127.0.0.1:1")
	var step *stepError
	require.ErrorAs(t, err, &step)
	require.Contains(t, step.next, "headwater serve")
	_, _, err = runCLI(t, noEnv, "repo", "list", "--data", string(dir))
	require.ErrorContains(t, err, "no server is running")
	_, _, err = runCLI(t, noEnv, "repo", "list", "--data", string(dir), "--server", "https://u:hunter2@host")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestReadSecret_sources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for _, tc := range []struct {
		name, file, stdin, want, fails string
	}{
		{name: "no file", want: ""},
		{name: "file", file: write("plain", "s3cret"), want: "s3cret"},
		{name: "newline at the end", file: write("newline", "s3cret\r\n"), want: "s3cret"},
		{name: "spaces stay", file: write("spaces", " s3 cret "), want: " s3 cret "},
		{name: "standard input", file: "-", stdin: "s3cret\n", want: "s3cret"},
		{name: "empty", file: write("empty", "\n"), fails: "is empty"},
		{name: "two lines", file: write("two", "user\nhunter2"), fails: "more than one line"},
		{name: "missing", file: filepath.Join(dir, "absent"), fails: "read the secret"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			cmd := newRoot(noEnv)
			cmd.SetIn(strings.NewReader(tc.stdin))
			got, err := readSecret(cmd, tc.file)
			if tc.fails != "" {
				require.ErrorContains(t, err, tc.fails)
				require.NotContains(t, err.Error(), "hunter2")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got.Reveal())
		})
	}
}

func TestNextForClass_everyClassHasAStep(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "errors.md"))
	require.NoError(t, err)
	for _, class := range []core.ErrorClass{
		core.ClassAuth, core.ClassRevoked, core.ClassNotFound, core.ClassMoved, core.ClassProtocol, core.ClassRateLimited, core.ClassNetwork,
		core.ClassTimeout, core.ClassTooLarge, core.ClassRefused, core.ClassDiverged, core.ClassCorrupt, core.ClassUnavailable, core.ClassInternal,
	} {
		require.NotEmpty(t, nextForClass(class, "a/b"))
		require.Contains(t, string(docs), "| `"+string(class)+"` |", "docs/errors.md explains every class")
	}
}

func TestNextForError_causesThatDoNotPass(t *testing.T) {
	t.Parallel()
	github := &rest.BaseRepo{Provider: "github"}
	for _, tc := range []struct {
		class   core.ErrorClass
		message string
		base    *rest.BaseRepo
		want    string
	}{
		{core.ClassNetwork, "the host's certificate is not trusted: x509: certificate signed by unknown authority", nil, "ca_file"},
		{core.ClassNetwork, "host git.exmaple.org does not exist in the DNS; check its spelling", nil, "headwater repo repoint a/b"},
		{core.ClassNetwork, "the host's name could not be resolved", nil, "headwater repo repoint a/b"},
		{core.ClassNetwork, "the host refused the connection", nil, "wait: the server tries again"},
		{core.ClassAuth, "the host answered 401 Unauthorized", github, "App's installation"},
		{core.ClassAuth, "the host answered 401 Unauthorized", nil, "headwater credential set a/b"},
	} {
		next := nextForError(rest.SyncError{Class: rest.SyncErrorClass(tc.class), Message: tc.message}, rest.Repository{RepoName: "a/b", BaseRepo: tc.base})
		require.Contains(t, next, tc.want, tc.message)
	}
}

func TestNextForUpstream_everyStateButActiveHasAStep(t *testing.T) {
	t.Parallel()
	for _, state := range []core.UpstreamState{
		core.UpstreamArchived, core.UpstreamPrivate, core.UpstreamRevoked, core.UpstreamSuspended, core.UpstreamDeleted, core.UpstreamReplaced,
	} {
		require.NotEmpty(t, nextForUpstream(state, "team/app"), state)
	}
	require.Empty(t, nextForUpstream("active", "team/app"))
	require.Empty(t, nextForUpstream("", "team/app"), "an older server")
	var out strings.Builder
	require.NoError(t, printRepo(&out, rest.Repository{RepoName: "team/app", Sync: &rest.Sync{State: "ready", UpstreamState: "archived"}}, time.Now()))
	require.Regexp(t, `next +unarchive it at the host`, out.String())
}

func TestDescribe_words(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		in   rest.SyncProgress
		want string
	}{
		{"nothing yet", rest.SyncProgress{}, "Waiting for the host"},
		{"phase", rest.SyncProgress{Phase: "Counting objects", Steps: 1, Step: 1}, "Counting objects"},
		{"all", rest.SyncProgress{Phase: "Receiving objects", Step: 1, Steps: 3, Bytes: 13 << 20, BytesPerSecond: 1536}, "Receiving objects (step 1 of 3, 13.0 MiB, 1.5 KiB/s)"},
		{"small", rest.SyncProgress{Phase: "Receiving objects", Bytes: 12}, "Receiving objects (12 B)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, describe(tc.in))
		})
	}
}
