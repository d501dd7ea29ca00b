package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

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
)

// endsWith reads content, and then fails.
type endsWith struct {
	io.Reader
	err error
}

func (r *endsWith) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = r.err
	}
	return n, err
}

// What is wrong with the bytes is no failure of the host, and a body that turns out to be
// wrong at its end is not taken there.
func TestPut_bodies(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c, _ := h.client(t)
	var taken atomic.Int32
	h.mux.HandleFunc("PUT /x", func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		if err == nil && int64(len(content)) == r.ContentLength && r.Header.Get("Content-Type") == "application/octet-stream" {
			taken.Add(1)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
	})
	h.actions(map[string]action{"upload": {"href": h.URL + "/x"}})
	errWrong := errors.New("these are other bytes than their id says")
	for name, size := range map[string]int{"nothing": 0, "small": 100, "large": 1 << 20} {
		content := strings.Repeat("x", size)
		ask := func(from io.Reader) error {
			transfers, err := c.Batch(t.Context(), lfs.Upload, "", []lfs.Pointer{pointer(content)})
			require.NoError(t, err)
			return c.Put(t.Context(), transfers[0], from)
		}
		require.NoError(t, ask(strings.NewReader(content)), name)
		require.EqualValues(t, 1, taken.Swap(0), name)

		err := ask(&endsWith{strings.NewReader(content), errWrong})
		require.Equal(t, errWrong, err, "%s: as it is", name)
		err = ask(strings.NewReader(content + "y"))
		require.Equal(t, core.KindInvalid, core.KindOf(err), name)
		require.ErrorContains(t, err, "more than", name)
		if size > 0 {
			err = ask(strings.NewReader(content[1:]))
			require.Equal(t, core.KindInvalid, core.KindOf(err), name)
			require.ErrorContains(t, err, "ended after", name)
		}
		require.Zero(t, taken.Load(), name)
	}
}

// Redirects of an upload: followed while the host has taken nothing, with the whole of it.
func TestPut_redirects(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c, _ := h.client(t)
	var taken atomic.Int64
	h.mux.HandleFunc("PUT /x", func(_ http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		taken.Add(n)
	})
	h.mux.HandleFunc("PUT /before", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusTemporaryRedirect) })
	h.mux.HandleFunc("PUT /unasked", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") != "" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		taken.Add(n)
	})
	h.mux.HandleFunc("PUT /behind", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		http.Redirect(w, r, "/x?token="+querySecret, http.StatusTemporaryRedirect)
	})
	for _, size := range []int{100, 1 << 20} {
		content := strings.Repeat("x", size)
		h.actions(map[string]action{"upload": {"href": h.URL + "/before"}})
		require.NoError(t, put(t.Context(), c, content))
		require.EqualValues(t, size, taken.Swap(0))
		h.actions(map[string]action{"upload": {"href": h.URL + "/unasked"}})
		require.NoError(t, put(t.Context(), c, content))
		require.EqualValues(t, size, taken.Swap(0))
	}
	h.actions(map[string]action{"upload": {"href": h.URL + "/behind"}})
	require.NoError(t, put(t.Context(), c, "small"), "what is kept in memory can be sent again")
	err := put(t.Context(), c, strings.Repeat("x", 1<<20))
	requireClass(t, core.ClassMoved, err)
	requireSecret(t, err)
}

// An upload whose action ended on the way says so; another refusal does not.
func TestPut_expires(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	h := newHost(t)
	c, _ := h.client(t, func(o *remote.Options) { o.Clock = clock })
	words := ""
	h.mux.HandleFunc("PUT /x", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if words == "" {
			clock.Advance(time.Hour)
		}
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, words+r.URL.RawQuery)
	})
	content := strings.Repeat("x", 1<<20)
	ask := func(expiry action) error {
		expiry["href"] = h.URL + "/x?X-Signature=" + querySecret
		h.actions(map[string]action{"upload": expiry})
		err := put(t.Context(), c, content)
		requireSecret(t, err)
		require.ErrorContains(t, err, string(pointer(content).OID))
		return err
	}
	for _, expiry := range []action{{"expires_in": 600}, {"expires_at": clock.Now().Add(10 * time.Minute)}} {
		err := ask(expiry)
		require.ErrorIs(t, err, lfs.ErrExpired)
		requireClass(t, core.ClassUnavailable, err)
	}
	words = "Request has expired"
	require.ErrorIs(t, ask(action{}), lfs.ErrExpired)
	words = "no"
	err := ask(action{"expires_in": 600})
	require.NotErrorIs(t, err, lfs.ErrExpired)
	requireClass(t, core.ClassAuth, err)
}

// slowReader has ten minutes pass before it gives any bytes.
type slowReader struct {
	io.Reader
	clock *coretest.Clock
}

func (r *slowReader) Read(p []byte) (int, error) {
	for range 10 {
		r.clock.Advance(time.Minute)
		time.Sleep(time.Millisecond)
	}
	return r.Reader.Read(p[:min(len(p), 50_000)])
}

