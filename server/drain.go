package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
)

// drain counts running requests and turns new ones away once the server stops.
type drain struct {
	mu      sync.Mutex
	running int
	closed  bool
	idle    chan struct{} // closed when closed and running is 0
	ending  chan struct{} // closed when closed is set: requests that wait for events should end
}

func newDrain() *drain { return &drain{idle: make(chan struct{}), ending: make(chan struct{})} }

// wrap counts the requests of next.
func (d *drain) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !d.enter() {
			w.Header().Set("Retry-After", "5")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"error":"the server is shutting down; try again shortly","status":503,"title":"Service Unavailable","type":"about:blank"}` + "\n"))
			return
		}
		defer d.leave()
		next.ServeHTTP(w, r)
	})
}

func (d *drain) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.running++
	return true
}

func (d *drain) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running--
	if d.closed && d.running == 0 {
		close(d.idle)
	}
}

// wait turns new requests away and waits for the running ones.
func (d *drain) wait(ctx context.Context) error {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.ending)
		if d.running == 0 {
			close(d.idle)
		}
	}
	d.mu.Unlock()
	select {
	case <-d.idle:
		return nil
	case <-ctx.Done():
		return errors.New("some requests did not finish in time and were cut off")
	}
}
