package netguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"github.com/headwater-git/headwater/providers"
)

// Resolver turns a name into addresses. [*net.Resolver] is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

var _ Resolver = (*net.Resolver)(nil)

// Control returns the Control function of a [net.Dialer] that refuses every
// address the policy does not allow. It runs after resolution, on the address
// that is about to be connected to. Errors are [providers.CodeInvalidArgument],
// wrapped in a [*net.OpError] by the dialer.
//
// A proxy would make the check worthless, because then the proxy is what is
// dialled: set Proxy to nil in the transport.
func Control(allowPrivate bool) func(network, address string, _ syscall.RawConn) error {
	return func(network, address string, _ syscall.RawConn) error {
		if network != "tcp4" && network != "tcp6" {
			return providers.Errorf(providers.CodeInvalidArgument, "connections over %s are not allowed", network)
		}
		target, err := netip.ParseAddrPort(address)
		if err != nil {
			return providers.Errorf(providers.CodeInvalidArgument, "%q is not an address", address)
		}
		if r := check(target.Addr(), allowPrivate); r != nil {
			return r.err("", target.Addr())
		}
		return nil
	}
}

// Pin resolves the host of hostport once and checks all its addresses; one that
// is not allowed refuses the host, because the client would be free to choose
// it. The addresses come back in the order of the resolver, IPv4 in four bytes,
// none twice. An IP literal is checked like a resolved address.
//
// Errors: [providers.CodeInvalidArgument] for a malformed host or an address
// that the policy refuses, with a sentence that names both and says what to do;
// [providers.CodeUnavailable] when the name cannot be resolved;
// the context's error when it ended.
func Pin(ctx context.Context, resolver Resolver, hostport string, allowPrivate bool) ([]netip.Addr, error) {
	hostport, err := ParseHost(hostport)
	if err != nil {
		return nil, err
	}
	host, _ := splitHostPort(hostport)
	if addr, err := netip.ParseAddr(host); err == nil {
		if r := check(addr, allowPrivate); r != nil {
			return nil, r.err(host, addr)
		}
		return []netip.Addr{addr}, nil
	}
	if isLocalhost(host) && !allowPrivate {
		// libcurl, unlike the Go resolver, never asks DNS for these names.
		return nil, (&refusal{what: "this machine"}).err(host, netip.Addr{})
	}
	found, err := resolver.LookupNetIP(ctx, "ip", host)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, lookupError(host, err)
	}
	var addrs []netip.Addr
	for _, addr := range found {
		// The resolver returns an A record in the sixteen bytes of a mapped
		// address; as an AAAA record that form is nobody's public address,
		// and unmapped it is judged as the IPv4 address it leads to.
		addr = addr.Unmap()
		if r := check(addr, allowPrivate); r != nil {
			return nil, r.err(host, addr)
		}
		if !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	if len(addrs) == 0 {
		return nil, providers.Errorf(providers.CodeUnavailable, "host %s has no address", host)
	}
	return addrs, nil
}

// CurlResolve returns the value of git's http.curloptResolve that makes git
// connect to addrs alone when it speaks to host and port:
// "HOST:PORT:ADDRESS[,ADDRESS]" with IPv6 in brackets, which libcurl takes
// since 7.59. Git must also be kept from redirects (http.followRedirects=false)
// and proxies (http.proxy set to the empty string), which would lead elsewhere.
//
// For an IP literal it returns "", which clears the setting: there is nothing
// to resolve, and libcurl 7.88 cannot parse an IPv6 literal in that place.
func CurlResolve(host, port string, addrs []netip.Addr) string {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil || len(addrs) == 0 {
		return ""
	}
	list := make([]string, len(addrs))
	for i, addr := range addrs {
		addr = addr.Unmap()
		list[i] = addr.String()
		if addr.Is6() {
			list[i] = "[" + list[i] + "]"
		}
	}
	return host + ":" + port + ":" + strings.Join(list, ",")
}

// isLocalhost reports whether a name is reserved for the loopback interface
// (RFC 6761, section 6.3).
func isLocalhost(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// err is the sentence a user reads. host is "" where only the address is known.
func (r *refusal) err(host string, addr netip.Addr) error {
	subject := addr.String() + " is " + r.what
	switch {
	case !addr.IsValid():
		subject = "host " + host + " is " + r.what
	case host != "" && host != addr.String():
		subject = "host " + host + " resolves to " + addr.String() + ", which is " + r.what
	}
	if r.final {
		return providers.Errorf(providers.CodeInvalidArgument, "%s; the server never contacts it", subject)
	}
	return providers.Errorf(providers.CodeInvalidArgument,
		"%s; if this upstream is meant to be there, set allow_private = true in its host block in the providers.hcl that the server is started with (--config), and send the server SIGHUP or start it again", subject)
}

func lookupError(host string, err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return providers.Errorf(providers.CodeUnavailable, "host %s does not exist in the DNS; check its spelling", host)
	}
	return providers.Errorf(providers.CodeUnavailable, "host %s cannot be resolved at the moment", host)
}
