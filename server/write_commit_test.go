package server_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

func TestCommitPack_changesExactlyWhatItSays(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *writes) {
		a := w.pack(t, nil, file{path: "/README.md", data: "hello\n"}, file{path: "src/a.go", data: "package a\n"}, file{path: "src/deep/er/b", data: ""},
			file{path: "run.sh", data: "#!/bin/sh\n", mode: "100755"}, file{path: "link", data: "README.md", mode: "120000"},
			file{path: "sub", data: strings.Repeat("1a", 20) + "\n", mode: "160000"})
		require.Equal(t, http.StatusCreated, a.Status, a.Raw)
		require.Equal(t, w.at(t, "main"), a.At("commit.commit_sha"))
		require.Equal(t, w.bare(t, "rev-parse", "main^{tree}"), a.At("commit.tree_sha"))
		for field, want := range map[string]any{
			"commit.target_branch": "main", "commit.blob_count": 5.0, "result.branch": "main", "result.target_branch": "main",
			"result.old_sha": strings.Repeat("0", 40), "result.new_sha": w.at(t, "main"), "result.success": true, "result.status": "ok",
		} {
			require.Equal(t, want, a.At(field), field)
		}
		require.Positive(t, a.At("commit.pack_bytes"))
		require.Equal(t, map[string]string{
			"README.md": "100644 hello", "src/a.go": "100644 package a", "src/deep/er/b": "100644 ", "run.sh": "100755 #!/bin/sh",
			"link": "120000 README.md", "sub": "160000 " + strings.Repeat("1a", 20),
		}, w.tree(t, "main"))
		require.Equal(t, "Ada <ada@example.test> Ada <ada@example.test> change", w.bare(t, "log", "-1", "--format=%an <%ae> %cn <%ce> %s", "main"))

		for _, step := range []struct {
			name  string
			files []file
			want  map[string]string // path to new state; "" is gone
		}{
			{"one more", []file{{path: "src/b.go", data: "b"}}, map[string]string{"src/b.go": "100644 b"}},
			{"folder deleted and made anew", []file{{path: "src/deep", del: true}, {path: "src/deep/er/b", data: "3"}}, map[string]string{"src/deep/er/b": "100644 3"}},
			{"file deleted for one above it", []file{{path: "src/deep/er/b", del: true}, {path: "src/deep/er", data: "4"}}, map[string]string{"src/deep/er/b": "", "src/deep/er": "100644 4"}},
			{"file where a folder is", []file{{path: "src/deep", data: "file now"}}, map[string]string{"src/deep/er": "", "src/deep": "100644 file now"}},
			{"folder where a file is", []file{{path: "src/deep/in/c", data: "c"}}, map[string]string{"src/deep": "", "src/deep/in/c": "100644 c"}},
			{"folder deleted", []file{{path: "src", del: true}}, map[string]string{"src/a.go": "", "src/b.go": "", "src/deep/in/c": ""}},
			{"names beside a folder sort", []file{{path: "a/x", data: "1"}, {path: "a.b", data: "2"}, {path: "a-b", data: "3"}, {path: "a0", data: "4"}},
				map[string]string{"a/x": "100644 1", "a.b": "100644 2", "a-b": "100644 3", "a0": "100644 4"}},
			{"last file of a folder", []file{{path: "a/x", del: true}}, map[string]string{"a/x": ""}},
			{"mode alone", []file{{path: "a0", data: "4", mode: "100755"}}, map[string]string{"a0": "100755 4"}},
			{"odd but legal names", []file{{path: "sp ace/\u00fc\u4e2d\"'\\x", data: "1"}, {path: "-dash", data: "2"}, {path: ".gitignore", data: "*.o"}},
				map[string]string{"sp ace/\u00fc\u4e2d\"'\\x": "100644 1", "-dash": "100644 2", ".gitignore": "100644 *.o"}},
			{"modules that git accepts", []file{{path: ".gitmodules", data: "[submodule \"s\"]\n\tpath = sub\n\turl = https://example.test/s.git\n"}},
				map[string]string{".gitmodules": "100644 [submodule \"s\"]\n\tpath = sub\n\turl = https://example.test/s.git"}},
		} {
			want := w.tree(t, "main")
			for path, state := range step.want {
				delete(want, path)
				if state != "" {
					want[path] = state
				}
			}
			before := w.at(t, "main")
			made := w.commit(t, map[string]any{"commit_message": step.name}, step.files...)
			require.Equal(t, want, w.tree(t, "main"), step.name)
			require.Equal(t, before, w.bare(t, "rev-parse", made+"^"), step.name)
			require.Empty(t, w.Fsck(t, w.repo), step.name)
		}
	})
}

