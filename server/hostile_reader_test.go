package server_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// What the holder of a token that may only read can do to a server. The tests
// run alone: they count the processes of this one.

// hostile is such a holder.
type hostile struct {
	s     *servertest.Server
	auth  string // of git
	token string
}

func newHostile(t *testing.T, s *servertest.Server, repo string) hostile {
	token := s.TokenWith(t, access.Claims{Repo: repo, Subject: "hostile", Scopes: []access.Scope{access.GitRead}})
	return hostile{s, "Basic " + base64.StdEncoding.EncodeToString([]byte("t:"+token)), token}
}

// begin sends the head of a request on a connection of its own. The service is
// one of git, or a method and a path.
func (h hostile) begin(t *testing.T, service, rest string) net.Conn {
	t.Helper()
	target := service
	if !strings.Contains(service, " ") {
		target = "POST /r.git/" + service
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(h.s.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\nGit-Protocol: version=2\r\n%s", target, h.auth, rest)
	require.NoError(t, err)
	return conn
}

// half sends half a request, and returns when the server reads its body.
func (h hostile) half(t *testing.T, service string) net.Conn {
	t.Helper()
	conn := h.begin(t, service, "Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
	line, err := bufio.NewReader(io.LimitReader(conn, 25)).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
	_, err = io.WriteString(conn, "0011command=fetch0001")
	require.NoError(t, err)
	return conn
}

// post sends a whole request and returns the answer.
func (h hostile) post(t *testing.T, body io.Reader, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.s.URL+"/r.git/git-upload-pack", body)
	require.NoError(t, err)
	r.Header.Set("Authorization", h.auth)
	r.Header.Set("Git-Protocol", "version=2")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// running returns how many processes run a subcommand of git now.
func running(name string) (n int) {
	for _, line := range servertest.Processes() {
		if strings.Contains(line, name) {
			n++
		}
	}
	return n
}

// fillHostile makes a repository whose clone is larger than what sockets take.
func fillHostile(t *testing.T, s *servertest.Server) (client *servertest.Client, head string) {
	t.Helper()
	s.Create(t, "r")
	client = s.Client(t, "r").Clone("")
	client.Configure(map[string]string{"core.compression": "0", "pack.window": "0"})
	random, err := os.Open("/dev/urandom")
	require.NoError(t, err)
	defer random.Close()
	for n := range 16 {
		blob := make([]byte, 1<<20)
		_, err := io.ReadFull(random, blob)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(client.Dir, fmt.Sprint("blob-", n)), blob, 0o600))
	}
	client.Git("add", ".")
	head = client.Commit("large")
	client.Git("push", "--quiet", s.Remote("r"), "HEAD:main")
	return client, head
}

func noGitLeft(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return running("upload-pack")+running("receive-pack")+running("pack-objects") == 0 }, time.Minute, 25*time.Millisecond)
}

func TestHostileReader_halfRequestsHoldNoProcess(t *testing.T) { //nolint:paralleltest // counts processes
	s := servertest.Start(t, servertest.Options{})
	client, _ := fillHostile(t, s)
	noGitLeft(t)
	h := newHostile(t, s, "r")
	conns := make([]net.Conn, 150)
	for i := range conns {
		conns[i] = h.half(t, "git-upload-pack")
	}
	require.Zero(t, running("upload-pack"))
	require.Zero(t, s.Engine().Services().Limiter.Load())
	s.Client(t, "r").Clone(s.Remote("r"))
	client.Commit("a push beside it")
	client.Git("push", "--quiet", s.Remote("r"), "HEAD:main")
	require.Zero(t, running("upload-pack"))
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
}

