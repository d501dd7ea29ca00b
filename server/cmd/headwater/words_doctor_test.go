package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/server/backup"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/server/doctor"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
)

// brokenData is a data directory without a server, to be broken.
type brokenData struct {
	t     *testing.T
	dir   string
	repos map[string]core.Repository
}

// newBrokenData makes one with repositories: those of the organisation river are mirrors.
func newBrokenData(t *testing.T, g *git.Git, names ...string) brokenData {
	t.Helper()
	b := brokenData{t, filepath.Join(t.TempDir(), "da ta"), map[string]core.Repository{}}
	require.NoError(t, os.MkdirAll(filepath.Join(b.dir, "keys"), 0o700))
	sealer, err := seal.LoadOrCreate(filepath.Join(b.dir, "keys", "seal.json"))
	require.NoError(t, err)
	s, err := database.Place{DataDir: b.dir}.Open(t.Context(), store.Options{Sealer: sealer})
	require.NoError(t, err)
	now := time.Now().UTC()
	for _, org := range []string{"local", "river"} {
		require.NoError(t, s.Tx(t.Context(), func(q core.Queries) error { return q.CreateOrg(t.Context(), core.Org{Name: org, CreatedAt: now}) }))
	}
	for _, name := range names {
		r := core.Repository{ID: core.NewID("repo", now), Org: "local", Name: name, DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: now}
		if strings.HasPrefix(name, "river/") {
			r.Org, r.Upstream = "river", &core.Upstream{Provider: "gitea", URL: "https://git.example.org/" + name, Host: "git.example.org"}
		}
		require.NoError(t, s.Tx(t.Context(), func(q core.Queries) error { return q.CreateRepository(t.Context(), r) }))
		folder := repo.PathIn(b.dir, r.ID)
		require.NoError(t, os.MkdirAll(filepath.Dir(folder), 0o700))
		require.NoError(t, g.Init(t.Context(), folder, "main", "sha1"))
		require.NoError(t, repo.WriteDescription(folder, r))
		b.write(filepath.Join(folder, "packed-refs"), "") // it is not new
		b.repos[name] = r
	}
	require.NoError(t, s.Close())
	return b
}

// path is a path in the folder of a repository.
func (b brokenData) path(name string, in ...string) string {
	return filepath.Join(append([]string{repo.PathIn(b.dir, b.repos[name].ID)}, in...)...)
}

func (b brokenData) move(from, to string) { require.NoError(b.t, os.Rename(from, to)) }

