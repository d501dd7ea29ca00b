package githttp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// request is one HTTP request of a test.
type request struct {
	method, path string
	auth         string // the Authorization header; "" sends none
	header       map[string]string
	body         io.Reader
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// open sends a request; the caller closes the body.
func open(t *testing.T, s *servertest.Server, q request) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), q.method, s.URL+q.path, q.body)
	require.NoError(t, err)
	r.Close = true
	if q.auth != "" {
		r.Header.Set("Authorization", q.auth)
	}
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 5 * time.Second}).RoundTrip(r)
	require.NoError(t, err)
	return resp
}

func do(t *testing.T, s *servertest.Server, q request) reply {
	t.Helper()
	resp := open(t, s, q)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// fill makes a local repository with a number of commits and returns its head.
func fill(t *testing.T, s *servertest.Server, name string, commits int) (client *servertest.Client, head string) {
	t.Helper()
	s.Create(t, name)
	client = s.Client(t, name).Clone("")
	client.Git("remote", "add", "origin", s.Remote(name))
	for n := range commits {
		head = client.Commit(fmt.Sprint("commit ", n))
	}
	client.Git("push", "--quiet", "origin", "HEAD:main", "HEAD:refs/tags/v1")
	return client, head
}

func TestHandler_authentication(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	fill(t, s, "team/r", 1)
	s.Create(t, "other")
	token := func(repo string, scopes ...access.Scope) string {
		return s.TokenWith(t, access.Claims{Repo: repo, Scopes: scopes})
	}
	read, write := token("team/r", access.GitRead), token("team/r", access.GitWrite)
	expired := s.TokenWith(t, access.Claims{Repo: "team/r", Scopes: access.Scopes(), ExpiresAt: time.Now().Add(-time.Hour)})
	const fetch, push = "/info/refs?service=git-upload-pack", "/info/refs?service=git-receive-pack"
	for name, tt := range map[string]struct {
		path   string
		auth   string
		status int
		says   string
	}{
		"documented user":          {"/team/r.git" + fetch, basic("t", read), 200, "refs/heads/main"},
		"any user":                 {"/team/r.git" + fetch, basic("somebody else", read), 200, ""},
		"no user":                  {"/team/r.git" + fetch, basic("", read), 200, ""},
		"bearer":                   {"/team/r.git" + fetch, "Bearer " + read, 200, ""},
		"write includes read":      {"/team/r.git" + fetch, basic("t", write), 200, ""},
		"push":                     {"/team/r.git" + push, basic("t", write), 200, "report-status"},
		"ephemeral by same token":  {"/team/r+ephemeral.git" + push, basic("t", write), 200, "report-status"},
		"import by same token":     {"/team/r+import.git" + push, basic("t", write), 200, "report-status"},
		"nothing":                  {"/team/r.git" + fetch, "", 401, "authentication required"},
		"empty password":           {"/team/r.git" + fetch, basic("t", ""), 401, "authentication required"},
		"token as user":            {"/team/r.git" + fetch, basic(read, ""), 401, "authentication required"},
		"not a token":              {"/team/r.git" + fetch, basic("t", "hunter2"), 401, ""},
		"changed signature":        {"/team/r.git" + fetch, basic("t", read[:len(read)-8]+"AAAAAAAA"), 401, ""},
		"expired":                  {"/team/r.git" + fetch, basic("t", expired), 401, "expired"},
		"other scheme":             {"/team/r.git" + fetch, "Digest abc", 401, "authentication required"},
		"read cannot push":         {"/team/r.git" + push, basic("t", read), 403, "git:write"},
		"read cannot push drafts":  {"/team/r+ephemeral.git" + push, basic("t", read), 403, "git:write"},
		"no git scope":             {"/team/r.git" + fetch, basic("t", token("team/r", access.RepoWrite, access.OrgRead)), 403, "git:read"},
		"import is not for reads":  {"/team/r+import.git" + fetch, basic("t", write), 403, "takes pushes only"},
		"another repository":       {"/other.git" + fetch, basic("t", read), 403, "another repository"},
		"an unknown one of others": {"/nowhere.git" + fetch, basic("t", read), 403, "another repository"},
		"an unknown one of ours":   {"/nowhere.git" + fetch, basic("t", token("nowhere", access.GitRead)), 404, `"nowhere" not found`},
		"org-wide token":           {"/team/r.git" + fetch, basic("t", token("org", access.Scopes()...)), 403, ""},
		"by internal id":           {"/" + s.Repo(t, "team/r").ID + ".git" + fetch, basic("t", token(s.Repo(t, "team/r").ID, access.GitRead)), 200, ""},
		"suffix in claim":          {"/team/r+ephemeral.git" + fetch, basic("t", token("team/r+ephemeral", access.GitRead)), 403, ""},
		"path leaves the store":    {"/..%2f..%2fteam/r.git" + fetch, basic("t", read), 403, ""},
		"empty name":               {"/.git" + fetch, basic("t", read), 404, "not found"},
		"dumb protocol":            {"/team/r.git/info/refs", basic("t", read), 403, "dumb"},
		"unknown service":          {"/team/r.git/info/refs?service=git-upload-archive", basic("t", read), 403, "smart HTTP"},
		"dumb objects":             {"/team/r.git/objects/info/packs", basic("t", read), 404, ""},
		"dumb HEAD":                {"/team/r.git/HEAD", basic("t", read), 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := do(t, s, request{method: http.MethodGet, path: tt.path, auth: tt.auth})
			require.Equal(t, tt.status, got.status, got.body)
			require.Contains(t, got.body, tt.says)
			if tt.status == http.StatusUnauthorized {
				require.Regexp(t, `^Basic realm="[^"]+"`, got.header.Get("WWW-Authenticate"), "without it no credential helper is asked")
			}
			if tt.status != 404 {
				require.NotContains(t, got.body, "{", "git shows plain text only")
			}
			if tt.status == http.StatusOK {
				require.Contains(t, got.header.Get("Cache-Control"), "no-cache")
			}
		})
	}
}

