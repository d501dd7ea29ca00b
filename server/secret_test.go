package server_test

import (
	"encoding/base64"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// secrets is what must not be found anywhere, in every form that it travels in.
type secrets []string

// plant adds a secret and the forms that it takes on the wire.
func (s *secrets) plant(user, secret string) {
	*s = append(*s, secret, url.QueryEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(user+":"+secret)),
		base64.StdEncoding.EncodeToString([]byte(":"+secret)))
}

// requireNone fails if one of the secrets is in text.
func (s *secrets) requireNone(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range *s {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds a secret", where) // and must not print it
		}
	}
}

func TestInvariant15_noSecretAnywhere(t *testing.T) {
	t.Parallel()
	forge := newForge(t, forgetest.SeedOptions{Commits: 50, Branches: 3})
	large := startTalkativeLFS(t)
	b := &bench{forge: forge, Server: servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{forge}, Hosts: []string{large.block()}})}
	b.store = servertest.Store(t, b.Dir)
	var planted secrets

	// Every process of ours is looked at all the time.
	lines := servertest.WatchCommands()

	var answers []string
	secret := b.Link(t, mirror, forge, origin)
	planted.plant(forgetest.User, secret)
	require.NoError(t, b.Sync(t, mirror))
	client := b.work(t)
	client.Commit("one")
	client.Git("push", "--quiet", "origin", "HEAD:main", "HEAD:refs/tags/one")
	b.forge.Protect(origin, "refs/heads/frozen")
	out, err := client.Try("push", "origin", "HEAD:frozen")
	require.Error(t, err)
	answers = append(answers, out)

	// Hosts that echo the credential, in answers to everything, with all sorts
	// of statuses.
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusBadRequest, http.StatusInternalServerError} {
		remove := forge.Inject(forgetest.Fault{Status: status, Body: "you sent ", Echo: true})
		b.pullAndWait(t)
		answers = append(answers, b.Get(t, mirror).Raw)
		remove()
		remove = forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch, forgetest.KindPush, forgetest.KindPushDiscover}, Status: status, Echo: true})
		client.Commit("another")
		out, err := client.Try("push", "origin", "HEAD:main")
		require.Error(t, err)
		answers = append(answers, out)
		remove()
	}
	require.NotEmpty(t, forge.Echoed())
	// A hook of the host that prints the credential.
	forge.Refuse(origin, forgetest.Refusal{Pattern: "refs/heads/leak", Reason: "token " + secret + " is limited", Message: []string{"Authorization: Basic " + planted[2]}})
	out, err = client.Try("push", "origin", "HEAD:leak")
	require.Error(t, err)
	answers = append(answers, out)

	// Credentials that are not valid any more, or never were.
	forge.RevokeToken(secret)
	b.pullAndWait(t)
	answers = append(answers, b.Get(t, mirror).Raw)
	id := b.Repository(t, mirror).Credential.ID
	const wrong = "wr0ng/p@ss:word%"
	planted.plant("bob", wrong)
	a := b.API(t, http.MethodPut, mirror, "/git-credentials/"+id, map[string]any{"username": "bob", "password": wrong})
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	answers = append(answers, a.Raw)
	b.pullAndWait(t)
	answers = append(answers, b.Get(t, mirror).Raw)
	a = b.API(t, http.MethodPut, mirror, "/git-credentials/"+id, map[string]any{"username": "bob", "password": wrong + "\n"})
	require.Equal(t, http.StatusBadRequest, a.Status)
	answers = append(answers, a.Raw)
	a = b.Call(t, http.MethodGet, "/api/repos", b.Token(t, "org"), nil)
	require.Equal(t, http.StatusOK, a.Status)
	answers = append(answers, a.Raw)
	a = b.Call(t, http.MethodGet, "/providers", b.Token(t, "org"), nil)
	require.Equal(t, http.StatusOK, a.Status)
	answers = append(answers, a.Raw)

	// Git LFS, whose actions carry secrets of their own.
	answers = append(answers, large.use(t, b.Caller, "team/large", &planted)...)
	answers = append(answers, b.Get(t, "team/large").Raw)

	seen := lines()
	for line := range seen {
		planted.requireNone(t, "a command line", line)
	}
	pushed, fetched := false, false
	for line := range seen {
		pushed = pushed || strings.Contains(line, "push --porcelain")
		fetched = fetched || strings.Contains(line, "fetch --")
	}
	require.True(t, pushed && fetched, "the processes that matter were seen: %d command lines", len(seen))

	for _, answer := range answers {
		planted.requireNone(t, "an answer", answer)
	}
	planted.requireNone(t, "the log", b.Log.String())
	events, err := b.store.Events(t.Context(), 0, 10_000)
	require.NoError(t, err)
	require.NotEmpty(t, events)
	for _, e := range events {
		planted.requireNone(t, "an event", string(e.Payload))
	}
	for _, run := range b.Runs(t, mirror) {
		planted.requireNone(t, "a run", run.Error)
	}

	// The data directory whole: git configuration, database and its log.
	b.Stop(t)
	files := 0
	require.NoError(t, filepath.WalkDir(b.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		planted.requireNone(t, path, string(content))
		if filepath.Base(path) == "config" {
			require.NotContains(t, string(content), "remote", path)
			require.NotContains(t, string(content), forge.Host(), path)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if dir := filepath.Base(filepath.Dir(path)); dir == "keys" || strings.HasPrefix(d.Name(), "headwater.db") {
			require.Zero(t, info.Mode().Perm()&0o077, "%s is open to others", path)
		}
		return nil
	}))
	require.Greater(t, files, 5)
}
