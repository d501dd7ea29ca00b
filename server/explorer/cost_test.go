package explorer_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/api"
	"github.com/headwater-git/headwater/server/explorer"
)

// sink is an answer that is counted and not kept.
type sink struct {
	header http.Header
	status int
	bytes  int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { s.bytes += len(p); return len(p), nil }

// Whoever has no token may ask for the page on any number of connections, so no answer
// makes it anew or takes a copy of it.
func TestExplorer_answersTakeNoMemory(t *testing.T) { //nolint:paralleltest // counts what is allocated
	h := explorer.New(func() []byte { return api.Document("1.2.3") })
	for _, target := range []string{"/api", "/api?q=", "/api?q=e", "/api?q=webhook"} {
		read := func() *sink {
			s := &sink{header: http.Header{}, status: http.StatusOK}
			h.ServeHTTP(s, httptest.NewRequest(http.MethodGet, target, nil))
			require.Equal(t, http.StatusOK, s.status)
			return s
		}
		size := read().bytes // and made, if it is the first
		const times = 20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range times {
			require.Equal(t, size, read().bytes)
		}
		runtime.ReadMemStats(&after)
		each := (after.TotalAlloc - before.TotalAlloc) / times
		t.Logf("%s: %d bytes of answer, %d allocated", target, size, each)
		require.Less(t, each, uint64(256<<10), target)
		require.Greater(t, size, 20<<10, target)
	}
}