func TestHandler_methods(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, "r")
	auth := basic("t", s.Token(t, "r"))
	for _, tt := range []struct{ method, path, allow string }{
		{http.MethodHead, "/r.git/info/refs?service=git-upload-pack", "GET"},
		{http.MethodPost, "/r.git/info/refs?service=git-upload-pack", "GET"},
		{http.MethodDelete, "/r.git/info/refs?service=git-receive-pack", "GET"},
		{http.MethodGet, "/r.git/git-upload-pack", "POST"},
		{http.MethodPut, "/r.git/git-receive-pack", "POST"},
		{http.MethodOptions, "/r.git/git-receive-pack", "POST"},
	} {
		got := do(t, s, request{method: tt.method, path: tt.path, auth: auth})
		require.Equal(t, http.StatusMethodNotAllowed, got.status, "%s %s", tt.method, tt.path)
		require.Equal(t, tt.allow, got.header.Get("Allow"))
	}
}

func TestHandler_firstSyncSaysSo(t *testing.T) {
	t.Parallel()
	forge := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	forge.CreateRepo("acme/widget", true)
	forge.Seed("acme/widget", forgetest.SeedOptions{Commits: 3})
	s := servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{forge}})
	s.Link(t, "r", forge, "acme/widget")
	there, release := make(chan struct{}), make(chan struct{})
	forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Times: 1, Before: func() { close(there); <-release }})
	s.Pull(t, "r")
	<-there
	client := s.Client(t, "r")
	for _, args := range [][]string{{"clone", s.Remote("r")}, {"ls-remote", s.Remote("r")}, {"ls-remote", s.Remote("r+ephemeral")}} {
		out, err := client.Try(args...)
		require.Error(t, err)
		require.Contains(t, out, "remote: repository sync in progress", "what the git client shows")
	}
	got := do(t, s, request{method: http.MethodGet, path: "/r.git/info/refs?service=git-receive-pack", auth: basic("t", s.Token(t, "r"))})
	require.Equal(t, http.StatusConflict, got.status)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	close(release)
	s.WaitReady(t, "r")
	client.Clone(s.Remote("r"))
}

