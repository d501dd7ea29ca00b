package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var repositoryTests = []namedTest{
	{"create and read, local and synced", func(f *fixture) {
		f.org("acme")
		for _, want := range []core.Repository{local("acme", "deep/er/local"), synced("acme", "tool")} {
			f.create(want)
			byName, err := f.store.Repository(f.ctx, "acme", want.Name)
			require.NoError(f, err)
			same(f, want, byName)
			byID, err := f.store.RepositoryByID(f.ctx, want.ID)
			require.NoError(f, err)
			same(f, want, byID)
		}
	}},
	{"only a synced one has a sync state", func(f *fixture) {
		r := f.synced()
		same(f, core.SyncState{RepoID: r.ID}, f.sync(r.ID))
		l := f.create(local("acme", "local"))
		_, err := f.store.SyncState(f.ctx, l.ID)
		f.kind(core.KindNotFound, err)
	}},
	{"a taken name is a conflict and leaves nothing", func(f *fixture) {
		first := f.synced()
		second := synced("acme", first.Name)
		f.kind(core.KindConflict, f.store.CreateRepository(f.ctx, second))
		_, err := f.store.RepositoryByID(f.ctx, second.ID)
		f.kind(core.KindNotFound, err)
		_, err = f.store.SyncState(f.ctx, second.ID)
		f.kind(core.KindNotFound, err)
	}},
	{"names differ by case and by organisation", func(f *fixture) {
		f.org("acme")
		f.org("other")
		f.create(local("acme", "tool"))
		f.create(local("acme", "Tool"))
		f.create(local("other", "tool"))
		_, err := f.store.Repository(f.ctx, "other", "Tool")
		f.kind(core.KindNotFound, err)
	}},
	{"no organisation is not found", func(f *fixture) {
		f.kind(core.KindNotFound, f.store.CreateRepository(f.ctx, local("nobody", "tool")))
	}},
	{"a missing one is not found", func(f *fixture) {
		f.org("acme")
		_, err := f.store.Repository(f.ctx, "acme", "none")
		f.kind(core.KindNotFound, err)
		_, err = f.store.RepositoryByID(f.ctx, "repo_none")
		f.kind(core.KindNotFound, err)
		_, err = f.store.BumpVersion(f.ctx, "repo_none")
		f.kind(core.KindNotFound, err)
		f.kind(core.KindNotFound, f.store.SetDefaultBranch(f.ctx, "repo_none", "main"))
		f.kind(core.KindNotFound, f.store.SetObjectFormat(f.ctx, "repo_none", "sha256"))
		f.kind(core.KindNotFound, f.store.DeleteRepository(f.ctx, "repo_none"))
		f.kind(core.KindNotFound, f.store.DetachUpstream(f.ctx, "repo_none"))
		f.kind(core.KindNotFound, f.store.SetUpstreamID(f.ctx, "repo_none", "1"))
	}},
	{"set and bump", func(f *fixture) {
		want := f.synced()
		require.NoError(f, f.store.SetDefaultBranch(f.ctx, want.ID, "trunk"))
		require.NoError(f, f.store.SetObjectFormat(f.ctx, want.ID, "sha256"))
		require.NoError(f, f.store.SetUpstreamID(f.ctx, want.ID, "4711"))
		for v := int64(1); v <= 3; v++ {
			got, err := f.store.BumpVersion(f.ctx, want.ID)
			require.NoError(f, err)
			require.Equal(f, v, got)
		}
		want.DefaultBranch, want.ObjectFormat, want.Version, want.Upstream.ID = "trunk", "sha256", 3, "4711"
		got, err := f.store.RepositoryByID(f.ctx, want.ID)
		require.NoError(f, err)
		require.False(f, got.ChangedAt.IsZero())
		got.ChangedAt = time.Time{}
		same(f, want, got)
	}},
	{"list is newest first and pages by id", func(f *fixture) {
		f.org("acme")
		f.org("other")
		f.create(local("other", "not mine"))
		var want []string
		for _, name := range []string{"e", "d", "c", "b", "a"} {
			f.create(local("acme", name))
			want = append([]string{name}, want...)
		}
		var got []string
		filter := core.RepositoryFilter{Org: "acme", Limit: 2}
		for {
			page, err := f.store.Repositories(f.ctx, filter)
			require.NoError(f, err)
			if len(page) == 0 {
				break
			}
			require.LessOrEqual(f, len(page), 2)
			for _, r := range page {
				got = append(got, r.Name)
				filter.Before = r.ID
			}
		}
		require.Equal(f, want, got)
	}},
	{"list has the upstream", func(f *fixture) {
		r := f.synced()
		got, err := f.store.Repositories(f.ctx, core.RepositoryFilter{Org: "acme", Limit: 10})
		require.NoError(f, err)
		same(f, []core.ListedRepository{{Repository: r}}, got)
	}},
	{"list by query", func(f *fixture) {
		f.org("acme")
		for _, name := range []string{"Alpha/Tool", "beta_tool", "gamma%", `del\ta`, "ex!cl", "\u00c9cole", "zed'"} {
			f.create(local("acme", name))
		}
		for query, want := range map[string][]string{
			"TOOL":        {"beta_tool", "Alpha/Tool"},
			"a/t":         {"Alpha/Tool"},
			"_":           {"beta_tool"},
			"%":           {"gamma%"},
			"a%":          {"gamma%"},
			`\`:           {`del\ta`},
			"!":           {"ex!cl"},
			"'":           {"zed'"},
			"\u00e9COLE":  {"\u00c9cole"},
			"b_ta":        nil,
			"' OR '1'='1": nil,
		} {
			got, err := f.store.Repositories(f.ctx, core.RepositoryFilter{Org: "acme", Query: query, Limit: 10})
			require.NoError(f, err)
			var names []string
			for _, r := range got {
				names = append(names, r.Name)
			}
			require.Equal(f, want, names, "query %q", query)
		}
	}},
	{"list needs a limit", func(f *fixture) {
		for _, limit := range []int{0, -1} {
			_, err := f.store.Repositories(f.ctx, core.RepositoryFilter{Org: "acme", Limit: limit})
			f.kind(core.KindInvalid, err)
		}
	}},
	{"ids of all organisations, in order", func(f *fixture) {
		f.org("acme")
		f.org("other")
		var want []string
		for _, org := range []string{"other", "acme", "other"} {
			want = append(want, f.create(local(org, "r"+id("x"))).ID)
		}
		got, err := f.store.RepositoryIDs(f.ctx)
		require.NoError(f, err)
		require.Equal(f, want, got)
	}},
	{"delete takes everything along but events, and frees the name", func(f *fixture) {
		r := f.synced()
		c := core.Credential{ID: id("ggc"), RepoID: r.ID, Secret: "s3cret"}
		j := core.JournalEntry{ID: id("jrn"), RepoID: r.ID, State: core.JournalSent, CreatedAt: day(0)}
		run := core.Run{ID: id("run"), RepoID: r.ID, StartedAt: day(0)}
		require.NoError(f, f.store.CreateCredential(f.ctx, c))
		require.NoError(f, f.store.OpenJournal(f.ctx, j))
		require.NoError(f, f.store.StartRun(f.ctx, run))
		require.NoError(f, f.store.AddEvents(f.ctx, []core.Event{event(r, j.ID, "refs/heads/main")}))
		w := inbound(r)
		require.NoError(f, f.store.SaveInboundWebhook(f.ctx, w))
		require.NoError(f, f.store.Expect(f.ctx, []core.Expectation{{RepoID: r.ID, Ref: "refs/heads/main"}}))
		require.NoError(f, f.store.SaveSettings(f.ctx, r.ID, core.Settings{Poll: "off"}))
		rw := rewrite(r, "refs/heads/main", core.RewriteHeld)
		require.NoError(f, f.store.AddRewrite(f.ctx, rw))
		require.NoError(f, f.store.AddAudit(f.ctx, audit(r, "push")))

		require.NoError(f, f.store.DeleteRepository(f.ctx, r.ID))
		_, err := f.store.Repository(f.ctx, "acme", r.Name)
		f.kind(core.KindNotFound, err)
		_, err = f.store.SyncState(f.ctx, r.ID)
		f.kind(core.KindNotFound, err)
		_, err = f.store.CredentialByID(f.ctx, c.ID)
		f.kind(core.KindNotFound, err)
		open, err := f.store.OpenJournals(f.ctx)
		require.NoError(f, err)
		require.Empty(f, open)
		runs, err := f.store.Runs(f.ctx, r.ID, "", 10)
		require.NoError(f, err)
		require.Empty(f, runs)
		events, err := f.store.Events(f.ctx, 0, 10)
		require.NoError(f, err)
		require.Len(f, events, 1)
		_, err = f.store.InboundWebhookByToken(f.ctx, w.Token)
		f.kind(core.KindNotFound, err)
		expected, err := f.store.Expectations(f.ctx, r.ID)
		require.NoError(f, err)
		require.Empty(f, expected)
		settings, err := f.store.Settings(f.ctx, r.ID)
		require.NoError(f, err)
		require.Zero(f, settings)
		_, err = f.store.Rewrite(f.ctx, r.ID, rw.ID)
		f.kind(core.KindNotFound, err)
		entries, err := f.store.Audit(f.ctx, core.AuditFilter{Org: "acme", RepoID: r.ID, Limit: 10})
		require.NoError(f, err)
		require.Len(f, entries, 1)

		again := f.create(synced("acme", r.Name))
		got, err := f.store.Repository(f.ctx, "acme", r.Name)
		require.NoError(f, err)
		require.Equal(f, again.ID, got.ID)
		f.kind(core.KindNotFound, f.store.DeleteRepository(f.ctx, r.ID))
	}},
	{"detach forgets upstream, sync state, credential and what the host tells, and is idempotent", func(f *fixture) {
		r := f.synced()
		run := core.Run{ID: id("run"), RepoID: r.ID, StartedAt: day(0), FinishedAt: day(time.Second), Outcome: "succeeded"}
		require.NoError(f, f.store.StartRun(f.ctx, run))
		require.NoError(f, f.store.CreateCredential(f.ctx, core.Credential{ID: id("ggc"), RepoID: r.ID, Secret: "s3cret"}))
		require.NoError(f, f.store.SaveInboundWebhook(f.ctx, inbound(r)))
		require.NoError(f, f.store.Expect(f.ctx, []core.Expectation{{RepoID: r.ID, Ref: "refs/heads/main"}}))
		rw := rewrite(r, "refs/heads/main", core.RewriteRetained)
		require.NoError(f, f.store.AddRewrite(f.ctx, rw))
		for range 2 {
			require.NoError(f, f.store.DetachUpstream(f.ctx, r.ID))
			got, err := f.store.RepositoryByID(f.ctx, r.ID)
			require.NoError(f, err)
			want := r
			want.Upstream = nil
			same(f, want, got)
			_, err = f.store.SyncState(f.ctx, r.ID)
			f.kind(core.KindNotFound, err)
			_, err = f.store.CredentialByRepo(f.ctx, r.ID)
			f.kind(core.KindNotFound, err)
			f.kind(core.KindNotFound, f.store.SetUpstreamID(f.ctx, r.ID, "1"))
			_, err = f.store.RequestSync(f.ctx, r.ID, "api", "")
			f.kind(core.KindNotFound, err)
			_, err = f.store.InboundWebhook(f.ctx, r.ID)
			f.kind(core.KindNotFound, err)
			expected, err := f.store.Expectations(f.ctx, r.ID)
			require.NoError(f, err)
			require.Empty(f, expected)
			_, err = f.store.Rewrite(f.ctx, r.ID, rw.ID)
			require.NoError(f, err)
		}
		runs, err := f.store.Runs(f.ctx, r.ID, "", 10)
		require.NoError(f, err)
		same(f, []core.Run{run}, runs)
	}},
}
