package server

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwarded lets requests that come through a trusted proxy count as coming from
// the client that the proxy names in X-Forwarded-For: in the audit, and where
// senders have limits. Proxies append to that header whom they got the request
// from, so it is read from its end, and ends at the first address that is not a
// trusted proxy's: what stands before that anybody may have written. From others
// the header says nothing.
func forwarded(next http.Handler, trusted []netip.Prefix) http.Handler {
	if len(trusted) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client := clientOf(r, trusted); client != "" {
			r = r.Clone(r.Context())
			r.RemoteAddr = client
		}
		next.ServeHTTP(w, r)
	})
}

// clientOf returns address and port (0: not known) of who sent a request to the
// first of the trusted proxies that it came through, "" if it came through none.
func clientOf(r *http.Request, trusted []netip.Prefix) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !among(trusted, plain(peer.Addr())) {
		return ""
	}
	client := ""
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		addr, ok := parseHop(hop)
		if !ok {
			break // what a proxy did not write
		}
		client = netip.AddrPortFrom(addr, 0).String()
		if !among(trusted, addr) {
			break
		}
	}
	return client
}

// parseHop reads one address of X-Forwarded-For; some proxies write a port to it.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
	return plain(addr), err == nil
}

// plain is an address as networks are written: IPv4 as such, and without a zone.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

func among(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}