// wantRequest is a fetch of one commit, in protocol v2.
func wantRequest(id string) string {
	return fmt.Sprintf("0011command=fetch0001000fno-progress%04xwant %s\n0009done\n0000", 10+len(id), id)
}

func TestHandler_requestBodies(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	_, head := fill(t, s, "r", 3)
	auth := basic("t", s.Token(t, "r"))
	zip := func(text string) io.Reader {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, z.Close())
		return &b
	}
	for name, tt := range map[string]struct {
		header map[string]string
		body   io.Reader
		status int
	}{
		"plain":              {nil, strings.NewReader(wantRequest(head)), 200},
		"chunked":            {nil, io.MultiReader(strings.NewReader(wantRequest(head))), 200},
		"gzip":               {map[string]string{"Content-Encoding": "gzip"}, zip(wantRequest(head)), 200},
		"x-gzip, chunked":    {map[string]string{"Content-Encoding": "x-gzip"}, io.MultiReader(zip(wantRequest(head))), 200},
		"100-continue":       {map[string]string{"Expect": "100-continue"}, strings.NewReader(wantRequest(head)), 200},
		"gzip in capitals":   {map[string]string{"Content-Encoding": "GZIP"}, zip(wantRequest(head)), 200},
		"identity":           {map[string]string{"Content-Encoding": "identity"}, strings.NewReader(wantRequest(head)), 200},
		"gzip that is none":  {map[string]string{"Content-Encoding": "gzip"}, strings.NewReader("plain"), 400},
		"unknown encoding":   {map[string]string{"Content-Encoding": "br"}, strings.NewReader("plain"), 400},
		"gzip that breaks":   {map[string]string{"Content-Encoding": "gzip"}, io.LimitReader(zip(wantRequest(head)), 30), 400},
		"no protocol at all": {nil, strings.NewReader("GET / HTTP/1.1\r\n\r\n"), 400},
		"nothing":            {nil, strings.NewReader(""), 400},
		"half a packet":      {nil, strings.NewReader("0011command=fe"), 400},
		"no end":             {nil, strings.NewReader(strings.TrimSuffix(wantRequest(head), "0000")), 400},
		"another command":    {nil, strings.NewReader("0013command=delete0000"), 400},
		"no command":         {nil, strings.NewReader("000fno-progress0000"), 400},
		"no capability":      {nil, strings.NewReader("0011command=fetch000cnonsense0000"), 400},
		"no argument":        {nil, strings.NewReader("0011command=fetch0001000cnonsense0000"), 400},
		"no id":              {nil, strings.NewReader(wantRequest("main")), 400},
		"too large":          {nil, io.MultiReader(strings.NewReader("0011command=fetch0001"), strings.NewReader(strings.Repeat("0032have "+head+"\n", 220_000)), strings.NewReader("0000")), 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := map[string]string{"Git-Protocol": "version=2"}
			for k, v := range tt.header {
				header[k] = v
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/r.git/git-upload-pack", tt.body)
			require.NoError(t, err)
			r.Header.Set("Authorization", auth)
			for k, v := range header {
				r.Header.Set(k, v)
			}
			resp, err := (&http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 10 * time.Second}).RoundTrip(r)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, tt.status, resp.StatusCode, string(body))
			require.Equal(t, tt.status == 200, bytes.Contains(body, []byte("PACK")))
		})
	}
	// The server still works, and nothing it was sent hangs around.
	s.Client(t, "r").Clone(s.Remote("r"))
}

