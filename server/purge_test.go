package server_test

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

const secret = "hunter2-is-the-password"

// holds returns which files below a folder have the text in them, as it is, deflated
// as a loose object, or in a pack.
func holds(t *testing.T, repository, text string) (where []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		// Objects in packs are deflated too: each place where a stream may begin is tried.
		for at := range raw {
			if at > 0 && (raw[at] != 0x78 || filepath.Ext(path) != ".pack") {
				continue
			}
			z, err := zlib.NewReader(bytes.NewReader(raw[at:]))
			if err != nil {
				continue
			}
			plain, _ := io.ReadAll(io.LimitReader(z, 1<<20))
			if bytes.Contains(plain, []byte(text)) {
				where = append(where, path)
			}
		}
		if bytes.Contains(raw, []byte(text)) {
			where = append(where, path)
		}
		return nil
	}))
	return where
}

// ways are all ways to get at a commit and a blob of the mirror by their ids, and
// whether each works.
func (b *bench) ways(t *testing.T, commit, blob string) map[string]bool {
	t.Helper()
	got := map[string]bool{}
	for _, version := range []string{"0", "2"} {
		for what, id := range map[string]string{"commit": commit, "blob": blob} {
			// Into nothing: what one fetch brings must not be there for the next.
			out, err := b.Client(t, mirror).Clone("").Try("-c", "protocol.version="+version, "fetch", "--quiet", b.Remote(mirror), id)
			if err != nil {
				require.Contains(t, out, "not our ref", "%s by version %s", what, version)
			}
			got["fetch "+what+", version "+version] = err == nil
		}
	}
	for _, path := range []string{"/commits?limit=1&ref=" + commit, "/files?ref=" + commit, "/commit?sha=" + commit, "/files?ref=" + commit[:12]} {
		a := b.API(t, http.MethodGet, mirror, path, nil)
		require.Contains(t, []int{http.StatusOK, http.StatusNotFound}, a.Status, "%s: %s", path, a.Raw)
		got["GET "+path] = a.Status == http.StatusOK
	}
	_, err := b.REST(t, mirror).Ensure(t.Context(), mirror, client.EnsureRequest{Ids: &[]string{commit}, Timeout: new("1s")})
	got["ensure"] = err == nil
	return got
}

// each is the map with the same value for all of its keys.
func each(of map[string]bool, value bool) map[string]bool {
	all := map[string]bool{}
	for key := range of {
		all[key] = value
	}
	return all
}

// leak pushes a secret, has it rewritten away at the host and syncs. It returns the
// commit and the blob.
func (b *bench) leak(t *testing.T) (commit, blob string) {
	t.Helper()
	client := b.work(t)
	commit = client.Commit(secret)
	blob = client.Git("rev-parse", "HEAD:file.txt")
	client.Git("push", "--quiet", "origin", "HEAD:main")
	old, _ := b.force(t)
	require.Equal(t, commit, old)
	return commit, blob
}

