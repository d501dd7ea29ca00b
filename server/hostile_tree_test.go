package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/internal/servertest"
)

// apiCall is one request to the API by a hostile reader.
type apiCall struct {
	method, path string
	body         any
}

// outcome is what became of it; a broken answer has err and what came of it.
type outcome struct {
	status int
	text   string
	err    error
}

func (h hostile) call(t *testing.T, c apiCall, header ...string) (o outcome) {
	body, err := json.Marshal(c.body)
	if err != nil {
		return outcome{err: err}
	}
	r, err := http.NewRequestWithContext(t.Context(), c.method, h.s.URL+"/api/repos/r"+c.path, strings.NewReader(string(body)))
	if err != nil {
		return outcome{err: err}
	}
	r.Header.Set("Authorization", "Bearer "+h.token)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		return outcome{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	return outcome{resp.StatusCode, string(text), err}
}

// all makes every call several times, all at once, and returns what became of
// each.
func (h hostile) all(t *testing.T, times int, calls []apiCall) map[string][]outcome {
	var mu sync.Mutex
	var wg sync.WaitGroup
	outcomes := map[string][]outcome{}
	for range times {
		for _, c := range calls {
			wg.Go(func() {
				o := h.call(t, c)
				mu.Lock()
				defer mu.Unlock()
				outcomes[c.path] = append(outcomes[c.path], o)
			})
		}
	}
	wg.Wait()
	return outcomes
}

// mktree writes a tree of lines into a client's repository.
func mktree(t *testing.T, c *servertest.Client, lines string) string {
	t.Helper()
	cmd := c.Command(t.Context(), "mktree")
	cmd.Stdin = strings.NewReader(lines)
	id, err := cmd.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(id))
}

// pushTree pushes a commit of a tree on top of a parent.
func pushTree(t *testing.T, s *servertest.Server, c *servertest.Client, branch, parent, lines string) string {
	t.Helper()
	commit := c.Git("commit-tree", "-m", branch, "-p", parent, mktree(t, c, lines))
	c.Git("push", "--quiet", s.Remote("r"), commit+":refs/heads/"+branch)
	return commit
}

// TestHostileReader_treeBombs pushes a kilobyte of trees, with a thousand
// million files, and has every read unfold it at once: the push is accepted, the
// reads are refused before they cost anything.
func TestHostileReader_treeBombs(t *testing.T) { //nolint:paralleltest // measures memory
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, "r")
	client := s.Client(t, "r").Clone("")
	base := client.Commit("base")
	client.Git("push", "--quiet", s.Remote("r"), "HEAD:main")
	bomb, kind := client.Git("rev-parse", "HEAD:file.txt"), "100644 blob"
	for range 12 {
		var lines strings.Builder
		for i := range 10 {
			fmt.Fprintf(&lines, "%s %s\t%d\n", kind, bomb, i)
		}
		bomb, kind = mktree(t, client, lines.String()), "040000 tree"
	}
	one := pushTree(t, s, client, "bomb", base, client.Git("ls-tree", base)+"\n040000 tree "+bomb+"\tbomb\n")
	pushTree(t, s, client, "side", base, client.Git("ls-tree", base)+"\n040000 tree "+bomb+"\tother\n")
	s.Client(t, "r").Clone("").Git("fetch", "--quiet", s.Remote("r"), "bomb") // costs what was pushed

	h := newHostile(t, s, "r")
	calls := []apiCall{
		{http.MethodGet, "/files?ref=bomb", nil},
		{http.MethodGet, "/files/metadata?ref=bomb&limit=10", nil},
		{http.MethodGet, "/diff?sha=" + one, nil},
		{http.MethodGet, "/branches/diff?base=main&branch=bomb", nil},
		{http.MethodPost, "/archive", map[string]any{"ref": "bomb"}},
		{http.MethodPost, "/grep", map[string]any{"ref": "bomb", "query": map[string]any{"pattern": "x"}}},
		{http.MethodGet, "/merge/preview?source_branch=bomb&target_branch=side", nil},
	}
	before, err := servertest.RSS()
	require.NoError(t, err)
	stop := servertest.WatchMemory()
	bystander := s.Client(t, "r")
	served := make(chan struct{})
	go func() {
		defer close(served)
		bystander.Clone(s.Remote("r"))
	}()
	outcomes := h.all(t, 4, calls)
	<-served
	most := stop()
	for _, c := range calls {
		require.Len(t, outcomes[c.path], 4)
		for _, o := range outcomes[c.path] {
			require.NoError(t, o.err, c.path)
			require.Equal(t, http.StatusRequestEntityTooLarge, o.status, "%s: %s", c.path, o.text)
			require.Contains(t, o.text, "this unfolds to more than 1000000 files and folders; ", c.path)
		}
	}
	after, err := servertest.RSS()
	require.NoError(t, err)
	require.Less(t, after-before, int64(100<<20))
	require.Less(t, most.Bytes, int64(200<<20), "of all gits together")
	require.Empty(t, gitsAt("diff-tree", "archive", "grep", "log", "merge-tree"))

	// What is narrowed is answered.
	for _, c := range []apiCall{
		{http.MethodGet, "/files?ref=bomb&path=bomb/0/1/2/3/4/5/6/7/8", nil},
		{http.MethodGet, "/diff?sha=" + one + "&path=file.txt", nil},
		{http.MethodPost, "/grep", map[string]any{"ref": "bomb", "query": map[string]any{"pattern": "x"}, "paths": []string{"file.txt"}}},
		{http.MethodGet, "/file?ref=bomb&path=bomb/0/1/2/3/4/5/6/7/8/9/0/1", nil},
		{http.MethodGet, "/blame?ref=bomb&path=file.txt", nil},
	} {
		o := h.call(t, c)
		require.Equal(t, http.StatusOK, o.status, "%s: %s", c.path, o.text)
	}
}

// gitsAt returns the command lines of gits that run a subcommand now.
func gitsAt(names ...string) (lines []string) {
	for _, line := range servertest.Processes() {
		for _, name := range names {
			if strings.Contains(line, " "+name+" ") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}