func TestCommitPack_refusesAndLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWrites(t, false)
	tip := w.commit(t, nil, file{path: "a", data: "1"}, file{path: "d/b", data: "2"})
	w.commit(t, map[string]any{"target_branch": "other", "base_branch": "main"}, file{path: "c", data: "3"})
	refs := w.Refs(t, w.repo)
	zeros := strings.Repeat("0", 40)

	body := func(meta map[string]any, lines ...string) io.Reader {
		return io.MultiReader(bytes.NewReader(metaLine(t, meta)), strings.NewReader(strings.Join(lines, "\n")))
	}
	one := func(path string) map[string]any {
		return map[string]any{"files": []map[string]any{{"path": path, "content_id": "1"}}}
	}
	chunk := func(id, data string, eof bool) string {
		return fmt.Sprintf(`{"blob_chunk":{"content_id":%q,"data":%q,"eof":%v}}`, id, data, eof)
	}
	ok := chunk("1", "aGk=", true)
	type refusal struct {
		name   string
		body   io.Reader
		status int
		word   string
		text   string
	}
	cases := []refusal{
		{"empty body", strings.NewReader(""), 400, "invalid", "empty"},
		{"no metadata", strings.NewReader("{}\n"), 400, "invalid", "metadata"},
		{"not JSON", strings.NewReader("hello\n"), 400, "invalid", "line 1"},
		{"wrong type", strings.NewReader(`{"metadata":{"target_branch":7}}`), 400, "invalid", "target_branch"},
		{"no branch", packBody(t, map[string]any{"target_branch": ""}, file{path: "x"}), 400, "invalid", "target_branch is required"},
		{"branch with refs", packBody(t, map[string]any{"target_branch": "refs/heads/main"}, file{path: "x"}), 400, "invalid", "without refs/heads/"},
		{"bad branch", packBody(t, map[string]any{"target_branch": "a..b"}, file{path: "x"}), 400, "invalid", "target_branch"},
		{"no message", packBody(t, map[string]any{"commit_message": " "}, file{path: "x"}), 400, "invalid", "commit_message"},
		{"message with NUL", packBody(t, map[string]any{"commit_message": "a\x00b"}, file{path: "x"}), 400, "invalid", "NUL"},
		{"no author", packBody(t, map[string]any{"author": nil}, file{path: "x"}), 400, "invalid", "author is required"},
		{"author without email", packBody(t, map[string]any{"author": map[string]any{"name": "x"}}, file{path: "x"}), 400, "invalid", "author.email"},
		{"author breaks out", packBody(t, map[string]any{"author": map[string]any{"name": "x>\ny", "email": "e"}}, file{path: "x"}), 400, "invalid", "author.name"},
		{"no files", packBody(t, nil), 400, "invalid", "no changes"},
		{"no change", packBody(t, nil, file{path: "a", data: "1"}), 400, "invalid", "no changes"},
		{"made and deleted", packBody(t, nil, file{path: "q", data: "1"}, file{path: "q", del: true}), 400, "invalid", "twice"},
		{"deleted and made", packBody(t, nil, file{path: "a", del: true}, file{path: "a", data: "2"}), 400, "invalid", "twice"},
		{"made twice", packBody(t, nil, file{path: "q", data: "1"}, file{path: "/q", data: "1"}), 400, "invalid", "twice"},
		{"deleted twice", packBody(t, nil, file{path: "a", del: true}, file{path: "a", del: true}), 400, "invalid", "twice"},
		{"file and folder", packBody(t, nil, file{path: "z", data: "1"}, file{path: "z.a", data: "1"}, file{path: "z/b", data: "1"}), 400, "invalid", "cannot both be"},
		{"folder and file", packBody(t, nil, file{path: "z/b/c", data: "1"}, file{path: "z-", data: "1"}, file{path: "z", data: "1", mode: "120000"}), 400, "invalid", "cannot both be"},
		{"made below what goes", packBody(t, nil, file{path: "d/c", data: "1"}, file{path: "d", del: true}), 400, "invalid", "cannot both be"},
		{"made above what goes", packBody(t, nil, file{path: "d", data: "1"}, file{path: "d/b", del: true}), 400, "invalid", "cannot both be"},
		{"symlink to nothing", packBody(t, nil, file{path: "q", mode: "120000"}), 400, "invalid", "is empty"},
		{"symlink with NUL", packBody(t, nil, file{path: "q", data: "a\x00b", mode: "120000"}), 400, "invalid", "has a NUL"},
		{"symlink too long", packBody(t, nil, file{path: "q", data: strings.Repeat("x", 4097), mode: "120000"}), 400, "invalid", "4096"},
		{"half a character", strings.NewReader(`{"metadata":{"target_branch":"main","commit_message":"\ud83d","author":{"name":"A","email":"e"}}}`), 400, "invalid", `\ud83d`},
		{"not UTF-8", strings.NewReader("{\"metadata\":{\"target_branch\":\"main\",\"commit_message\":\"\xff\"}}"), 400, "invalid", "UTF-8"},
		{"delete of what is not there", packBody(t, nil, file{path: "nope", del: true}), 400, "invalid", "does not exist"},
		{"delete below a file", packBody(t, nil, file{path: "a/b", del: true}), 400, "invalid", "does not exist"},
		{"delete of an emptied folder", packBody(t, nil, file{path: "d/b", del: true}, file{path: "d", del: true}), 400, "invalid", "does not exist"},
		{"mode", packBody(t, nil, file{path: "x", mode: "100664"}), 400, "invalid", "mode"},
		{"submodule without id", packBody(t, nil, file{path: "x", mode: "160000", data: "zz"}), 400, "invalid", "160000"},
		{"submodule of zeros", packBody(t, nil, file{path: "x", mode: "160000", data: zeros}), 400, "invalid", "160000"},
		{"operation", body(map[string]any{"files": []map[string]any{{"path": "x", "content_id": "1", "operation": "copy"}}}), 400, "invalid", "operation"},
		{"no content id", body(map[string]any{"files": []map[string]any{{"path": "x"}}}), 400, "invalid", "content_id"},
		{"missing content", body(one("x")), 400, "invalid", "missing"},
		{"unknown content", body(one("x"), ok, chunk("2", "", true)), 400, "invalid", "belongs to no file"},
		{"content twice", body(one("x"), ok, ok), 400, "invalid", "twice"},
		{"content not ended", body(one("x"), chunk("1", "aGk=", false)), 400, "invalid", "ends inside"},
		{"contents mixed", body(map[string]any{"files": []map[string]any{{"path": "x", "content_id": "1"}, {"path": "y", "content_id": "2"}}},
			chunk("1", "aGk=", false), chunk("2", "aGk=", true)), 400, "invalid", "before"},
		{"bad base64", body(one("x"), chunk("1", "a$b", true)), 400, "invalid", "base64"},
		{"data no string", body(one("x"), `{"blob_chunk":{"content_id":"1","data":7}}`), 400, "invalid", "line 2"},
		{"foreign line", body(one("x"), `{"diff_chunk":{}}`), 400, "invalid", "blob_chunk"},
		{"cut off inside a line", body(one("x"), ok[:len(ok)-4]), 400, "invalid", "line 2"},
		{"content of a deletion", body(map[string]any{"files": []map[string]any{{"path": "a", "content_id": "1", "operation": "delete"}}}, ok), 400, "invalid", "must be empty"},
		{"modules that git refuses", packBody(t, nil, file{path: ".gitmodules", data: "[submodule \"../../x\"]\n\tpath = s\n\turl = --upload-pack=x\n"}), 400, "invalid", "git refuses"},
		{"modules as a link", packBody(t, nil, file{path: "q/.GITMODULES", data: "x", mode: "120000"}), 400, "invalid", "git refuses"},
		{"branch missing", packBody(t, map[string]any{"target_branch": "new"}, file{path: "x"}), 404, "not_found", "base_branch"},
		{"base missing", packBody(t, map[string]any{"target_branch": "new", "base_branch": "nope"}, file{path: "x"}), 404, "not_found", "base branch"},
		{"ephemeral base without name", packBody(t, map[string]any{"base_is_ephemeral": true}, file{path: "x"}), 400, "invalid", "base_branch"},
		{"guard malformed", packBody(t, map[string]any{"expected_head_sha": "abc"}, file{path: "x"}), 400, "invalid", "neither an object id"},
		{"guard elsewhere", packBody(t, map[string]any{"expected_head_sha": w.at(t, "other")}, file{path: "x"}), 409, "precondition_failed", tip},
		{"guard in new words", packBody(t, map[string]any{"expected_target_sha": w.at(t, "other")}, file{path: "x"}), 409, "precondition_failed", tip},
		{"must not exist", packBody(t, map[string]any{"expected_head_sha": zeros}, file{path: "x"}), 409, "precondition_failed", "exists"},
		{"guard on a missing branch", packBody(t, map[string]any{"target_branch": "new", "expected_head_sha": tip}, file{path: "x"}), 409, "precondition_failed", "does not exist"},
		{"guard on another base", packBody(t, map[string]any{"target_branch": "new", "base_branch": "main", "expected_head_sha": w.at(t, "other")}, file{path: "x"}), 409, "precondition_failed", "base branch"},
		{"guard by the own name", packBody(t, map[string]any{"expected_head_sha": "refs/heads/main"}, file{path: "x"}), 400, "invalid", "always where it is"},
		{"guard by an unknown name", packBody(t, map[string]any{"expected_head_sha": "nope"}, file{path: "x"}), 400, "invalid", "neither an object id"},
		{"guard of short zeros", packBody(t, map[string]any{"expected_head_sha": "0000000"}, file{path: "x"}), 400, "invalid", "neither an object id"},
		{"name below a branch", packBody(t, map[string]any{"target_branch": "main/sub", "base_branch": "main"}, file{path: "x"}), 409, "conflict", "folder"},
	}
	for _, path := range []string{"", "/", "//a", "a//b", "a/", "../a", "a/../b", "a/..", ".", "./a", "a/.", ".git/config", "a/.GIT/x", ".git", ".git ", ".git.", "git~1", "GIT~1/x",
		".g\u200cit", ".git::$INDEX_ALLOCATION", `a\.git\x`, "a\x01b", "a\nb", "a\x7f", "a\x00b", strings.Repeat("p/", 2049)} {
		cases = append(cases, refusal{"path " + strings.ToValidUTF8(path[:min(len(path), 20)], ""), body(one(path), ok), 400, "invalid", "path"})
	}
	for _, tc := range cases {
		a := w.stream(t, w.Token(t, w.repo), "/commit-pack", tc.body)
		require.Equal(t, tc.status, a.Status, "%s: %s", tc.name, a.Raw)
		require.Equal(t, tc.word, a.At("result.status"), tc.name)
		require.Equal(t, false, a.At("result.success"), tc.name)
		require.Contains(t, a.At("result.message"), tc.text, tc.name)
		require.Equal(t, a.At("result.message"), a.At("error"), tc.name)
		require.Contains(t, a.Raw, `"commit":null`)
		require.Equal(t, refs, w.Refs(t, w.repo), tc.name)
	}
	w.requireSound(t)

	bad := w.stream(t, "nonsense", "/commit-pack", packBody(t, nil, file{path: "x"}))
	require.Equal(t, []any{401, "unauthorized"}, []any{bad.Status, bad.At("result.status")})
	bad = w.stream(t, w.TokenWith(t, access.Claims{Repo: w.repo, Scopes: []access.Scope{access.GitRead}}), "/commit-pack", packBody(t, nil, file{path: "x"}))
	require.Equal(t, []any{403, "forbidden"}, []any{bad.Status, bad.At("result.status")})
}

