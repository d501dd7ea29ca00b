package middleware_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/middleware"
)

// A request by GET is answered whatever body it announces and does not send, also for
// longer than anybody would wait for one.
func TestPace_bodyOfARead(t *testing.T) {
	t.Parallel()
	const grace = 100 * time.Millisecond
	server := httptest.NewServer(middleware.Pace(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) > 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		for range 3 {
			_, _ = io.WriteString(w, "still here\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(2 * grace):
			}
		}
		_, _ = io.WriteString(w, "done\n")
	}), grace))
	t.Cleanup(server.Close)
	for name, rest := range map[string]string{
		"half a body":           "Content-Length: 1000000\r\n\r\n{",
		"half a chunk":          "Transfer-Encoding: chunked\r\n\r\n5\r\n{",
		"all of it":             "Content-Length: 2\r\n\r\n{}",
		"another request in it": "Content-Length: 24\r\n\r\nGET /smuggled HTTP/1.1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
			_, err = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n%s", rest)
			require.NoError(t, err)
			in := bufio.NewReader(conn)
			resp, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			defer resp.Body.Close()
			all, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.Equal(t, "still here\nstill here\nstill here\ndone\n", string(all))
			more, err := io.ReadAll(in)
			require.NoError(t, err, "the connection ends")
			require.Empty(t, more)
		})
	}
}
