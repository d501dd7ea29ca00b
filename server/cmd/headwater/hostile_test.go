package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/backup"
)

// stoppedServer makes a data directory with a repository team/one, whose one commit is
// in a pack, and returns it and the repository's folder.
func stoppedServer(t *testing.T) (data dataDir, folder string) {
	t.Helper()
	s := startServer(t, "")
	_, err := s.cli(t, "repo", "create", "team/one")
	require.NoError(t, err)
	token, err := s.cli(t, "token", "--repo", "team/one", "--scope", "git:write")
	require.NoError(t, err)
	work := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(work, "file"), []byte(strings.Repeat("some text\n", 100)), 0o600))
	for _, args := range [][]string{
		{"init", "--quiet", "-b", "main"}, {"add", "file"}, {"commit", "--quiet", "-m", "one"}, {"push", "--quiet", s.url + "/team/one.git", "main"},
	} {
		out, err := gitAt(t, work, strings.TrimSpace(token), args...)
		require.NoError(t, err, out)
	}
	require.NoError(t, s.stop())
	folders, err := filepath.Glob(filepath.Join(string(s.dir), "repos", "*", "*", "*.git"))
	require.NoError(t, err)
	require.Len(t, folders, 1)
	out, err := gitAt(t, folders[0], "", "repack", "-a", "-d", "--quiet")
	require.NoError(t, err, out)
	return s.dir, folders[0]
}

// What people do to backups and restores by mistake, or to see what happens.
func TestBackup_misuse(t *testing.T) {
	t.Parallel()
	data, _ := stoppedServer(t)
	run := func(args ...string) (string, error) {
		t.Helper()
		out, errs, err := runCLI(t, noEnv, args...)
		t.Logf("headwater %s\n%s%s", strings.Join(args, " "), out, errs)
		return out, err
	}
	to, elsewhere := t.TempDir(), t.TempDir()
	link := filepath.Join(elsewhere, "link")
	require.NoError(t, os.Symlink(string(data), link))

	// Into the data directory, by whatever name.
	for _, dir := range []string{string(data), filepath.Join(string(data), "tmp", "new", "backups"), filepath.Join(link, "backups")} {
		_, err := run("backup", dir, "--data", string(data))
		require.ErrorContains(t, err, "lies in")
		if dir != string(data) {
			require.NoDirExists(t, dir)
		}
	}
	// Two into one folder, and what a killed one has left.
	f, err := os.Open(to)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	_, err = run("backup", to, "--data", string(data))
	require.ErrorContains(t, err, "another backup into")
	require.NoError(t, f.Close())
	require.NoError(t, os.MkdirAll(filepath.Join(to, ".partial-1", "repos"), 0o700))
	killed, alive := filepath.Join(string(data), "tmp", "backup-1"), filepath.Join(string(data), "tmp", "backup-2")
	require.NoError(t, os.MkdirAll(filepath.Join(killed, "repo_x"), 0o700))
	require.NoError(t, os.Mkdir(alive, 0o700))
	f, err = os.Open(alive)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX))

	// Keys for a recipient, and for nobody else.
	mine, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	other, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	identity, wrong := filepath.Join(elsewhere, "identity"), filepath.Join(elsewhere, "wrong")
	require.NoError(t, os.WriteFile(identity, []byte("# created: today\n"+mine.String()+"\n"), 0o600))
	require.NoError(t, os.WriteFile(wrong, []byte(other.String()+"\n"), 0o600))
	_, err = run("backup", to, "--data", string(data), "--with-keys", "--recipient", mine.Recipient().String())
	require.NoError(t, err)
	require.NoDirExists(t, filepath.Join(to, ".partial-1"))
	require.NoDirExists(t, killed)
	require.DirExists(t, alive, "another backup works there")
	require.NoError(t, f.Close())
	names, err := backup.Backups(to)
	require.NoError(t, err)
	require.Len(t, names, 1)
	sealed, err := os.ReadFile(filepath.Join(to, names[0], "keys.age"))
	require.NoError(t, err)
	key, err := os.ReadFile(data.keyFile())
	require.NoError(t, err)
	require.NotContains(t, string(sealed), strings.Split(string(key), "\n")[1])

	restored := func(args ...string) (dataDir, string, error) {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "data")
		out, err := run(append([]string{"restore", to, "--data", dir}, args...)...)
		return dataDir(dir), out, err
	}
	_, _, err = restored("--identity-file", wrong)
	require.ErrorContains(t, err, "does not open")
	whole, _, err := restored("--identity-file", identity)
	require.NoError(t, err)
	again, err := os.ReadFile(whole.keyFile())
	require.NoError(t, err)
	require.Equal(t, key, again)

	// Over something else, and into or around the backup itself.
	for name, make := range map[string]func(dir string) error{
		"repos":      func(dir string) error { return os.MkdirAll(filepath.Join(dir, "repos", "my work"), 0o700) },
		"tmp":        func(dir string) error { return os.MkdirAll(filepath.Join(dir, "tmp", "mine"), 0o700) },
		"quarantine": func(dir string) error { return os.MkdirAll(filepath.Join(dir, "quarantine", "mine"), 0o700) },
	} {
		dir := t.TempDir()
		require.NoError(t, make(dir))
		_, err := run("restore", to, "--data", dir)
		require.ErrorContains(t, err, "nothing is ever overwritten", name)
		require.NoFileExists(t, filepath.Join(dir, "restoring"))
	}
	for _, dir := range []string{to, filepath.Join(to, "data"), filepath.Join(to, names[0]), filepath.Dir(to)} {
		_, err := run("restore", to, "--data", dir)
		require.ErrorContains(t, err, "apart", dir)
	}
	brought := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(brought, "keys"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(brought, "keys", "seal.json"), []byte("{}"), 0o600))
	_, err = run("restore", to, "--data", brought, "--identity-file", identity)
	require.ErrorContains(t, err, "is there already, and is not that of the backup")

	// A byte that has changed in a pack: said, and restored all the same.
	packs, err := filepath.Glob(filepath.Join(to, names[0], "repos", "*.git", "objects", "pack", "*.pack"))
	require.NoError(t, err)
	require.Len(t, packs, 1)
	content, err := os.ReadFile(packs[0])
	require.NoError(t, err)
	content[len(content)/2] ^= 1
	require.NoError(t, os.Remove(packs[0])) // it is linked to the data directory
	require.NoError(t, os.WriteFile(packs[0], content, 0o400))
	damaged, out, err := restored()
	require.NoError(t, err)
	require.Contains(t, out, "DAMAGED in the backup: team/one of local")
	_, err = run("doctor", "--deep", "--data", string(damaged))
	require.Error(t, err)

	// What is no file.
	require.NoError(t, syscall.Mkfifo(filepath.Join(filepath.Dir(packs[0]), "pipe"), 0o600))
	_, _, err = restored()
	require.ErrorContains(t, err, "neither a file nor a folder")
}