// TestHostileReader_restingClonesWaitInLine lets one caller ask for hundreds of
// clones that it does not read: it has its share of places, a bounded queue and
// refusals; others are served meanwhile.
func TestHostileReader_restingClonesWaitInLine(t *testing.T) { //nolint:paralleltest // counts processes
	s := servertest.Start(t, servertest.Options{Limits: limit.Options{Ceilings: limit.Ceilings{Server: 8}, Waiting: 64, Wait: time.Hour}})
	client, head := fillHostile(t, s)
	noGitLeft(t)
	h := newHostile(t, s, "r")
	request := fmt.Sprintf("0011command=fetch0001000fno-progress%04xwant %s\n0009done\n0000", 10+len(head), head)
	const all, places, queue = 200, 3, 16
	conns := make([]net.Conn, all)
	for i := range conns {
		conns[i] = h.begin(t, "git-upload-pack", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(request), request))
	}
	limiter := s.Engine().Services().Limiter
	require.Eventually(t, func() bool { return limiter.Load() == limit.Load{Running: places, Waiting: queue} }, 2*time.Minute, 25*time.Millisecond, "%+v", limiter.Load())
	require.Eventually(t, func() bool { return strings.Count(s.Log.String(), `"status":429`) == all-places-queue }, 2*time.Minute, 50*time.Millisecond)
	require.LessOrEqual(t, running("upload-pack"), places)

	s.Client(t, "r").Clone(s.Remote("r"))
	client.Commit("a push beside it")
	client.Git("push", "--quiet", s.Remote("r"), "HEAD:main")
	require.Equal(t, limit.Load{Running: places, Waiting: queue}, limiter.Load(), "the bystander took nobody's place")

	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	require.Eventually(t, func() bool { return limiter.Load() == limit.Load{} }, 2*time.Minute, 25*time.Millisecond)
	noGitLeft(t)
}

