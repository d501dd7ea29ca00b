package remote

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

// maxTransports bounds the routes that connections are kept for.
const maxTransports = 64

// route is what decides which connections may serve a request: those that were made under
// the same rules. An operator who changes the rules leaves the old connections behind.
type route struct {
	private bool // private addresses are allowed
	caFile  string
	caTime  time.Time // of its last change, so that a renewed file takes effect
	proxy   providers.Secret
}

// transports keeps one transport for each route. It is safe for concurrent use.
type transports struct {
	resolver netguard.Resolver

	mu    sync.Mutex
	known map[route]*http.Transport
}

func newTransports(resolver netguard.Resolver) *transports {
	return &transports{resolver: resolver, known: map[route]*http.Transport{}}
}

// get returns the transport for a host of the policy, with private saying whether private
// addresses are allowed.
func (t *transports) get(policy providers.HostPolicy, private bool) (*http.Transport, error) {
	key := route{private: private, caFile: policy.CAFile, proxy: policy.Proxy}
	if key.caFile != "" {
		info, err := os.Stat(key.caFile)
		if err != nil {
			return nil, err
		}
		key.caTime = info.ModTime()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if known := t.known[key]; known != nil {
		return known, nil
	}
	made, err := t.make(key)
	if err != nil {
		return nil, err
	}
	for old, transport := range t.known {
		if len(t.known) < maxTransports {
			break
		}
		transport.CloseIdleConnections() // what runs there ends as it would
		delete(t.known, old)
	}
	t.known[key] = made
	return made, nil
}

func (t *transports) make(key route) (*http.Transport, error) {
	made, err := discovery.NewTransport(t.dial(key.private), key.caFile, key.proxy)
	if err != nil {
		return nil, err
	}
	made.MaxIdleConnsPerHost = defaultTransfers
	// Objects are wanted as they are: a range counts the bytes that travel.
	made.DisableCompression = true
	made.ExpectContinueTimeout = 2 * time.Second
	made.WriteBufferSize, made.ReadBufferSize = 64<<10, 64<<10
	return made, nil
}

// dial returns a dial function that resolves a name once, checks all its addresses, and
// connects to the first that answers.
func (t *transports) dial(private bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: discovery.DialTimeout, Control: netguard.Control(private)}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		addrs, err := netguard.Pin(ctx, t.resolver, address, private)
		if err != nil {
			return nil, err
		}
		var failed []error
		for _, addr := range addrs {
			conn, err := dialer.DialContext(ctx, network, net.JoinHostPort(addr.String(), port))
			if err == nil {
				return conn, nil
			}
			if failed = append(failed, err); ctx.Err() != nil {
				break
			}
		}
		return nil, errors.Join(failed...)
	}
}

func (t *transports) closeIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, transport := range t.known {
		transport.CloseIdleConnections()
	}
	clear(t.known)
}
