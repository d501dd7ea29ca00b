package discovery

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain sets proxies at which nothing answers: none of them may be used.
func TestMain(m *testing.M) {
	for _, k := range []string{"http_proxy", "https_proxy", "all_proxy"} {
		if err := os.Setenv(k, "http://127.0.0.1:1"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}