func TestCommitPack_deletesInEveryForm(t *testing.T) {
	t.Parallel()
	w := newWrites(t, false)
	w.commit(t, nil, file{path: "a", data: "1"}, file{path: "b", data: "2"}, file{path: "c", data: "3"}, file{path: "keep", data: "4"})
	body := io.MultiReader(bytes.NewReader(metaLine(t, map[string]any{"files": []map[string]any{
		{"path": "a", "operation": "delete", "content_id": "never-sent"},
		{"path": "b", "operation": "delete", "content_id": "sent-empty"},
		{"path": "c", "operation": "delete"},
	}})), strings.NewReader(`{"blob_chunk":{"content_id":"sent-empty","data":"","eof":true}}`))
	a := w.stream(t, w.Token(t, w.repo), "/commit-pack", body)
	require.Equal(t, http.StatusCreated, a.Status, a.Raw)
	require.Equal(t, map[string]string{"keep": "100644 4"}, w.tree(t, "main"))
	w.requireSound(t)
}

func TestCommitPack_branches(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *writes) {
		first := w.commit(t, map[string]any{"expected_head_sha": strings.Repeat("0", 40)}, file{path: "a", data: "1"})
		side := w.commit(t, map[string]any{"target_branch": "side", "base_branch": "main"}, file{path: "b", data: "2"})
		require.Equal(t, first, w.bare(t, "rev-parse", side+"^"))
		// An existing branch does not begin anew.
		w.commit(t, map[string]any{"target_branch": "side", "base_branch": "main", "expected_head_sha": side}, file{path: "c", data: "3"})
		require.Equal(t, side, w.bare(t, "rev-parse", "side^"))
		// Ephemeral branches, in both vocabularies; nothing of them goes upstream.
		eph := w.commit(t, map[string]any{"target_branch": "side", "ephemeral": true, "base_branch": "main"}, file{path: "e", data: "1"})
		w.commit(t, map[string]any{"target_branch": "two", "target_is_ephemeral": true, "base_branch": "side", "base_is_ephemeral": true}, file{path: "f", data: "1"})
		require.Equal(t, eph, w.Refs(t, w.repo)["refs/namespaces/ephemeral/refs/heads/side"])
		require.Equal(t, map[string]string{"a": "100644 1", "e": "100644 1", "f": "100644 1"}, w.tree(t, "refs/namespaces/ephemeral/refs/heads/two"))
	})
}