func TestHostileReader_largeRequests(t *testing.T) { //nolint:paralleltest // measures this process
	s := servertest.Start(t, servertest.Options{})
	_, head := fillHostile(t, s)
	h := newHostile(t, s, "r")
	zipped := func(fill func(w io.Writer)) io.Reader {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		fill(z)
		require.NoError(t, z.Close())
		return &b
	}
	var empty bytes.Buffer
	require.NoError(t, gzip.NewWriter(&empty).Close())
	haves := strings.Repeat("0032have "+head+"\n", 1000)
	bodies := map[string]io.Reader{
		"3 million have lines": zipped(func(w io.Writer) {
			_, _ = io.WriteString(w, "0011command=fetch0001")
			for range 3000 {
				_, _ = io.WriteString(w, haves)
			}
			_, _ = io.WriteString(w, "0000")
		}),
		"a gigabyte of nothing": zipped(func(w io.Writer) {
			zeros := make([]byte, 1<<20)
			for range 1024 {
				_, _ = w.Write(zeros)
			}
		}),
		"streams without end that hold nothing": bytes.NewReader(bytes.Repeat(empty.Bytes(), 12<<20/empty.Len())),
	}
	before, err := servertest.RSS()
	require.NoError(t, err)
	ran := strings.Count(s.Log.String(), `"command":"upload-pack"`)
	for name, body := range bodies {
		status, text := h.post(t, body, "Content-Encoding", "gzip")
		require.Equal(t, http.StatusRequestEntityTooLarge, status, name)
		require.Contains(t, text, "fetch fewer refs at once", name)
	}
	require.Equal(t, ran, strings.Count(s.Log.String(), `"command":"upload-pack"`), "no process saw them")
	after, err := servertest.RSS()
	require.NoError(t, err)
	require.Less(t, after-before, int64(100<<20))

	// What is just within the bound is answered, from a file.
	status, text := h.post(t, zipped(func(w io.Writer) {
		_, _ = io.WriteString(w, "0011command=fetch0001")
		for range 200 {
			_, _ = io.WriteString(w, haves)
		}
		_, _ = fmt.Fprintf(w, "0032want %s\n0009done\n0000", head)
	}), "Content-Encoding", "gzip")
	require.Equal(t, http.StatusOK, status, text)
	require.Contains(t, text, "PACK")
	left, err := filepath.Glob(filepath.Join(s.Engine().Services().Repos.TempDir(), "fetch-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestHostileReader_slowBodiesAreCut(t *testing.T) { //nolint:paralleltest // counts processes
	s := servertest.Start(t, servertest.Options{FetchGrace: 300 * time.Millisecond, PushGrace: 300 * time.Millisecond})
	_, head := fillHostile(t, s)
	h := newHostile(t, s, "r")
	writer := h
	writer.auth = "Basic " + base64.StdEncoding.EncodeToString([]byte("t:"+s.Token(t, "r")))
	line := strings.Repeat("0", 40) + " " + head + " refs/heads/left\x00report-status side-band-64k"
	pack := fmt.Sprintf("%04x%s0000PACK\x00\x00\x00\x02\x00\x00\x00\x09", len(line)+4, line)
	caller, stranger := h, h
	caller.auth, stranger.auth = "Bearer "+s.Token(t, "r"), "none"
	const metadata = `{"metadata":{"target_branch":"main","commit_message":"m","author":{"name":"a","email":"a@b.c"},"files":[{"path":"p","content_id":"1"}]}}` + "\n"
	object := fmt.Sprintf("PUT /r.git/info/lfs/objects/%064x", 1)
	var all sync.WaitGroup // side by side: each waits until it is cut
	for name, tt := range map[string]struct {
		by            hostile
		service, sent string
		drips         bool
		want          string // what the answer begins with
	}{
		"a fetch that stops":         {h, "git-upload-pack", "0011comm", false, "HTTP/1.1 408 Request Timeout"},
		"a fetch that drips":         {h, "git-upload-pack", "0011comm", true, "HTTP/1.1 408 Request Timeout"},
		"a push that stops at once":  {writer, "git-receive-pack", "00", false, "HTTP/1.1 408 Request Timeout"},
		"a push that stops in mid":   {writer, "git-receive-pack", pack, false, ""},
		"a push whose pack drips in": {writer, "git-receive-pack", pack, true, ""},
		"a call that stops":          {caller, "POST /api/v1/repos/grep", "{", false, "HTTP/1.1 408 Request Timeout"},
		"a call that drips":          {caller, "POST /api/v1/repos/grep", "{", true, "HTTP/1.1 408 Request Timeout"},
		"a commit that stops":        {caller, "POST /api/v1/repos/commit-pack", `{"metadata"`, false, "HTTP/1.1 408 Request Timeout"},
		"a commit that drips":        {caller, "POST /api/v1/repos/commit-pack", metadata, true, "HTTP/1.1 408 Request Timeout"},
		"a read with half a body":    {caller, "GET /api/v1/repos/branches", "{", false, "HTTP/1.1 200 OK"},
		"a read whose body drips":    {caller, "GET /api/v1/repos/branches", "{", true, "HTTP/1.1 200 OK"},
		"a batch of LFS that stops":  {h, lfsBatch, "{", false, "HTTP/1.1 408 Request Timeout"},
		"a batch of LFS that drips":  {h, lfsBatch, "{", true, "HTTP/1.1 408 Request Timeout"},
		"an object that stops":       {writer, object, "x", false, "HTTP/1.1 408 Request Timeout"},
		"an object that drips":       {writer, object, "x", true, "HTTP/1.1 408 Request Timeout"},
		"a verification that stops":  {writer, strings.Replace(object, "PUT ", "POST ", 1) + "/verify", "{", false, "HTTP/1.1 408 Request Timeout"},
		"a lock that stops":          {writer, "POST /r.git/info/lfs/locks", "{", false, "HTTP/1.1 408 Request Timeout"},
		"a form that stops":          {stranger, "POST /console/sign-in", "token=", false, "HTTP/1.1 408 Request Timeout"},
		"a form that drips":          {stranger, "POST /console/sign-in", "token=", true, "HTTP/1.1 408 Request Timeout"},
		"a link that stops":          {stranger, "POST /console/link", "code=", false, "HTTP/1.1 408 Request Timeout"},
		"a page that asks who it is": {stranger, "POST /console/maintenance", "mode=", false, "HTTP/1.1 303 See Other"},
		"a credential that stops":    {caller, "POST /api/v1/repos/git-credentials", "{", false, "HTTP/1.1 408 Request Timeout"},
		"no token":                   {stranger, "POST /api/v1/repos/grep", "{", false, "HTTP/1.1 401 Unauthorized"},
		"no token for git":           {stranger, "git-upload-pack", "0011", false, "HTTP/1.1 401 Unauthorized"},
		"no such path":               {stranger, "POST /nothing", "", false, "HTTP/1.1 404 Not Found"},
		"no such webhook":            {stranger, "POST /webhooks/gitea/nothing", "{", false, "HTTP/1.1 404 Not Found"},
	} {
		kind := ""
		if strings.Contains(tt.service, "/lfs/") {
			kind = "Content-Type: application/json\r\n"
		} else if strings.Contains(tt.service, "/console/") {
			kind = "Content-Type: application/x-www-form-urlencoded\r\n"
		}
		conn := tt.by.begin(t, tt.service, kind+"Content-Length: 1000000\r\n\r\n"+tt.sent)
		all.Go(func() {
			ctx, stop := context.WithCancel(t.Context())
			dripped := make(chan struct{})
			go func() {
				defer close(dripped)
				for tt.drips && ctx.Err() == nil {
					if _, err := conn.Write([]byte{'a'}); err != nil {
						return
					}
					select {
					case <-ctx.Done():
					case <-time.After(10 * time.Millisecond):
					}
				}
			}()
			assert.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
			answer, err := io.ReadAll(conn)
			stop()
			<-dripped
			if nerr, ok := err.(net.Error); ok { //nolint:errorlint // as net gives it
				assert.False(t, nerr.Timeout(), "%s: it is not cut", name)
			}
			assert.True(t, strings.HasPrefix(string(answer), tt.want), "%s: %q", name, answer)
			assert.NoError(t, conn.Close())
		})
	}
	all.Wait()
	noGitLeft(t)
	require.Equal(t, limit.Load{}, s.Engine().Services().Limiter.Load())
	s.Client(t, "r").Clone(s.Remote("r"))
}

// TestHostileReader_refusalsAreSentences fills a server and asks what those see
// who find no place: git's users, and callers of the API.
func TestHostileReader_refusalsAreSentences(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{Limits: limit.Options{Ceilings: limit.Ceilings{Server: 1}, Wait: 50 * time.Millisecond}})
	s.Create(t, "r")
	client := s.Client(t, "r").Clone("")
	head := client.Commit("one")
	client.Git("push", "--quiet", s.Remote("r"), "HEAD:main")
	const sentence = "too many requests on this server run already, and none ended within 50ms; try again in 1s"
	limiter := s.Engine().Services().Limiter
	fill := func() (release func()) {
		release, err := limiter.Acquire(t.Context(), limit.Key{Caller: limit.Caller{Organisation: "another"}})
		require.NoError(t, err)
		return release
	}
	release := fill()
	for _, args := range [][]string{
		{"ls-remote", s.Remote("r")}, // its capabilities are asked from git
		{"-c", "protocol.version=0", "ls-remote", s.Remote("r")},
		{"push", s.Remote("r"), "HEAD:other"},
	} {
		out, err := client.Try(args...)
		require.Error(t, err)
		require.Contains(t, out, "remote: "+sentence, args)
	}
	release()
	client.Git("ls-remote", s.Remote("r")) // they are known now
	release = fill()
	for _, args := range [][]string{{"ls-remote", s.Remote("r")}, {"fetch", s.Remote("r"), "main"}} {
		out, err := client.Try(args...)
		require.Error(t, err)
		require.Contains(t, out, "remote error: "+sentence, args)
	}
	status, text := newHostile(t, s, "r").post(t, strings.NewReader("0014command=ls-refs\n0000"))
	require.Equal(t, http.StatusTooManyRequests, status, "who is not git sees the status")
	require.Equal(t, sentence+"\n", text)

	// What comes between the two requests of a push: git shows no text of a failed POST,
	// and ends with "Everything up-to-date".
	st := servertest.Store(t, s.Dir)
	target, err := url.Parse(s.URL)
	require.NoError(t, err)
	release()
	token := s.Token(t, "r")
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			assert.NoError(t, st.SetReadOnly(t.Context(), core.ReadOnlyMode{Since: time.Now(), Reason: "the disk is replaced"}))
		}
		r.SetBasicAuth("t", token)
		httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
	}))
	defer between.Close()
	out, err := client.Try("push", strings.Replace(s.Remote("r"), target.Host, strings.TrimPrefix(between.URL, "http://"), 1), "HEAD:other")
	require.Error(t, err)
	require.Contains(t, out, "remote: the server is read-only")
	require.NotContains(t, out, "HTTP 503")
	require.NotContains(t, out, "up-to-date")
	asked, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/r.git/git-receive-pack", strings.NewReader("0000"))
	require.NoError(t, err)
	asked.SetBasicAuth("t", s.Token(t, "r"))
	refused, err := http.DefaultTransport.RoundTrip(asked)
	require.NoError(t, err)
	require.NoError(t, refused.Body.Close())
	require.Equal(t, http.StatusServiceUnavailable, refused.StatusCode, "who is not git sees the status")
	require.NoError(t, st.SetReadOnly(t.Context(), core.ReadOnlyMode{}))
	release = fill()

	line := strings.Repeat("0", 40) + " " + head + " refs/heads/other\x00report-status"
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/r.git/git-receive-pack", strings.NewReader(fmt.Sprintf("%04x%s0000", len(line)+4, line)))
	require.NoError(t, err)
	r.SetBasicAuth("t", s.Token(t, "r"))
	resp, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	report, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(report), "unpack "+sentence)

	for _, call := range []struct{ method, path string }{{http.MethodGet, "/branches"}, {http.MethodGet, "/files"}, {http.MethodGet, "/commits"}} {
		got := s.API(t, call.method, "r", call.path, nil)
		require.Equal(t, http.StatusTooManyRequests, got.Status, call.path)
		require.Equal(t, string(core.KindRateLimited), got.At("code"))
		require.Equal(t, "1", got.Header.Get("Retry-After"))
	}
	release()
	require.Equal(t, http.StatusOK, s.API(t, http.MethodGet, "r", "/branches", nil).Status)
	require.Zero(t, limiter.Load())
	require.NotContains(t, client.LsRemote(s.Remote("r")), "refs/heads/other")
	fullOfUploads(t, s, strings.Replace(sentence, "on this server", "for this repository", 1))
}

