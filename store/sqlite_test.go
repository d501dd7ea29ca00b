package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
)

// raw opens the database in dir past the store.
func raw(t *testing.T, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "headwater.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func pragma(t *testing.T, dir, name string) (value string) {
	t.Helper()
	require.NoError(t, raw(t, dir).QueryRowContext(t.Context(), "PRAGMA "+name).Scan(&value))
	return value
}

func TestOpen_makesPrivateFilesInWALMode(t *testing.T) {
	t.Parallel()
	// Characters that mean something in a URL mean nothing in a path.
	dir := filepath.Join(t.TempDir(), "a b?c#d%20e&mode=ro")
	require.NoError(t, os.Mkdir(dir, 0o700))
	s := openAt(t, dir)
	newRepository(t, s)
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(filepath.Join(dir, "headwater.db"+suffix))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}
}

func TestOpen_setsTheModes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openAt(t, dir)
	require.Equal(t, "wal", pragma(t, dir, "journal_mode"))
	for name, want := range map[string]string{"synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		got, err := store.WriterPragma(t.Context(), filepath.Join(dir, "headwater.db"), name)
		require.NoError(t, err)
		require.Equal(t, want, got, name)
	}
}

func TestOpen_refuses(t *testing.T) {
	t.Parallel()
	sealer, err := seal.New()
	require.NoError(t, err)
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
		options store.Options
		kind    core.Kind
		want    string
	}{
		{"no sealer", func(*testing.T, string) {}, store.Options{}, core.KindInvalid, "needs a sealer"},
		{"no folder", func(t *testing.T, dir string) { require.NoError(t, os.RemoveAll(dir)) },
			store.Options{Sealer: sealer}, core.KindInternal, ""},
		{"another kind of file", func(t *testing.T, dir string) {
			text := strings.Repeat("not a database ", 1000)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "headwater.db"), []byte(text), 0o600))
		}, store.Options{Sealer: sealer}, core.KindInternal, "damaged or not a database"},
		{"a newer schema", func(t *testing.T, dir string) {
			s, err := store.Open(t.Context(), filepath.Join(dir, "headwater.db"), store.Options{Sealer: sealer})
			require.NoError(t, err)
			require.NoError(t, s.Close())
			_, err = raw(t, dir).ExecContext(t.Context(), `INSERT INTO schema_versions (version_id, is_applied) VALUES (99999, 1)`)
			require.NoError(t, err)
		}, store.Options{Sealer: sealer}, core.KindPrecondition, "schema version 99999"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tt.prepare(t, dir)
			_, err := store.Open(t.Context(), filepath.Join(dir, "headwater.db"), tt.options)
			require.Equal(t, tt.kind, core.KindOf(err), "%v", err)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestOpen_stopsWaitingWithTheContext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "headwater.db")
	unlock, err := store.LockFile(t.Context(), core.SystemClock{}, path+"-migrate.lock")
	require.NoError(t, err)
	defer unlock()
	sealer, err := seal.New()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = store.Open(ctx, path, store.Options{Sealer: sealer})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// plantedSecret is looked for everywhere.
const plantedSecret = providers.Secret("PLANTED-hw-9c2f71b0-secret")

func TestStore_secretIsNowhereInTheFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var logged bytes.Buffer
	sealer, err := seal.LoadOrCreate(filepath.Join(dir, "seal.key"))
	require.NoError(t, err)
	s, err := store.Open(t.Context(), filepath.Join(dir, "headwater.db"), store.Options{
		Sealer: sealer, Logger: hclog.New(&hclog.LoggerOptions{Output: &logged, Level: hclog.Trace}),
	})
	require.NoError(t, err)
	r := newRepository(t, s)
	c := core.Credential{ID: core.NewID("ggc", time.Now()), RepoID: r.ID, Username: "VISIBLE-user", Secret: plantedSecret}
	require.NoError(t, s.CreateCredential(t.Context(), c))
	require.NoError(t, s.UpdateCredential(t.Context(), c))
	w := core.Webhook{ID: core.NewID("wh", time.Now()), Org: r.Org, Secret: plantedSecret}
	require.NoError(t, s.CreateWebhook(t.Context(), w))
	require.NoError(t, s.UpdateWebhook(t.Context(), w))
	in := core.InboundWebhook{RepoID: r.ID, Token: plantedSecret.Reveal(), Secrets: []providers.Secret{plantedSecret}}
	require.NoError(t, s.SaveInboundWebhook(t.Context(), in))
	_, err = s.ResealCredentials(t.Context())
	require.NoError(t, err)
	conflict := s.CreateCredential(t.Context(), c)
	require.Error(t, conflict)
	require.NotContains(t, conflict.Error(), plantedSecret.Reveal())

	search := func() (visible bool) {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			content, err := os.ReadFile(filepath.Join(dir, e.Name()))
			require.NoError(t, err)
			require.NotContains(t, string(content), plantedSecret.Reveal(), e.Name())
			visible = visible || bytes.Contains(content, []byte(c.Username))
		}
		return visible
	}
	require.True(t, search(), "the search finds what is not sealed")
	require.NoError(t, s.Close())
	require.True(t, search(), "the search finds what is not sealed")
	require.NotContains(t, logged.String(), plantedSecret.Reveal())
}

func TestStore_sealedSecretOpensInItsRowOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openAt(t, dir)
	first := newRepository(t, s)
	second := first
	second.ID, second.Name = core.NewID("repo", time.Now()), "other"
	require.NoError(t, s.CreateRepository(t.Context(), second))
	for id, r := range map[string]core.Repository{"ggc_1": first, "ggc_2": second} {
		require.NoError(t, s.CreateCredential(t.Context(), core.Credential{ID: id, RepoID: r.ID, Secret: plantedSecret}))
	}
	_, err := raw(t, dir).ExecContext(t.Context(),
		`UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE id = 'ggc_1') WHERE id = 'ggc_2'`)
	require.NoError(t, err)

	_, err = s.CredentialByID(t.Context(), "ggc_1")
	require.NoError(t, err)
	_, err = s.CredentialByID(t.Context(), "ggc_2")
	require.Equal(t, core.KindInternal, core.KindOf(err))
	require.ErrorContains(t, err, "moved here from another row")
	require.NotContains(t, err.Error(), plantedSecret.Reveal())
	_, err = s.ResealCredentials(t.Context())
	require.ErrorContains(t, err, "ggc_2")
}

func TestStore_inboundSecretsOpenInTheirPlaceOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openAt(t, dir)
	r := newRepository(t, s)
	require.NoError(t, s.SaveInboundWebhook(t.Context(), core.InboundWebhook{
		RepoID: r.ID, Token: "token", Secrets: []providers.Secret{plantedSecret},
	}))
	_, err := raw(t, dir).ExecContext(t.Context(), `UPDATE inbound_webhooks SET sealed_token = sealed_secrets`)
	require.NoError(t, err)
	_, err = s.InboundWebhook(t.Context(), r.ID)
	require.Equal(t, core.KindInternal, core.KindOf(err))
	require.NotContains(t, err.Error(), plantedSecret.Reveal())
	_, err = s.ResealCredentials(t.Context())
	require.ErrorContains(t, err, r.ID)
}

// A column of sealed secrets that reseal does not know is lost at the next
// change of keys.
func TestStore_resealKnowsEverySealedColumn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	openAt(t, dir)
	rows, err := raw(t, dir).QueryContext(t.Context(), `
		SELECT t.name || '.' || c.name FROM sqlite_schema t, pragma_table_info(t.name) c
		WHERE t.type = 'table' AND c.name LIKE '%sealed%' ORDER BY 1`)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var columns []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		columns = append(columns, name)
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, columns)
	require.ElementsMatch(t, columns, store.SealedColumns())
}

func TestStore_auditEntriesAreNeverChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openAt(t, dir)
	require.NoError(t, s.AddAudit(t.Context(), core.AuditEntry{ID: "aud_1", Org: "acme", Action: "push"}))
	for statement, want := range map[string]string{
		`UPDATE audit SET action = 'x'`:                    "never changed",
		`UPDATE OR IGNORE audit SET id = id`:               "never changed",
		`DELETE FROM audit`:                                "never deleted",
		`DELETE FROM audit WHERE id = 'aud_1'`:             "never deleted",
		`INSERT OR REPLACE INTO audit SELECT * FROM audit`: "never replaced",
	} {
		_, err := raw(t, dir).ExecContext(t.Context(), statement)
		require.ErrorContains(t, err, want, statement)
	}
	got, err := s.Audit(t.Context(), core.AuditFilter{Org: "acme", Limit: 10})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "push", got[0].Action)
}

