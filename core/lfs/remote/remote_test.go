package remote_test

import (
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/remote"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// The credential of the upstreams of these tests, and what actions carry.
const (
	password     = "planted-password-0123456789"
	actionSecret = "planted-action-secret-0123456789"
	querySecret  = "planted-query-secret-0123456789"
)

// action is what a batch of a [host] answers about each object.
type action map[string]any

// host is an LFS server of a test: what neither Gitea nor lfstest-gitserver does.
type host struct {
	*httptest.Server
	testing.TB

	mu       sync.Mutex
	mux      *http.ServeMux
	requests []string // "METHOD path?query authorization", as they came
	answer   func(batch map[string]any) (status int, body string)
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := unstarted(t)
	h.Start()
	return h
}

func newTLSHost(t *testing.T) *host {
	t.Helper()
	h := unstarted(t)
	h.StartTLS()
	return h
}

func unstarted(t *testing.T) *host {
	t.Helper()
	h := &host{TB: t, mux: http.NewServeMux()}
	h.Server = httptest.NewUnstartedServer(http.HandlerFunc(h.serve))
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail on purpose
	t.Cleanup(h.Close)
	h.mux.HandleFunc("POST /o/a.git/info/lfs/objects/batch", func(w http.ResponseWriter, r *http.Request) {
		var batch map[string]any
		require.NoError(t, json.NewDecoder(r.Body).Decode(&batch))
		w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
		h.mu.Lock()
		answer := h.answer
		h.mu.Unlock()
		status, body := answer(batch)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	return h
}

func (h *host) serve(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.requests = append(h.requests, strings.TrimSpace(r.Method+" "+r.URL.String()+" "+r.Header.Get("Authorization")+r.Header.Get("X-Action")))
	h.mu.Unlock()
	h.mux.ServeHTTP(w, r)
}

// seen returns the requests since the last call.
func (h *host) seen() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.requests
	h.requests = nil
	return out
}

// actions has every batch answered with these actions.
func (h *host) actions(actions map[string]action) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = func(batch map[string]any) (int, string) {
		var objects []any
		for _, o := range batch["objects"].([]any) {
			object := o.(map[string]any)
			object["actions"] = actions
			objects = append(objects, object)
		}
		out, _ := json.Marshal(map[string]any{"objects": objects})
		return http.StatusOK, string(out)
	}
}

// name is the server under another name than its address.
func (h *host) name() string {
	return strings.Replace(h.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
}

func (h *host) addr() string { return h.Listener.Addr().String() }

// client returns the client of the repository o/a of the host.
func (h *host) client(t *testing.T, edit ...func(*remote.Options)) (lfs.Upstream, *bed) {
	t.Helper()
	b := newBed(t, h.addr(), &providers.StoredCredential{Username: "u", Secret: password}, edit...)
	return b.client("o", "a"), b
}

// requireSecret wants none of the secrets in an error, in whatever form.
func requireSecret(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	all := sprint(err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		all += sprint(e) + e.Error()
	}
	_, text := upstream.Classify(err)
	for _, secret := range []string{password, actionSecret, querySecret} {
		require.NotContains(t, all+text+upstream.Failure("test", err).Error(), secret)
	}
}

// Credentials and the headers of actions go to the host that they are for, and no further
// than to the first redirect that leads to another.
func TestGet_headersStayWithTheirHost(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	storage := newHost(t)
	c, b := h.client(t)
	for _, name := range []string{storage.addr(), h.name(), storage.name()} {
		b.plugin.AddHost(providers.HostPolicy{Host: name, Scheme: "http", AllowPrivate: true})
	}
	serve := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "good") }
	h.mux.HandleFunc("GET /plain", serve)
	h.mux.HandleFunc("GET /storage/plain", serve)
	storage.mux.HandleFunc("GET /plain", serve)
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	h.mux.HandleFunc("GET /within", redirect("/plain"))
	h.mux.HandleFunc("GET /away", redirect(storage.URL+"/plain?X-Signature="+querySecret))
	h.mux.HandleFunc("GET /around", redirect(storage.URL+"/back"))
	storage.mux.HandleFunc("GET /back", redirect(h.URL+"/plain"))
	header := map[string]string{"X-Action": actionSecret, "Authorization": "Bearer " + actionSecret}
	mine := "Basic dTpwbGFudGVkLXBhc3N3b3JkLTAxMjM0NTY3ODk="

	for name, test := range map[string]struct {
		href         string
		header       map[string]string
		here, beside []string
	}{
		"our credential at our host":     {h.URL + "/plain", nil, []string{"GET /plain " + mine}, nil},
		"headers of the action":          {h.URL + "/plain", header, []string{"GET /plain Bearer " + actionSecret + actionSecret}, nil},
		"nothing of ours at another":     {storage.URL + "/plain", nil, nil, []string{"GET /plain"}},
		"headers of an action elsewhere": {storage.URL + "/plain", header, nil, []string{"GET /plain Bearer " + actionSecret + actionSecret}},
		"the same machine by a name":     {"http://" + h.name() + "/plain", nil, []string{"GET /plain"}, nil},
		"a redirect within":              {h.URL + "/within", header, []string{"GET /within Bearer " + actionSecret + actionSecret, "GET /plain Bearer " + actionSecret + actionSecret}, nil},
		"a redirect away":                {h.URL + "/away", header, []string{"GET /away Bearer " + actionSecret + actionSecret}, []string{"GET /plain?X-Signature=" + querySecret}},
		"away and back":                  {h.URL + "/around", header, []string{"GET /around Bearer " + actionSecret + actionSecret, "GET /plain"}, []string{"GET /back"}},
	} {
		h.actions(map[string]action{"download": {"href": test.href, "header": test.header}})
		h.seen()
		storage.seen()
		got, err := get(t.Context(), c, lfs.Transfer{Pointer: pointer("good")}, 0)
		require.NoError(t, err, name)
		require.Equal(t, "good", got, name)
		require.Equal(t, append([]string{"POST /o/a.git/info/lfs/objects/batch " + mine}, test.here...), h.seen(), name)
		require.Equal(t, test.beside, storage.seen(), name)
	}
}

