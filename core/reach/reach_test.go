package reach_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/reach"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// rows is a store of one repository.
type rows struct {
	reach.Store
	repo      core.Repository
	settings  core.Settings
	forgotten []core.ObjectID
}

func (r *rows) RepositoryByID(context.Context, string) (core.Repository, error) { return r.repo, nil }
func (r *rows) Settings(context.Context, string) (core.Settings, error)         { return r.settings, nil }
func (r *rows) AnyForgotten(context.Context, string) (bool, error)              { return len(r.forgotten) > 0, nil }
func (r *rows) Forgotten(_ context.Context, _ string, ids []core.ObjectID) (found []core.ObjectID, _ error) {
	for _, id := range ids {
		for _, f := range r.forgotten {
			if id == f {
				found = append(found, id)
			}
		}
	}
	return found, nil
}

// fixture is a bare repository and what answers for it.
type fixture struct {
	testing.TB
	dir string
	*rows
	*reach.Service
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{TB: t, dir: filepath.Join(t.TempDir(), "a.git"), rows: &rows{repo: core.Repository{ID: "repo_1"}, settings: core.Settings{StrictWants: true}}}
	require.NoError(t, os.Mkdir(f.dir, 0o700))
	coretest.Run(t, f.dir, "init", "--quiet", "--bare", "--initial-branch=main")
	f.restart()
	return f
}

// restart makes a service that remembers nothing.
func (f *fixture) restart() {
	f.Helper()
	g, err := git.New(f.Context(), git.Options{})
	require.NoError(f, err)
	f.Service = reach.New(reach.Options{Git: g, Path: func(string) string { return f.dir }, Store: f.rows})
}

// move puts refs on commits, or deletes them ("").
func (f *fixture) move(refs map[string]core.ObjectID) {
	f.Helper()
	in := ""
	for name, id := range refs {
		if id == "" {
			in += "delete " + name + "\n"
		} else {
			in += fmt.Sprintf("update %s %s\n", name, id)
		}
	}
	out, err := coretest.TryRun(f.Context(), f.dir, in, "update-ref", "--stdin")
	require.NoError(f, err, out)
	f.repo.Version++
}

