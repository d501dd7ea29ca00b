package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// What the upstream of [talkativeLFS] is opened by, and what its actions carry.
const (
	lfsPassword     = "planted+lfs/password==0123456789"
	lfsActionSecret = "planted+lfs/action==0123456789"
	lfsHrefSecret   = "planted-lfs-signature-0123456789"
)

// talkativeLFS is a host whose actions carry secrets in headers and addresses, and which
// says them again in its answers.
type talkativeLFS struct {
	*httptest.Server

	mu     sync.Mutex
	says   map[string]int // "batch", "GET", "PUT", "locks" -> the status with which it echoes
	echoed map[string]int // how often it did
	stored map[string][]byte
}

func startTalkativeLFS(t *testing.T) *talkativeLFS {
	t.Helper()
	h := &talkativeLFS{echoed: map[string]int{}, stored: map[string][]byte{}}
	h.Server = httptest.NewServer(http.HandlerFunc(h.serve))
	t.Cleanup(h.Close)
	return h
}

// address is the host and port, as it is linked.
func (h *talkativeLFS) address() string { return h.Listener.Addr().String() }

// block configures it for a server.
func (h *talkativeLFS) block() string {
	return fmt.Sprintf("  host %q {\n    scheme = \"http\"\n    allow_private = true\n  }\n", h.address())
}

// say has requests of these kinds echoed with a status.
func (h *talkativeLFS) say(status int, kinds ...string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.says = map[string]int{}
	for _, kind := range kinds {
		h.says[kind] = status
	}
}

func (h *talkativeLFS) serve(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kind := "other"
	switch {
	case r.URL.Path == "/api/v1/repos/acme/large": // of a Gitea, which it is linked as
		_, _ = io.WriteString(w, `{"id":1,"full_name":"acme/large","default_branch":"main","private":true,"permissions":{"push":true}}`)
		return
	case strings.HasSuffix(r.URL.Path, "/objects/batch"):
		kind = "batch"
	case strings.Contains(r.URL.Path, "/locks"):
		kind = "locks"
	case strings.HasPrefix(r.URL.Path, "/store/"):
		kind = r.Method
	}
	if status := h.says[kind]; status != 0 || kind == "other" || kind == "locks" {
		h.echoed[kind]++
		w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
		w.WriteHeader(max(status, http.StatusForbidden))
		text, _ := json.Marshal(map[string]string{"message": fmt.Sprintf("you sent %s with %s and %s", r.URL, r.Header.Get("Authorization"), r.Header.Get("X-Action"))})
		_, _ = w.Write(text)
		return
	}
	switch kind {
	case "batch":
		h.batch(w, r)
	case http.MethodGet:
		_, _ = w.Write(h.stored[path.Base(r.URL.Path)])
	case http.MethodPut:
		h.stored[path.Base(r.URL.Path)], _ = io.ReadAll(r.Body)
	}
}

// batch answers with an action for each object.
func (h *talkativeLFS) batch(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Operation string           `json:"operation"`
		Objects   []map[string]any `json:"objects"`
	}
	_ = json.NewDecoder(r.Body).Decode(&asked)
	for _, o := range asked.Objects {
		o["actions"] = map[string]any{asked.Operation: map[string]any{
			"href":   fmt.Sprintf("%s/store/%s?X-Signature=%s", h.URL, o["oid"], lfsHrefSecret),
			"header": map[string]string{"X-Action": lfsActionSecret, "Authorization": "Bearer " + lfsActionSecret},
		}}
	}
	w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
	_ = json.NewEncoder(w).Encode(map[string]any{"objects": asked.Objects})
}

// use has a mirror of the host carry objects both ways, meet the host's echoes of
// everything, and returns what clients were answered.
func (h *talkativeLFS) use(t *testing.T, c servertest.Caller, repo string, planted *secrets) (answers []string) {
	t.Helper()
	const user = "river"
	planted.plant(user, lfsPassword)
	planted.plant(user, lfsActionSecret)
	planted.plant(user, lfsHrefSecret)
	c.LinkAs(t, repo, h.address(), "acme/large")
	name := user
	_, err := c.REST(t, repo).CreateCredential(t.Context(), repo, client.CreateCredentialRequest{Username: &name, Password: lfsPassword})
	require.NoError(t, err)
	at := lfsAt(t, c, repo)
	media := http.Header{"Accept": {"application/vnd.git-lfs+json"}, "Content-Type": {"application/vnd.git-lfs+json"}}
	send := func(method, url string, body []byte) int {
		t.Helper()
		status, text, err := at.do(t.Context(), method, url, media, body)
		require.NoError(t, err)
		answers = append(answers, string(text))
		return status
	}
	ask := func(operation string, content []byte) {
		t.Helper()
		body, err := json.Marshal(map[string]any{"operation": operation, "objects": []any{map[string]any{"oid": oidOf(content), "size": len(content)}}})
		require.NoError(t, err)
		send(http.MethodPost, at.url+"/objects/batch", body)
	}
	// Both ways.
	up, down := someBytes(141, 2000), someBytes(142, 2000)
	at.upload(t, up)
	h.mu.Lock()
	require.Equal(t, up, h.stored[oidOf(up)], "the upload went by the action with the secrets")
	h.stored[oidOf(down)] = down
	h.mu.Unlock()
	a := at.batch(t, "download", down)
	status, got, err := at.follow(t.Context(), http.MethodGet, a, "download", nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, down, got)
	raw, err := json.Marshal(a)
	require.NoError(t, err)
	answers = append(answers, string(raw))

	for i, status := range []int{http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusInternalServerError} {
		content := someBytes(uint64(150+i), 3000)
		h.mu.Lock()
		h.stored[oidOf(content)] = content
		h.mu.Unlock()
		h.say(status, "GET", "PUT")
		for operation, method := range map[string]string{"download": http.MethodGet, "upload": http.MethodPut} {
			a := at.batch(t, operation, content)
			code, text, err := at.follow(t.Context(), method, a, operation, content)
			if err == nil { // else the connection was cut, which says nothing
				require.NotEqual(t, http.StatusOK, code, "%s %d", operation, status)
				answers = append(answers, string(text))
			}
		}
		h.say(status, "batch", "locks")
		ask("download", someBytes(uint64(160+i), 1000))
		ask("upload", someBytes(uint64(170+i), 1000))
		require.NotEqual(t, http.StatusCreated, send(http.MethodPost, at.url+"/locks", []byte(`{"path":"a.bin"}`)))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, kind := range []string{"batch", "locks", http.MethodGet, http.MethodPut} {
		require.NotZero(t, h.echoed[kind], "the host was to echo what it was sent: %s", kind)
	}
	require.Contains(t, strings.Join(answers, "\n"), "you sent", "the host's words come through, without the secrets")
	return answers
}
