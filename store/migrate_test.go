package store_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/store"
)

// firstVersion is a database as the first version of the schema had it, with a
// row in each table.
const firstVersion = `
	INSERT INTO orgs (name, created_at) VALUES ('acme', 1000000);
	INSERT INTO repositories (id, org, name, search_name, default_branch, object_format, version, created_at)
		VALUES ('repo_1', 'acme', 'tool', 'tool', 'main', 'sha1', 3, 1000000), ('repo_2', 'acme', 'own', 'own', 'main', 'sha1', 0, 1000000);
	INSERT INTO upstreams (repo_id, provider, instance, mode, host, owner, name, upstream_id, url, default_branch)
		VALUES ('repo_1', 'gitlab', 'work', 'token', 'gitlab.example', 'Group/Sub', 'Tool', '7', 'https://gitlab.example/Group/Sub/Tool.git', '');
	INSERT INTO sync_states (repo_id, wanted, served, wanted_ref, taken, taken_ref, cause, next_attempt_at, failures, runs,
			first_synced_at, last_success_at, last_error_at, last_class, last_error, digest, brake_digest, head_checked_at)
		VALUES ('repo_1', 5, 4, '', 0, '', 'api', 0, 1, 4, 1000000, 2000000, 3000000, 'network', 'no route', 'd', '', 0);
	INSERT INTO sync_runs (id, repo_id, cause, ref, is_first, started_at, finished_at, outcome, class, error,
			refs_created, refs_updated, refs_deleted, bytes)
		VALUES ('run_1', 'repo_1', 'create', '', 1, 1000000, 2000000, 'succeeded', '', '', 1, 0, 0, 99);
	INSERT INTO journal (id, repo_id, namespace, source, actor, upstream, state, updates, created_at, closed_at)
		VALUES ('jrn_1', 'repo_1', '', 'push', 'jo', 1, 'applied', 'null', 1000000, 2000000);
	INSERT INTO credentials (id, repo_id, username, sealed, created_at, updated_at) VALUES ('ggc_1', 'repo_1', 'robot', x'00', 1000000, 1000000);
	INSERT INTO events (id, repo_id, org, type, journal_id, ref, payload, created_at)
		VALUES ('evt_1', 'repo_1', 'acme', 'push', 'jrn_1', 'refs/heads/main', '{}', 1000000);`

func TestOpen_migratesADatabaseOfTheFirstVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, store.MigrateTo(t.Context(), filepath.Join(dir, "headwater.db"), 1))
	_, err := raw(t, dir).ExecContext(t.Context(), firstVersion)
	require.NoError(t, err)

	s := openAt(t, dir)
	ctx, at := t.Context(), func(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
	state, err := s.SyncState(ctx, "repo_1")
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(core.SyncState{
		RepoID: "repo_1", Wanted: 5, Served: 4, Tried: 4, Trigger: "api", Failures: 1, Runs: 4, FirstSyncedAt: at(1), LastSuccessAt: at(2),
		LastErrorAt: at(3), LastClass: core.ClassNetwork, LastError: "no route", // and no digest: the next look compares refs
	}, state))
	runs, err := s.Runs(ctx, "repo_1", "", 10)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]core.Run{{
		ID: "run_1", RepoID: "repo_1", Trigger: "create", First: true, StartedAt: at(1), FinishedAt: at(2), Outcome: "succeeded",
		RefsCreated: 1, Bytes: 99,
	}}, runs))
	// A credential goes to the host that it has gone to so far, and to no other.
	var host string
	require.NoError(t, raw(t, dir).QueryRowContext(ctx, `SELECT host FROM credentials WHERE id = 'ggc_1'`).Scan(&host))
	require.Equal(t, "gitlab.example", host)
	found, err := s.RepositoriesOf(ctx, "work", "", "", "group/sub/tool")
	require.NoError(t, err)
	require.Len(t, found, 1)
	events, err := s.EventsOf(ctx, core.EventFilter{Org: "acme", RepoID: "repo_1", Limit: 10})
	require.NoError(t, err)
	require.Len(t, events, 1)
	position, err := s.OutboxPosition(ctx)
	require.NoError(t, err)
	require.Zero(t, position)

	unpolled, err := s.UnpolledRepositories(ctx, "", 10)
	require.NoError(t, err)
	require.Equal(t, []string{"repo_1"}, unpolled)
	state.ObservedAt = at(4)
	require.NoError(t, s.FinishSync(ctx, state))
	require.NoError(t, s.SetPoll(ctx, state.RepoID, at(5)))
	require.NoError(t, s.SaveInboundWebhook(ctx, core.InboundWebhook{RepoID: "repo_1", Token: "t"}))
	n, err := s.DeleteJournal(ctx, at(3), 10)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, s.DetachUpstream(ctx, "repo_1"))
	require.NoError(t, s.DeleteRepository(ctx, "repo_1"))
}

// What was encoded in strings becomes columns.
func TestOpen_migratesNotices(t *testing.T) {
	t.Parallel()
	since := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tc := range map[string]struct {
		notice, brake string
		want          core.SyncNotice
		digest        string
		since         time.Time
	}{
		"nothing":       {},
		"no generation": {notice: "started", brake: "abc", digest: "abc"},
		"started":       {notice: "started@12", want: core.SyncNotice{Kind: core.NoticeStarted, Generation: 12}},
		"failed":        {notice: "failed:rate_limited@3", want: core.SyncNotice{Kind: core.NoticeFailed, Class: core.ClassRateLimited, Generation: 3}},
		"done":          {notice: "done@1", brake: "abc@2030-01-02T03:04:05Z", want: core.SyncNotice{Kind: core.NoticeDone, Generation: 1}, digest: "abc", since: since},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, store.MigrateTo(t.Context(), filepath.Join(dir, "headwater.db"), 7))
			db := raw(t, dir)
			_, err := db.ExecContext(t.Context(), `
				INSERT INTO orgs (name, created_at) VALUES ('acme', 1);
				INSERT INTO repositories (id, org, name, search_name, default_branch, object_format, version, created_at)
					VALUES ('repo_1', 'acme', 'tool', 'tool', 'main', 'sha1', 3, 1)`)
			require.NoError(t, err)
			row, err := os.ReadFile(filepath.Join("testdata", "sync_state_7.sql"))
			require.NoError(t, err)
			_, err = db.ExecContext(t.Context(), string(row), tc.brake, tc.notice)
			require.NoError(t, err)
			state, err := openAt(t, dir).SyncState(t.Context(), "repo_1")
			require.NoError(t, err)
			require.Equal(t, tc.want, state.Notice)
			require.Equal(t, tc.digest, state.BrakeDigest)
			require.True(t, tc.since.Equal(state.BrakeSince), state.BrakeSince)
		})
	}
}
