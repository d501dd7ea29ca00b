package discovery

import (
	"cmp"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/providers"
)

// poolKey tells which connections may serve which remote: one that was made to an
// address is of use while that address is among the checked ones, and to remotes
// with the same trusted roots. The address stands alone, not with the others that
// the name had: resolvers answer with another choice of them each time.
type poolKey struct {
	host   string
	addr   netip.Addr // zero: the name is resolved at the dial
	caFile string
	caTime time.Time // of its last change, so that a renewed file takes effect
	proxy  providers.Secret
}

// pool is the kept connections to one address.
type pool struct {
	transport *http.Transport
	used      int64 // when an answer came last, by the count of pools; 0: never
}

// pools keeps connections by address, as many as limit; over it, those go whose
// last answer is longest ago. It is safe for concurrent use.
type pools struct {
	limit int

	mu    sync.Mutex
	known map[poolKey]*pool
	uses  int64
}

func newPools(limit int) *pools { return &pools{limit: limit, known: map[poolKey]*pool{}} }

// order returns the keys of the remote's addresses in the order to try them: where
// an answer came from last goes first, since a connection is kept there.
func (p *pools) order(host string, r git.Remote) ([]poolKey, error) {
	key := poolKey{host: host, caFile: r.CAFile, proxy: r.Proxy}
	if r.CAFile != "" {
		info, err := os.Stat(r.CAFile)
		if err != nil {
			return nil, err
		}
		key.caTime = info.ModTime()
	}
	if len(r.Addrs) == 0 || r.Proxy != "" {
		return []poolKey{key}, nil
	}
	keys := make([]poolKey, len(r.Addrs))
	for i, a := range r.Addrs {
		keys[i] = key
		keys[i].addr = a.Unmap()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	used := func(k poolKey) int64 {
		if known := p.known[k]; known != nil {
			return known.used
		}
		return 0
	}
	// Among those without an answer IPv4 comes first, which is also the family
	// more likely to work.
	slices.SortFunc(keys, func(a, b poolKey) int {
		return cmp.Or(cmp.Compare(used(b), used(a)), a.addr.Compare(b.addr))
	})
	return slices.Compact(keys), nil
}

// get returns the transport of a key, making it if there is none.
func (p *pools) get(key poolKey) (*http.Transport, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[key]; known != nil {
		return known.transport, nil
	}
	t, err := NewTransport(pinnedDial(key.addr), key.caFile, key.proxy)
	if err != nil {
		return nil, err
	}
	if len(p.known) >= p.limit {
		var oldest poolKey
		first := true
		for k, known := range p.known {
			if first || known.used < p.known[oldest].used {
				oldest, first = k, false
			}
		}
		// A request that runs there keeps its connection to its end.
		p.known[oldest].transport.CloseIdleConnections()
		delete(p.known, oldest)
	}
	p.known[key] = &pool{transport: t}
	return t, nil
}

// answered notes that an answer came from the key's address.
func (p *pools) answered(key poolKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.uses++
	if known := p.known[key]; known != nil {
		known.used = p.uses
	}
}

// closeIdle closes the connections that serve no request now, and forgets all.
func (p *pools) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, known := range p.known {
		known.transport.CloseIdleConnections()
	}
	clear(p.known)
}