// TestHandler_bodiesOfEveryProtocol holds that what is no request is a 400 in
// every version of the protocol, and that a lone flush, with which git probes
// whether it may send a long body, is not.
func TestHandler_bodiesOfEveryProtocol(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	fill(t, s, "r", 1)
	for _, version := range []string{"", "version=0", "version=1", "version=2"} {
		for _, tt := range []struct {
			body   string
			status int
		}{{"0000", 200}, {"", 400}, {"hello", 400}, {"000", 400}, {"0003", 400}, {"zzzz", 400}, {"0011command=fe", 400}, {"0009done\n", 400}} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/r.git/git-upload-pack", strings.NewReader(tt.body))
			require.NoError(t, err)
			r.Header.Set("Authorization", basic("t", s.Token(t, "r")))
			r.Header.Set("Content-Type", "application/x-git-upload-pack-request")
			if version != "" {
				r.Header.Set("Git-Protocol", version)
			}
			r.Close = true
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, tt.status, resp.StatusCode, "%q in %q: %s", tt.body, version, body)
		}
	}
}

// TestHandler_uploadPackSaysWhy holds that what upload-pack says in the
// protocol ends the answer as it should, and that an empty question has none.
func TestHandler_uploadPackSaysWhy(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	_, head := fill(t, s, "r", 3)
	absent := strings.Repeat("1", 40)
	plain := func(id string) string { return fmt.Sprintf("%04xwant %s\n00000009done\n", 10+len(id), id) }
	for name, tt := range map[string]struct {
		protocol, body string
		says           string
	}{
		"v2, no such object": {"version=2", wantRequest(absent), "ERR upload-pack: not our ref " + absent},
		"v0, no such object": {"", plain(absent), "ERR upload-pack: not our ref " + absent},
		"v0, a pack":         {"", plain(head), "PACK"},
		"v2, probe":          {"version=2", "0000", ""},
		"v0, probe":          {"", "0000", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := do(t, s, request{method: http.MethodPost, path: "/r.git/git-upload-pack", auth: basic("t", s.Token(t, "r")),
				header: map[string]string{"Git-Protocol": tt.protocol}, body: strings.NewReader(tt.body)})
			require.Equal(t, http.StatusOK, got.status, got.body)
			require.Equal(t, "application/x-git-upload-pack-result", got.header.Get("Content-Type"))
			require.Contains(t, got.body, tt.says)
			if tt.says == "" {
				require.Empty(t, got.body)
			}
		})
	}
	require.NotContains(t, s.Log.String(), "failed in mid-answer")
}

// TestHandler_expectContinueBeforeBody checks that a client that asks first is
// refused before it has sent a large body.
func TestHandler_expectContinueBeforeBody(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, "r")
	for auth, want := range map[string]struct {
		status    int
		continues bool
	}{
		basic("t", "wrong"): {401, false},
		basic("t", s.TokenWith(t, access.Claims{Repo: "r", Scopes: []access.Scope{access.GitRead}})): {403, false},
		basic("t", s.Token(t, "r")): {200, true},
	} {
		continued := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { continued = true }})
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/r.git/git-receive-pack", strings.NewReader("0000"))
		require.NoError(t, err)
		r.Header.Set("Authorization", auth)
		r.Header.Set("Expect", "100-continue")
		resp, err := (&http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: 10 * time.Second}).RoundTrip(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want.status, resp.StatusCode)
		require.Equal(t, want.continues, continued)
	}
}

