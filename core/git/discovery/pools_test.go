package discovery

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// countedHost answers listings at one loopback address, and counts the connections
// that are made to it.
func countedHost(t *testing.T, addr string) (remote git.Remote, conns *atomic.Int32) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(addr, "0"))
	require.NoError(t, err)
	conns = &atomic.Int32{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_, _ = io.WriteString(w, pkts("# service=git-upload-pack\n", pktline.FlushPacket, idA+" refs/heads/a\x00", pktline.FlushPacket))
	}))
	require.NoError(t, srv.Listener.Close())
	srv.Listener = listener
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	// The name exists nowhere.
	return git.Remote{URL: fmt.Sprintf("http://host.invalid:%d/r", netip.MustParseAddrPort(listener.Addr().String()).Port())}, conns
}

// at returns the addresses.
func at(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		out = append(out, netip.MustParseAddr(text))
	}
	return out
}

// TestDiscoverer_keepsConnectionsWhileNamesRotate asks a host whose name has another
// choice of addresses each time, as behind large resolvers. The connection to the
// one that answers is kept.
func TestDiscoverer_keepsConnectionsWhileNamesRotate(t *testing.T) {
	t.Parallel()
	remote, conns := countedHost(t, "127.0.0.5")
	d := oneConnection(t, conns, func(d *Discoverer) {
		for _, addrs := range [][]netip.Addr{
			at("127.0.0.2", "127.0.0.5"), at("127.0.0.5", "127.0.0.9"), at("127.0.0.3", "127.0.0.5", "127.0.0.4"), at("127.0.0.5"), at("::ffff:127.0.0.5"),
		} {
			remote.Addrs = addrs
			got, err := d.Refs(t.Context(), remote, allPrefixes)
			require.NoError(t, err, addrs)
			require.Len(t, got.Refs, 1)
		}
	})

	remote.Addrs = at("127.0.0.6")
	_, err := d.Refs(t.Context(), remote, allPrefixes)
	require.Error(t, err, "a kept connection to an address that is not checked any more must not be used")
}

// oneConnection has f ask a host with a new discoverer, and wants one connection to have
// been enough. On a machine under load net/http does not use one again whose request was
// not known to be written 50 ms after its answer (maxWriteWaitBeforeConnReuse), so f may
// need more twice.
func oneConnection(t *testing.T, made *atomic.Int32, f func(d *Discoverer)) *Discoverer {
	t.Helper()
	for attempt := 1; ; attempt++ {
		d := newTestDiscoverer(t)
		made.Store(0)
		f(d)
		if made.Load() == 1 || attempt == 3 {
			require.Equal(t, int32(1), made.Load(), "connections made")
			return d
		}
	}
}

// TestDiscoverer_keepsWhatIsInUse asks more hosts than there are pools. The ones
// that are asked again and again keep their connection.
func TestDiscoverer_keepsWhatIsInUse(t *testing.T) {
	t.Parallel()
	remote, conns := countedHost(t, "127.0.0.1")
	remote.Addrs = at("127.0.0.1")
	d := oneConnection(t, conns, func(d *Discoverer) {
		for i := range 2 * maxPools {
			if i%20 == 0 {
				_, err := d.Refs(t.Context(), remote, allPrefixes)
				require.NoError(t, err)
			}
			other := remote
			other.Addrs = at(fmt.Sprintf("127.1.%d.%d", i/250, i%250+1)) // nobody listens there
			_, err := d.Refs(t.Context(), other, allPrefixes)
			require.Error(t, err)
		}
	})
	require.LessOrEqual(t, len(d.pools.known), maxPools)
}