// Where answers may not lead.
func TestGet_addressRules(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	secure := newTLSHost(t)
	c, b := h.client(t)
	h.mux.HandleFunc("GET /to", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("u"), http.StatusFound)
	})
	h.mux.HandleFunc("GET /loop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/loop?token="+querySecret, http.StatusTemporaryRedirect)
	})
	ask := func(href string) error {
		h.actions(map[string]action{"download": {"href": href, "header": map[string]string{"X-Action": actionSecret}}})
		_, err := get(t.Context(), c, lfs.Transfer{Pointer: pointer("good")}, 0)
		requireSecret(t, err)
		return err
	}
	for name, test := range map[string]struct {
		href  string
		class core.ErrorClass
		words string
	}{
		"a private address":         {"https://10.1.2.3/x?sig=" + querySecret, core.ClassRefused, "10.1.2.3 is a private address"},
		"this machine":              {"https://127.0.0.2:1/x?sig=" + querySecret, core.ClassRefused, "allow_private"},
		"this machine by its name":  {"http://" + h.name() + "/x", core.ClassRefused, "allow_private"},
		"metadata of a cloud":       {"http://169.254.169.254/latest", core.ClassRefused, "never contacts it"},
		"a redirect to one":         {h.URL + "/to?u=https%3A%2F%2F10.1.2.3%2Fx%3Ft%3D" + querySecret, core.ClassRefused, "10.1.2.3 is a private address"},
		"another scheme":            {"ftp://files.example.org/x", core.ClassRefused, "something else than https"},
		"a file":                    {"file:///etc/passwd", core.ClassProtocol, "that is none"},
		"no address":                {"good", core.ClassProtocol, "that is none"},
		"a redirect to no address":  {h.URL + "/to?u=http%3A%2F%2F%3A%3A%3A", core.ClassProtocol, "no address"},
		"redirects without end":     {h.URL + "/loop", core.ClassMoved, "more than 3 times"},
		"a certificate of nobody's": {"https://" + secure.addr() + "/x", core.ClassNetwork, "certificate is not trusted"},
	} {
		if strings.Contains(name, "certificate") {
			b.plugin.AddHost(providers.HostPolicy{Host: secure.addr(), Scheme: "https", AllowPrivate: true})
		}
		err := ask(test.href)
		require.Contains(t, requireClass(t, test.class, err), test.words, name)
	}
	require.Len(t, filter(h.seen(), "GET /loop"), 4)

	// An upstream of the public network does not lead into the private one, even to a host
	// whose block allows private addresses.
	b.plugin.AddHost(providers.HostPolicy{Host: h.name(), Scheme: "http", AllowPrivate: true})
	b.plugin.Edit(func(_ *providers.Manifest, p *providers.HostPolicy) { p.AllowPrivate = false })
	h.actions(map[string]action{"download": {"href": "http://" + h.name() + "/x"}})
	_, err := get(t.Context(), c, lfs.Transfer{Pointer: pointer("good")}, 0)
	require.ErrorContains(t, err, "allow_private")
}