func TestCommitPack_concurrentWritersWithGuard(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *writes) {
		tip := w.commit(t, nil, file{path: "a", data: "0"})
		answers := w.together(t, 6, func(i int) (map[string]any, file) {
			return map[string]any{"expected_head_sha": tip}, file{path: "a", data: fmt.Sprint("writer ", i)}
		})
		won := 0
		for _, status := range answers {
			if status == http.StatusCreated {
				won++
				continue
			}
			require.Equal(t, http.StatusConflict, status)
		}
		require.Equal(t, 1, won)
		require.Equal(t, tip, w.bare(t, "rev-parse", "main^"))
	})
}

func TestCommitPack_concurrentWritersWithoutGuard(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *writes) {
		w.commit(t, nil, file{path: "a", data: "0"})
		const writers = 8
		for _, status := range w.together(t, writers, func(i int) (map[string]any, file) {
			return nil, file{path: fmt.Sprintf("d%d/f%d", i%2, i), data: "x"}
		}) {
			require.Equal(t, http.StatusCreated, status)
		}
		require.Len(t, w.tree(t, "main"), writers+1)
		require.Equal(t, fmt.Sprint(writers+1), w.bare(t, "rev-list", "--count", "main"))
	})
}

// together makes commits at the same time and returns the statuses.
func (w *writes) together(t *testing.T, n int, change func(i int) (map[string]any, file)) []int {
	t.Helper()
	statuses := make([]int, n)
	var wg sync.WaitGroup
	for i := range n {
		meta, f := change(i)
		body := packBody(t, meta, f)
		token := w.Token(t, w.repo)
		wg.Go(func() { statuses[i] = w.stream(t, token, "/commit-pack", body).Status })
	}
	wg.Wait()
	return statuses
}

