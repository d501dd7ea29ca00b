package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/lfs/lfstest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// lfsRemote is the LFS of a repository at any server, spoken to without git-lfs.
type lfsRemote struct{ url, user, password string }

func lfsAt(t *testing.T, c servertest.Caller, repo string) lfsRemote {
	t.Helper()
	return lfsRemote{c.Remote(repo) + "/info/lfs", "t", c.Token(t, repo)}
}

// do sends a request and returns the status and the body of the answer.
func (r lfsRemote) do(ctx context.Context, method, url string, header http.Header, body []byte) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header = header.Clone()
	if request.Header.Get("Authorization") == "" {
		request.SetBasicAuth(r.user, r.password)
	}
	request.Close = true // no idle connection outlives the call
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}

// lfsAnswer is the answer of a batch about one object.
type lfsAnswer struct {
	Actions map[string]struct {
		Href   string            `json:"href"`
		Header map[string]string `json:"header"`
	} `json:"actions"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// batch asks about one object.
func (r lfsRemote) batch(t *testing.T, operation string, content []byte) lfsAnswer {
	t.Helper()
	body, err := json.Marshal(map[string]any{"operation": operation, "objects": []any{map[string]any{"oid": oidOf(content), "size": len(content)}}})
	require.NoError(t, err)
	media := http.Header{"Accept": {"application/vnd.git-lfs+json"}, "Content-Type": {"application/vnd.git-lfs+json"}}
	status, text, err := r.do(t.Context(), http.MethodPost, r.url+"/objects/batch", media, body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, string(text))
	var answer struct{ Objects []lfsAnswer }
	require.NoError(t, json.Unmarshal(text, &answer))
	require.Len(t, answer.Objects, 1)
	return answer.Objects[0]
}

// follow does what an action says.
func (r lfsRemote) follow(ctx context.Context, method string, a lfsAnswer, action string, body []byte) (int, []byte, error) {
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	for k, v := range a.Actions[action].Header {
		header.Set(k, v)
	}
	return r.do(ctx, method, a.Actions[action].Href, header, body)
}

// upload sends an object.
func (r lfsRemote) upload(t *testing.T, content []byte) {
	t.Helper()
	a := r.batch(t, "upload", content)
	require.Contains(t, a.Actions, "upload")
	status, text, err := r.follow(t.Context(), http.MethodPut, a, "upload", content)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, string(text))
}

// asGitea puts the server with which git-lfs tests its client below the owner "acme", as it
// knows no owners itself, and answers what the API of a Gitea says of a repository there.
func asGitea(t *testing.T, lfs string) http.Handler {
	t.Helper()
	to, err := url.Parse(lfs)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", http.StripPrefix("/acme", httputil.NewSingleHostReverseProxy(to)))
	mux.HandleFunc("GET /api/v1/repos/acme/{name}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		fmt.Fprintf(w, `{"id":%d,"full_name":"acme/%s","default_branch":"main","private":true,"permissions":{"push":true}}`, crc32.ChecksumIEEE([]byte(name)), name)
	})
	return mux
}

// startLFSHost starts the server with which git-lfs tests its client as a Gitea. It
// returns its address and host blocks.
func startLFSHost(t *testing.T) (host string, blocks []string) {
	t.Helper()
	behind := lfstest.Start(t)
	front := httptest.NewServer(asGitea(t, behind.URL))
	t.Cleanup(front.Close)
	for _, host := range []string{behind.Host, front.Listener.Addr().String()} {
		blocks = append(blocks, fmt.Sprintf("  host %q {\n    scheme = \"http\"\n    allow_private = true\n  }\n", host))
	}
	return front.Listener.Addr().String(), blocks
}

// followLFS makes a mirror of a repository there.
func followLFS(t *testing.T, c servertest.Caller, repo, host, path string) {
	t.Helper()
	c.LinkAs(t, repo, host, path)
	user := lfstest.User
	_, err := c.REST(t, repo).CreateCredential(t.Context(), repo, client.CreateCredentialRequest{Username: &user, Password: lfstest.Password})
	require.NoError(t, err)
}

// TestLFS_killed kills a server between the bytes and the row of an object, after both,
// and between a fetch and its store. The next server has no half object and nothing
// twice, and what was acknowledged is there.
func TestLFS_killed(t *testing.T) {
	t.Parallel()
	host, blocks := startLFSHost(t)
	for _, failpoint := range []string{"lfs-uploaded", "lfs-object-stored", "lfs-object-recorded", "lfs-fetched"} {
		t.Run(failpoint, func(t *testing.T) {
			t.Parallel()
			o := servertest.Options{Dir: t.TempDir(), Hosts: blocks}
			fetching := failpoint == "lfs-fetched"
			p := servertest.StartProcess(t, o)
			acknowledged, cut := someBytes(61, 4000), someBytes(62, 600<<10)
			path := "acme/" + failpoint
			if fetching {
				followLFS(t, p.Caller, local, host, path)
				lfsRemote{"http://" + host + "/" + path + ".git/info/lfs", lfstest.User, lfstest.Password}.upload(t, cut)
			} else {
				p.Create(t, local)
			}
			here := lfsAt(t, p.Caller, local)
			here.upload(t, acknowledged)
			operation, method, body := "upload", http.MethodPut, cut
			if fetching {
				operation, method, body = "download", http.MethodGet, nil
			}
			a := here.batch(t, operation, cut)
			require.Contains(t, a.Actions, operation)
			p.Arm(t, failpoint)
			ended := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
				defer cancel()
				_, _, err := here.follow(ctx, method, a, operation, body)
				ended <- err
			}()
			p.AwaitHits(t, 1)
			p.Kill()
			require.Error(t, <-ended, "nobody got the answer that it is done")

			s := servertest.Start(t, o)
			left, err := os.ReadDir(filepath.Join(o.Dir, "lfs", "incoming"))
			require.NoError(t, err)
			require.Empty(t, left)
			here = lfsAt(t, s.Caller, local)
			status, got, err := here.follow(t.Context(), http.MethodGet, here.batch(t, "download", acknowledged), "download", nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, acknowledged, got)

			a = here.batch(t, "download", cut)
			switch {
			case failpoint == "lfs-uploaded", failpoint == "lfs-object-stored":
				require.NotNil(t, a.Error, "no row without an acknowledgement of the bytes")
				require.Equal(t, http.StatusNotFound, a.Error.Code)
				here.upload(t, cut)
				a = here.batch(t, "download", cut)
			default:
				require.Nil(t, a.Error)
			}
			status, got, err = here.follow(t.Context(), http.MethodGet, a, "download", nil)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, cut, got)
			requireLFSObjects(t, s, local, 2)
		})
	}
}

// TestLFS_misbehavingUpstream has the server with which git-lfs tests its client as the
// upstream: redirects, permissions that have expired, a host that says slow down.
func TestLFS_misbehavingUpstream(t *testing.T) {
	t.Parallel()
	host, blocks := startLFSHost(t)
	s := servertest.Start(t, servertest.Options{Hosts: blocks})
	followLFS(t, s.Caller, local, host, "acme/ordinary")
	here := lfsAt(t, s.Caller, local)
	there := lfsRemote{"http://" + host + "/acme/ordinary.git/info/lfs", lfstest.User, lfstest.Password}
	content := someBytes(71, 300<<10)
	here.upload(t, content)
	status, got, err := there.follow(t.Context(), http.MethodGet, there.batch(t, "download", content), "download", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, content, got, "it went to the upstream")

	// What the host refuses when the bytes come is refused, and not here either.
	for word, want := range map[string]int{
		"status-storage-403": http.StatusUnprocessableEntity, "status-storage-404": http.StatusNotFound, "status-storage-422": http.StatusUnprocessableEntity,
	} {
		a := here.batch(t, "upload", []byte(word))
		require.Contains(t, a.Actions, "upload", word)
		status, said, err := here.follow(t.Context(), http.MethodPut, a, "upload", []byte(word))
		require.NoError(t, err)
		require.Equal(t, want, status, "%s: %s", word, said)
		require.NotContains(t, string(said), lfstest.Password)
		require.NotNil(t, here.batch(t, "download", []byte(word)).Error, word)
	}
	// What its batch refuses is refused in the answer about the object.
	for _, word := range []string{"status-batch-403", "status-batch-404", "status-batch-410", "status-batch-422"} {
		a := here.batch(t, "upload", []byte(word))
		require.NotNil(t, a.Error, word)
		require.NotEmpty(t, a.Error.Message, word)
		require.Empty(t, a.Actions, word)
	}
	// Bytes that are not the object's are neither kept nor sent on to the client.
	corrupt := []byte("storage-download-corrupt")
	there.upload(t, corrupt)
	a := here.batch(t, "download", corrupt)
	require.Nil(t, a.Error)
	status, got, err = here.follow(t.Context(), http.MethodGet, a, "download", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, string(got), "damaged")
	require.NotContains(t, s.Log.String(), lfstest.Password)
	requireLFSObjects(t, s, local, 1)
}
