package server_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// writes is a server with one repository for API writes: a local one, or the
// mirror of a forge's.
type writes struct {
	*servertest.Server
	repo  string
	forge *forgetest.TestForge // nil: local
}

// newWrites makes an empty repository.
func newWrites(t testing.TB, synced bool) *writes {
	t.Helper()
	w := &writes{repo: "team/app"}
	if !synced {
		w.Server = servertest.Start(t, servertest.Options{})
		w.Create(t, w.repo)
		return w
	}
	w.forge = forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	w.forge.CreateRepo(origin, true)
	w.Server = servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{w.forge}})
	w.Mirror(t, w.repo, w.forge, origin)
	return w
}

// onBoth runs a test on a local and on a synced repository, and afterwards
// checks both for what must hold after every write.
func onBoth(t *testing.T, test func(t *testing.T, w *writes)) {
	t.Helper()
	for name, synced := range map[string]bool{"local": false, "synced": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWrites(t, synced)
			test(t, w)
			w.requireSound(t)
		})
	}
}

// requireSound checks that git finds no fault, that nothing temporary is left,
// and that the upstream has every branch and tag.
func (w *writes) requireSound(t testing.TB) {
	t.Helper()
	require.Empty(t, w.Fsck(t, w.repo))
	left, err := os.ReadDir(filepath.Join(w.Dir, "tmp"))
	require.NoError(t, err)
	require.Empty(t, left)
	if w.forge == nil {
		return
	}
	here := map[string]string{}
	for name, id := range w.Refs(t, w.repo) {
		if strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/") {
			here[name] = id
		}
	}
	require.Equal(t, here, w.forge.Refs(origin))
}

// file is one change of commit-pack.
type file struct {
	path, data, mode string
	del              bool
}

// commitMeta is what a commit of files says beside them.
type commitMeta = client.CommitPackMetadata

// changes returns the files of commit-pack, and the lines with their contents.
func changes(t testing.TB, files []file) ([]client.FileChange, io.Reader) {
	t.Helper()
	list := []client.FileChange{}
	var chunks bytes.Buffer
	encoder := json.NewEncoder(&chunks)
	for i, f := range files {
		id := "content-" + string(rune('a'+i%26)) + strings.Repeat("x", i/26)
		entry := client.FileChange{Path: f.path, ContentID: &id, Operation: new(client.Upsert)}
		if f.mode != "" {
			entry.Mode = new(client.FileChangeMode(f.mode))
		}
		if f.del {
			entry.Operation = new(client.Delete)
		} else {
			require.NoError(t, encoder.Encode(client.CommitPackLine{BlobChunk: &client.BlobChunk{ContentID: id, Data: new([]byte(f.data)), EOF: new(true)}}))
		}
		list = append(list, entry)
	}
	return list, &chunks
}

// packBody is the body of commit-pack with metadata that no client sends.
func packBody(t testing.TB, meta map[string]any, files ...file) io.Reader {
	t.Helper()
	list, chunks := changes(t, files)
	return io.MultiReader(bytes.NewReader(metaLine(t, with(meta, "files", list))), chunks)
}

// metaLine is the first line of a stream; author and message are filled in.
func metaLine(t testing.TB, meta map[string]any) []byte {
	t.Helper()
	filled := map[string]any{
		"target_branch": "main", "commit_message": "change", "author": map[string]any{"name": "Ada", "email": "ada@example.test"},
	}
	for key, value := range meta {
		filled[key] = value
	}
	line, err := json.Marshal(map[string]any{"metadata": filled})
	require.NoError(t, err)
	return append(line, '\n')
}

// with returns the map with one more key.
func with(m map[string]any, key string, value any) map[string]any {
	out := map[string]any{key: value}
	for k, v := range m {
		out[k] = v
	}
	return out
}

// stream posts a body of lines to a route of the repository.
func (w *writes) stream(t testing.TB, token, suffix string, body io.Reader) servertest.Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.URL+"/api/repos/"+url.PathEscape(w.repo)+suffix, body)
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	a := servertest.Answer{Status: resp.StatusCode, Raw: string(raw)}
	require.NoError(t, json.Unmarshal(raw, &a.Body), a.Raw)
	return a
}