// Doctor on a data directory in which strangers have left things, and two at once.
func TestDoctor_foreignFolders(t *testing.T) {
	t.Parallel()
	data, folder := stoppedServer(t)
	outside := t.TempDir()
	empty := filepath.Join(outside, "bb", "empty.git")
	require.NoError(t, os.MkdirAll(empty, 0o700))
	at := func(name string) string {
		dir := filepath.Join(string(data), "repos", "aa", "bb", name)
		require.NoError(t, os.MkdirAll(dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "packed-refs"), nil, 0o600))
		return filepath.Join(dir, "headwater.json")
	}
	at("two\nlines \x1b[31m.git")
	require.NoError(t, syscall.Mkfifo(at("pipe.git"), 0o600))
	require.NoError(t, os.WriteFile(at("huge.git"), nil, 0o600))
	require.NoError(t, os.Truncate(at("huge.git"), 10<<30))
	require.NoError(t, os.WriteFile(at("broken.git"), []byte(`{"format":1,"id":`), 0o600))
	require.NoError(t, os.WriteFile(at("other.git"), []byte(`{"format":1,"id":"../../../../etc","organisation":"a\u001b[31m","name":"../x"}`), 0o600))
	require.NoError(t, os.WriteFile(at("newer.git"), []byte(`{"format":99}`), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(string(data), "repos", "zz")))
	require.NoError(t, os.WriteFile(filepath.Join(string(data), "repos", "a file"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "headwater.json"), []byte("{"), 0o600))

	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			r := examine(t, data)
			if r.Running || r.Problems() != 7 {
				t.Errorf("running %v, %d problems: %v", r.Running, r.Problems(), r.Findings)
			}
			for _, f := range r.Findings {
				if text := fmt.Sprint(f); strings.ContainsAny(text, "\n\x1b") {
					t.Errorf("not fit for a terminal: %q", text)
				}
			}
		})
	}
	both.Wait()
	out, _, err := runCLI(t, noEnv, "doctor", "--adopt", "--data", string(data))
	require.ErrorContains(t, err, "not adopted: 6 of 6 folders")
	require.NotContains(t, out, "\x1b")
	s := startServer(t, data)
	_, err = s.cli(t, "repo", "show", "team/one")
	require.NoError(t, err)
	require.DirExists(t, empty, "what a link leads to is nobody's to clear")
	require.Equal(t, 6, examine(t, data).Problems(), "the start has described the repository anew")
	require.NoError(t, s.stop())
}

// Mirrors of others that are not whole, or lie behind links.
func TestRepoAdopt_odd(t *testing.T) {
	t.Parallel()
	data, folder := stoppedServer(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, args := range [][]string{
		{"clone", "--quiet", "--mirror", "--shared", folder, in("shared.git")}, {"clone", "--quiet", "--mirror", "--no-local", folder, in("damaged.git")},
		{"clone", "--quiet", "--mirror", "--no-local", folder, in("whole.git")},
	} {
		out, err := gitAt(t, dir, "", args...)
		require.NoError(t, err, out)
	}
	packs, err := filepath.Glob(in("damaged.git/objects/pack/*.pack"))
	require.NoError(t, err)
	require.Len(t, packs, 1)
	require.NoError(t, os.Chmod(packs[0], 0o600))
	content, err := os.ReadFile(packs[0])
	require.NoError(t, err)
	content[len(content)-30] ^= 1
	require.NoError(t, os.WriteFile(packs[0], content, 0o600))
	require.NoError(t, os.Rename(in("whole.git/objects"), in("objects")))
	require.NoError(t, os.Symlink(in("objects"), in("whole.git/objects")))
	require.NoError(t, os.Symlink(in("whole.git"), in("link")))
	for name, says := range map[string]string{"shared.git": "shares objects", "damaged.git": "is not whole", "objects": "is not the folder of a git repository", "none": "is not the folder"} {
		_, _, err := runCLI(t, noEnv, "repo", "adopt", in(name), "team/"+strings.TrimSuffix(name, ".git"), "--data", string(data))
		require.ErrorContains(t, err, says, name)
	}
	_, errs, err := runCLI(t, noEnv, "repo", "adopt", in("link"), "team/link", "--data", string(data))
	require.NoError(t, err, errs)
	require.Zero(t, examine(t, data).Problems())
}
