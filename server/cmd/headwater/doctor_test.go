package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/doctor"
)

// examine runs doctor and returns what it found; problems are in the exit code, too.
func examine(t *testing.T, dir dataDir) doctor.Report {
	t.Helper()
	out, _, err := runCLI(t, noEnv, "doctor", "--data", string(dir), "--json")
	var r doctor.Report
	require.NoError(t, json.Unmarshal([]byte(out), &r), out)
	require.Equal(t, r.Problems() > 0, err != nil, "%v", err)
	return r
}

// A mirror that somebody made with git is taken over without fetching it again; and
// when the database is lost, the folders bring the names back.
func TestDoctor_adoptsMirrorsAndLostNames(t *testing.T) {
	t.Parallel()
	forge, config, secret := startForge(t)
	s := startServer(t, "", "--config", config)
	mirror := filepath.Join(t.TempDir(), "delta.git")
	_, err := gitAt(t, t.TempDir(), "", "clone", "--quiet", "--mirror", forge.CloneURLAs("river/delta"), mirror)
	require.NoError(t, err)
	_, err = gitAt(t, mirror, "", "update-ref", "refs/pull/1/head", "HEAD")
	require.NoError(t, err)

	out, err := s.cli(t, "repo", "adopt", mirror, "river/delta")
	require.NoError(t, err)
	require.Contains(t, out, "left out, as neither branches, tags nor notes: 1")
	fetches := forge.Count(forgetest.KindFetch)
	_, err = s.cli(t, "repo", "attach", "river/delta", forge.CloneURL("river/delta"), "--username", "river", "--password-file", secret, "--yes")
	require.NoError(t, err)
	_, err = s.cli(t, "repo", "sync", "river/delta", "--wait")
	require.NoError(t, err)
	require.Equal(t, fetches, forge.Count(forgetest.KindFetch), "nothing is fetched that is here")
	runs, err := s.cli(t, "repo", "list")
	require.NoError(t, err)
	require.Contains(t, runs, "ready")
	r := examine(t, s.dir)
	require.True(t, r.Running)
	require.Zero(t, r.Problems(), "%v", r.Findings)
	require.NoError(t, s.stop())
	require.NoError(t, os.WriteFile(filepath.Join(mirror, "shallow"), []byte("x\n"), 0o600))
	_, err = s.cli(t, "repo", "adopt", mirror, "other")
	require.ErrorContains(t, err, "is shallow")

	// The sealing key is lost.
	require.NoError(t, os.Rename(s.dir.sealFile(), s.dir.sealFile()+".lost"))
	r = examine(t, s.dir)
	require.Len(t, r.Findings, 1)
	require.Contains(t, r.Findings[0].What, "sealing key is missing")
	_, err = s.cli(t, "doctor", "--new-seal-key")
	require.NoError(t, err)
	require.Zero(t, examine(t, s.dir).Problems())

	// The database is lost, and what is in no backup.
	require.NoError(t, os.RemoveAll(filepath.Join(string(s.dir), "run")))
	require.NoError(t, os.Remove(s.dir.database()))
	for _, suffix := range []string{"-wal", "-shm"} {
		require.NoError(t, os.RemoveAll(s.dir.database()+suffix))
	}
	r = examine(t, s.dir)
	require.Equal(t, 2, r.Problems(), "%v", r.Findings)
	require.Contains(t, r.Findings[0].Next, "doctor --adopt")
	require.Contains(t, r.Findings[1].What, "was river/delta in the organisation local")
	require.NoFileExists(t, s.dir.database(), "looking changes nothing")
	out, err = s.cli(t, "doctor", "--adopt")
	require.NoError(t, err)
	require.Contains(t, out, "Adopted river/delta of local")
	require.Zero(t, examine(t, s.dir).Problems())

	// A folder that is not whole.
	heads, err := filepath.Glob(filepath.Join(string(s.dir), "repos", "*", "*", "*", "HEAD"))
	require.NoError(t, err)
	require.Len(t, heads, 1)
	require.NoError(t, os.Remove(heads[0]))
	r = examine(t, s.dir)
	require.Equal(t, 1, r.Problems())
	require.True(t, strings.HasPrefix(r.Findings[0].What, "the file HEAD is missing"), r.Findings[0].What)
	require.Regexp(t, `^start the server, then: headwater repo rebuild --data \S+ \S+, which fetches`, r.Findings[0].Next)
}

// TestDamagedDatabase: what opens a file that is no database says what to do with it.
func TestDamagedDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	garbage := bytes.Repeat([]byte("no database "), 4096)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "headwater.db"), garbage, 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "repos"), 0o700))
	for next, args := range map[string][]string{
		"headwater restore BACKUP into an empty folder; without a backup move headwater.db away, then: headwater doctor": {"serve", "--listen", "127.0.0.1:0", "--admin-listen", "none"},
		"move headwater.db away, then run this again":                                                                    {"doctor", "--adopt"},
	} {
		_, _, err := runCLI(t, noEnv, append(args, "--data", dir)...)
		require.ErrorContains(t, err, "damaged or not a database")
		require.Contains(t, nextOf(t, err), next)
	}
	left, err := os.ReadFile(filepath.Join(dir, "headwater.db"))
	require.NoError(t, err)
	require.Equal(t, garbage, left)
}
