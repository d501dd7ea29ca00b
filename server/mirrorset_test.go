package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// acme is a forge with an owner of some repositories of each kind.
func acme(t *testing.T, n int) *forgetest.TestForge {
	t.Helper()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	for i := range n {
		path := fmt.Sprintf("acme/app-%d", i)
		f.CreateRepo(path, true)
		f.Seed(path, forgetest.SeedOptions{Commits: 1})
	}
	f.CreateRepo("acme/old", false)
	require.NoError(t, f.SetArchived("acme/old", true))
	f.CreateRepo("acme/copied", false)
	require.NoError(t, f.SetFork("acme/copied", true))
	f.CreateRepo("acme/sandbox", false)
	f.CreateRepo("elsewhere/other", true)
	f.Seed("elsewhere/other", forgetest.SeedOptions{Commits: 1})
	f.LimitPages(2)
	return f
}

// share stores a shared credential for the owner and returns its secret.
func share(t *testing.T, c servertest.Caller, f *forgetest.TestForge, name string, o forgetest.TokenOptions) string {
	t.Helper()
	secret := f.MintToken(o)
	_, err := c.REST(t, "org").CreateSharedCredential(t.Context(), client.CreateSharedRequest{
		Name: &name, Provider: new("gitea"), UpstreamHost: new(f.Host()), Owner: new("acme"), Username: new("robot"), Password: &secret,
	})
	require.NoError(t, err)
	return secret
}

func wish(f *forgetest.TestForge, follow bool) client.MirrorSetRequest {
	return client.MirrorSetRequest{
		Provider: new("gitea"), UpstreamHost: new(f.Host()), Owner: new("acme"), Credential: new("shared"), Exclude: &[]string{"sand*"}, Follow: &follow,
	}
}

// looked waits until a set has been looked at after a time.
func looked(t *testing.T, c servertest.Caller, id string, until func(s client.MirrorSet) bool) (set client.MirrorSet) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		set, err = c.REST(t, "org").GetMirrorSet(t.Context(), id)
		require.NoError(t, err)
		return !set.Looking && until(set)
	}, time.Minute, 50*time.Millisecond)
	return set
}

func action(set client.MirrorSet, path string) string {
	for _, e := range set.Entries {
		if e.Path == path {
			return e.Action
		}
	}
	return ""
}

func readyCount(n int) func(client.MirrorSet) bool {
	return func(s client.MirrorSet) bool { return s.Totals != nil && (*s.Totals)["ready"] >= n }
}

func TestMirrorSet_mirrorsAllOfAnOwnerAndFollows(t *testing.T) {
	t.Parallel()
	f := acme(t, 3)
	clock := servertest.NewClock()
	s := servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{f}, Clock: clock})
	secret := share(t, s.Caller, f, "shared", forgetest.TokenOptions{})
	api := s.REST(t, "org")

	plan, err := api.PlanMirrorSet(t.Context(), wish(f, true))
	require.NoError(t, err)
	require.Equal(t, map[string]int{"create": 3, "skip": 3}, *plan.Totals)
	list, err := api.ListRepositories(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, list.Repos, "a plan makes nothing")

	set, err := api.CreateMirrorSet(t.Context(), wish(f, true))
	require.NoError(t, err)
	at := looked(t, s.Caller, set.ID, readyCount(3))
	require.Equal(t, "skip", action(at, "acme/old"))
	require.Equal(t, "skip", action(at, "acme/copied"))
	require.Equal(t, "skip", action(at, "acme/sandbox"))
	require.Equal(t, f.Ref("acme/app-1", "refs/heads/main"), s.Refs(t, "app-1")["refs/heads/main"])
	require.Equal(t, f.RepoID("acme/app-1"), s.Repo(t, "app-1").Upstream.ID)
	require.Equal(t, "shared", s.Repository(t, "app-1").Credential.Shared)

	// It goes on: one appears, one moves, one vanishes.
	kept := s.Repo(t, "app-2")
	f.CreateRepo("acme/new", true)
	f.Seed("acme/new", forgetest.SeedOptions{Commits: 1})
	f.RenameRepo("acme/app-1", "acme/renamed")
	require.NoError(t, f.DeleteRepo("acme/app-2"))
	require.Eventually(t, func() bool {
		clock.Advance(time.Minute)
		now, err := api.GetMirrorSet(t.Context(), set.ID)
		require.NoError(t, err)
		return action(now, "acme/new") == "keep" && action(now, "acme/app-2") == "gone" && action(now, "acme/renamed") == "keep"
	}, time.Minute, 50*time.Millisecond)
	require.Equal(t, "renamed", s.Repo(t, "app-1").Upstream.Name)
	require.Equal(t, kept.ID, s.Repo(t, "app-2").ID, "what vanishes at the host stays here")
	require.Contains(t, s.Refs(t, "app-2"), "refs/heads/main")

	requireNowhere(t, s.Dir, secret)
	require.NotContains(t, s.Log.String(), secret)
}

