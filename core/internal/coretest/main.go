package coretest

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/headwater-git/headwater/core/longtest"
)

// Main runs the tests of a package in an environment in which every git that
// is started without core/git's own one fails, and then fails if goroutines
// are left.
func Main(m *testing.M) {
	for k, v := range map[string]string{
		"GIT_DIR": "/dev/null", "GIT_CONFIG_GLOBAL": "/", "GIT_CONFIG_SYSTEM": "/",
		"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "alias.poison", "GIT_CONFIG_VALUE_0": "!false",
		"GIT_AUTHOR_DATE": "poison", "LC_ALL": "de_DE.UTF-8", "GIT_TRACE": "/poison/trace",
		"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1",
		PlantedKey: PlantedSecret,
	} {
		if err := os.Setenv(k, v); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// Checks is how many random cases a property test goes through, unless the flag
// -rapid.checks says so: long where there is time for it, see package longtest,
// else gate. Call it before [Main].
func Checks(gate, long int) {
	if err := flag.Set("rapid.checks", strconv.Itoa(longtest.Cases(gate, long))); err != nil {
		panic(err)
	}
}

// A secret in the environment of the tests, which nothing may pass on.
const (
	PlantedKey    = "HEADWATER_PLANTED_SECRET"
	PlantedSecret = "planted-secret-9f2c"
)
