package netguard

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

func TestParseHost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"name":             {"git.example.org", "git.example.org"},
		"upperCase":        {"Git.Example.ORG", "git.example.org"},
		"port":             {"git.example.org:3000", "git.example.org:3000"},
		"portZeros":        {"git.example.org:0080", "git.example.org:80"},
		"trailingDot":      {"git.example.org.", "git.example.org"},
		"trailingDotPort":  {"git.example.org.:8443", "git.example.org:8443"},
		"oneLabel":         {"forge", "forge"},
		"underscore":       {"my_forge.internal", "my_forge.internal"},
		"punycode":         {"xn--bcher-kva.example", "xn--bcher-kva.example"},
		"digitsInName":     {"git2.example.org", "git2.example.org"},
		"numericFirst":     {"123.example", "123.example"},
		"hexLookingFirst":  {"0x7f.example", "0x7f.example"},
		"v4":               {"127.0.0.1", "127.0.0.1"},
		"v4Port":           {"127.0.0.1:3000", "127.0.0.1:3000"},
		"v6":               {"[::1]", "[::1]"},
		"v6Port":           {"[2001:DB8:0:0::1]:3000", "[2001:db8::1]:3000"},
		"v6Bare":           {"2001:db8::1", "[2001:db8::1]"},
		"v6Mapped":         {"[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"},
		"localhost":        {"localhost.", "localhost"},
		"empty":            {"", ""},
		"dot":              {".", ""},
		"scheme":           {"https://git.example.org", ""},
		"path":             {"git.example.org/x", ""},
		"query":            {"git.example.org?x", ""},
		"fragment":         {"git.example.org#x", ""},
		"userInfo":         {"user:hunter2@git.example.org", ""},
		"space":            {"git.example.org ", ""},
		"newline":          {"git.example.org\n", ""},
		"control":          {"git\x00.example.org", ""},
		"backslash":        {"git.example.org\\x", ""},
		"percent":          {"git%2eexample.org", ""},
		"unicode":          {"bücher.example", ""},
		"fullwidthDot":     {"127\uff0e0\uff0e0\uff0e1", ""},
		"emptyLabel":       {"git..example", ""},
		"leadingDash":      {"-oProxyCommand=x", ""},
		"labelDash":        {"git.-x.example", ""},
		"twoTrailingDots":  {"git.example..", ""},
		"longLabel":        {strings.Repeat("a", 64) + ".example", ""},
		"longName":         {strings.Repeat("a.", 127) + "example", ""},
		"portZero":         {"git.example.org:0", ""},
		"portHigh":         {"git.example.org:65536", ""},
		"portName":         {"git.example.org:https", ""},
		"portEmpty":        {"git.example.org:", ""},
		"portSigned":       {"git.example.org:+80", ""},
		"twoPorts":         {"git.example.org:80:80", ""},
		"v4Decimal":        {"2130706433", ""},
		"v4Hex":            {"0x7f000001", ""},
		"v4HexUpper":       {"0X7F.0.0.1", ""},
		"v4HexDots":        {"0x7f.0x0.0x0.0x1", ""},
		"v4HexLast":        {"127.0.0.0x1", ""},
		"v4Octal":          {"0177.0.0.1", ""},
		"v4LeadingZero":    {"127.0.0.01", ""},
		"v4Short":          {"127.1", ""},
		"v4FiveParts":      {"127.0.0.1.1", ""},
		"v4Overflow":       {"127.0.0.256", ""},
		"v4TrailingDot":    {"127.0.0.1.", ""},
		"v4InBrackets":     {"[127.0.0.1]", ""},
		"v6Zone":           {"[fe80::1%eth0]", ""},
		"v6ZoneBare":       {"fe80::1%eth0", ""},
		"v6Unclosed":       {"[::1", ""},
		"v6TextBehind":     {"[::1]x", ""},
		"v6NotInBrackets":  {"::1:x", ""},
		"bracketsInMiddle": {"git[::1].example", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseHost(c.in)
			require.Equal(t, c.want, got)
			if c.want != "" {
				require.NoError(t, err)
				again, err := ParseHost(got)
				require.NoError(t, err)
				require.Equal(t, got, again, "the result is in its one spelling")
				return
			}
			require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err))
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

// resolver answers with the next list at every call, then with the last.
type resolver struct {
	answers [][]string
	asked   []string
}