// requireNowhere requires that a secret is in no file of a folder.
func requireNowhere(t *testing.T, dir, secret string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // a file that has just gone holds nothing
		}
		content, err := os.ReadFile(path)
		if err == nil {
			require.NotContains(t, string(content), secret, path)
		}
		return nil
	}))
}

func TestMirrorSet_goesOnAfterACrash(t *testing.T) {
	t.Parallel()
	for _, failpoint := range []string{"create-made", "mirror-made", "mirror-set-made"} {
		t.Run(failpoint, func(t *testing.T) {
			t.Parallel()
			f := acme(t, 4)
			options := servertest.Options{Dir: t.TempDir(), Forges: []*forgetest.TestForge{f}}
			p := servertest.StartProcess(t, options)
			share(t, p.Caller, f, "shared", forgetest.TokenOptions{})
			p.Arm(t, failpoint)
			set, err := p.REST(t, "org").CreateMirrorSet(t.Context(), wish(f, false))
			require.NoError(t, err)
			p.AwaitHits(t, 1)
			p.Kill()

			s := servertest.Start(t, options)
			at := looked(t, s.Caller, set.ID, readyCount(4))
			require.Equal(t, 4, (*at.Totals)["keep"])
			list, err := s.REST(t, "org").ListRepositories(t.Context(), nil)
			require.NoError(t, err)
			require.Len(t, list.Repos, 4, "nothing is made twice")
			for i := range 4 {
				require.Equal(t, "shared", s.Repository(t, fmt.Sprintf("app-%d", i)).Credential.Shared)
			}
		})
	}
}

func TestMirrorSet_hostLimits(t *testing.T) {
	t.Parallel()
	f := acme(t, 3)
	clock := servertest.NewClock()
	s := servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{f}, Clock: clock})
	share(t, s.Caller, f, "shared", forgetest.TokenOptions{})
	f.LimitRate(forgetest.RateLimit{Requests: 2, Reset: time.Now().Add(10 * time.Minute)})
	set, err := s.REST(t, "org").CreateMirrorSet(t.Context(), wish(f, false))
	require.NoError(t, err)
	at := looked(t, s.Caller, set.ID, func(s client.MirrorSet) bool { return s.Failures == 1 })
	require.Contains(t, at.Error, "limits requests")
	require.Greater(t, at.NextLookAt.Sub(clock.Now()), 9*time.Minute, "the host said when")
	f.LimitRate(forgetest.RateLimit{})
	clock.Advance(15 * time.Minute)
	looked(t, s.Caller, set.ID, readyCount(3))
}

