package events

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
	"github.com/headwater-git/headwater/store/storetest"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// patience bounds every wait of a test; nothing comes near it.
const patience = 2 * time.Minute

// open allows what tests need: plain HTTP to this machine.
var open = Policy{AllowHTTP: true, AllowPrivate: true}

// bench is a service over a real store, with a clock that tests move.
type bench struct {
	testing.TB
	*Service
	db    *coretest.FaultyStore
	clock *coretest.Clock
	log   *lockedLog
	o     Options
	stop  func()
}

// newBench opens a store with the organisation acme and starts a service.
func newBench(t testing.TB, o Options) *bench {
	t.Helper()
	dir := t.TempDir()
	sealer, err := seal.LoadOrCreate(filepath.Join(dir, "seal.json"))
	require.NoError(t, err)
	clock := coretest.NewClock()
	storetest.Empty(t, dir)
	db, err := store.Open(t.Context(), filepath.Join(dir, "headwater.db"), store.Options{Sealer: sealer, Clock: clock})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	b := &bench{TB: t, db: &coretest.FaultyStore{Store: db}, clock: clock, log: &lockedLog{}}
	require.NoError(t, db.CreateOrg(t.Context(), core.Org{Name: "acme", CreatedAt: clock.Now()}))
	if o.Clock == nil {
		o.Clock = clock
	}
	if !o.Policy.AllowHTTP {
		o.Policy.AllowHTTP = true // receivers of tests have no certificate, but where one is needed
	}
	o.Store = b.db
	o.Logger = hclog.New(&hclog.LoggerOptions{Output: b.log, Level: hclog.Debug})
	b.o = o
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// start runs a new service over the store, as a start of the server does.
func (b *bench) start() {
	b.Helper()
	b.Service = New(b.o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	b.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(b, <-ended)
	})
}

// pass moves the clock, and sees to it that the sender notices: it may be
// between its look at the clock and its setting of the timer.
func (b *bench) pass(d time.Duration) {
	b.clock.Advance(d)
	b.sender.poke()
}

// webhook makes a webhook for pushes.
func (b *bench) webhook(url string, change ...func(n *NewWebhook)) core.Webhook {
	b.Helper()
	n := NewWebhook{Org: "acme", URL: url, Events: []string{core.EventPush}}
	for _, f := range change {
		f(&n)
	}
	w, err := b.Create(context.WithoutCancel(b.Context()), n)
	require.NoError(b, err)
	return w
}

// push adds a push event of a repository, whose body names it and the number.
func (b *bench) push(repo string, n int) core.Event {
	b.Helper()
	now := b.clock.Now()
	e := core.Event{
		ID: core.NewID("evt", now), RepoID: repo, Org: "acme", Type: core.EventPush, CreatedAt: now,
		Payload: fmt.Appendf(nil, `{"repository":{"id":%q,"url":%q},"n":%d}`, repo, repo, n),
	}
	require.NoError(b, b.db.AddEvents(context.WithoutCancel(b.Context()), []core.Event{e}))
	return e
}

// settled waits until every delivery of a webhook satisfies the condition, and
// returns them, oldest first.
func (b *bench) settled(w core.Webhook, n int, ok func(l Log) bool) []Log {
	b.Helper()
	var logs []Log
	b.eventually(func() bool {
		list, err := b.Deliveries(context.WithoutCancel(b.Context()), "acme", w.ID, "", 1000)
		require.NoError(b, err)
		logs = nil
		for i := len(list) - 1; i >= 0; i-- {
			if !ok(list[i]) {
				return false
			}
			logs = append(logs, list[i])
		}
		return len(logs) == n
	})
	return logs
}

// eventually waits for what no signal tells: a row of the store.
func (b *bench) eventually(ok func() bool) {
	b.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			b.Fatalf("it did not happen in time; the log says:\n%s", b.log)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func delivered(l Log) bool { return l.State == core.DeliveryDelivered }

// tried returns a condition: the delivery has had n attempts.
func tried(n int) func(l Log) bool { return func(l Log) bool { return l.Attempts == n } }

// request is what a receiver got.
type request struct {
	header http.Header
	body   string
}

// receiver is an HTTP server that keeps what it gets.
type receiver struct {
	*httptest.Server
	got chan request
}

// newReceiver starts a receiver on loopback; answer may be nil: 200.
func newReceiver(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, body string)) *receiver {
	t.Helper()
	r := &receiver{got: make(chan request, 10_000)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.got <- request{req.Header.Clone(), string(body)}
		if answer != nil {
			answer(w, req, string(body))
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// next returns the next request.
func (r *receiver) next(t testing.TB) request {
	t.Helper()
	select {
	case got := <-r.got:
		return got
	case <-time.After(patience):
		t.Fatal("no request came")
		return request{}
	}
}

// resolver is a DNS that tests change.
type resolver struct {
	mu    sync.Mutex
	hosts map[string][]string
	asked int
}

func (r *resolver) set(host string, addrs ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hosts == nil {
		r.hosts = map[string][]string{}
	}
	r.hosts[host] = addrs
}

func (r *resolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	addrs, ok := r.hosts[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	var list []netip.Addr
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	return list, nil
}

// lockedLog is a log that may be read while it is written.
type lockedLog struct {
	mu   sync.Mutex
	text []byte
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// secureReceiver is a receiver with a certificate of its own authority.
type secureReceiver struct {
	url   string
	roots *x509.CertPool
}

func startTLS(t testing.TB) secureReceiver {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return secureReceiver{s.URL, roots}
}