func filter(lines []string, prefix string) []string {
	var out []string
	for _, l := range lines {
		if strings.HasPrefix(l, prefix) {
			out = append(out, l)
		}
	}
	return out
}

// Plain http is for upstreams and hosts for which the operator says so.
func TestGet_httpsAlone(t *testing.T) {
	t.Parallel()
	h := newTLSHost(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600))
	c, b := h.client(t)
	b.plugin.ResolveFunc = func(context.Context, providers.ResolveRequest) (providers.Remote, error) {
		return providers.Remote{URL: h.URL + "/o/a.git", Host: h.addr(), Path: "o/a"}, nil
	}
	b.plugin.Edit(func(_ *providers.Manifest, p *providers.HostPolicy) { p.Scheme, p.CAFile = "https", ca })
	plain := newHost(t)
	plain.mux.HandleFunc("GET /x", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "good") })
	h.mux.HandleFunc("GET /x", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "good") })
	h.mux.HandleFunc("GET /down", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain.URL+"/x", http.StatusFound) })
	b.plugin.AddHost(providers.HostPolicy{Host: plain.addr(), AllowPrivate: true})
	ask := func(href string) error {
		h.actions(map[string]action{"download": {"href": href}})
		_, err := get(t.Context(), c, lfs.Transfer{Pointer: pointer("good")}, 0)
		return err
	}
	require.NoError(t, ask(h.URL+"/x"))
	for _, href := range []string{plain.URL + "/x", h.URL + "/down"} {
		text := requireClass(t, core.ClassRefused, ask(href))
		require.Contains(t, text, "only https is spoken there")
	}
	require.Empty(t, plain.seen())
	b.plugin.AddHost(providers.HostPolicy{Host: plain.name(), Scheme: "http", AllowPrivate: true})
	require.NoError(t, ask("http://"+plain.name()+"/x"))
}