// served requires what may be named: the commits with their trees and blobs.
func (f *fixture) served(want map[core.ObjectID]bool) {
	f.Helper()
	for commit, ok := range want {
		ids := []core.ObjectID{commit}
		for _, part := range []string{"^{tree}", ":file"} {
			ids = append(ids, core.ObjectID(coretest.Run(f, f.dir, "rev-parse", string(commit)+part)))
		}
		refused, err := f.Refused(f.Context(), f.repo, ids)
		require.NoError(f, err)
		if ok {
			require.Empty(f, refused, commit)
		} else {
			require.Equal(f, ids, refused, commit)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := coretest.Commit(t, f.dir, "one")
	two := coretest.Commit(t, f.dir, "two", one)
	three := coretest.Commit(t, f.dir, "three", two)
	side := coretest.Commit(t, f.dir, "side", one)
	f.served(map[core.ObjectID]bool{one: false, three: false})

	f.move(map[string]core.ObjectID{"refs/heads/main": two, "refs/internal/kept/rw_1": side})
	f.served(map[core.ObjectID]bool{one: true, two: true, three: false, side: false})
	f.move(map[string]core.ObjectID{"refs/heads/main": three})
	f.served(map[core.ObjectID]bool{one: true, two: true, three: true, side: false})
	f.restart()
	f.served(map[core.ObjectID]bool{one: true, three: true, side: false})

	// Back: what the file says of the time before must not serve what is gone.
	f.move(map[string]core.ObjectID{"refs/heads/main": one})
	f.served(map[core.ObjectID]bool{one: true, two: false, three: false})
	f.move(map[string]core.ObjectID{"refs/namespaces/ephemeral/refs/heads/try": three, "refs/notes/commits": side})
	f.served(map[core.ObjectID]bool{one: true, two: true, three: true, side: true})

	// An annotated tag is an object of its own, and goes although its commit stays.
	tag := core.ObjectID(coretest.Run(t, f.dir, "-c", "user.name=a", "-c", "user.email=a@example.com", "tag", "-a", "-m", "t", "v1", string(one)) +
		coretest.Run(t, f.dir, "rev-parse", "refs/tags/v1"))
	f.repo.Version++
	refused := func(ids ...core.ObjectID) []core.ObjectID {
		got, err := f.Refused(t.Context(), f.repo, ids)
		require.NoError(t, err)
		return got
	}
	require.Empty(t, refused(tag))
	f.served(map[core.ObjectID]bool{side: true})
	f.move(map[string]core.ObjectID{"refs/tags/v1": ""})
	require.Equal(t, []core.ObjectID{tag}, refused(tag))

	// A file that is damaged or gone is made anew.
	for _, content := range [][]byte{nil, []byte("headwater reachable objects 1\nx 20 5 0\n"), bytes.Repeat([]byte("x"), 100)} {
		require.NoError(t, os.WriteFile(filepath.Join(f.dir, "headwater-reachable"), content, 0o600))
		f.served(map[core.ObjectID]bool{one: true, three: true, side: true})
	}
	require.NoError(t, os.Remove(filepath.Join(f.dir, "headwater-reachable")))
	f.served(map[core.ObjectID]bool{three: true})

	// Without the setting only what was forgotten is refused.
	f.settings.StrictWants = false
	f.move(map[string]core.ObjectID{"refs/namespaces/ephemeral/refs/heads/try": ""})
	require.Empty(t, refused(three))
	f.forgotten = []core.ObjectID{three, one}
	require.Equal(t, []core.ObjectID{three}, refused(one, two, three), "a ref leads to one")
	require.Equal(t, []core.ObjectID{"nonsense"}, func() []core.ObjectID { f.settings.StrictWants = true; return refused("nonsense") }())
}

// A repository with 100,000 objects: what a set costs anew, after a push, and asked.
func BenchmarkRefused(b *testing.B) {
	f := newFixture(b)
	var in bytes.Buffer
	const commits = 33_333
	for i := range commits {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter a <a@example.com> %d +0000\ndata 1\nx\nM 644 inline f%d\ndata <<E\n%d\nE\n\n", 1700000000+i, i%50, i)
	}
	out, err := coretest.TryRun(b.Context(), f.dir, in.String(), "fast-import", "--quiet")
	require.NoError(b, err, out)
	f.repo.Version++
	tip := core.ObjectID(coretest.Run(b, f.dir, "rev-parse", "main~5"))
	ask := func() time.Duration {
		start := time.Now()
		refused, err := f.Refused(b.Context(), f.repo, []core.ObjectID{tip})
		require.NoError(b, err)
		require.Empty(b, refused)
		return time.Since(start)
	}
	figures := map[string]float64{}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	figures["anew-ms"] = float64(ask().Milliseconds())
	runtime.ReadMemStats(&after)
	figures["anew-MB"] = float64(after.TotalAlloc-before.TotalAlloc) / (1 << 20)
	coretest.Run(b, f.dir, "repack", "-adbq")
	require.NoError(b, os.Remove(filepath.Join(f.dir, "headwater-reachable")))
	f.restart()
	figures["anew-bitmap-ms"] = float64(ask().Milliseconds())
	f.move(map[string]core.ObjectID{"refs/heads/next": coretest.Commit(b, f.dir, "next", core.ObjectID(coretest.Run(b, f.dir, "rev-parse", "main")))})
	figures["push-ms"] = float64(ask().Milliseconds())
	info, err := os.Stat(filepath.Join(f.dir, "headwater-reachable"))
	require.NoError(b, err)
	figures["file-MB"] = float64(info.Size()) / (1 << 20)
	for b.Loop() {
		ask()
	}
	for unit, figure := range figures { // the loop begins with a reset
		b.ReportMetric(figure, unit)
	}
}
