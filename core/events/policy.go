package events

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers/netguard"
)

// Policy says where webhooks may lead. The zero Policy is the strict one: HTTPS
// to public addresses. Metadata services of clouds are out of reach under every
// policy.
type Policy struct {
	AllowHTTP    bool // URLs of the scheme http
	AllowPrivate bool // loopback, private and link-local addresses
	// AllowNetworks are networks that may be contacted although they are
	// private. It is narrower than AllowPrivate.
	AllowNetworks []netip.Prefix
}

// maxURL is the length limit of a webhook's URL, in bytes.
const maxURL = 2048

// parseURL checks a URL as far as that is possible without the network.
// Errors: KindInvalid.
func (p Policy) parseURL(text string) (*url.URL, error) {
	refuse := func(format string, args ...any) (*url.URL, error) {
		return nil, core.Errorf(core.KindInvalid, "the url of a webhook "+format, args...)
	}
	if len(text) > maxURL {
		return refuse("must not be longer than %d bytes", maxURL)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || !u.IsAbs() || u.Host == "" || u.Opaque != "":
		return refuse("must be absolute, like https://example.com/hooks/headwater")
	case u.Scheme != "https" && u.Scheme != "http":
		return refuse("must begin with https://")
	case u.Scheme == "http" && !p.AllowHTTP:
		return refuse("must begin with https://; the operator of this server may allow http with --webhooks-allow-http")
	case u.User != nil:
		return refuse("must hold no user or password; receivers verify the header X-Pierre-Signature instead")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return refuse("must have no fragment: a fragment is never sent")
	}
	if _, err := netguard.ParseHost(u.Host); err != nil {
		return refuse("must name a host, like hooks.example.com or hooks.example.com:8443")
	}
	return u, nil
}

// refusal says why an address is not contacted, in words that complete
// "ADDRESS is ..."; "" if it may be.
func (p Policy) refusal(addr netip.Addr) string {
	allowed := p.AllowPrivate || slices.ContainsFunc(p.AllowNetworks, func(n netip.Prefix) bool { return n.Contains(addr) })
	return netguard.Refusal(addr, allowed)
}

// refusedError is an address, or a host all of whose addresses, the policy
// forbids.
type refusedError struct {
	host string
	addr netip.Addr
	why  string // completes "ADDRESS is ..."
}

// Error is a sentence for the owner of the webhook.
func (e *refusedError) Error() string {
	subject := e.addr.String()
	if e.host != "" && e.host != subject {
		subject = fmt.Sprintf("%s resolves to %s, which", e.host, e.addr)
	}
	text := subject + " is " + e.why + "; webhooks are not sent there"
	if netguard.Refusal(e.addr, true) == "" { // some addresses nobody can allow
		text += " unless the operator of this server allows it with --webhooks-allow-private or --webhooks-allow-network"
	}
	return text
}

// resolve returns the addresses of a host that may be contacted. Errors:
// *refusedError if none of them may be, else those of the resolver.
func (p Policy) resolve(ctx context.Context, resolver netguard.Resolver, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if why := p.refusal(addr); why != "" {
			return nil, &refusedError{addr: addr, why: why}
		}
		return []netip.Addr{addr}, nil
	}
	found, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var allowed []netip.Addr
	var refused *refusedError
	for _, addr := range found {
		addr = addr.Unmap() // the resolver gives an A record in sixteen bytes
		if why := p.refusal(addr); why != "" {
			refused = &refusedError{host: host, addr: addr, why: why}
			continue
		}
		if !slices.Contains(allowed, addr) {
			allowed = append(allowed, addr)
		}
	}
	switch {
	case len(allowed) > 0:
		return allowed, nil
	case refused != nil:
		return nil, refused
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// checkHost tells the maker of a webhook at once what every attempt would end
// with. A name that cannot be resolved just now passes. Errors: KindInvalid.
func (p Policy) checkHost(ctx context.Context, resolver netguard.Resolver, host string) error {
	_, err := p.resolve(ctx, resolver, host)
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return core.Errorf(core.KindInvalid, "the url of a webhook cannot be used: %s", refused)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return core.Errorf(core.KindInvalid, "the host %s does not exist in the DNS; check its spelling", host)
	}
	return nil
}

// control is the last look: it sees the very address of the connection.
func (p Policy) control(network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("connections over %s are not allowed", network)
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address", address)
	}
	if why := p.refusal(target.Addr()); why != "" {
		return &refusedError{addr: target.Addr(), why: why}
	}
	return nil
}
