package netguard_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/netguard"
)

func TestPlainText(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		`Get "https://h/api": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`:          "no answer came in time",
		`context deadline exceeded (Client.Timeout or context cancellation while reading body)`:                    "no answer came in time",
		`net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)`: "no answer came in time",
		`h cannot be reached: dial tcp 192.0.2.1:443: i/o timeout`:                                                 "h cannot be reached: no answer came in time",
		`h cannot be reached: connect: connection refused`:                                                         "h cannot be reached: it refused the connection",
		`Post "http://h/x": read tcp 10.0.0.1:4->[::1]:443: read: connection reset by peer`:                        "the connection was cut",
		`dial tcp: lookup git.example on 127.0.0.53:53: no such host`:                                              "the name git.example does not exist",
		`Get "https://h": EOF`: "the connection was cut",
		`tls: failed to verify certificate: x509: certificate signed by unknown authority`:            "its certificate is signed by an authority that this server does not trust",
		`Get "https://h": tls: failed to verify certificate: x509: certificate is valid for a, not h`: "its certificate is not trusted: certificate is valid for a, not h",
		`net/http: TLS handshake timeout`:              "the secure connection was not set up in time",
		`h answered 404: Not Found, see "Get started"`: `h answered 404: Not Found, see "Get started"`,
		`the GitHub App is no longer installed on river at github.com: install it again at https://github.com/apps/x/`: "the GitHub App is no longer installed on river at github.com: install it again at https://github.com/apps/x/",
	} {
		require.Equal(t, want, netguard.PlainText(said))
	}

	// What Go really says.
	hang := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer srv.Close()
	defer close(hang)
	_, err := (&http.Client{Timeout: 20 * time.Millisecond}).Get(srv.URL) //nolint:noctx,bodyclose // it has a time limit, and no answer
	require.Error(t, err)
	require.Equal(t, "no answer came in time", netguard.PlainText(err.Error()))
}
