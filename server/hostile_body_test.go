package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

const lfsBatch = "POST /r.git/info/lfs/objects/batch"

// send sends a whole request with the body and returns the answer's status and header.
func (h hostile) send(t *testing.T, operation, body string) (int, http.Header) {
	t.Helper()
	method, path, _ := strings.Cut(operation, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, h.s.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", h.auth)
	r.Header.Set("Content-Type", "application/vnd.git-lfs+json")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, resp.Header
}

// However many requests a caller has begun to send, few of its bodies are held in memory
// at one time, and those of others are still taken.
func TestHostileReader_fewBodiesInMemory(t *testing.T) {
	t.Parallel()
	const perRepository = 3 // three quarters of half of the places
	grep := fmt.Sprintf(`{"query":{"pattern":"x"},"file_filters":{"include_globs":[%s""]}}`, strings.Repeat(`"",`, 100_000))
	batch := `{"operation":"download","objects":[]` + strings.Repeat(" ", 100_000) + `}`
	for name, tt := range map[string]struct{ operation, body, small string }{
		"a search":       {"POST /api/v1/repos/grep", grep, `{"query":{"pattern":"x"}}`},
		"a batch of LFS": {lfsBatch, batch, `{"operation":"download","objects":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, servertest.Options{Limits: limit.Options{Ceilings: limit.Ceilings{Server: 8}, Wait: 50 * time.Millisecond}})
			fillHostile(t, s)
			h := newHostile(t, s, "r")
			h.auth = "Bearer " + h.token
			for range perRepository { // each has begun to send, and goes on just fast enough
				conn := h.begin(t, tt.operation, "Content-Type: application/json\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
				text := make([]byte, 25)
				require.NoError(t, conn.SetReadDeadline(time.Now().Add(time.Minute)))
				_, err := io.ReadFull(conn, text)
				require.NoError(t, err)
				require.Equal(t, "HTTP/1.1 100 Continue\r\n\r\n", string(text), "its body is read")
				go func() {
					for {
						if _, err := conn.Write(make([]byte, 600)); err != nil {
							return // closed at the end of the test
						}
						time.Sleep(100 * time.Millisecond)
					}
				}()
			}
			for range 3 {
				status, header := h.send(t, tt.operation, tt.body)
				require.Equal(t, http.StatusTooManyRequests, status)
				require.NotEmpty(t, header.Get("Retry-After"))
			}
			status, _ := h.send(t, tt.operation, tt.small)
			require.Equal(t, http.StatusOK, status, "a small one of the same caller")

			bystander := h
			bystander.auth = "Bearer " + s.TokenWith(t, access.Claims{Repo: "r", Subject: "another", Scopes: []access.Scope{access.GitRead}})
			status, _ = bystander.send(t, tt.operation, tt.body)
			require.NotContains(t, []int{http.StatusTooManyRequests, http.StatusInternalServerError}, status, "a large one of another caller")
		})
	}
}

// The objects of a batch are counted before they take memory, and what is no text is
// refused, as in the API.
func TestServer_lfsBodiesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, "r")
	h := hostile{s: s, auth: "Bearer " + s.Token(t, "r")}
	list := func(n int, one string) string {
		return `{"operation":"download","objects":[` + strings.Repeat(one+",", n-1) + one + `]}`
	}
	object := fmt.Sprintf(`{"oid":"%064x","size":1}`, 1)
	for name, tt := range map[string]struct {
		operation, body string
		want            int
	}{
		"as many as may be":         {lfsBatch, list(10_000, object), http.StatusOK},
		"one more":                  {lfsBatch, list(10_001, object), http.StatusRequestEntityTooLarge},
		"the shortest there are":    {lfsBatch, list(600_000, "{}"), http.StatusRequestEntityTooLarge},
		"larger than a body may be": {lfsBatch, list(100_000, object), http.StatusRequestEntityTooLarge},
		"objects that are no list":  {lfsBatch, `{"operation":"download","objects":{"oid":"a"}}`, http.StatusUnprocessableEntity},
		"objects that are null":     {lfsBatch, `{"operation":"download","objects":null}`, http.StatusOK},
		"an object that is a text":  {lfsBatch, list(1, `"x"`), http.StatusUnprocessableEntity},
		"half of a character":       {"POST /r.git/info/lfs/locks", `{"path":"a\ud800b"}`, http.StatusUnprocessableEntity},
		"a path that is not UTF-8":  {"POST /r.git/info/lfs/locks", "{\"path\":\"a\xffb\"}", http.StatusUnprocessableEntity},
		"a path with both halves":   {"POST /r.git/info/lfs/locks", `{"path":"a\ud83d\ude00b"}`, http.StatusCreated},
	} {
		status, _ := h.send(t, tt.operation, tt.body)
		require.Equal(t, tt.want, status, name)
	}
}
