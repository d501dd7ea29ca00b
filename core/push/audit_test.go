package push_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
)

// audit returns the audit entries of a repository, newest first.
func (b *bench) audit(r core.Repository) []core.AuditEntry {
	b.Helper()
	entries, err := b.Store.Audit(b.Context(), core.AuditFilter{Org: r.Org, RepoID: r.ID, Limit: 100})
	require.NoError(b, err)
	return entries
}

func TestService_Write_audit(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	credential, err := b.Store.CredentialByRepo(t.Context(), r.ID)
	require.NoError(t, err)
	_, id := b.seed(r, "refs/heads/main")
	b.setPolicy(`[["closed", ["no-push"]]]`)
	actor := core.Actor{Subject: "jo", Org: r.Org, KeyID: "key_1", RemoteAddr: "192.0.2.7", UserAgent: "git/2.39.5"}
	good, closed := core.RefUpdate{Name: "refs/heads/x", New: id}, core.RefUpdate{Name: "refs/heads/closed", New: id}
	for _, tt := range []struct {
		name       string
		action     string
		namespace  core.Namespace
		down       bool
		updates    []core.RefUpdate
		done       []core.RefUpdate
		outcome    core.Outcome
		message    string
		credential string
	}{
		{"done upstream", "", core.Default, false, []core.RefUpdate{good}, []core.RefUpdate{good}, core.OutcomeOK, "", credential.ID},
		{"done here alone", "branch.create", core.Ephemeral, false, []core.RefUpdate{good}, []core.RefUpdate{good}, core.OutcomeOK, "", ""},
		{"refused for its name", "", core.Default, false, []core.RefUpdate{closed}, nil, core.OutcomeRefused, "refs/heads/closed: denied by policy", ""},
		{"refused as stale", "", core.Default, false, []core.RefUpdate{{Name: "refs/heads/main", New: id}}, nil, core.OutcomeRefused, "refs/heads/main: stale, fetch first", ""},
		{"in part", "", core.Default, false, []core.RefUpdate{{Name: "refs/heads/y", New: id}, closed},
			[]core.RefUpdate{{Name: "refs/heads/y", New: id}}, core.OutcomePartial, "refs/heads/closed: denied by policy", credential.ID},
		{"upstream down", "", core.Default, true, []core.RefUpdate{{Name: "refs/heads/z", New: id}}, nil, core.OutcomeFailed, "refs/heads/z: upstream", credential.ID},
	} {
		before := len(b.audit(r))
		if tt.down {
			require.NoError(t, b.Forge.Close())
		}
		audited := 0
		_, err := b.push.Write(t.Context(), push.Session{
			Repo: r, Namespace: tt.namespace, Source: core.SourceAPI, Actor: actor, Action: tt.action, Policy: b.session(r).Policy, Updates: tt.updates,
			Audited: func() { audited++ },
		})
		require.NoError(t, err, tt.name)
		require.Equal(t, 1, audited, tt.name)
		entries := b.audit(r)
		require.Len(t, entries, before+1, tt.name)
		e := entries[0]
		require.Equal(t, tt.outcome, e.Outcome, tt.name)
		require.Equal(t, tt.done, e.Updates, tt.name)
		require.Contains(t, e.Message, tt.message, tt.name)
		require.Equal(t, tt.message == "", e.Message == "", tt.name)
		require.Equal(t, tt.credential, e.Credential, tt.name)
		require.Equal(t, actor, e.Actor, tt.name)
		require.Equal(t, r.Name, e.RepoName, tt.name)
		want := tt.action
		if want == "" {
			want = "push"
		}
		require.Equal(t, want, e.Action, tt.name)
	}
}

func TestService_Write_auditNamesOnlySomeOfManyRefs(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Local("a")
	var updates []core.RefUpdate
	for range 25 {
		updates = append(updates, core.RefUpdate{Name: "HEAD"})
	}
	b.write(r, false, updates...)
	message := b.audit(r)[0].Message
	require.Equal(t, 10, strings.Count(message, "HEAD: "))
	require.Contains(t, message, "and 15 more")
}

func TestService_ReceivePack_auditOfWhatNeverBecameASession(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Local("a")
	_, id := b.seed(r, "refs/heads/main")
	b.setPolicy(`[["closed", ["no-push"]]]`)
	_, err := b.receive(t.Context(), r, request("report-status", nil, core.RefUpdate{Name: "refs/heads/closed", Old: id}))
	require.NoError(t, err)
	entries := b.audit(r)
	require.Len(t, entries, 1)
	require.Equal(t, core.OutcomeRefused, entries[0].Outcome)
	require.Equal(t, "refs/heads/closed: denied by policy", entries[0].Message)

	b.push.Refused(t.Context(), b.session(r), core.Errorf(core.KindPermission, "the token lacks the scope git:write"))
	entries = b.audit(r)
	require.Len(t, entries, 2)
	require.Equal(t, core.OutcomeRefused, entries[0].Outcome)
	require.Equal(t, "the token lacks the scope git:write", entries[0].Message)
	require.Empty(t, entries[0].Updates)
}
