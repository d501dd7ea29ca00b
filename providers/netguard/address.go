package netguard

import (
	"net/netip"

	"code.dny.dev/ssrf"
)

// guardian knows the special-purpose registries of IANA. Ports are not
// restricted: a self-hosted forge may listen on any.
func guardian() *ssrf.Guardian { return ssrf.New(ssrf.WithAnyPort(), ssrf.WithAnyNetwork()) }

// refusal says why an address may not be contacted, and whether the operator
// can allow it.
type refusal struct {
	what  string // completes "ADDRESS is ..."
	final bool   // allow_private does not help
}

// check returns nil if the address may be contacted.
func check(addr netip.Addr, allowPrivate bool) *refusal {
	if isFinal, what := never(addr); isFinal {
		return &refusal{what: what, final: true}
	}
	if allowPrivate || guardian().SafeAddr(addr) == nil {
		return nil
	}
	return &refusal{what: describe(addr)}
}

// Refusal says why an address must not be contacted, in words that complete
// "ADDRESS is ..."; "" if it may be. It is for those who dial for another
// reason than an upstream, and so give other advice than [Pin] and [Control].
func Refusal(addr netip.Addr, allowPrivate bool) string {
	if r := check(addr, allowPrivate); r != nil {
		return r.what
	}
	return ""
}

// never names the addresses at which there can be no forge, whatever the
// operator allows. The metadata services of clouds hand out credentials of the
// machine to anyone who asks, and allow_private must not open them by the way.
func never(addr netip.Addr) (bool, string) {
	switch plain := addr.Unmap().WithZone(""); {
	case !addr.IsValid():
		return true, "not an address"
	case plain.IsUnspecified():
		return true, "the unspecified address"
	case plain.IsMulticast():
		return true, "a multicast address"
	case plain == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return true, "the broadcast address"
	case plain == netip.AddrFrom4([4]byte{169, 254, 169, 254}), // AWS, Azure, GCP, DigitalOcean, OpenStack
		plain == netip.AddrFrom4([4]byte{169, 254, 170, 2}),   // AWS container credentials
		plain == netip.AddrFrom4([4]byte{100, 100, 100, 200}), // Alibaba
		plain == netip.MustParseAddr("fd00:ec2::254"):         // AWS over IPv6
		return true, "a cloud metadata service"
	}
	return false, ""
}

// describe names the kind of an address that the guardian refused. It is for
// people: the guardian alone decides.
func describe(addr netip.Addr) string {
	for _, kind := range []struct{ prefix, name string }{
		{"::ffff:0:0/96", "an IPv4 address written as IPv6"},
		{"64:ff9b::/96", "an IPv4 address behind NAT64"},
		{"64:ff9b:1::/48", "an IPv4 address behind NAT64"},
		{"2002::/16", "an IPv4 address behind 6to4"},
		{"2001::/32", "an IPv4 address behind Teredo"},
		{"100.64.0.0/10", "a shared (carrier-grade NAT) address"},
		{"0.0.0.0/8", "an address of this machine"},
	} {
		if netip.MustParsePrefix(kind.prefix).Contains(addr) {
			return kind.name
		}
	}
	switch {
	case addr.IsLoopback():
		return "a loopback address"
	case addr.IsLinkLocalUnicast():
		return "a link-local address"
	case addr.IsPrivate():
		return "a private address"
	}
	return "a reserved address"
}