func TestCommitPack_pushesComeBetween(t *testing.T) {
	t.Parallel()
	w := newWrites(t, false)
	w.commit(t, nil, file{path: "a", data: "0"})
	client := w.WorkOf(t, w.repo)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	pushed := 0
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_, _ = client.Try("pull", "--quiet", "--rebase")
			client.Commit(fmt.Sprint("push ", pushed))
			if _, err := client.Try("push", "--quiet"); err == nil {
				pushed++
			}
		}
	})
	for i := range 10 {
		a := w.pack(t, nil, file{path: fmt.Sprint("f", i), data: "x"})
		if !(a.Status == http.StatusCreated) {
			close(stop)
			wg.Wait()
			t.Fatal(a.Raw)
		}
	}
	close(stop)
	wg.Wait()
	require.Len(t, w.bare(t, "ls-tree", "--name-only", "main", "f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9"), 29)
	w.requireSound(t)
}

// TestCommitPack_streamsLargeFilesInLittleMemory runs beside no other test: it
// looks at the memory of the process.
func TestCommitPack_streamsLargeFilesInLittleMemory(t *testing.T) { //nolint:paralleltest // see above
	// What is live is the subject, not what the collector lets stand.
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	w := newWrites(t, false)
	const chunks, chunkSize = 16, 4 << 20
	data := make([]byte, chunkSize)
	random := rand.NewChaCha8([32]byte{1})
	read, write := io.Pipe()
	go func() {
		_, _ = write.Write(metaLine(t, map[string]any{"files": []map[string]any{{"path": "big", "content_id": "1"}, {"path": "small", "content_id": "2"}}}))
		for i := range chunks {
			_, _ = random.Read(data)
			_, _ = fmt.Fprintf(write, `{"blob_chunk":{"content_id":"1","data":%q,"eof":%v}}`+"\n", base64.StdEncoding.EncodeToString(data), i == chunks-1)
		}
		_, _ = io.WriteString(write, `{"blob_chunk":{"content_id":"2","data":"aGk=","eof":true}}`)
		_ = write.Close()
	}()
	var peak uint64
	done := make(chan struct{})
	var sampler sync.WaitGroup
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	sampler.Go(func() {
		var m runtime.MemStats
		for {
			select {
			case <-done:
				return
			case <-time.After(5 * time.Millisecond):
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
		}
	})
	a := w.stream(t, w.Token(t, w.repo), "/commit-pack", read)
	close(done)
	sampler.Wait()
	require.Equal(t, http.StatusCreated, a.Status, a.Raw)
	require.Equal(t, fmt.Sprint(chunks*chunkSize), w.bare(t, "cat-file", "-s", "main:big"))
	// Client and server are one process here: less than the file, of which base64
	// makes a third more.
	require.Less(t, peak, before.HeapAlloc+chunks*chunkSize)
	w.requireSound(t)
}

func TestCommitPack_answersWhoIsStillSending(t *testing.T) {
	t.Parallel()
	w := newWrites(t, false)
	tip := w.commit(t, nil, file{path: "a", data: "1"})
	large := strings.Repeat("0123456789abcdef", 3<<20/16)
	var files []file
	for i := range 6 {
		files = append(files, file{path: fmt.Sprint("f", i), data: large})
	}
	for range 5 {
		a := w.pack(t, map[string]any{"expected_head_sha": strings.Repeat("1", 40)}, files...)
		require.Equal(t, []any{409, "precondition_failed", tip}, []any{a.Status, a.At("result.status"), a.At("result.old_sha")}, a.Raw)
	}
	w.requireSound(t)
}

func TestCommitPack_policiesAndUpstreamDecide(t *testing.T) {
	t.Parallel()
	w := newWrites(t, true)
	w.commit(t, nil, file{path: "a", data: "1"})
	refs := w.Refs(t, w.repo)
	for pattern, op := range map[string]access.Op{"main": access.NoPush, "*": access.VerifySig} {
		a := w.stream(t, w.policyToken(t, pattern, op), "/commit-pack", packBody(t, nil, file{path: "b", data: "2"}))
		require.Equal(t, []any{403, "forbidden"}, []any{a.Status, a.At("result.status")}, op)
		require.Contains(t, a.At("result.message"), "denied by policy", op)
	}
	w.forge.Protect(origin, "refs/heads/main")
	a := w.pack(t, nil, file{path: "b", data: "2"})
	require.Equal(t, []any{422, "failed"}, []any{a.Status, a.At("result.status")}, a.Raw)
	require.Contains(t, a.At("result.message"), "protected branch")
	require.Equal(t, refs, w.Refs(t, w.repo))
	w.forge.Unprotect(origin)

	// Somebody else pushed to the upstream: one attempt, and a conflict.
	other := w.WorkAtHost(t, w.forge, origin)
	other.Commit("elsewhere")
	dir, err := w.forge.RepoDir(origin)
	require.NoError(t, err)
	other.Git("push", "--quiet", dir, "HEAD:main")
	a = w.pack(t, nil, file{path: "b", data: "2"})
	require.Equal(t, []any{409, "conflict"}, []any{a.Status, a.At("result.status")}, a.Raw)
	require.NoError(t, w.Sync(t, w.repo))
	w.commit(t, nil, file{path: "b", data: "2"})
	w.requireSound(t)
}

func TestCommitDiff(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *writes) {
		w.commit(t, nil, file{path: "a", data: "1\n2\n3\n"}, file{path: "bin", data: "\x00\x01\x02"}, file{path: "old", data: strings.Repeat("same\n", 20)})
		client := w.WorkOf(t, w.repo)
		client.Git("mv", "old", "new")
		client.Commit("local")
		client.Git("rm", "-q", "bin")
		client.Git("commit", "-q", "-m", "rm")
		diff := client.Git("diff", "--binary", "-M", "origin/main", "HEAD") + "\n"
		a := w.diff(t, nil, diff[:10], diff[10:])
		require.Equal(t, http.StatusCreated, a.Status, a.Raw)
		require.Equal(t, client.Git("rev-parse", "HEAD^{tree}"), a.At("commit.tree_sha"))
		require.Equal(t, "ok", a.At("result.status"))
		require.Contains(t, a.Raw, `"blob_count":`)
		refs := w.Refs(t, w.repo)
		for _, tc := range []struct {
			name   string
			diff   []string
			status int
			word   string
			text   string
		}{
			{"does not apply", []string{"--- a/a\n+++ b/a\n@@ -1 +1 @@\n-nope\n+x\n"}, 409, "conflict", "patch failed: a:1"},
			{"of a missing file", []string{"--- a/zz\n+++ b/zz\n@@ -1 +1 @@\n-nope\n+x\n"}, 409, "conflict", "does not exist"},
			{"no patch", []string{"hello\n"}, 400, "invalid", "No valid patches"},
			{"empty", []string{""}, 400, "invalid", "no changes"},
			{"nothing at all", nil, 400, "invalid", "inside of the diff"},
			{"corrupt", []string{"--- /dev/null\n+++ b/x\n@@ -0,0 +1,2 @@\n+b\n"}, 400, "invalid", "corrupt"},
			{"escapes", []string{"--- /dev/null\n+++ b/../x\n@@ -0,0 +1 @@\n+b\n"}, 400, "invalid", "invalid path"},
			{"into .git", []string{"--- /dev/null\n+++ b/.git/x\n@@ -0,0 +1 @@\n+b\n"}, 400, "invalid", "invalid path"},
			{"into .git of a Mac", []string{"--- /dev/null\n+++ \"b/.g\\342\\200\\214it/x\"\n@@ -0,0 +1 @@\n+b\n"}, 400, "invalid", "path"},
			{"symlink to nothing", []string{"diff --git a/l b/l\nnew file mode 120000\nindex 0000000..e69de29\n"}, 400, "invalid", "is empty"},
			{"symlink with NUL", []string{"diff --git a/l b/l\nnew file mode 120000\n--- /dev/null\n+++ b/l\n@@ -0,0 +1 @@\n+a\x00b\n\\ No newline at end of file\n"}, 400, "invalid", "has a NUL"},
			{"control character", []string{"--- /dev/null\n+++ \"b/a\\001\"\n@@ -0,0 +1 @@\n+b\n"}, 400, "invalid", "control"},
			{"bad modules", []string{"--- /dev/null\n+++ b/.gitmodules\n@@ -0,0 +1,3 @@\n+[submodule \"../x\"]\n+path = s\n+url = -u\n"}, 400, "invalid", "git refuses"},
		} {
			a := w.diff(t, nil, tc.diff...)
			require.Equal(t, []any{tc.status, tc.word}, []any{a.Status, a.At("result.status")}, "%s: %s", tc.name, a.Raw)
			require.Contains(t, a.At("result.message"), tc.text, tc.name)
			require.NotContains(t, a.Raw, w.Dir, tc.name)
		}
		require.Equal(t, refs, w.Refs(t, w.repo))
	})
}