func (r *resolver) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	r.asked = append(r.asked, network+" "+host)
	if len(r.answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	now := r.answers[0]
	if len(r.answers) > 1 {
		r.answers = r.answers[1:]
	}
	var out []netip.Addr
	for _, s := range now {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

func TestPin(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		host    string
		dns     []string
		private bool
		want    []string
		refuse  string
	}{
		"public":               {host: "forge.example", dns: []string{"8.8.8.8"}, want: []string{"8.8.8.8"}},
		"publicPort":           {host: "forge.example:3000", dns: []string{"8.8.8.8"}, want: []string{"8.8.8.8"}},
		"both":                 {host: "forge.example", dns: []string{"2a00:1450::1", "8.8.8.8"}, want: []string{"2a00:1450::1", "8.8.8.8"}},
		"duplicates":           {host: "forge.example", dns: []string{"8.8.8.8", "::ffff:8.8.8.8"}, want: []string{"8.8.8.8"}},
		"loopback":             {host: "forge.example", dns: []string{"127.0.0.1"}, refuse: "host forge.example resolves to 127.0.0.1, which is a loopback address; if this upstream is meant to be there, set allow_private = true in its host block in the providers.hcl that the server is started with (--config), and send the server SIGHUP or start it again"},
		"loopbackOther":        {host: "forge.example", dns: []string{"127.9.9.9"}, refuse: "loopback"},
		"loopbackV6":           {host: "forge.example", dns: []string{"::1"}, refuse: "loopback"},
		"oneOfMany":            {host: "forge.example", dns: []string{"8.8.8.8", "1.1.1.1", "10.0.0.1"}, refuse: "resolves to 10.0.0.1, which is a private address"},
		"private172":           {host: "forge.example", dns: []string{"172.16.0.1"}, refuse: "private"},
		"private192":           {host: "forge.example", dns: []string{"192.168.1.1"}, refuse: "private"},
		"uniqueLocal":          {host: "forge.example", dns: []string{"fd00::1"}, refuse: "private"},
		"linkLocal":            {host: "forge.example", dns: []string{"169.254.1.1"}, refuse: "link-local"},
		"linkLocalV6":          {host: "forge.example", dns: []string{"fe80::1"}, refuse: "link-local"},
		"sharedSpace":          {host: "forge.example", dns: []string{"100.64.0.1"}, refuse: "carrier-grade NAT"},
		"nat64":                {host: "forge.example", dns: []string{"64:ff9b::7f00:1"}, refuse: "NAT64"},
		"nat64Local":           {host: "forge.example", dns: []string{"64:ff9b:1::1"}, refuse: "NAT64"},
		"sixToFour":            {host: "forge.example", dns: []string{"2002:7f00:1::"}, refuse: "6to4"},
		"teredo":               {host: "forge.example", dns: []string{"2001:0:1::"}, refuse: "Teredo"},
		"mappedLoopback":       {host: "forge.example", dns: []string{"::ffff:127.0.0.1"}, refuse: "loopback"},
		"mappedLiteral":        {host: "[::ffff:8.8.8.8]", refuse: "an IPv4 address written as IPv6"},
		"thisNetwork":          {host: "forge.example", dns: []string{"0.1.2.3"}, refuse: "this machine"},
		"documentation":        {host: "forge.example", dns: []string{"192.0.2.1"}, refuse: "reserved"},
		"documentationV6":      {host: "forge.example", dns: []string{"2001:db8::1"}, refuse: "reserved"},
		"benchmark":            {host: "forge.example", dns: []string{"198.18.0.1"}, refuse: "reserved"},
		"classE":               {host: "forge.example", dns: []string{"240.0.0.1"}, refuse: "reserved"},
		"literalLoopback":      {host: "127.0.0.1:3000", refuse: "127.0.0.1 is a loopback address"},
		"literalV6":            {host: "[::1]:3000", refuse: "::1 is a loopback address"},
		"literalPublic":        {host: "8.8.8.8", want: []string{"8.8.8.8"}},
		"literalDecimal":       {host: "2130706433", refuse: "four decimal numbers"},
		"localhost":            {host: "localhost", dns: []string{"8.8.8.8"}, refuse: "host localhost is this machine"},
		"localhostDot":         {host: "localhost.", dns: []string{"8.8.8.8"}, refuse: "host localhost is this machine"},
		"localhostSub":         {host: "a.b.localhost", dns: []string{"8.8.8.8"}, refuse: "this machine"},
		"malformed":            {host: "https://forge.example", refuse: "is not a host"},
		"allowLoopback":        {host: "localhost:3000", dns: []string{"127.0.0.1", "::1"}, private: true, want: []string{"127.0.0.1", "::1"}},
		"allowLiteral":         {host: "127.0.0.1:3000", private: true, want: []string{"127.0.0.1"}},
		"allowPrivate":         {host: "forge.internal", dns: []string{"10.0.0.1", "fd00::1"}, private: true, want: []string{"10.0.0.1", "fd00::1"}},
		"allowNotMetadata":     {host: "forge.internal", dns: []string{"169.254.169.254"}, private: true, refuse: "which is a cloud metadata service; the server never contacts it"},
		"allowNotMetadataV6":   {host: "[fd00:ec2::254]", private: true, refuse: "metadata"},
		"allowNotMapped":       {host: "[::ffff:169.254.169.254]", private: true, refuse: "metadata"},
		"allowNotUnspecified":  {host: "0.0.0.0", private: true, refuse: "unspecified"},
		"allowNotMulticast":    {host: "forge.internal", dns: []string{"224.0.0.1"}, private: true, refuse: "multicast"},
		"allowNotMulticastV6":  {host: "[ff02::1]", private: true, refuse: "multicast"},
		"allowNotBroadcast":    {host: "255.255.255.255", private: true, refuse: "broadcast"},
		"metadataWithoutAllow": {host: "forge.example", dns: []string{"169.254.169.254"}, refuse: "metadata"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &resolver{answers: [][]string{c.dns}}
			addrs, err := Pin(t.Context(), r, c.host, c.private)
			if c.refuse != "" {
				require.ErrorContains(t, err, c.refuse)
				require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err))
				require.Empty(t, addrs)
				return
			}
			require.NoError(t, err)
			var got []string
			for _, a := range addrs {
				got = append(got, a.String())
			}
			require.Empty(t, cmp.Diff(c.want, got))
			require.LessOrEqual(t, len(r.asked), 1, "resolved once")
		})
	}
}

