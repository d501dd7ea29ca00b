package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/postgrestest"
	"github.com/headwater-git/headwater/store/seal"
)

// childEnv names the work of a child process: this test binary, started again.
const childEnv = "HEADWATER_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if work := os.Getenv(childEnv); work != "" {
		if err := child(context.Background(), work, os.Args[1], os.Args[2], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(postgres.Main(m))
}

// postgres is the server of this package's tests.
var postgres postgrestest.Server

// child does its work on the database in dir and prints what it has committed,
// one line each.
func child(ctx context.Context, work, dir, arg string, out io.Writer) error {
	sealer, err := seal.LoadOrCreate(filepath.Join(dir, "seal.key"))
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, filepath.Join(dir, "headwater.db"), store.Options{Sealer: sealer})
	if err != nil {
		return err
	}
	switch work {
	case "open":
		orgs, err := s.Orgs(ctx)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, len(orgs))
	case "push": // for ever: what one push writes
		for {
			id, err := push(ctx, s, arg)
			if err != nil {
				return err
			}
			fmt.Fprintln(out, id)
		}
	case "files": // a connection is needed while no file can be opened
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 64, Max: 64}); err != nil {
			return err
		}
		var open []*os.File
		for {
			f, err := os.Open(os.DevNull)
			if err != nil {
				break
			}
			open = append(open, f)
		}
		_, failed := s.Orgs(ctx)
		fmt.Fprintln(out, core.KindOf(failed), core.MessageOf(failed))
		_, failed = store.Open(ctx, filepath.Join(dir, "headwater.db"), store.Options{Sealer: sealer})
		fmt.Fprintln(out, core.KindOf(failed), core.MessageOf(failed))
		for _, f := range open {
			if err := f.Close(); err != nil {
				return err
			}
		}
	case "size": // files reach the largest size, as a disk reaches a quota
		signal.Ignore(unix.SIGXFSZ) // write(2) fails with EFBIG then, see setrlimit(2)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 100 << 10, Max: 100 << 10}); err != nil {
			return err
		}
		var failed error
		for i := 0; i < 1000 && failed == nil; i++ {
			failed = s.CreateOrg(ctx, core.Org{Name: fmt.Sprintf("%0100d", i)})
		}
		fmt.Fprintln(out, core.KindOf(failed), core.MessageOf(failed))
		_, failed = s.Orgs(ctx)
		fmt.Fprintln(out, failed)
	case "request":
		for range requests {
			wanted, err := s.RequestSync(ctx, arg, "api", "")
			if err != nil {
				return err
			}
			fmt.Fprintln(out, wanted)
		}
	}
	return s.Close()
}

// requests is how many syncs the child "request" asks for.
const requests = 60

// start starts a child; the test waits for its end.
func start(t *testing.T, work, dir, arg string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir, arg)
	cmd.Env = append(os.Environ(), childEnv+"="+work)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	return cmd, bufio.NewScanner(out)
}

// push stores what one push stores, in two commits, and returns the id of its
// journal entry.
func push(ctx context.Context, s core.Store, repoID string) (string, error) {
	now := time.Now()
	updates := []core.RefUpdate{{Name: "refs/heads/main", Old: core.ZeroSHA1, New: core.ObjectID(strings.Repeat("1", 40))}}
	e := core.JournalEntry{
		ID: core.NewID("jrn", now), RepoID: repoID, Source: core.SourcePush, Actor: "jo", Upstream: true, State: core.JournalSent,
		Updates: updates, CreatedAt: now,
	}
	if err := s.OpenJournal(ctx, e); err != nil {
		return "", err
	}
	return e.ID, s.Tx(ctx, func(q core.Queries) error {
		if err := q.CloseJournal(ctx, e.ID, core.JournalApplied, updates, now); err != nil {
			return err
		}
		if err := q.AddAudit(ctx, core.AuditEntry{
			ID: core.NewID("aud", now), Org: "acme", RepoID: repoID, RepoName: "tool", At: now, Actor: core.Actor{Subject: "jo", Org: "acme"},
			Action: "push", Credential: core.CredentialApp, Updates: updates, Outcome: core.OutcomeOK,
		}); err != nil {
			return err
		}
		if _, err := q.BumpVersion(ctx, repoID); err != nil {
			return err
		}
		if err := q.AddEvents(ctx, []core.Event{{
			ID: core.NewID("evt", now), RepoID: repoID, Org: "acme", Type: "push", JournalID: e.ID, Ref: updates[0].Name,
			Payload: []byte(`{}`), CreatedAt: now,
		}}); err != nil {
			return err
		}
		return q.SetDigest(ctx, repoID, e.ID)
	})
}