// diff makes a commit from a diff in pieces.
func (w *writes) diff(t testing.TB, meta map[string]any, pieces ...string) (a servertest.Answer) {
	t.Helper()
	var body bytes.Buffer
	body.Write(metaLine(t, meta))
	for i, piece := range pieces {
		fmt.Fprintf(&body, `{"diff_chunk":{"data":%q,"eof":%v}}`+"\n", base64.StdEncoding.EncodeToString([]byte(piece)), i == len(pieces)-1)
	}
	return w.stream(t, w.Token(t, w.repo), "/diff-commit", &body)
}

func TestRestoreCommit(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *writes) {
		first := w.commit(t, nil, file{path: "a", data: "1"})
		second := w.commit(t, nil, file{path: "a", data: "2"}, file{path: "b", data: "1"})
		author := map[string]any{"name": "Ada", "email": "a@example.test"}
		restore := func(meta map[string]any) servertest.Answer {
			return w.post(t, "/restore-commit", map[string]any{"metadata": with(with(meta, "author", author), "target_branch", "main")})
		}
		a := restore(map[string]any{"target_commit_sha": first, "expected_head_sha": first})
		require.Equal(t, []any{412, "precondition_failed", second}, []any{a.Status, a.At("result.status"), a.At("result.old_sha")}, a.Raw)
		a = restore(map[string]any{"target_commit_sha": strings.Repeat("1", 40)})
		require.Equal(t, []any{404, "not_found"}, []any{a.Status, a.At("result.status")}, a.Raw)
		a = restore(map[string]any{})
		require.Equal(t, []any{400, "invalid"}, []any{a.Status, a.At("result.status")}, a.Raw)
		a = restore(map[string]any{"target_commit_sha": second})
		require.Equal(t, []any{400, "invalid"}, []any{a.Status, a.At("result.status")}, a.Raw)
		a = restore(map[string]any{"base_ref": "main~1", "expected_target_sha": second, "commit_message": "back"})
		require.Equal(t, http.StatusCreated, a.Status, a.Raw)
		require.Equal(t, true, a.At("result.success"))
		require.NotContains(t, a.Raw, "blob_count")
		require.Equal(t, second, w.bare(t, "rev-parse", "main^"))
		require.Equal(t, w.bare(t, "rev-parse", first+"^{tree}"), a.At("commit.tree_sha"))
		draft := w.commit(t, map[string]any{"target_branch": "draft", "ephemeral": true, "base_branch": "main"}, file{path: "e", data: "1"})
		a = restore(map[string]any{"base_ref": "draft", "base_is_ephemeral": true})
		require.Equal(t, []any{201, w.bare(t, "rev-parse", draft+"^{tree}")}, []any{a.Status, a.At("commit.tree_sha")}, a.Raw)
		require.Equal(t, 404, restore(map[string]any{"base_ref": "draft"}).Status)
	})
}