func (b brokenData) write(path, text string) {
	require.NoError(b.t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(b.t, os.WriteFile(path, []byte(text), 0o600))
}

// TestWords_doctor prints what doctor says of each thing that it finds: the other half
// of the table of [TestWords], to be read and written anew like that. Each command in it
// is one that exists, with the arguments that it takes.
func TestWords_doctor(t *testing.T) {
	t.Parallel()
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	ids := regexp.MustCompile(`(?:[a-z0-9]{2}/[a-z0-9]{2}/)?repo_[a-zA-Z0-9]+`)
	const changed = "changed by the disk"
	oid := lfs.OIDOf(sha256.Sum256([]byte(changed)))
	var got strings.Builder
	for _, c := range []struct {
		name  string
		repos []string
		look  doctor.Options
		spoil func(b brokenData)
	}{
		{"a restore that did not finish", nil, doctor.Options{}, func(b brokenData) { b.write(filepath.Join(b.dir, backup.RestoringFile), "") }},
		{"the database is lost", []string{"one"}, doctor.Options{}, func(b brokenData) { b.move(filepath.Join(b.dir, database.File), filepath.Join(b.dir, "x")) }},
		{"the database is damaged", []string{"one"}, doctor.Options{}, func(b brokenData) { b.write(filepath.Join(b.dir, database.File), "no database") }},
		{"a PostgreSQL that is not given", nil, doctor.Options{}, func(b brokenData) {
			b.write(filepath.Join(b.dir, "database.json"), `{"engine":"postgresql","name":"x"}`)
		}},
		{"a key that others may read", nil, doctor.Options{}, func(b brokenData) { require.NoError(t, os.Chmod(filepath.Join(b.dir, "keys", "seal.json"), 0o644)) }},
		{"a mirror's folder is lost, the server runs", []string{"river/a b", "two"}, doctor.Options{Running: true}, func(b brokenData) { b.move(b.path("river/a b"), filepath.Join(b.dir, "x")) }},
		{"a local one's folder is lost, the server is stopped", []string{"one", "two"}, doctor.Options{}, func(b brokenData) { b.move(b.path("one"), filepath.Join(b.dir, "x")) }},
		{"HEAD is lost", []string{"one"}, doctor.Options{Running: true}, func(b brokenData) { b.move(b.path("one", "HEAD"), filepath.Join(b.dir, "x")) }},
		{"objects are lost", []string{"river/one"}, doctor.Options{Running: true}, func(b brokenData) {
			b.write(b.path("river/one", "refs", "heads", "main"), strings.Repeat("1", 40)+"\n")
		}},
		{"a disk that is not mounted", []string{"a", "b", "c", "d"}, doctor.Options{Running: true}, func(b brokenData) { b.move(filepath.Join(b.dir, "repos"), filepath.Join(b.dir, "x")) }},
		{"a folder that nobody knows", []string{"one"}, doctor.Options{}, func(b brokenData) {
			stranger := core.Repository{ID: core.NewID("repo", time.Now()), Org: "river", Name: "delta"}
			folder := repo.PathIn(b.dir, stranger.ID)
			require.NoError(t, os.MkdirAll(filepath.Dir(folder), 0o700))
			require.NoError(t, g.Init(t.Context(), folder, "main", "sha1"))
			require.NoError(t, repo.WriteDescription(folder, stranger))
			b.write(filepath.Join(folder, "packed-refs"), "")
		}},
		{"a folder that does not say whose it is", []string{"one"}, doctor.Options{}, func(b brokenData) {
			folder := repo.PathIn(b.dir, core.NewID("repo", time.Now()))
			require.NoError(t, os.MkdirAll(filepath.Dir(folder), 0o700))
			require.NoError(t, g.Init(t.Context(), folder, "main", "sha1"))
			b.write(filepath.Join(folder, "packed-refs"), "")
		}},
		{"a folder that says it is another", []string{"one", "two"}, doctor.Options{}, func(b brokenData) {
			b.move(b.path("one", repo.DescriptionFile), b.path("two", repo.DescriptionFile))
		}},
		{"an LFS object that the disk has changed", nil, doctor.Options{Deep: true}, func(b brokenData) {
			b.write(lfs.FolderOf(filepath.Join(b.dir, lfs.FolderName)).Path(oid), "C"+changed[1:])
		}},
		{"a quarantine", nil, doctor.Options{}, func(b brokenData) { b.write(filepath.Join(b.dir, "quarantine", "2026-01-02-repo", "HEAD"), "") }},
	} {
		b := newBrokenData(t, g, c.repos...)
		c.spoil(b)
		c.look.DataDir, c.look.Git = b.dir, g
		found, err := doctor.Look(t.Context(), c.look)
		require.NoError(t, err, c.name)
		// How full the disk of the tests is, is not of these tests.
		found.Findings = slices.DeleteFunc(found.Findings, func(f doctor.Finding) bool { return strings.HasPrefix(f.What, "the disk has ") && f.Subject == b.dir })
		require.NotEmpty(t, found.Findings, c.name)
		var said bytes.Buffer
		if err := printReport(&said, found, false); err != nil {
			fmt.Fprintln(&said, err)
		}
		text := ids.ReplaceAllString(strings.ReplaceAll(said.String(), b.dir, "/srv/da ta"), "REPO_ID")
		for _, program := range notForPeople {
			require.NotContains(t, strings.ReplaceAll(text, "PostgreSQL", "the database"), program, c.name)
		}
		for line := range strings.Lines(text) {
			for _, q := range quotedIn(c.name, line, false) {
				require.NoError(t, q.parse(), line)
			}
		}
		fmt.Fprintf(&got, "## %s\n%s\n", c.name, text)
	}
	path := filepath.Join("testdata", "words-doctor.txt")
	if os.Getenv("HEADWATER_UPDATE") != "" {
		require.NoError(t, os.WriteFile(path, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), got.String()), "run this test with HEADWATER_UPDATE=1, and read the difference")
}
