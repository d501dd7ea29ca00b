package apispec_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestServer_bodiesThatAreNotRead sends every operation a body with a content coding,
// and one that stops, and holds the answers against the document: one that takes a body
// refuses them, another does not look at them.
func TestServer_bodiesThatAreNotRead(t *testing.T) {
	t.Parallel()
	server := servertest.Start(t, servertest.Options{FetchGrace: 300 * time.Millisecond, PushGrace: 300 * time.Millisecond, KeepDeleted: time.Hour})
	server.Create(t, "r")
	require.Equal(t, http.StatusOK, server.API(t, http.MethodDelete, "r", "", nil).Status) // one is in the trash, too
	server.Create(t, "r")
	server.Create(t, "s") // for those that take no body, which are done
	spec := fetchSpec(t, server.URL)
	variable := regexp.MustCompile(`\{[a-z]+\}`)
	send := func(t *testing.T, id string, header http.Header) int {
		repo := "r"
		switch {
		case !spec.TakesBody(id):
			repo = "s"
		case strings.HasPrefix(id, "createRepository"):
			repo = "new"
		}
		method, path := spec.Route(id)
		path = variable.ReplaceAllString(strings.ReplaceAll(path, "{name}", repo), "1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if slices.ContainsFunc([]string{"Webhook", "Token", "SharedCredential", "MirrorSet", "Organisation"}, func(word string) bool { return strings.Contains(id, word) }) {
			repo = "" // they are the organisation's
		}
		header.Set("Authorization", "Bearer "+server.Token(t, repo))
		resp, raw, err := sendStopped(ctx, method, server.URL+path+"?"+url.Values{"branch": {"main"}}.Encode(), header)
		// What comes of the body when the server has answered and closed resets the
		// connection, and with it goes what a busy client has not read of a long answer.
		for try := 1; errors.Is(err, syscall.ECONNRESET) && try < 10; try++ {
			resp, raw, err = sendStopped(ctx, method, server.URL+path+"?"+url.Values{"branch": {"main"}}.Encode(), header)
		}
		require.NoError(t, err)
		require.NoError(t, spec.CheckResponse(id, resp.StatusCode, resp.Header, raw), "%s", raw)
		require.NoError(t, sdkReads(strings.TrimSuffix(id, "Legacy"), resp.StatusCode, raw), "%s: %s", id, raw)
		return resp.StatusCode
	}
	n, without := 0, 0
	for _, id := range spec.Operations() {
		if !spec.TakesBody(id) {
			without++
			t.Run(id, func(t *testing.T) {
				t.Parallel()
				for _, header := range []http.Header{{"Content-Encoding": {"gzip"}}, {}} {
					status := send(t, id, header)
					require.NotContains(t, []int{http.StatusRequestTimeout, http.StatusUnsupportedMediaType, http.StatusRequestEntityTooLarge}, status)
				}
			})
			continue
		}
		n++
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, http.StatusUnsupportedMediaType, send(t, id, http.Header{"Content-Encoding": {"gzip"}}))
			require.Equal(t, http.StatusRequestTimeout, send(t, id, http.Header{}))
		})
	}
	require.Greater(t, n, 30)
	require.Greater(t, without, 30)
}

// sendStopped sends a request whose body stops after its first byte.
func sendStopped(ctx context.Context, method, address string, header http.Header) (*http.Response, []byte, error) {
	body, stopped := io.Pipe()
	defer stopped.Close()
	go func() { _, _ = stopped.Write([]byte("{")) }() // and no more
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, nil, err
	}
	r.ContentLength, r.Header, r.Close = 1000, header.Clone(), true
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return resp, raw, err
}