// fullOfUploads takes all places of uploads of a server that has four, sees what one more is
// answered, and that a git-lfs which is answered so sends it again when there is room.
func fullOfUploads(t *testing.T, s *servertest.Server, sentence string) {
	t.Helper()
	held := make([]net.Conn, 4)
	for i := range held {
		claims := access.Claims{Repo: "r", Subject: fmt.Sprint("hostile-", i), Scopes: []access.Scope{access.GitWrite}}
		by := hostile{s, "Basic " + base64.StdEncoding.EncodeToString([]byte("t:"+s.TokenWith(t, claims))), ""}
		held[i] = by.begin(t, fmt.Sprintf("PUT /r.git/info/lfs/objects/%064x", i), "Content-Length: 1000000\r\n\r\nx")
	}
	at := lfsAt(t, s.Caller, "r")
	require.Eventually(t, func() bool {
		content := someBytes(94, 1000)
		status, text, err := at.do(t.Context(), http.MethodPut, at.url+"/objects/"+oidOf(content), http.Header{}, content)
		return err == nil && status == http.StatusTooManyRequests && strings.Contains(string(text), sentence)
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, http.StatusOK, s.API(t, http.MethodGet, "r", "/branches", nil).Status, "others go on")
	client := lfsClone(t, s.Client(t, "r"), "")
	client.Git("remote", "add", "origin", s.Remote("r"))
	large := someBytes(95, 100_000)
	addLFS(t, client, "large.bin", large)
	trace := filepath.Join(t.TempDir(), "trace")
	client.Env = append(client.Env, "GIT_TRACE="+trace)
	pushed := make(chan string, 1)
	go func() {
		out, err := client.Try("lfs", "push", "origin", "HEAD")
		pushed <- fmt.Sprint(out, err)
	}()
	require.Eventually(t, func() bool {
		said, err := os.ReadFile(trace)
		return err == nil && strings.Contains(string(said), "retry")
	}, time.Minute, 10*time.Millisecond)
	for _, conn := range held {
		require.NoError(t, conn.Close())
	}
	require.Contains(t, <-pushed, "<nil>")
	require.FileExists(t, filepath.Join(s.Dir, "lfs", "objects", oidOf(large)[:2], oidOf(large)[2:4], oidOf(large)))
}