// newRepository stores an organisation and a synced repository of it.
func newRepository(t testing.TB, s core.Store) core.Repository {
	t.Helper()
	require.NoError(t, s.CreateOrg(t.Context(), core.Org{Name: "acme", CreatedAt: time.Now()}))
	r := core.Repository{
		ID: core.NewID("repo", time.Now()), Org: "acme", Name: "tool", DefaultBranch: "main", ObjectFormat: "sha1",
		Upstream: &core.Upstream{Provider: "gitlab", Instance: "work", Host: "gitlab.example", Owner: "acme", Name: "tool"},
	}
	require.NoError(t, s.CreateRepository(t.Context(), r))
	return r
}

func TestStore_twoProcessesShareOneFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openAt(t, dir)
	r := newRepository(t, s)
	cmd, lines := start(t, "request", dir, r.ID)
	seen := map[int64]bool{}
	for range requests {
		wanted, err := s.RequestSync(t.Context(), r.ID, "api", "")
		require.NoError(t, err)
		seen[wanted] = true
	}
	for lines.Scan() {
		wanted, err := strconv.ParseInt(lines.Text(), 10, 64)
		require.NoError(t, err)
		require.False(t, seen[wanted], "generation %d was given twice", wanted)
		seen[wanted] = true
	}
	require.NoError(t, cmd.Wait())
	require.Len(t, seen, 2*requests)
	state, err := s.SyncState(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, int64(2*requests), state.Wanted)
}

func TestOpen_processesThatStartTogetherMakeOneDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var waits []func()
	for range 6 {
		cmd, lines := start(t, "open", dir, "")
		waits = append(waits, func() {
			require.True(t, lines.Scan())
			require.NoError(t, cmd.Wait())
		})
	}
	for _, wait := range waits {
		wait()
	}
	s := openAt(t, dir)
	newRepository(t, s)
}

// A process that is killed while it writes loses nothing whose commit had
// returned, and leaves no half of a transaction.
func TestStore_killLosesNoCommit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openAt(t, dir)
	r := newRepository(t, s)
	committed := map[string]bool{}
	for _, after := range []int{1, 7, 40} {
		cmd, lines := start(t, "push", dir, r.ID)
		for n := 1; lines.Scan(); n++ {
			committed[lines.Text()] = true
			if n == after {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.Error(t, cmd.Wait(), "the child was killed")
	}

	again := openAt(t, dir)
	entries, err := again.Journal(t.Context(), r.ID, 1e6)
	require.NoError(t, err)
	events, err := again.Events(t.Context(), 0, 1e6)
	require.NoError(t, err)
	repository, err := again.RepositoryByID(t.Context(), r.ID)
	require.NoError(t, err)
	eventOf := map[string]bool{}
	for _, e := range events {
		eventOf[e.JournalID] = true
	}
	applied := 0
	for _, e := range entries {
		require.Equal(t, e.State == core.JournalApplied, eventOf[e.ID], "entry %s is %s", e.ID, e.State)
		if e.State == core.JournalApplied {
			applied++
			delete(committed, e.ID)
		}
	}
	require.Empty(t, committed, "committed and lost")
	require.Equal(t, int64(applied), repository.Version)
	require.Len(t, events, applied)
	require.LessOrEqual(t, len(entries)-applied, 3, "each kill leaves at most one open entry")
	require.Equal(t, "ok", pragma(t, dir, "integrity_check"))
}