// A host that takes nothing ends an upload; a client that sends nothing does not, as it
// is not the host that is waited for.
func TestPut_stalls(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	h := newHost(t)
	c, _ := h.client(t, func(o *remote.Options) { o.Clock = clock })
	h.mux.HandleFunc("PUT /x", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	h.mux.HandleFunc("PUT /silent", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	content := bytes.Repeat([]byte("x"), 200_000)
	start := func(path string, from io.Reader) chan error {
		h.actions(map[string]action{"upload": {"href": h.URL + path}})
		ended := make(chan error, 1)
		transfers, err := c.Batch(t.Context(), lfs.Upload, "", []lfs.Pointer{pointer(string(content))})
		require.NoError(t, err)
		go func() { ended <- c.Put(t.Context(), transfers[0], from) }()
		return ended
	}
	require.NoError(t, <-start("/x", &slowReader{bytes.NewReader(content), clock}))

	ended := start("/silent", bytes.NewReader(content))
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
	requireClass(t, core.ClassTimeout, failed)
	require.ErrorContains(t, failed, string(pointer(string(content)).OID))
}

// A caller that gives up gets its own error, and its slot is free again.
func TestPut_gaveUp(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c, b := h.client(t)
	b.setConcurrent(1)
	begun := make(chan struct{}, 1)
	h.mux.HandleFunc("PUT /x", func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	h.mux.HandleFunc("PUT /good", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	h.actions(map[string]action{"upload": {"href": h.URL + "/x"}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- put(ctx, c, "one") }()
	<-begun
	waiting, giveUp := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer giveUp()
	require.ErrorIs(t, put(waiting, c, "two"), context.DeadlineExceeded, "the only slot is taken")
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	h.actions(map[string]action{"upload": {"href": h.URL + "/good"}})
	require.NoError(t, put(t.Context(), c, "three"))
}

// fedReader gives what is sent to it.
type fedReader struct {
	from chan []byte
	rest []byte
}

func (r *fedReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		var more bool
		if r.rest, more = <-r.from; !more {
			return 0, io.EOF
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// feed gives n bytes.
func (r *fedReader) feed(n int) {
	for part := bytes.Repeat([]byte("x"), 4<<10); n > 0; n -= len(part) {
		r.from <- part
	}
}

// A client that sends slowly, or nothing at all, keeps nobody from the host, its upload goes
// on, and it has a place again when it sends as fast as others.
func TestPut_slowClients(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	h := newHost(t)
	c, b := h.client(t, func(o *remote.Options) { o.Clock = clock })
	b.setConcurrent(1)
	var slow atomic.Int64
	h.mux.HandleFunc("PUT /slow", func(_ http.ResponseWriter, r *http.Request) {
		for part := make([]byte, 4<<10); ; {
			n, err := r.Body.Read(part)
			slow.Add(int64(n))
			if err != nil {
				return
			}
		}
	})
	arrived, open := make(chan struct{}), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(open) })
	t.Cleanup(letGo)
	h.mux.HandleFunc("PUT /held", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-open
	})
	h.mux.HandleFunc("PUT /good", func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	start := func(path string, size int) (*fedReader, chan error) {
		content := strings.Repeat("x", size)
		h.actions(map[string]action{"upload": {"href": h.URL + path}})
		transfers, err := c.Batch(t.Context(), lfs.Upload, "", []lfs.Pointer{pointer(content)})
		require.NoError(t, err)
		from, ended := &fedReader{from: make(chan []byte)}, make(chan error, 1)
		go func() { ended <- c.Put(t.Context(), transfers[0], from) }()
		return from, ended
	}
	other := func() error {
		h.actions(map[string]action{"upload": {"href": h.URL + "/good"}})
		return put(t.Context(), c, strings.Repeat("y", 100_000))
	}
	const size = 8 << 20
	silent, silentEnded := start("/slow", size)
	small, smallEnded := start("/slow", 20_000)
	small.feed(12 << 10)
	require.NoError(t, other(), "those have no place")

	from, ended := start("/slow", size)
	from.feed(100 << 10)
	require.Eventually(t, func() bool { return slow.Load() == 100<<10 }, time.Minute, time.Millisecond)
	done := make(chan error, 1)
	go func() { done <- other() }()
	require.Eventually(t, func() bool {
		clock.Advance(time.Second)
		select {
		case err := <-done:
			return err == nil
		default:
			return false
		}
	}, time.Minute, 100*time.Millisecond, "it gives way when its patience is over")

	// What comes now and then goes on to the host.
	from.feed(4 << 10)
	require.Eventually(t, func() bool { return slow.Load() == 104<<10 }, time.Minute, time.Millisecond)
	require.NoError(t, other())

	// While another has the place, little goes out without one however fast it comes.
	h.actions(map[string]action{"upload": {"href": h.URL + "/held"}})
	held := make(chan error, 1)
	go func() { held <- put(t.Context(), c, "one") }()
	<-arrived
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		from.feed(size - 104<<10)
		close(from.from)
	}()
	require.Eventually(t, func() bool { return slow.Load() >= 700<<10 }, time.Minute, time.Millisecond)
	require.Never(t, func() bool { return slow.Load() > 1<<20 }, 200*time.Millisecond, 10*time.Millisecond)
	letGo()
	require.NoError(t, <-held)
	<-fed
	require.NoError(t, <-ended)
	require.EqualValues(t, size, slow.Load())
	small.feed(8 << 10)
	for why, ended := range map[string]chan error{"more than": smallEnded, "ended after": silentEnded} {
		if why == "ended after" {
			close(silent.from)
		}
		err := <-ended
		require.Equal(t, core.KindInvalid, core.KindOf(err), "%v", err)
		require.ErrorContains(t, err, why)
	}
}

// As many objects as the operator allows are moved at once, and not one more.
func TestClient_manyAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	c, b := h.client(t)
	b.setConcurrent(4)
	var now, most atomic.Int32
	h.mux.HandleFunc("GET /x", func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		time.Sleep(5 * time.Millisecond)
		_, _ = io.WriteString(w, "good")
	})
	h.actions(map[string]action{"download": {"href": h.URL + "/x"}})
	transfers, err := c.Batch(t.Context(), lfs.Download, "", []lfs.Pointer{pointer("good")})
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if got, err := get(t.Context(), c, transfers[0], 0); err != nil || got != "good" {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, most.Load(), int32(4))
}