func TestHandler_pushes(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]map[string]string{
		"one request":      {"http.postBuffer": "104857600"},
		"probe and chunks": {"http.postBuffer": "65536"},
		"protocol v0":      {"protocol.version": "0"},
		"protocol v1":      {"protocol.version": "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, servertest.Options{})
			s.Create(t, "deep/er/r")
			client := s.Client(t, "deep/er/r").Clone("")
			client.Configure(config)
			// Random, so that no compression makes the pack small.
			blob := make([]byte, 3<<20)
			f, err := os.Open("/dev/urandom")
			require.NoError(t, err)
			_, err = io.ReadFull(f, blob)
			require.NoError(t, err)
			require.NoError(t, f.Close())
			require.NoError(t, os.WriteFile(filepath.Join(client.Dir, "blob"), blob, 0o600))
			client.Git("add", "blob")
			head := client.Commit("large")
			client.Git("push", "--quiet", "--push-option=ci.skip", "--atomic", s.Remote("deep/er/r"), "HEAD:main", "HEAD:refs/tags/v1")
			require.Equal(t, head, client.LsRemote(s.Remote("deep/er/r"))["refs/heads/main"])
			for _, args := range [][]string{{}, {"--depth=1"}, {"--single-branch"}, {"--filter=blob:none"}, {"--bare"}} {
				s.Client(t, "deep/er/r").Git(append(append([]string{"clone", "--quiet"}, args...), s.Remote("deep/er/r"), "copy")...)
			}
			require.Empty(t, s.Fsck(t, "deep/er/r"))
		})
	}
}

// TestHandler_capabilitiesByObjectFormat checks the answer of protocol v2 that
// is kept in memory.
func TestHandler_capabilitiesByObjectFormat(t *testing.T) {
	t.Parallel()
	forge := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	s := servertest.Start(t, servertest.Options{Forges: []*forgetest.TestForge{forge}})
	maker := s.ClientWith(t, "")
	heads := map[string]string{}
	for _, format := range []string{"sha1", "sha256"} {
		path := "acme/" + format
		forge.CreateRepo(path, true)
		dir, err := forge.RepoDir(path)
		require.NoError(t, err)
		require.NoError(t, os.RemoveAll(dir))
		maker.Git("init", "--quiet", "--bare", "--object-format="+format, "--template=", dir)
		forge.Seed(path, forgetest.SeedOptions{Commits: 3})
		s.Mirror(t, format, forge, path)
		heads[format] = forge.Ref(path, "refs/heads/main")
	}
	first := map[string]string{}
	for range 3 {
		for _, format := range []string{"sha1", "sha256"} {
			for _, suffix := range []string{"", "+ephemeral"} {
				got := do(t, s, request{method: http.MethodGet, path: "/" + format + suffix + ".git/info/refs?service=git-upload-pack",
					auth: basic("t", s.Token(t, format)), header: map[string]string{"Git-Protocol": "version=2"}})
				require.Equal(t, http.StatusOK, got.status)
				require.Equal(t, "application/x-git-upload-pack-advertisement", got.header.Get("Content-Type"))
				require.Contains(t, got.body, "version 2\n")
				require.Contains(t, got.body, "object-format="+format+"\n")
				require.NotContains(t, got.body, heads[format])
				if first[format] == "" {
					first[format] = got.body
				}
				require.Equal(t, first[format], got.body)
			}
		}
	}
	for _, format := range []string{"sha1", "sha256"} {
		client := s.Client(t, format).Clone(s.Remote(format))
		require.Equal(t, heads[format], client.Git("rev-parse", "HEAD"))
		client.Commit("a push")
		client.Git("push", "--quiet", "origin", "HEAD:main")
		require.Equal(t, client.Git("rev-parse", "HEAD"), forge.Ref("acme/"+format, "refs/heads/main"))
	}
}

// gitProcesses returns the gits that this process's servers run now.
func gitProcesses() []string {
	var found []string
	for _, line := range servertest.Processes() {
		for _, name := range []string{"upload-pack", "receive-pack", "pack-objects", "index-pack", "unpack-objects", "proc-receive", "rev-list"} {
			if strings.Contains(line, name) {
				found = append(found, line)
				break
			}
		}
	}
	return found
}

