package store_test

import (
	"context"
	"database/sql"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
)

// openPostgres opens the store at dsn, with the key file in dir.
func openPostgres(t testing.TB, dsn, dir string) *store.Store {
	t.Helper()
	sealer, err := seal.LoadOrCreate(filepath.Join(dir, "seal.key"))
	require.NoError(t, err)
	s, err := store.OpenPostgres(t.Context(), dsn, store.Options{Sealer: sealer})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// TestPostgres_anyBytes stores what PostgreSQL takes in no text: NUL, bytes that are not
// UTF-8, and the code points that stand for them.
func TestPostgres_anyBytes(t *testing.T) {
	t.Parallel()
	s := openPostgres(t, postgres.Schema(t), t.TempDir())
	for i, name := range []string{"refs/heads/caf\xe9", "a\x00b", "\U0010ff41", "\xf4\x8f\xbf", "ordinary é 😀", "\xff\U0010ffff\x00"} {
		entry := core.AuditEntry{ID: "aud_" + strconv.Itoa(i), Org: "acme", At: time.Unix(1, 0).UTC(), Message: name, Target: name, Outcome: core.OutcomeOK}
		require.NoError(t, s.AddAudit(t.Context(), entry))
		found, err := s.Audit(t.Context(), core.AuditFilter{Org: "acme", Limit: 1})
		require.NoError(t, err)
		require.Equal(t, name, found[0].Message)
		require.Equal(t, name, found[0].Target)
	}
}

// TestPostgres_claim has one server at a time, and refuses the writes of one whose place
// another has taken while its connection was cut.
func TestPostgres_claim(t *testing.T) {
	t.Parallel()
	dsn, dir := postgres.Schema(t), t.TempDir()
	first, second, command := openPostgres(t, dsn, dir), openPostgres(t, dsn, dir), openPostgres(t, dsn, dir)
	release, err := first.Claim(t.Context())
	require.NoError(t, err)
	_, err = second.Claim(t.Context())
	require.Equal(t, core.KindPrecondition, core.KindOf(err))
	require.ErrorContains(t, err, "another server uses this database")
	require.NoError(t, command.CreateOrg(t.Context(), core.Org{Name: "beside"}), "commands write beside a server")

	admin, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, admin.Close(context.WithoutCancel(t.Context()))) }()
	_, err = admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1751474803 AND objid::bigint::bit(32) = hashtext(current_schema())::bit(32)`)
	require.NoError(t, err)
	require.NoError(t, first.CreateOrg(t.Context(), core.Org{Name: "still"}), "nobody has taken its place yet")
	var releaseSecond func() error
	require.Eventually(t, func() bool {
		releaseSecond, err = second.Claim(t.Context())
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	err = first.CreateOrg(t.Context(), core.Org{Name: "late"})
	require.Equal(t, core.KindPrecondition, core.KindOf(err))
	require.ErrorContains(t, err, "another server has taken over the database")
	require.NoError(t, second.CreateOrg(t.Context(), core.Org{Name: "next"}))
	_ = release() // its connection is gone
	require.NoError(t, releaseSecond())
	third := openPostgres(t, dsn, dir)
	releaseThird, err := third.Claim(t.Context())
	require.NoError(t, err, "a claim that was given back is free")
	require.NoError(t, releaseThird())
}

// TestPostgres_broken cuts every connection in the midst of use: what comes after works
// again by itself.
func TestPostgres_broken(t *testing.T) {
	t.Parallel()
	dsn := postgres.Schema(t)
	s := openPostgres(t, dsn, t.TempDir())
	require.NoError(t, s.CreateOrg(t.Context(), core.Org{Name: "before"}))
	_, err := s.Orgs(t.Context())
	require.NoError(t, err)
	admin, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, admin.Close(context.WithoutCancel(t.Context()))) }()
	var schema string
	require.NoError(t, admin.QueryRow(t.Context(), `SELECT current_schema()`).Scan(&schema))
	inside := s.Tx(t.Context(), func(q core.Queries) error {
		if err := q.CreateOrg(t.Context(), core.Org{Name: "lost"}); err != nil {
			return err
		}
		_, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
			WHERE l.locktype = 'advisory' AND l.classid = 1751474802 AND l.objid::bigint::bit(32) = hashtext($1)::bit(32)`, schema)
		require.NoError(t, err)
		return q.CreateOrg(t.Context(), core.Org{Name: "lost as well"})
	})
	require.Error(t, inside)
	require.Equal(t, core.KindResource, core.KindOf(inside))
	require.Contains(t, core.MessageOf(inside), "PostgreSQL")
	orgs, err := s.Orgs(t.Context())
	require.NoError(t, err)
	require.Len(t, orgs, 1, "nothing of the transaction was kept")
	require.NoError(t, s.CreateOrg(t.Context(), core.Org{Name: "after"}))
}

// TestPostgres_refuses what cannot be opened, with words that say what to do and without
// the password.
func TestPostgres_refuses(t *testing.T) {
	t.Parallel()
	sealer, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "seal.key"))
	require.NoError(t, err)
	for dsn, want := range map[string]string{
		"postgres://u:planted-secret@127.0.0.1:1/db?connect_timeout=2": "PostgreSQL cannot be connected to",
		"postgres://u:planted-secret@127.0.0.1:not-a-port/db":          "the connection string of PostgreSQL cannot be read",
		postgres.Schema(t) + "_none":                                   "create one",
	} {
		_, err := store.OpenPostgres(t.Context(), dsn, store.Options{Sealer: sealer})
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "planted-secret")
		require.NotContains(t, core.MessageOf(err), "planted-secret")
	}
}

// TestPostgres_sameTables holds the two schemas against each other: the same tables with
// the same columns, of the same kinds.
func TestPostgres_sameTables(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{"INTEGER": "bigint", "TEXT": "text", "BLOB": "bytea"}
	want := map[string]string{}
	dir := t.TempDir()
	openAt(t, dir)
	lite, err := sql.Open("sqlite", filepath.Join(dir, "headwater.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, lite.Close()) }()
	rows, err := lite.QueryContext(t.Context(), `SELECT m.name, c.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'`)
	require.NoError(t, err)
	read(t, rows, func(table, column, kind string) { want[table+"."+column] = kinds[kind] })

	dsn := postgres.Schema(t)
	openPostgres(t, dsn, t.TempDir())
	pg, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, pg.Close()) }()
	got := map[string]string{}
	rows, err = pg.QueryContext(t.Context(), `SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = current_schema()`)
	require.NoError(t, err)
	read(t, rows, func(table, column, kind string) { got[table+"."+column] = kind })
	for _, schema := range []map[string]string{want, got} {
		maps.DeleteFunc(schema, func(column, _ string) bool {
			// One is goose's own, the other has the lock of the data directory for a twin.
			return strings.HasPrefix(column, "schema_versions.") || strings.HasPrefix(column, "installation.")
		})
	}
	require.NotEmpty(t, want)
	require.Equal(t, want, got)
}

func read(t *testing.T, rows *sql.Rows, f func(table, column, kind string)) {
	t.Helper()
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var table, column, kind string
		require.NoError(t, rows.Scan(&table, &column, &kind))
		f(table, column, kind)
	}
	require.NoError(t, rows.Err())
}