// pack makes a commit from files.
func (w *writes) pack(t testing.TB, meta map[string]any, files ...file) servertest.Answer {
	t.Helper()
	return w.stream(t, w.Token(t, w.repo), "/commit-pack", packBody(t, meta, files...))
}

// commit makes a commit from files as a client does, and returns its id. A branch
// that is not named is main.
func (w *writes) commit(t testing.TB, meta commitMeta, files ...file) string {
	t.Helper()
	made, err := w.tryCommit(t, meta, files...)
	require.NoError(t, err)
	return made.Commit.CommitSHA
}

// tryCommit is commit that may be refused.
func (w *writes) tryCommit(t testing.TB, meta commitMeta, files ...file) (client.CommitResult, error) {
	t.Helper()
	meta.TargetBranch = cmp.Or(meta.TargetBranch, "main")
	meta.CommitMessage = cmp.Or(meta.CommitMessage, "change")
	meta.Author = cmp.Or(meta.Author, client.Person{Name: "Ada", Email: "ada@example.test"})
	var chunks io.Reader
	meta.Files, chunks = changes(t, files)
	first, err := json.Marshal(client.CommitPackLine{Metadata: &meta})
	require.NoError(t, err)
	body := io.MultiReader(bytes.NewReader(append(first, '\n')), chunks)
	return w.REST(t, w.repo).CreateCommit(t.Context(), w.repo, "application/x-ndjson", body)
}

// post calls a route of the repository.
func (w *writes) post(t testing.TB, suffix string, body map[string]any) servertest.Answer {
	t.Helper()
	return w.API(t, http.MethodPost, w.repo, suffix, body)
}

// tree lists the files of a revision as a clone would get them: mode and
// content by path.
func (w *writes) tree(t testing.TB, revision string) map[string]string {
	t.Helper()
	files := map[string]string{}
	var paths, blobs []string
	out := w.bare(t, "ls-tree", "-r", "-z", revision)
	for entry := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		if entry == "" {
			continue
		}
		head, path, _ := strings.Cut(entry, "\t")
		f := strings.Fields(head)
		if f[1] == "commit" {
			files[path] = f[0] + " " + f[2]
			continue
		}
		files[path], paths, blobs = f[0]+" ", append(paths, path), append(blobs, f[2])
	}
	// One process for all of them.
	cmd := w.ClientWith(t, "").Command(t.Context(), "--git-dir="+w.Engine().Services().Repos.Path(w.Repo(t, w.repo).ID), "cat-file", "--batch")
	cmd.Stdin = strings.NewReader(strings.Join(blobs, "\n") + "\n")
	contents, err := cmd.Output()
	require.NoError(t, err)
	rest := string(contents)
	for i, path := range paths {
		head, content, _ := strings.Cut(rest, "\n")
		f := strings.Fields(head) // ID blob SIZE
		require.Len(t, f, 3, head)
		require.Equal(t, blobs[i], f[0])
		size, err := strconv.Atoi(f[2])
		require.NoError(t, err)
		files[path] += strings.TrimSuffix(content[:size], "\n")
		rest = content[size+1:]
	}
	return files
}

// bare runs git in the repository on disk.
func (w *writes) bare(t testing.TB, args ...string) string {
	t.Helper()
	dir := w.Engine().Services().Repos.Path(w.Repo(t, w.repo).ID)
	c := w.ClientWith(t, "")
	return c.Git(append([]string{"--git-dir=" + dir}, args...)...)
}

// at returns what a branch is at, "" if it does not exist.
func (w *writes) at(t testing.TB, branch string) string {
	t.Helper()
	return w.Refs(t, w.repo)["refs/heads/"+branch]
}

// policyToken is a token with the claim "refs".
func (w *writes) policyToken(t testing.TB, pattern string, ops ...access.Op) string {
	t.Helper()
	return w.TokenWith(t, access.Claims{Repo: w.repo, Scopes: access.Scopes(), Refs: []access.RefOps{{Pattern: pattern, Ops: ops}}})
}