// TestHandler_clientsThatLeave runs alone: it counts processes.
func TestHandler_clientsThatLeave(t *testing.T) { //nolint:paralleltest // see above
	s := servertest.Start(t, servertest.Options{})
	client, head := large(t, s, "r")
	none := func() bool { return len(gitProcesses()) == 0 }
	require.Eventually(t, none, 10*time.Second, 10*time.Millisecond)

	// In the middle of a clone.
	for range 5 {
		resp := open(t, s, request{method: http.MethodPost, path: "/r.git/git-upload-pack", auth: basic("t", s.Token(t, "r")),
			header: map[string]string{"Git-Protocol": "version=2"}, body: strings.NewReader(wantRequest(head))})
		_, err := io.ReadFull(resp.Body, make([]byte, 1000))
		require.NoError(t, err)
		require.NotEmpty(t, gitProcesses())
		require.NoError(t, resp.Body.Close())
	}
	require.Eventually(t, none, 20*time.Second, 10*time.Millisecond, "processes of left clones: %s", gitProcesses())

	// In the middle of a pack that is pushed.
	before := s.Refs(t, "r")
	for range 3 {
		ctx, leave := context.WithCancel(t.Context())
		body, feed := io.Pipe()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/r.git/git-receive-pack", body)
		require.NoError(t, err)
		r.Header.Set("Authorization", basic("t", s.Token(t, "r")))
		r.Header.Set("Content-Type", "application/x-git-receive-pack-request")
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
			if err == nil {
				_ = resp.Body.Close()
			}
		}()
		line := strings.Repeat("0", 40) + " " + head[:39] + "0 refs/heads/left\x00report-status side-band-64k"
		_, err = fmt.Fprintf(feed, "%04x%s0000PACK\x00\x00\x00\x02\x00\x00\x00\x09", len(line)+4, line)
		require.NoError(t, err)
		require.Eventually(t, func() bool { return len(gitProcesses()) > 0 }, time.Minute, 5*time.Millisecond)
		leave()
		_ = feed.CloseWithError(context.Canceled) // net/http waits for the body's reader
		<-ended
	}
	require.Eventually(t, none, 20*time.Second, 10*time.Millisecond, "processes of left pushes: %s", gitProcesses())
	require.Equal(t, before, s.Refs(t, "r"))

	// A real client that is killed.
	client.Commit("never arrives")
	require.NoError(t, os.WriteFile(filepath.Join(client.Dir, "more"), bytes.Repeat([]byte("abc def\n"), 1<<20), 0o600))
	client.Git("add", "more")
	client.Git("commit", "--quiet", "-m", "more")
	ctx, kill := context.WithCancel(t.Context())
	push := client.Command(ctx, "push", "--quiet", s.Remote("r"), "HEAD:killed")
	require.NoError(t, push.Start())
	time.AfterFunc(30*time.Millisecond, kill)
	_ = push.Wait() // killed or done: both happen
	kill()
	require.Eventually(t, none, 20*time.Second, 10*time.Millisecond)
	client.Git("push", "--quiet", s.Remote("r"), "HEAD:main")
	require.Empty(t, s.Fsck(t, "r"))
	stale, err := filepath.Glob(filepath.Join(s.Engine().Services().Repos.Path(s.Repo(t, "r").ID), "objects", "tmp_objdir-*"))
	require.NoError(t, err)
	require.Empty(t, stale, "quarantines of left pushes")
}

// large makes a repository whose pack has about 24 MB.
func large(t *testing.T, s *servertest.Server, name string) (client *servertest.Client, head string) {
	t.Helper()
	client, _ = fill(t, s, name, 1)
	// There is nothing to gain in random bytes.
	client.Configure(map[string]string{"core.compression": "0", "pack.window": "0"})
	random, err := os.Open("/dev/urandom")
	require.NoError(t, err)
	defer random.Close()
	for n := range 24 {
		blob := make([]byte, 1<<20)
		_, err := io.ReadFull(random, blob)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(client.Dir, fmt.Sprint("blob-", n)), blob, 0o600))
	}
	// From a hundred objects on, a pushed pack stays one. Without that, every
	// clone would look for deltas first, in vain and at length.
	for n := range 100 {
		require.NoError(t, os.WriteFile(filepath.Join(client.Dir, fmt.Sprint("small-", n)), fmt.Append(nil, n), 0o600))
	}
	client.Git("add", ".")
	head = client.Commit("large")
	client.Git("push", "--quiet", "origin", "HEAD:main")
	return client, head
}