func TestPin_resolver(t *testing.T) {
	t.Parallel()
	// A name that flips is judged by the answer that is used, each time anew.
	r := &resolver{answers: [][]string{{"8.8.8.8"}, {"127.0.0.1"}}}
	addrs, err := Pin(t.Context(), r, "flip.example", false)
	require.NoError(t, err)
	require.Equal(t, "flip.example:443:8.8.8.8", CurlResolve("flip.example", "443", addrs))
	_, err = Pin(t.Context(), r, "flip.example", false)
	require.ErrorContains(t, err, "loopback")
	require.Equal(t, []string{"ip flip.example", "ip flip.example"}, r.asked)

	_, err = Pin(t.Context(), &resolver{}, "gone.example", false)
	require.Equal(t, providers.CodeUnavailable, providers.CodeOf(err))
	require.ErrorContains(t, err, "host gone.example does not exist in the DNS")

	_, err = Pin(t.Context(), &resolver{answers: [][]string{{}}}, "empty.example", false)
	require.Equal(t, providers.CodeUnavailable, providers.CodeOf(err))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Pin(ctx, &resolver{}, "gone.example", false)
	require.ErrorIs(t, err, context.Canceled)
}

func TestCurlResolve(t *testing.T) {
	t.Parallel()
	v4, v6 := netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("2a00:1450::1")
	require.Equal(t, "h.example:443:8.8.8.8", CurlResolve("h.example", "443", []netip.Addr{v4}))
	require.Equal(t, "h.example:3000:[2a00:1450::1],8.8.8.8", CurlResolve("h.example", "3000", []netip.Addr{v6, v4}))
	require.Empty(t, CurlResolve("8.8.8.8", "443", []netip.Addr{v4}))
	require.Empty(t, CurlResolve("[2a00:1450::1]", "443", []netip.Addr{v6}))
	require.Empty(t, CurlResolve("h.example", "443", nil))
}

// TestCurlResolve_git shows that git connects to the address that was resolved and nowhere
// else: the name does not exist.
func TestCurlResolve_git(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"v4": "127.0.0.1", "v6": "::1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
			if err != nil && name == "v6" {
				return // a machine without IPv6
			}
			require.NoError(t, err)
			hosts := make(chan string, 1)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case hosts <- r.Host:
				default:
				}
				http.NotFound(w, r)
			}))
			server.Listener = listener
			server.Start()
			defer server.Close()
			u, err := url.Parse(server.URL)
			require.NoError(t, err)

			addrs, err := Pin(t.Context(), &resolver{answers: [][]string{{address}}}, "pinned.invalid", true)
			require.NoError(t, err)
			cmd := exec.CommandContext(t.Context(), "git", "-c", "http.curloptResolve="+CurlResolve("pinned.invalid", u.Port(), addrs),
				"-c", "http.proxy=", "ls-remote", "http://pinned.invalid:"+u.Port()+"/x.git")
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C"}
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "there is no repository")
			select {
			case host := <-hosts:
				require.Equal(t, "pinned.invalid:"+u.Port(), host)
			default:
				t.Fatalf("git did not connect: %s", out)
			}
		})
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	dial := func(private bool) error {
		conn, err := (&net.Dialer{Control: Control(private)}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	require.NoError(t, dial(true))
	var refused *providers.Error
	err := dial(false)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, providers.CodeInvalidArgument, refused.Code)
	require.Contains(t, refused.Message, "127.0.0.1 is a loopback address")

	control := Control(true)
	require.Error(t, control("udp4", "8.8.8.8:53", nil))
	require.Error(t, control("unix", "/run/docker.sock", nil))
	require.Error(t, control("tcp4", "nonsense", nil))
	require.Error(t, control("tcp4", "169.254.169.254:80", nil))
	require.Error(t, Control(false)("tcp6", "[fe80::1%eth0]:80", nil))
	require.NoError(t, Control(false)("tcp4", "8.8.8.8:443", nil))
}

func FuzzParseHost(f *testing.F) {
	for _, seed := range []string{"git.example.org:3000", "[::1]:80", "127.1", "0x7f.1", "a@b", "::1%eth0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		host, err := ParseHost(in)
		if err != nil {
			var typed *providers.Error
			if !errors.As(err, &typed) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if again, err := ParseHost(host); err != nil || again != host {
			t.Fatalf("%q became %q, and that %q, %v", in, host, again, err)
		}
		u, err := url.Parse("https://" + host + "/x")
		if err != nil || u.Host != host || u.User != nil {
			t.Fatalf("%q does not fit into a URL: %v", host, err)
		}
	})
}