// Bodies that are not the object: shorter, longer, other parts, other codings.
func TestGet_sizes(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c, _ := h.client(t)
	var serve http.HandlerFunc
	h.mux.HandleFunc("GET /x", func(w http.ResponseWriter, r *http.Request) { serve(w, r) })
	h.actions(map[string]action{"download": {"href": h.URL + "/x?sig=" + querySecret}})
	for name, test := range map[string]struct {
		serve  http.HandlerFunc
		offset int64
		class  core.ErrorClass
		words  string
	}{
		"longer, announced":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "goods") }, 0, core.ClassCorrupt, "sends 5 bytes, and 4 were to come"},
		"shorter, announced": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "goo") }, 0, core.ClassCorrupt, "sends 3 bytes, and 4 were to come"},
		"longer": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "go")
			flush(w)
			_, _ = io.WriteString(w, "ods")
		}, 0, core.ClassCorrupt, "more than its 4 bytes"},
		"shorter": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "go"); flush(w) }, 0, core.ClassNetwork, "after 2 of 4 bytes"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			_, _ = io.WriteString(w, "go")
			flush(w)
			panic(http.ErrAbortHandler)
		}, 0, core.ClassNetwork, "after 2 of 4 bytes"},
		"another part": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-1/4")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "go")
		}, 2, core.ClassCorrupt, "other bytes than those from 2 on"},
		"a part of something else": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 2-3/5")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "od")
		}, 2, core.ClassCorrupt, "other bytes than those from 2 on"},
		"a coding": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "good")
		}, 0, core.ClassCorrupt, "not asked for"},
		"another status": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }, 0, core.ClassProtocol, "202"},
		"a refusal of a storage service": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>no key at http://storage.example%s</Message></Error>`, r.URL)
		}, 0, core.ClassNotFound, "no key at http://storage.example/x?[redacted]"},
	} {
		serve = test.serve
		_, err := get(t.Context(), c, lfs.Transfer{Pointer: pointer("good")}, test.offset)
		text := requireClass(t, test.class, err)
		require.Contains(t, text, test.words, name)
		require.Contains(t, text, string(pointer("good").OID), name)
		requireSecret(t, err)
		require.Equal(t, test.class == core.ClassNetwork, errors.Is(err, lfs.ErrCut), name)
	}
	_, err := c.Get(t.Context(), lfs.Transfer{Pointer: pointer("good")}, 5)
	require.Equal(t, core.KindInvalid, core.KindOf(err))
}

// What a storage service does to objects that were stored in a coding, and the user info
// that an address may have.
func TestGet_codingAndUserInfo(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c, _ := h.client(t)
	h.mux.HandleFunc("GET /x", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, "good bytes")
		_ = z.Close()
	})
	h.actions(map[string]action{"download": {"href": strings.Replace(h.URL, "http://", "http://some:"+actionSecret+"@", 1) + "/x"}})
	for _, offset := range []int64{0, 5} {
		got, err := get(t.Context(), c, lfs.Transfer{Pointer: pointer("good bytes")}, offset)
		require.NoError(t, err)
		require.Equal(t, "good bytes"[offset:], got)
	}
	require.Equal(t, "GET /x Basic "+base64.StdEncoding.EncodeToString([]byte("some:"+actionSecret)), h.seen()[1])
	_, err := get(t.Context(), c, lfs.Transfer{Pointer: pointer("good bytes and more")}, 0)
	require.ErrorIs(t, err, lfs.ErrCut)
	_, err = get(t.Context(), c, lfs.Transfer{Pointer: pointer("good")}, 0)
	requireClass(t, core.ClassCorrupt, err)
	requireSecret(t, err)
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// An action that the host refuses for its age is asked for anew, once.
func TestGet_asksAnew(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c, _ := h.client(t)
	var refuse atomic.Int32
	h.mux.HandleFunc("GET /x", func(w http.ResponseWriter, _ *http.Request) {
		if refuse.Add(-1) >= 0 {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<Error><Message>Request has expired</Message></Error>")
			return
		}
		_, _ = io.WriteString(w, "good")
	})
	h.actions(map[string]action{"download": {"href": h.URL + "/x"}})
	transfers, err := c.Batch(t.Context(), lfs.Download, "", []lfs.Pointer{pointer("good")})
	require.NoError(t, err)
	refuse.Store(1)
	h.seen()
	got, err := get(t.Context(), c, transfers[0], 0)
	require.NoError(t, err)
	require.Equal(t, "good", got)
	require.Len(t, h.seen(), 3, "refused, a batch, and the object")
	refuse.Store(2)
	_, err = get(t.Context(), c, transfers[0], 0)
	require.Contains(t, requireClass(t, core.ClassAuth, err), "Request has expired")
	require.Len(t, h.seen(), 3)
}