// TestHandler_slowReadersCostNoMemory runs alone: it measures this process.
func TestHandler_slowReadersCostNoMemory(t *testing.T) { //nolint:paralleltest // see above
	s := servertest.Start(t, servertest.Options{Limits: limit.Options{Ceilings: limit.Ceilings{Server: 64}}})
	_, head := large(t, s, "r")
	fetch := func() *http.Response {
		return open(t, s, request{method: http.MethodPost, path: "/r.git/git-upload-pack", auth: basic("t", s.Token(t, "r")),
			header: map[string]string{"Git-Protocol": "version=2"}, body: strings.NewReader(wantRequest(head))})
	}
	warm := fetch()
	size, err := io.Copy(io.Discard, warm.Body)
	require.NoError(t, err)
	require.NoError(t, warm.Body.Close())
	require.Greater(t, size, int64(24<<20))

	before, err := servertest.RSS()
	require.NoError(t, err)
	const readers = 16
	var clones []*http.Response
	for range readers {
		resp := fetch()
		_, err := io.ReadFull(resp.Body, make([]byte, 1<<20))
		require.NoError(t, err)
		clones = append(clones, resp)
	}
	during, err := servertest.RSS()
	require.NoError(t, err)
	for _, resp := range clones {
		rest, err := io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.InDelta(t, size, rest+1<<20, 1<<16)
		require.NoError(t, resp.Body.Close())
	}
	after, err := servertest.RSS()
	require.NoError(t, err)
	t.Logf("resident: %d MB before, %d MB with %d resting clones of %d MB, %d MB after", before>>20, during>>20, readers, size>>20, after>>20)
	// Loose, for the race detector: sixteen packs would be 384 MB.
	require.Less(t, during-before, int64(120<<20))
	require.Less(t, after-before, int64(120<<20))
}

// TestHandler_logsAnswersThatAreCutOff runs alone: it ends a git of the server's
// while a clone is answered, and looks for the line of the request.
func TestHandler_logsAnswersThatAreCutOff(t *testing.T) { //nolint:paralleltest // see above
	s := servertest.Start(t, servertest.Options{})
	_, head := large(t, s, "r")
	require.Eventually(t, func() bool { return len(gitProcesses()) == 0 }, time.Minute, 10*time.Millisecond)
	resp := open(t, s, request{method: http.MethodPost, path: "/r.git/git-upload-pack", auth: basic("t", s.Token(t, "r")),
		header: map[string]string{"Git-Protocol": "version=2"}, body: strings.NewReader(wantRequest(head))})
	defer resp.Body.Close()
	_, err := io.ReadFull(resp.Body, make([]byte, 1000))
	require.NoError(t, err)
	ended := false
	for pid, line := range servertest.Processes() {
		if strings.Contains(line, "upload-pack") || strings.Contains(line, "pack-objects") {
			ended = syscall.Kill(pid, syscall.SIGKILL) == nil || ended
		}
	}
	require.True(t, ended)
	_, err = io.Copy(io.Discard, resp.Body)
	require.Error(t, err, "the answer must not end as a whole one does")
	logged := regexp.MustCompile(`"@message":"git request",.*"advertise":false,.*"error":"git .*"service":"git-upload-pack"`)
	line := func() bool { return logged.MatchString(s.Log.String()) }
	require.Eventually(t, line, 10*time.Second, 10*time.Millisecond, "no line of the request: %s", s.Log)
}
