package git

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// planted is in the environment of the tests, and must be in no git's.
const planted = "planted-secret-5c1d"

func TestMain(m *testing.M) {
	for k, v := range map[string]string{
		"PLANTED": planted, "GIT_TRACE": "/planted/trace", "GIT_CONFIG_PARAMETERS": "'alias.x=planted'", "HOME": "/planted/home",
		"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1", "all_proxy": "http://127.0.0.1:1", "GIT_SSL_NO_VERIFY": "1",
	} {
		if err := os.Setenv(k, v); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}