func TestStore_anotherKeyDoesNotOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openAt(t, dir)
	r := newRepository(t, s)
	require.NoError(t, s.CreateCredential(t.Context(), core.Credential{ID: "ggc_1", RepoID: r.ID, Secret: plantedSecret}))
	other, err := seal.New()
	require.NoError(t, err)
	wrong, err := store.Open(t.Context(), filepath.Join(dir, "headwater.db"), store.Options{Sealer: other})
	require.NoError(t, err)
	defer func() { require.NoError(t, wrong.Close()) }()
	_, err = wrong.CredentialByRepo(t.Context(), r.ID)
	require.Equal(t, core.KindInternal, core.KindOf(err))
	require.ErrorContains(t, err, "not in the keyset")
	require.NotContains(t, err.Error(), plantedSecret.Reveal())
}

func TestStore_keyRotation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := filepath.Join(dir, "seal.key")
	server := openAt(t, dir)
	r := newRepository(t, server)
	require.NoError(t, server.CreateCredential(t.Context(), core.Credential{ID: "ggc_1", RepoID: r.ID, Secret: plantedSecret}))
	opens := func(s core.Store) {
		t.Helper()
		c, err := s.CredentialByID(t.Context(), "ggc_1")
		require.NoError(t, err)
		require.Equal(t, plantedSecret.Reveal(), c.Secret.Reveal())
	}

	require.NoError(t, seal.Rotate(key))
	opens(server)
	operator := openAt(t, dir)
	n, err := operator.ResealCredentials(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	opens(operator)
	opens(server)
	require.NoError(t, seal.Prune(key))
	opens(openAt(t, dir))
	opens(server)
}

// stepClock goes on by a step at each look.
type stepClock struct {
	core.SystemClock
	now  time.Time
	step time.Duration
}

func (c *stepClock) Now() time.Time {
	c.now = c.now.Add(c.step)
	return c.now
}

func TestStore_Tx_logsSlowOnes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		took time.Duration
		want bool
	}{
		"slow": {2 * time.Second, true},
		"fast": {time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sealer, err := seal.New()
			require.NoError(t, err)
			var logged bytes.Buffer
			s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "headwater.db"), store.Options{
				Sealer: sealer, Clock: &stepClock{step: tt.took}, Logger: hclog.New(&hclog.LoggerOptions{Output: &logged}),
			})
			require.NoError(t, err)
			defer func() { require.NoError(t, s.Close()) }()
			require.NoError(t, s.Tx(t.Context(), func(core.Queries) error { return nil }))
			require.Equal(t, tt.want, strings.Contains(logged.String(), "slow write transaction"))
		})
	}
}

// The driver works with one version of libc only; a build with another may
// corrupt memory. https://gitlab.com/cznic/sqlite/-/issues/177
func TestModule_libcIsTheOneOfTheDriver(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "modernc.org/libc").Output()
	require.NoError(t, err)
	require.Equal(t, "modernc.org/libc v1.77.1", strings.TrimSpace(string(out)))
}

// A database that cannot grow says that its disk is full, and what to do.
func TestStore_fullDisk(t *testing.T) {
	t.Parallel()
	s := openAt(t, t.TempDir())
	require.NoError(t, s.Fill(t.Context()))
	var err error
	for i := 0; i < 1000 && err == nil; i++ {
		err = s.CreateOrg(t.Context(), core.Org{Name: fmt.Sprintf("%0100d", i)})
	}
	require.Equal(t, core.KindResource, core.KindOf(err), "%v", err)
	require.Contains(t, core.MessageOf(err), "no space is left on the disk of the database (headwater.db in the data directory); the operator has to free space")
}

// So does one for which no file can be opened, and one whose file may not grow, which
// is how SQLite sees a quota, too; reads go on.
func TestStore_shortages(t *testing.T) {
	t.Parallel()
	for work, want := range map[string][]string{
		"files": {
			"resource too many open files: a process reached its limit in the database (headwater.db in the data directory); the operator has to raise",
			"resource too many open files: a process reached its limit in the database (headwater.db in the data directory); the operator has to raise",
		},
		"size": {"resource the database (headwater.db in the data directory) cannot be written: a disk quota or the largest size of a file is reached", "<nil>"},
	} {
		t.Run(work, func(t *testing.T) {
			t.Parallel()
			cmd, lines := start(t, work, t.TempDir(), "")
			for _, line := range want {
				require.True(t, lines.Scan())
				require.Contains(t, lines.Text(), line)
			}
			require.NoError(t, cmd.Wait())
		})
	}
}
