package server

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestForwarded(t *testing.T) {
	t.Parallel()
	trusted := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, tt := range map[string]struct {
		peer    string
		headers []string
		want    string
	}{
		"no proxy":                         {"192.0.2.1:5000", nil, "192.0.2.1:5000"},
		"a stranger who claims to be one":  {"192.0.2.1:5000", []string{"198.51.100.7"}, "192.0.2.1:5000"},
		"a proxy that says nothing":        {"10.0.0.1:5000", nil, "10.0.0.1:5000"},
		"a proxy":                          {"10.0.0.1:5000", []string{"198.51.100.7"}, "198.51.100.7:0"},
		"a proxy behind another":           {"127.0.0.1:5000", []string{"198.51.100.7, 10.1.2.3"}, "198.51.100.7:0"},
		"each with a line of its own":      {"127.0.0.1:5000", []string{"198.51.100.7", "10.1.2.3"}, "198.51.100.7:0"},
		"what the client wrote itself":     {"10.0.0.1:5000", []string{"203.0.113.9, 198.51.100.7"}, "198.51.100.7:0"},
		"rubbish before the client":        {"10.0.0.1:5000", []string{"<script>, 198.51.100.7"}, "198.51.100.7:0"},
		"rubbish from the proxy":           {"10.0.0.1:5000", []string{"198.51.100.7, unknown"}, "10.0.0.1:5000"},
		"rubbish that a proxy passed on":   {"127.0.0.1:5000", []string{"unknown, 10.1.2.3"}, "10.1.2.3:0"},
		"a client inside":                  {"127.0.0.1:5000", []string{"10.9.9.9"}, "10.9.9.9:0"},
		"with a port":                      {"10.0.0.1:5000", []string{"198.51.100.7:4711"}, "198.51.100.7:0"},
		"IPv6":                             {"[fd00::1]:5000", []string{"2001:db8::7"}, "[2001:db8::7]:0"},
		"IPv6 in brackets, with a port":    {"[fd00::1]:5000", []string{"[2001:db8::7]:4711"}, "[2001:db8::7]:0"},
		"a proxy that speaks IPv4 in IPv6": {"[::ffff:10.0.0.1]:5000", []string{"::ffff:198.51.100.7"}, "198.51.100.7:0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = tt.peer
			for _, h := range tt.headers {
				r.Header.Add("X-Forwarded-For", h)
			}
			got := ""
			see := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.RemoteAddr })
			forwarded(see, trusted).ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.peer, r.RemoteAddr, "the server's own request is not touched")
			forwarded(see, nil).ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, tt.peer, got, "nobody is trusted unasked")
		})
	}
}
