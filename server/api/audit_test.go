package api

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
	"github.com/headwater-git/headwater/store/storetest"
)

// readingPosts are the operations that take a POST for its body alone.
var readingPosts = []string{"ensure", "getArchive", "grep"}

// An operation that writes and has no action is recorded nowhere.
func TestActions_areAllThatWrite(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		reads := op.method == http.MethodGet || slices.Contains(readingPosts, op.id)
		require.Equal(t, !reads, op.audit.word != "", op.route())
	}
}

// audited returns a bench with an audit.
func audited(t *testing.T) (*bench, core.AuditStore) {
	t.Helper()
	sealer, err := seal.New()
	require.NoError(t, err)
	dir := t.TempDir()
	storetest.Empty(t, dir)
	s, err := store.Open(t.Context(), filepath.Join(dir, "headwater.db"), store.Options{Sealer: sealer})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return newBench(t, func(o *Options) { o.Audit = s }), s
}

func TestAudit_recordsCallsThatWrite(t *testing.T) {
	t.Parallel()
	b, s := audited(t)
	id := b.create(t, "app", `{"base_repo":{"provider":"gitlab","owner":"o","name":"n"}}`)
	write, org := b.token(t, "app", access.RepoWrite, access.GitWrite), b.token(t, "", access.RepoWrite)
	for _, tt := range []struct {
		name, method, path, token, body string
		status                          int
		want                            core.AuditEntry // nothing if it has no action
	}{
		{"a read", "GET", "/api/repos/app", write, "", 200, core.AuditEntry{}},
		{"no token", "DELETE", "/api/repos/app", "", "", 401, core.AuditEntry{}},
		{"done", "POST", "/api/repos/app/git-credentials", write, `{"password":"PLANTED"}`, 201,
			core.AuditEntry{RepoID: id, RepoName: "app", Action: "credential.create", Outcome: core.OutcomeOK}},
		{"refused", "POST", "/api/repos/app/git-credentials", write, `{"password":"PLANTED"}`, 409,
			core.AuditEntry{RepoID: id, RepoName: "app", Action: "credential.create", Outcome: core.OutcomeRefused}},
		{"not found", "DELETE", "/api/v1/repos/git-credentials", org, `{"id":"ggc_none"}`, 404,
			core.AuditEntry{Action: "credential.delete", Target: "ggc_none", Outcome: core.OutcomeRefused}},
		{"without the scope", "DELETE", "/api/repos/app", b.token(t, "app", access.GitWrite), "", 403,
			core.AuditEntry{RepoID: id, RepoName: "app", Action: "repository.delete", Outcome: core.OutcomeRefused}},
		{"another repository", "DELETE", "/api/repos/app", b.token(t, "lib", access.RepoWrite), "", 403,
			core.AuditEntry{RepoID: id, RepoName: "app", Action: "repository.delete", Outcome: core.OutcomeRefused}},
		{"a repository that is not there", "DELETE", "/api/repos/none", b.token(t, "none", access.RepoWrite), "", 404,
			core.AuditEntry{RepoName: "none", Action: "repository.delete", Outcome: core.OutcomeRefused}},
		{"not about a repository", "POST", "/providers/gitlab/replay", b.token(t, "app", access.GitWrite), "", 403,
			core.AuditEntry{Action: "deliveries.replay", Outcome: core.OutcomeRefused}},
		{"what never became a session", "POST", "/api/repos/app/tags", b.token(t, "app", access.RepoWrite), `{}`, 403,
			core.AuditEntry{RepoID: id, RepoName: "app", Action: "tag.create", Outcome: core.OutcomeRefused}},
		{"deleted", "DELETE", "/api/repos/app", write, "", 200,
			core.AuditEntry{RepoID: id, RepoName: "app", Action: "repository.delete", Outcome: core.OutcomeOK}},
	} {
		before, err := s.Audit(t.Context(), core.AuditFilter{Org: "acme", Limit: 100})
		require.NoError(t, err)
		got := b.do(t, tt.method, tt.path, tt.token, tt.body)
		require.Equal(t, tt.status, got.status, "%s: %s", tt.name, got.raw)
		after, err := s.Audit(t.Context(), core.AuditFilter{Org: "acme", Limit: 100})
		require.NoError(t, err)
		if tt.want.Action == "" {
			require.Len(t, after, len(before), tt.name)
			continue
		}
		require.Len(t, after, len(before)+1, tt.name)
		e := after[0]
		require.Equal(t, "tester", e.Actor.Subject, tt.name)
		require.Equal(t, "key_acme", e.Actor.KeyID, tt.name)
		require.Equal(t, "192.0.2.1", e.Actor.RemoteAddr, tt.name) // httptest's client
		require.Equal(t, tt.want.Outcome != core.OutcomeOK, e.Message != "", tt.name)
		require.NotContains(t, e.Message, "PLANTED")
		if tt.want.Target != "" {
			require.Equal(t, tt.want.Target, e.Target, tt.name)
		}
		tt.want.ID, tt.want.Org, tt.want.At, tt.want.Actor, tt.want.Message, tt.want.Target = e.ID, "acme", e.At, e.Actor, e.Message, e.Target
		require.Equal(t, tt.want, e, tt.name)
	}
}