// A secret that is rewritten away at the host stays readable here for whoever knows
// its id, until it is purged.
func TestPurge_forgetsASecret(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	folder := b.Engine().Services().Repos.Path(b.Repo(t, mirror).ID)
	commit, blob := b.leak(t)
	before := b.ways(t, commit, blob)
	require.Equal(t, each(before, true), before)
	require.NotEmpty(t, holds(t, folder, secret))
	row := b.rewrites(t, client.ListRewritesParams{State: new("retained")})[0].ID

	// What was moved aside in a rebuild has it, too, and other refs.
	aside := filepath.Join(b.Dir, "quarantine", "20261129T205000Z-"+b.Repo(t, mirror).ID)
	require.NoError(t, os.MkdirAll(filepath.Dir(aside), 0o700))
	require.NoError(t, os.CopyFS(aside, os.DirFS(folder)))

	for name, tt := range map[string]struct {
		body any
		want int
	}{
		"neither":        {map[string]any{}, http.StatusBadRequest},
		"both":           {map[string]any{"id": row, "all": true}, http.StatusBadRequest},
		"no such":        {map[string]any{"id": "rw_none"}, http.StatusNotFound},
		"not as a whole": {nil, http.StatusBadRequest},
	} {
		require.Equal(t, tt.want, b.API(t, http.MethodPost, mirror, "/purge", tt.body).Status, name)
	}
	reader := b.TokenWith(t, access.Claims{Repo: mirror, Scopes: []access.Scope{access.GitWrite}})
	require.Equal(t, http.StatusForbidden, b.Call(t, http.MethodPost, "/api/repos/"+strings.ReplaceAll(mirror, "/", "%2F")+"/purge", reader, client.PurgeRequest{ID: &row}).Status)

	api := b.REST(t, mirror)
	purged, err := api.PurgeRewrites(t.Context(), mirror, client.PurgeRequest{ID: &row})
	require.NoError(t, err)
	require.Equal(t, []string{row}, purged.Rewrites)
	require.Equal(t, []string{}, purged.StillReached)
	require.Positive(t, purged.Objects)
	after := b.ways(t, commit, blob)
	require.Equal(t, each(after, false), after)
	for what, dir := range map[string]string{"folder": folder, "quarantine": aside} {
		require.Empty(t, holds(t, dir, secret), what)
		for _, id := range []string{commit, blob} {
			_, err := b.gitIn(t, dir, "cat-file", "-e", id)
			require.Error(t, err, "%s: %s", what, id)
		}
		_, err := b.gitIn(t, dir, "rev-parse", "--verify", "refs/heads/main")
		require.NoError(t, err, what)
	}
	require.Empty(t, b.Fsck(t, mirror))
	require.Equal(t, "dismissed", b.rewrites(t, client.ListRewritesParams{})[0].State)
	audit, err := api.ListRepositoryAudit(t.Context(), mirror, &client.ListRepositoryAuditParams{Action: new("rewrite.purge")})
	require.NoError(t, err)
	require.EqualValues(t, "ok", audit.Entries[0].Outcome)

	// Another commit of the host that leads to it does not bring it back, one that does
	// not is still welcome.
	dir, err := b.forge.Forge.RepoDir(origin)
	require.NoError(t, err)
	run := func(dir string, args ...string) string {
		t.Helper()
		out, err := b.gitIn(t, dir, args...)
		require.NoError(t, err, out)
		return out
	}
	tree := run(dir, "rev-parse", commit+"^{tree}")
	other := run(dir, "commit-tree", "-m", "same files", tree)
	free := run(dir, "commit-tree", "-m", "others", "main^{tree}")
	// Neither is waited for: a test does not last five minutes.
	_, err = api.Ensure(t.Context(), mirror, client.EnsureRequest{Ids: &[]string{other, free, commit}, Timeout: new("5m")})
	late := servertest.RequireRefused(t, http.StatusGatewayTimeout, err)
	require.Contains(t, late.Message, "forgotten on purpose")
	var answer struct{ Ensured client.Ensured }
	require.NoError(t, json.Unmarshal(late.Body, &answer))
	ensured := answer.Ensured.Ids
	require.Len(t, ensured, 3)
	require.Equal(t, [3]bool{false, true, false}, [3]bool{ensured[0].Here, ensured[1].Here, ensured[2].Here})
	require.Contains(t, ensured[0].Reason, "forgotten")
	require.Empty(t, holds(t, folder, secret))

	// What a ref at the host leads to is served again, and not kept when it goes.
	run(dir, "update-ref", "refs/heads/back", commit)
	b.pullAndWait(t)
	back := b.ways(t, commit, blob)
	require.Equal(t, each(back, true), back)
	sent := b.eventsOf(t, core.EventForgottenReturned)
	require.Len(t, sent, 1, "and people are notified")
	require.Equal(t, []any{"refs/heads/back"}, sent[0].At("refs"))
	require.Contains(t, sent[0].At("ids"), blob)
	require.EqualValues(t, 1, sent[0].At("refs_changed"))
	require.EqualValues(t, 1, sent[0].At("refs_examined"))
	run(dir, "update-ref", "-d", "refs/heads/back")
	b.pullAndWait(t)
	gone := b.ways(t, commit, blob)
	require.Equal(t, each(gone, false), gone)
	require.Empty(t, b.rewrites(t, client.ListRewritesParams{State: new("retained")}))
	// Many at once: those beyond the first hundred are counted, and not named.
	many := []string{"push", "--quiet", dir}
	for i := range 120 {
		many = append(many, fmt.Sprintf("%s:refs/heads/many%03d", commit, i))
	}
	run(dir, many...)
	b.pullAndWait(t)
	sent = b.eventsOf(t, core.EventForgottenReturned)
	require.Len(t, sent, 2)
	require.Len(t, sent[1].At("refs"), 100)
	require.EqualValues(t, 120, sent[1].At("refs_changed"))
	require.EqualValues(t, 100, sent[1].At("refs_examined"))
}