func TestSharedCredential_cannotBePointedElsewhere(t *testing.T) {
	t.Parallel()
	f := acme(t, 1)
	s := servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{f}})
	secret := share(t, s.Caller, f, "shared", forgetest.TokenOptions{})
	s.LinkAs(t, "app", f.Host(), "acme/app-0")
	s.LinkAs(t, "other", f.Host(), "elsewhere/other")
	org := s.REST(t, "org")

	// For another owner it is no credential.
	_, err := org.AssignSharedCredential(t.Context(), "shared", client.AssignRequest{Repositories: &[]string{"other"}})
	servertest.RequireRefused(t, http.StatusBadRequest, err)
	_, err = org.AssignSharedCredential(t.Context(), "shared", client.AssignRequest{Repositories: &[]string{"app"}})
	require.NoError(t, err)
	require.NoError(t, s.Sync(t, "app"))

	// A token of the repository can neither move it nor learn by trying, nor give it
	// another credential.
	repo := s.REST(t, "app")
	base := servertest.Base("gitea", f.Host(), "elsewhere/other")
	for _, dry := range []bool{false, true} {
		_, err := repo.RepointUpstream(t.Context(), "app", &client.RepointUpstreamParams{DryRun: &dry}, client.LinkRepositoryRequest{BaseRepo: &base})
		refused := servertest.RequireRefused(t, http.StatusForbidden, err)
		require.Contains(t, refused.Message, "shared")
		require.NotContains(t, refused.Message, secret)
	}
	servertest.RequireRefused(t, http.StatusForbidden, errOf(repo.DetachUpstream(t.Context(), "app")))
	_, err = repo.CreateCredential(t.Context(), "app", client.CreateCredentialRequest{Password: "mine"})
	servertest.RequireRefused(t, http.StatusConflict, err)
	id := s.Repository(t, "app").Credential.ID
	_, err = repo.UpdateCredential(t.Context(), "app", id, client.UpdateCredentialRequest{Password: "mine"})
	servertest.RequireRefused(t, http.StatusNotFound, err)
	servertest.RequireRefused(t, http.StatusNotFound, repo.DeleteCredential(t.Context(), "app", id))
	// It is for organisations alone.
	_, err = repo.ListSharedCredentials(t.Context())
	servertest.RequireRefused(t, http.StatusForbidden, err)
	_, err = repo.UnassignSharedCredential(t.Context(), "shared", client.AssignRequest{Repositories: &[]string{"app"}})
	servertest.RequireRefused(t, http.StatusForbidden, err)
	require.Equal(t, "acme", s.Repo(t, "app").Upstream.Owner)

	// One that is used stays; when the upstream is transferred, it is sent no more.
	servertest.RequireRefused(t, http.StatusConflict, org.DeleteSharedCredential(t.Context(), "shared"))
	f.RenameRepo("acme/app-0", "elsewhere/taken")
	require.Error(t, s.Sync(t, "app"))
	require.Equal(t, "elsewhere", s.Repo(t, "app").Upstream.Owner, "the transfer is followed")
	require.Error(t, s.Sync(t, "app"), "the credential is not for that owner")
	require.Nil(t, s.Repository(t, "app").Credential)
	_, err = org.UnassignSharedCredential(t.Context(), "shared", client.AssignRequest{Repositories: &[]string{"app"}})
	require.NoError(t, err)
	require.NoError(t, org.DeleteSharedCredential(t.Context(), "shared"))
}

func errOf[T any](_ T, err error) error { return err }