// A transfer is ended for its silence, not for its length.
func TestGet_stalls(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	h := newHost(t)
	c, _ := h.client(t, func(o *remote.Options) { o.Clock = clock })
	more := make(chan string)
	h.mux.HandleFunc("GET /x", func(w http.ResponseWriter, r *http.Request) {
		for {
			select {
			case s := <-more:
				_, _ = io.WriteString(w, s)
				flush(w)
			case <-r.Context().Done():
				return
			}
		}
	})
	h.actions(map[string]action{"download": {"href": h.URL + "/x"}})
	part := strings.Repeat("x", 100_000)
	object := pointer(strings.Repeat(part, 4))
	body := make(chan io.ReadCloser, 1)
	go func() {
		b, err := c.Get(t.Context(), lfs.Transfer{Pointer: object}, 0)
		if err != nil {
			t.Error(err)
		}
		body <- b
	}()
	more <- part
	b := <-body
	defer b.Close()
	buffer := make([]byte, len(part))
	_, err := io.ReadFull(b, buffer)
	require.NoError(t, err)
	for range 2 { // long, and it moves
		more <- part
		_, err = io.ReadFull(b, buffer)
		require.NoError(t, err)
		clock.Advance(time.Minute)
		clock.Await(time.Minute) // it has looked, and looks again in a minute
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadFull(b, buffer)
		ended <- err
	}()
	more <- "x"
	var failed error
	require.Eventually(t, func() bool {
		clock.Advance(time.Minute)
		select {
		case failed = <-ended:
			return true
		default:
			return false
		}
	}, time.Minute, 10*time.Millisecond)
	require.Contains(t, requireClass(t, core.ClassTimeout, failed), "did not answer in time")
}

// What a lost answer of a change leaves open is read from what the host, or nobody, has said.
func TestLocks_unconfirmed(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c, b := h.client(t)
	const media = "application/vnd.git-lfs+json"
	cut := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", media)
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"lock":`)
	}
	said := func(status int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", media)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	var answer atomic.Pointer[func(http.ResponseWriter)]
	for _, path := range []string{"POST /o/a.git/info/lfs/locks", "POST /o/a.git/info/lfs/locks/7/unlock"} {
		h.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { (*answer.Load())(w) })
	}
	requireOpen := func(want bool, name string) {
		t.Helper()
		_, err := c.Lock(t.Context(), "a.bin", "")
		require.Error(t, err, name)
		require.Equal(t, want, errors.Is(err, lfs.ErrUnconfirmed), "%s: %v", name, err)
		_, err = c.Unlock(t.Context(), "7", "", false)
		require.Error(t, err, name)
		require.Equal(t, want, errors.Is(err, lfs.ErrUnconfirmed), "%s: %v", name, err)
	}
	for name, tt := range map[string]struct {
		answer func(http.ResponseWriter)
		open   bool
	}{
		"cut off":            {cut, true},
		"no answer at all":   {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, true},
		"a proxy gave up":    {said(504, "{}"), true},
		"out of order":       {said(500, `{"message":"internal error"}`), true},
		"no JSON":            {said(201, "<"), true},
		"nothing":            {said(200, "{}"), true},
		"another one":        {said(409, `{"lock":{"id":"1","path":"a.bin"}}`), false},
		"refused":            {said(403, `{"message":"no"}`), false},
		"refused with a 200": {said(200, `{"message":"no"}`), false},
		"unknown":            {said(404, `{"message":"no such lock"}`), false},
		"LFS is off":         {said(501, `{"message":"off"}`), false},
		"slower":             {said(429, `{"message":"slow down"}`), false},
	} {
		answer.Store(&tt.answer)
		requireOpen(tt.open, name)
	}
	h.Close()
	b.service.CloseIdle()
	requireOpen(false, "nothing was sent")
}

// Whose a lock is the host says, on as many pages as it has.
func TestLocks_ours(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c, _ := h.client(t)
	h.mux.HandleFunc("POST /o/a.git/info/lfs/locks/verify", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
		page := `{"ours":[{"id":"1","path":"a"}],"theirs":[{"id":"2","path":"b"}],"next_cursor":"p2"}`
		if strings.Contains(string(body), `"cursor":"p2"`) {
			page = `{"ours":[{"id":"3","path":"c"}]}`
		}
		_, _ = io.WriteString(w, page)
	})
	for id, want := range map[string]bool{"1": true, "2": false, "3": true, "4": false} {
		ours, err := c.Ours(t.Context(), id, "refs/heads/main")
		require.NoError(t, err)
		require.Equal(t, want, ours, id)
	}
}
