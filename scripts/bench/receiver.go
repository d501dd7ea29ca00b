package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// checkEvery is how many deliveries share one check of the signature, so that
// checking does not take the cores of what is measured.
const checkEvery = 20

// arrival is one delivery that a receiver has taken.
type arrival struct {
	id     string
	at     time.Time // when its body was here
	body   []byte
	signed string // the header
}

// receiver takes webhooks in this process.
type receiver struct {
	url    string // a path may be appended
	secret string
	server *http.Server
	ended  chan struct{}

	mu       sync.Mutex
	gate     chan struct{} // closed: requests are answered; open: they wait
	arrivals []arrival
	seen     map[string]bool
	arrived  chan struct{} // tells of each arrival; nobody need listen
	bad      error         // the first signature that was wrong
}

// listen starts a receiver whose gate is open.
func listen(secret string) (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{
		url: "http://" + l.Addr().String() + "/", secret: secret, ended: make(chan struct{}),
		gate: make(chan struct{}), arrived: make(chan struct{}, 1),
	}
	close(r.gate)
	r.clear()
	r.server = &http.Server{Handler: http.HandlerFunc(r.take), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(r.ended)
		_ = r.server.Serve(l) // ends by stop
	}()
	return r, nil
}

// stop ends the receiver and what waits at its gate.
func (r *receiver) stop() {
	_ = r.server.Close()
	<-r.ended
}

// hold closes the gate and returns what opens it.
func (r *receiver) hold() (release func()) {
	gate := make(chan struct{})
	r.mu.Lock()
	r.gate = gate
	r.mu.Unlock()
	return sync.OnceFunc(func() { close(gate) })
}

// clear forgets what has come.
func (r *receiver) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrivals, r.seen = nil, map[string]bool{}
}

// all returns what has come, and the error of a wrong signature.
func (r *receiver) all() ([]arrival, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.arrivals, r.bad
}

// take serves one delivery.
func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	gate := r.gate
	r.mu.Unlock()
	select {
	case <-gate:
	case <-req.Context().Done():
		return
	}
	r.note(arrival{id: req.Header.Get("X-Pierre-Delivery"), at: time.Now(), body: body, signed: req.Header.Get("X-Pierre-Signature")})
	w.WriteHeader(http.StatusNoContent)
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

func (r *receiver) note(a arrival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[a.id] {
		return
	}
	r.seen[a.id] = true
	r.arrivals = append(r.arrivals, a)
	if len(r.arrivals)%checkEvery == 1 && r.bad == nil {
		r.bad = checkSignature(r.secret, a.signed, a.body)
	}
}

// signature is what the header says of a body at a time, as a receiver computes
// it.
func signature(secret, unix string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(unix + "."))
	mac.Write(body)
	return "t=" + unix + ",sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func checkSignature(secret, header string, body []byte) error {
	unix, _, ok := strings.Cut(strings.TrimPrefix(header, "t="), ",")
	if !ok || header != signature(secret, unix, body) {
		return fmt.Errorf("a delivery has the wrong signature %q", header)
	}
	t, err := strconv.ParseInt(unix, 10, 64)
	if err != nil || time.Since(time.Unix(t, 0)).Abs() > time.Minute {
		return errors.New("a delivery is signed at a wrong time")
	}
	return nil
}

// post sends a body as a program without a server behind it would.
func post(client *http.Client, target, secret string, body []byte) error {
	req, err := http.NewRequest(http.MethodPost, target, bytes.NewReader(body)) //nolint:noctx // to this process
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Pierre-Signature", signature(secret, strconv.FormatInt(time.Now().Unix(), 10), body))
	// Each is another delivery to the receiver.
	req.Header.Set("X-Pierre-Delivery", strconv.FormatInt(time.Now().UnixNano(), 36))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return errors.Join(err, resp.Body.Close())
}