func TestSharedCredential_rotation(t *testing.T) {
	t.Parallel()
	f := acme(t, 1)
	s := servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{f}})
	old := share(t, s.Caller, f, "shared", forgetest.TokenOptions{})
	s.LinkAs(t, "app", f.Host(), "acme/app-0")
	org := s.REST(t, "org")
	_, err := org.AssignSharedCredential(t.Context(), "shared", client.AssignRequest{Repositories: &[]string{"app"}})
	require.NoError(t, err)
	require.NoError(t, s.Sync(t, "app"))

	rotate := func(secret string) (client.Shared, error) {
		return org.RotateSharedCredential(t.Context(), "shared", client.RotateSharedRequest{Password: &secret})
	}
	// What the host refuses, and what opens less than the old one, changes nothing.
	_, err = rotate("no-such-token-at-all")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "no-such-token-at-all")
	_, err = rotate(f.MintToken(forgetest.TokenOptions{Repos: []string{"acme/none"}}))
	require.ErrorContains(t, err, "does not open app")
	require.NoError(t, s.Sync(t, "app"))

	next := f.Token()
	view, err := rotate(next)
	require.NoError(t, err)
	require.NotNil(t, view.PreviousUntil)
	// A host that does not know the new one yet takes the old one meanwhile.
	f.RevokeToken(next)
	require.NoError(t, s.Sync(t, "app"), "the overlap")
	f.RevokeToken(old)
	require.Error(t, s.Sync(t, "app"))
	last := f.Token()
	_, err = rotate(last)
	require.NoError(t, err)
	require.NoError(t, s.Sync(t, "app"))
	for _, secret := range []string{old, next, last} {
		requireNowhere(t, s.Dir, secret)
		require.NotContains(t, s.Log.String(), secret)
	}
	audit, err := org.ListAudit(t.Context(), nil)
	require.NoError(t, err)
	words := []string{}
	for _, e := range audit.Entries {
		words = append(words, e.Action)
	}
	require.Contains(t, strings.Join(words, " "), "shared_credential.rotate")
}

// TestSharedCredential_warnsBeforeItExpires has a host say when a credential ends: from two
// weeks before that on, answers and the log warn, and a rotation ends it.
func TestSharedCredential_warnsBeforeItExpires(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitLab})
	f.CreateRepo("acme/app", true)
	clock := servertest.NewClock()
	block := fmt.Sprintf("provider \"gitlab\" {\n  host %q {\n    scheme = %q\n    allow_private = true\n  }\n}\n", f.Host(), f.Scheme())
	s := servertest.Start(t, servertest.Options{Config: block, Clock: clock})
	org := s.REST(t, "org")
	ends := clock.Now().AddDate(0, 0, 30)
	secret, name := f.MintToken(forgetest.TokenOptions{Life: time.Until(ends)}), "shared"
	made, err := org.CreateSharedCredential(t.Context(), client.CreateSharedRequest{
		Name: &name, Provider: new("gitlab"), UpstreamHost: new(f.Host()), Owner: new("acme"), Password: &secret,
	})
	require.NoError(t, err)
	require.Equal(t, ends.UTC().Format(time.DateOnly), made.ExpiresAt.UTC().Format(time.DateOnly))
	require.Empty(t, made.Warning)

	// GitLab's tokens end with a day, so hours are left out.
	const logged = "a shared credential needs attention"
	warning := func() string {
		all, err := org.ListSharedCredentials(t.Context())
		require.NoError(t, err)
		require.Len(t, all.Credentials, 1)
		return all.Credentials[0].Warning
	}
	clock.Advance(15 * 24 * time.Hour)
	require.Empty(t, warning())
	require.NotContains(t, s.Log.String(), logged)
	clock.Advance(5 * 24 * time.Hour)
	require.Regexp(t, `^it expires in (9|10) days; rotate it: headwater credential rotate shared$`, warning())
	require.Eventually(t, func() bool {
		clock.Advance(time.Hour) // the question of five days ago may have been on its way still
		return strings.Contains(s.Log.String(), logged)
	}, time.Minute, 50*time.Millisecond, "the daily question")
	clock.Advance(11 * 24 * time.Hour)
	require.Equal(t, "it has expired; rotate it: headwater credential rotate shared", warning())

	next := f.MintToken(forgetest.TokenOptions{})
	rotated, err := org.RotateSharedCredential(t.Context(), "shared", client.RotateSharedRequest{Password: &next})
	require.NoError(t, err)
	require.Nil(t, rotated.ExpiresAt, "this one does not end")
	require.Empty(t, warning())
	require.NotContains(t, s.Log.String(), secret)
}
