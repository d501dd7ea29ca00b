package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/internal/servertest"
)

// newLarge makes a local repository of 20,000 files in 400 folders.
func newLarge(b *testing.B) *writes {
	b.Helper()
	w := newWrites(b, false)
	client := w.Client(b, w.repo).Clone("")
	var in strings.Builder
	in.WriteString("commit refs/heads/main\ncommitter A <a@example.test> 1700000000 +0000\ndata 1\nx\n")
	for i := range 20_000 {
		fmt.Fprintf(&in, "M 100644 inline d%d/e%d/f%d\ndata <<E\nfile %d\nE\n", i%20, i%400, i, i)
	}
	load := client.Command(b.Context(), "fast-import", "--quiet")
	load.Stdin = strings.NewReader(in.String())
	out, err := load.CombinedOutput()
	require.NoError(b, err, "%s", out)
	client.Git("push", "--quiet", w.Remote(w.repo), "main")
	return w
}

// measure times requests that were built before.
func (w *writes) measure(b *testing.B, body func(i int) []byte) {
	b.Helper()
	token := w.Token(b, w.repo)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	i := 0
	began := cpu(b)
	// CPU time with that of git tells more than the clock on a busy machine.
	defer func() { b.ReportMetric(float64((cpu(b)-began).Microseconds())/1000/float64(i), "cpu-ms/op") }()
	for b.Loop() {
		b.StopTimer()
		content := body(i)
		i++
		b.StartTimer()
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, w.URL+"/api/v1/repos/commit-pack", bytes.NewReader(content))
		require.NoError(b, err)
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := client.Do(r)
		require.NoError(b, err)
		raw, err := io.ReadAll(resp.Body)
		require.NoError(b, err)
		require.NoError(b, resp.Body.Close())
		require.Equal(b, http.StatusCreated, resp.StatusCode, string(raw))
	}
}

// cpu is the CPU time of this process and of its children that have ended.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var total time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		require.NoError(b, syscall.Getrusage(who, &used))
		total += time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return total
}

func body(b *testing.B, files ...file) []byte {
	b.Helper()
	raw, err := io.ReadAll(packBody(b, nil, files...))
	require.NoError(b, err)
	return raw
}

func BenchmarkCommitPack_oneFile(b *testing.B) {
	w := newLarge(b)
	w.measure(b, func(i int) []byte {
		return body(b, file{path: fmt.Sprintf("d%d/e%d/f%d", i%20, i%400, i%20_000), data: fmt.Sprint("new ", i)})
	})
}

func BenchmarkCommitPack_thousandFiles(b *testing.B) {
	w := newLarge(b)
	w.measure(b, func(i int) []byte {
		files := make([]file, 1000)
		for j := range files {
			n := (i*1000 + j) % 20_000
			files[j] = file{path: fmt.Sprintf("d%d/e%d/f%d", n%20, n%400, n), data: fmt.Sprint("new ", i, j)}
		}
		return body(b, files...)
	})
}

func BenchmarkMerge(b *testing.B) {
	w := newLarge(b)
	author := map[string]any{"name": "A", "email": "a@example.test"}
	i := 0
	var a servertest.Answer
	for b.Loop() {
		b.StopTimer()
		branch := fmt.Sprint("side-", i)
		w.commit(b, commitMeta{TargetBranch: branch, BaseBranch: new("main")}, file{path: fmt.Sprint("new-", i), data: "x"})
		w.commit(b, commitMeta{}, file{path: fmt.Sprint("main-", i), data: "x"})
		i++
		b.StartTimer()
		a = w.post(b, "/merge", map[string]any{"source_branch": branch, "target_branch": "main", "strategy": "merge", "commit_message": "m", "author": author})
	}
	require.Equal(b, http.StatusOK, a.Status, a.Raw)
}