func TestAudit_aFailureIsAFailure(t *testing.T) {
	t.Parallel()
	b, s := audited(t)
	b.ledger.fail = errors.New("disk full of secrets")
	b.do(t, "POST", "/api/repos", b.token(t, "new", access.RepoWrite), "")
	got, err := s.Audit(t.Context(), core.AuditFilter{Org: "acme", Limit: 10})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, core.OutcomeFailed, got[0].Outcome)
	require.Equal(t, "new", got[0].RepoName)
	require.NotContains(t, got[0].Message, "secrets", "causes are for the log")
}

func TestAudit_lists(t *testing.T) {
	t.Parallel()
	b, _ := audited(t)
	id := b.create(t, "app", "")
	b.create(t, "lib", "")
	b.do(t, "DELETE", "/api/repos/lib", b.token(t, "lib", access.RepoWrite), "")
	owner, org := b.token(t, "app", access.RepoWrite), b.token(t, "", access.OrgRead)
	list := func(path, token string) (words []string, cursor string) {
		t.Helper()
		got := b.do(t, "GET", path, token, "")
		require.Equal(t, 200, got.status, got.raw)
		for _, e := range got.body["entries"].([]any) {
			entry := e.(map[string]any)
			words = append(words, entry["action"].(string)+" "+entry["repo_name"].(string))
		}
		cursor, _ = got.body["next_cursor"].(string)
		require.Equal(t, cursor != "", got.body["has_more"])
		return words, cursor
	}
	all := []string{"repository.delete lib", "repository.create lib", "repository.create app"}
	for _, path := range []string{"/api/audit", "/api/v1/audit"} {
		got, cursor := list(path, org)
		require.Equal(t, all, got)
		require.Empty(t, cursor)
	}
	got, cursor := list("/api/audit?limit=2", org)
	require.Equal(t, all[:2], got)
	got, _ = list("/api/audit?limit=2&cursor="+cursor, org)
	require.Equal(t, all[2:], got)
	for query, want := range map[string][]string{
		"repo_id=" + id: all[2:], "action=repository.delete": all[:1], "actor=tester": all, "actor=nobody": nil,
	} {
		got, _ := list("/api/audit?"+query, org)
		require.Equal(t, want, got, query)
	}
	for _, path := range []string{"/api/repos/app/audit", "/api/v1/repos/audit", "/api/repos/app/audit?repo_id=other"} {
		got, _ := list(path, owner)
		require.Equal(t, all[2:], got)
	}
	other, _ := list("/api/audit", b.tokenOf(t, "other", "", access.OrgRead))
	require.Empty(t, other)

	for _, bad := range []string{"cursor=x", "action=push%20it", "action=Push", "repo_id=team%2Fapp"} {
		require.Equal(t, 400, b.do(t, "GET", "/api/audit?"+bad, org, "").status, bad)
	}
	require.Equal(t, 403, b.do(t, "GET", "/api/audit", owner, "").status)
	// Who writes, and from where, is not for everybody who may clone.
	require.Equal(t, 403, b.do(t, "GET", "/api/repos/app/audit", b.token(t, "app", access.GitWrite), "").status)
	without := newBench(t)
	require.Equal(t, 501, without.do(t, "GET", "/api/audit", without.token(t, "", access.OrgRead), "").status)
}

// brokenAudit cannot be written.
type brokenAudit struct{ core.AuditStore }

func (brokenAudit) AddAudit(context.Context, core.AuditEntry) error { return errors.New("disk full") }

func TestAudit_thatCannotBeWrittenIsLogged(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(o *Options) { o.Audit = brokenAudit{} })
	require.Equal(t, 201, b.do(t, "POST", "/api/repos", b.token(t, "app", access.RepoWrite), "").status)
	require.True(t, strings.Contains(b.log.String(), "audit entry could not be written"))
}
