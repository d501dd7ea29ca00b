package sdk_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/sdk"
)

// A plugin's calls go through the operator's proxy, with its password, and a private
// address is refused before the proxy is asked.
func TestHTTPClient_proxy(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		request := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
		if _, password, _ := request.BasicAuth(); password != "planted-proxy" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		_, _ = w.Write([]byte("through " + r.Host))
	}))
	defer proxy.Close()
	get := func(private bool, password string) (*http.Response, error) {
		client := sdk.HTTPClient(providers.HostPolicy{
			Host: "127.0.0.1:9", Scheme: "http", AllowPrivate: private,
			Proxy: providers.Secret("http://egress:" + password + "@" + proxy.Listener.Addr().String()),
		})
		defer client.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:9/api", nil)
		require.NoError(t, err)
		return client.Do(request)
	}
	response, err := get(true, "planted-proxy")
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)

	before := asked.Load()
	_, err = get(false, "planted-proxy") //nolint:bodyclose // there is none
	require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err))
	require.Equal(t, before, asked.Load())
	require.NotContains(t, err.Error(), "planted-proxy")

	_, err = sdk.HTTPClient(providers.HostPolicy{Host: "a.example", Scheme: "https", Proxy: "planted-proxy"}).Get("https://a.example/") //nolint:bodyclose,noctx // there is none
	require.Equal(t, providers.CodeInvalidConfig, providers.CodeOf(err))
	require.NotContains(t, err.Error(), "planted-proxy")
}
