package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
)

// syncing makes a repository with a certain name look as if its first sync ran.
type syncing struct{ *engine.Engine }

func (s syncing) CheckReady(ctx context.Context, repo core.Repository) error {
	if repo.Name == "syncing" {
		return &core.Error{Kind: core.KindSyncing}
	}
	return s.Engine.CheckReady(ctx, repo)
}

// contentBench is the handler over a real engine, with repositories to read.
type contentBench struct {
	*bench
	tb     testing.TB
	engine *engine.Engine
}

func newContentBench(tb testing.TB) *contentBench {
	tb.Helper()
	dir := tb.TempDir()
	log := hclog.NewNullLogger()
	g, err := git.New(tb.Context(), git.Options{})
	require.NoError(tb, err)
	keys, err := seal.New()
	require.NoError(tb, err)
	db, err := store.Open(tb.Context(), filepath.Join(dir, "headwater.db"), store.Options{Sealer: keys, Logger: log, Clock: core.SystemClock{}})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	eng, err := engine.New(engine.Options{DataDir: dir, Git: g, Store: db, Clock: core.SystemClock{}, Logger: log})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, eng.Close()) })

	private, public, err := access.GenerateES256()
	require.NoError(tb, err)
	signer, err := access.ParsePrivateKey(private)
	require.NoError(tb, err)
	b := &contentBench{tb: tb, engine: eng, bench: &bench{
		log: &lockedBuffer{}, private: private, signers: map[string]access.PrivateKey{"acme": signer},
	}}
	require.NoError(tb, db.CreateOrg(tb.Context(), core.Org{Name: "acme", CreatedAt: core.SystemClock{}.Now()}))
	verifier := access.NewVerifier(orgKeys{"acme": {{ID: "key_1", Org: "acme", Algorithm: "ES256", PublicPEM: string(public)}}}, core.SystemClock{})
	b.Handler = New(Options{
		Lookup: eng.Services().Repos, Repositories: syncing{eng}, Credentials: eng, Records: db, Syncs: eng, Clock: core.SystemClock{}, Content: eng.Services().Content, Verifier: verifier,
		Logger: hclog.New(&hclog.LoggerOptions{Output: b.log, JSONFormat: true, Level: hclog.Trace}),
	})
	return b
}

// make makes a repository and returns its folder.
func (b *contentBench) make(name string) string {
	b.tb.Helper()
	repo, err := b.engine.CreateRepository(b.tb.Context(), engine.CreateRequest{Org: "acme", Name: name})
	require.NoError(b.tb, err)
	return b.engine.Services().Repos.Path(repo.ID)
}

// git runs the real git in a repository.
func (b *contentBench) git(dir, stdin string, args ...string) string {
	b.tb.Helper()
	cmd := exec.CommandContext(b.tb.Context(), "git", args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C", "GIT_DIR=" + dir, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_AUTHOR_DATE=1700000000 +0000",
		"GIT_COMMITTER_NAME=Carl", "GIT_COMMITTER_EMAIL=carl@example.com", "GIT_COMMITTER_DATE=1700000100 +0000",
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(b.tb, cmd.Run(), "git %v: %s", args, &stderr)
	return strings.TrimSuffix(stdout.String(), "\n")
}

// imported is one commit of a fast-import stream.
func imported(branch, message string, when int, from string, files ...string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "commit refs/%s\nauthor Ann <ann@example.com> %d +0000\ncommitter Carl <carl@example.com> %d +0200\ndata %d\n%s\n", branch, when, when, len(message), message)
	if from != "" && from != branch { // git goes on with the branch by itself
		fmt.Fprintf(&s, "from refs/%s\n", from)
	}
	for i := 0; i < len(files); i += 2 {
		if files[i+1] == "-" {
			fmt.Fprintf(&s, "D %q\n", files[i])
			continue
		}
		fmt.Fprintf(&s, "M 100644 inline %q\ndata %d\n%s\n", files[i], len(files[i+1]), files[i+1])
	}
	return s.String() + "\n"
}

// fill gives a repository the content that the tests and the SDK's script know.
func (b *contentBench) fill(dir string) {
	const t = 1_700_000_000
	stream := imported("heads/main", "first\n\nwith a body\n", t, "", "README.md", "hello\nworld\n", "src/app.ts", "const a = 1;\nconst b = 2;\n", "src/lib/util.go", "package lib\n", "conflict.txt", "base\n") +
		imported("heads/feature", "feature work\n", t+100, "heads/main", "feature.txt", "feature\n", "src/app.ts", "const a  = 1;\nconst b = 3;\n", "bin.dat", "\x00\x01\x02") +
		imported("heads/theirs", "theirs\n", t+200, "heads/main", "conflict.txt", "theirs\n") +
		imported("heads/main", "second\n", t+300, "heads/main", "README.md", "hello\nbrave\nworld\n", "conflict.txt", "ours\n", "with space & \u00fc.txt", "odd\n", "big.txt", strings.Repeat("0123456789abcdef\n", 200_000)) +
		imported("namespaces/ephemeral/refs/heads/scratch", "scratch\n", t+400, "heads/main", "scratch.txt", "ephemeral\n") +
		imported("internal/upstream/heads/secret", "secret\n", t+500, "heads/main", "secret.txt", "secret\n")
	b.git(dir, stream+"done\n", "fast-import", "--quiet", "--done")
	b.git(dir, "", "tag", "v1.0.0", "main^")
	b.git(dir, "", "tag", "--annotate", "--message=annotated", "v2.0.0", "main")
	b.git(dir, "", "notes", "add", "--message=a note", "main")
	b.git(dir, "", "notes", "--ref=reviews", "add", "--message=looks good", "main")
	raw := "tree " + b.git(dir, "", "rev-parse", "main^{tree}") + "\nauthor A <a@example.com> 1700000000 +0000\ncommitter A <a@example.com> 1700000000 +0000\n" +
		"gpgsig -----BEGIN SSH SIGNATURE-----\n abc\n -----END SSH SIGNATURE-----\n\nsigned\n"
	b.git(dir, "", "update-ref", "refs/heads/signed", b.git(dir, raw, "hash-object", "-t", "commit", "-w", "--stdin"))
}

// raw sends one request and returns whatever comes back.
func (b *contentBench) raw(tb testing.TB, method, path, token, body string, header http.Header) *http.Response {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), method, "http://git.example.com"+path, strings.NewReader(body))
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w.Result()
}

// do sends one request that is answered in JSON. A diff may hold the text
// "null", so that, unlike [bench.do], it leaves nulls to the schemas.
func (b *contentBench) do(t *testing.T, method, path, token, body string) answer {
	t.Helper()
	r := b.raw(t, method, path, token, body, nil)
	a := answer{status: r.StatusCode, header: r.Header, raw: bodyOf(t, r)}
	require.Contains(t, r.Header.Get("Content-Type"), "application/json")
	require.NoError(t, json.Unmarshal([]byte(a.raw), &a.body), a.raw)
	return a
}

// bodyOf reads the body of an answer.
func bodyOf(tb testing.TB, r *http.Response) string {
	tb.Helper()
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	require.NoError(tb, err)
	return string(data)
}
