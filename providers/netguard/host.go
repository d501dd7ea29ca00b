// Package netguard decides which network addresses an upstream may have.
//
// A user names the upstream host, so the server can be asked to speak to any
// address it can reach: its own loopback services, the private network, the
// metadata service of its cloud. The guard refuses all of them unless the
// operator allows private addresses for that host in providers.hcl.
//
// It is used in two ways. Go clients dial through [Control], which sees the
// very address that is about to be connected to, so a name that resolves
// differently the second time gains nothing. Git cannot be given a dialer, so
// the server resolves once with [Pin], checks every address, and makes git use
// exactly those with [CurlResolve].
package netguard

import (
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/providers"
)

// ParseHost checks a bare host as a user writes it, a DNS name or an IP
// address with an optional port, and returns it in the one spelling that is
// used everywhere: lower case, without a trailing dot, IPv6 in brackets.
//
// It refuses schemes, paths, user info, spaces, control characters, IPv6 zones,
// names outside of ASCII (write them in their xn-- form) and the unusual
// spellings of IPv4 addresses, like 2130706433, 0x7f.1 or 0177.0.0.1: Go takes
// them for names while libcurl takes them for addresses, and what two programs
// read differently cannot be checked by one of them.
// Errors are [providers.CodeInvalidArgument].
func ParseHost(s string) (host string, err error) {
	name, port, err := splitPort(s)
	if err != nil {
		return "", err
	}
	name, err = parseName(s, name)
	if err != nil {
		return "", err
	}
	if port == "" {
		return name, nil
	}
	return name + ":" + port, nil
}

// splitPort separates an optional port. The name is without brackets only if
// it had none.
func splitPort(s string) (name, port string, err error) {
	name = s
	if addr, err := netip.ParseAddr(s); err == nil && addr.Is6() {
		return "[" + s + "]", "", nil // a bare IPv6 address: its colons separate no port
	}
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		name, port = s[:i], s[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", "", badHost(s, "the port must be a number from 1 to 65535")
		}
		port = strconv.FormatUint(n, 10)
	}
	return name, port, nil
}

func parseName(s, name string) (string, error) {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || !addr.Is6() {
			return "", badHost(s, "only an IPv6 address stands in brackets")
		}
		if addr.Zone() != "" {
			return "", badHost(s, "an IPv6 address must have no zone")
		}
		return "[" + addr.String() + "]", nil
	}
	if addr, err := netip.ParseAddr(name); err == nil && addr.Is4() {
		return addr.String(), nil
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "" || len(name) > 253 {
		return "", badHost(s, "a host name has 1 to 253 characters")
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if !validLabel(label) {
			return "", badHost(s, "write a bare host name such as git.example.org, without scheme, user or path")
		}
	}
	if looksNumeric(labels[len(labels)-1]) {
		return "", badHost(s, "write an IPv4 address as four decimal numbers")
	}
	return name, nil
}

func validLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// looksNumeric reports whether a name whose last label is this one is taken for
// an IPv4 address by some programs (the "ends in a number" rule of the WHATWG
// URL standard).
func looksNumeric(label string) bool {
	digits := "0123456789"
	if rest, ok := strings.CutPrefix(label, "0x"); ok {
		label, digits = rest, "0123456789abcdef"
	}
	return strings.Trim(label, digits) == ""
}

// badHost quotes what the user wrote, shortened: it may be anything.
func badHost(s, why string) error {
	if len(s) > 100 {
		s = s[:100] + "..."
	}
	// Everything before an @ may be a password.
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		s = "..." + s[i:]
	}
	return providers.Errorf(providers.CodeInvalidArgument, "%q is not a host: %s", s, why)
}

// splitHostPort separates the port of a host in ParseHost's spelling, and
// takes the brackets from an IPv6 address.
func splitHostPort(hostport string) (host, port string) {
	if h, p, err := net.SplitHostPort(hostport); err == nil {
		return h, p
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]"), ""
}
