package server_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/internal/servertest"
)

// dripping gives what there is, and then nothing, or a byte now and then, until it is closed.
type dripping struct {
	io.Reader
	drips bool
	over  chan struct{}
	close func()
}

func newDripping(sent string, drips bool) *dripping {
	over := make(chan struct{})
	return &dripping{strings.NewReader(sent), drips, over, sync.OnceFunc(func() { close(over) })}
}

func (d *dripping) Read(p []byte) (int, error) {
	if n, err := d.Reader.Read(p); n > 0 || err == nil {
		return n, err
	}
	pause := time.Hour
	if d.drips {
		pause = 10 * time.Millisecond
	}
	select {
	case <-d.over:
		return 0, io.ErrUnexpectedEOF
	case <-time.After(pause):
		return copy(p, "a"), nil
	}
}

func (d *dripping) Close() error {
	d.close()
	return nil
}

// TestHostileReader_slowBodiesOverHTTP2 is TestHostileReader_slowBodiesAreCut on one
// connection of HTTP/2, on which each body is cut by itself.
func TestHostileReader_slowBodiesOverHTTP2(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{TLS: true, FetchGrace: 300 * time.Millisecond, PushGrace: 300 * time.Millisecond})
	token := s.Token(t, "r")
	basic, bearer := "Basic "+base64.StdEncoding.EncodeToString([]byte("t:"+token)), "Bearer "+token
	const form, json = "application/x-www-form-urlencoded", "application/json"
	lfs := "/r.git/info/lfs/objects/"
	client := s.HTTPS()
	t.Cleanup(client.CloseIdleConnections)
	call := func(method, path, body string, want int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Authorization", bearer)
		r.Header.Set("Content-Type", json)
		answer, err := client.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		require.Equal(t, want, answer.StatusCode)
	}
	call(http.MethodPost, "/api/repos", "{}", http.StatusCreated)
	var all sync.WaitGroup
	for name, tt := range map[string]struct {
		method, path, kind, auth, sent string
		drips                          bool
	}{
		"a form that stops":         {"POST", "/console/sign-in", form, "", "token=", false},
		"a form that drips":         {"POST", "/console/sign-in", form, "", "token=", true},
		"a link that stops":         {"POST", "/console/link", form, "", "code=", false},
		"a call that stops":         {"POST", "/api/v1/repos/grep", json, bearer, "{", false},
		"a call that drips":         {"POST", "/api/v1/repos/grep", json, bearer, "{", true},
		"a commit that stops":       {"POST", "/api/v1/repos/commit-pack", json, bearer, `{"metadata"`, false},
		"a credential that drips":   {"POST", "/api/v1/repos/git-credentials", json, bearer, "{", true},
		"a fetch that stops":        {"POST", "/r.git/git-upload-pack", "application/x-git-upload-pack-request", basic, "0011comm", false},
		"a batch of LFS that drips": {"POST", lfs + "batch", json, basic, "{", true},
		"an object that stops":      {"PUT", lfs + fmt.Sprintf("%064x", 1), "application/octet-stream", basic, "x", false},
		"an object that drips":      {"PUT", lfs + fmt.Sprintf("%064x", 2), "application/octet-stream", basic, "x", true},
	} {
		all.Go(func() {
			body := newDripping(tt.sent, tt.drips)
			defer body.close()
			r, err := http.NewRequestWithContext(t.Context(), tt.method, s.URL+tt.path, body)
			if !assert.NoError(t, err) {
				return
			}
			r.ContentLength = 1_000_000
			r.Header.Set("Content-Type", tt.kind)
			if tt.auth != "" {
				r.Header.Set("Authorization", tt.auth)
			}
			stop := time.AfterFunc(time.Minute, body.close)
			defer stop.Stop()
			answer, err := client.Do(r)
			if !assert.NoError(t, err, "%s: it is not cut", name) {
				return
			}
			defer answer.Body.Close()
			assert.Equal(t, http.StatusRequestTimeout, answer.StatusCode, name)
			assert.Equal(t, 2, answer.ProtoMajor, name)
		})
	}
	all.Wait()
	require.False(t, t.Failed())
	call(http.MethodGet, "/api/v1/repos/branches", "", http.StatusOK)
}