// With strict_wants nothing is served by its id that no ref leads to, and everything
// that one does, to partial clones too.
func TestStrictWants(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	commit, blob := b.leak(t)
	strict := func(on bool) {
		t.Helper()
		a, err := b.REST(t, mirror).UpdateSettings(t.Context(), mirror, nil, client.SettingsRequest{StrictWants: &on})
		require.NoError(t, err)
		require.Equal(t, on, a.Settings.StrictWants)
	}
	strict(true)
	hidden := b.ways(t, commit, blob)
	require.Equal(t, each(hidden, false), hidden)
	head := b.Refs(t, mirror)["refs/heads/main"]
	file, err := b.gitIn(t, b.Engine().Services().Repos.Path(b.Repo(t, mirror).ID), "rev-parse", "main~1^{tree}")
	require.NoError(t, err)
	shown := b.ways(t, head, file)
	require.Equal(t, each(shown, true), shown)
	for _, id := range []string{commit, blob} {
		out, err := b.Client(t, mirror).Clone("").Try("-c", "protocol.version=1", "fetch", "--quiet", b.Remote(mirror), id)
		require.Error(t, err)
		require.Contains(t, out, "not our ref")
	}
	for _, version := range []string{"0", "1", "2"} {
		client := b.Client(t, mirror)
		client.Configure(map[string]string{"protocol.version": version})
		client.Git("clone", "--quiet", "--filter=blob:none", "--no-checkout", b.Remote(mirror), "work")
		client.Dir = filepath.Join(client.Dir, "work")
		name, _, _ := strings.Cut(client.Git("ls-tree", "-r", "--name-only", "HEAD~1"), "\n")
		require.NotEmpty(t, client.Git("show", "HEAD~1:"+name), "a blob of the past comes when it is needed")
	}
	// What is pushed is served at once, and what is rewritten is not any more.
	client := b.work(t)
	one := client.Commit("one")
	client.Git("push", "--quiet", "origin", "HEAD:topic")
	tree := client.Git("rev-parse", "HEAD^{tree}")
	pushed := b.ways(t, one, tree)
	require.Equal(t, each(pushed, true), pushed)
	client.Git("push", "--quiet", "origin", ":topic")
	deleted := b.ways(t, one, tree)
	require.Equal(t, each(deleted, false), deleted)
	strict(false)
	require.True(t, b.ways(t, commit, blob)["fetch blob, version 2"])
}

// Purges beside pushes: a purge that removed what a push has stored, and no ref leads
// to yet, would lose what was acknowledged.
func TestPurge_losesNoPush(t *testing.T) {
	t.Parallel()
	const writers = 3
	pushes := 4
	if longtest.Long() {
		pushes = 60
	}
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, "plain")
	first := s.Client(t, "plain").Clone("")
	first.Commit("first")
	first.Git("push", "--quiet", s.Remote("plain"), "HEAD:main")
	tips := make([]string, writers)
	var pushing sync.WaitGroup
	for i := range writers {
		client := s.WorkOf(t, "plain")
		pushing.Go(func() {
			for n := range pushes {
				if n%2 == 1 {
					// What is rewritten here is what the next purge removes.
					client.Git("reset", "--quiet", "--hard", "HEAD~1")
				}
				id := client.Commit(fmt.Sprintf("%d of %d", n, i))
				client.Git("push", "--quiet", "--force", "origin", fmt.Sprintf("HEAD:b%d", i))
				tips[i] = id
			}
		})
	}
	done := make(chan struct{})
	go func() { pushing.Wait(); close(done) }()
	purges := 0
	for running := true; running; purges++ {
		select {
		case <-done:
			running = false // and once more, with all of it there
		default:
		}
		_, err := s.REST(t, "plain").PurgeRewrites(t.Context(), "plain", client.PurgeRequest{All: new(true)})
		require.NoError(t, err)
	}
	t.Logf("%d purges beside %d pushes", purges, writers*pushes)
	refs := s.Refs(t, "plain")
	for i, tip := range tips {
		require.Equal(t, tip, refs[fmt.Sprintf("refs/heads/b%d", i)])
	}
	require.Empty(t, s.Fsck(t, "plain"))
}

// gitIn runs git in a bare repository on the disk.
func (b *bench) gitIn(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	client := b.Client(t, mirror)
	client.Env = append(client.Env, "GIT_DIR="+dir)
	out, err := client.Try(args...)
	return strings.TrimSpace(out), err
}
