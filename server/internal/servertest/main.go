package servertest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/plugins/builtin"
)

// processVariable makes the test binary a server in a process of its own; it
// holds a [processConfig].
const processVariable = "HEADWATER_TEST_SERVER"

// Main runs the tests of a package, or what else the test binary was started
// for. It returns the exit code.
func Main(m *testing.M) int {
	if served, err := builtin.Serve(os.Args); served {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		return 0
	}
	if config := os.Getenv(processVariable); config != "" {
		return runProcess(config)
	}
	// Poison: a git that does not get its environment from core/git, from the
	// forge or from a client of a test fails loudly.
	for name, value := range map[string]string{"GIT_DIR": "/dev/null", "GIT_CONFIG_GLOBAL": "/dev/null/none", "GIT_CONFIG_SYSTEM": "/dev/null/none"} {
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	code := m.Run()
	if err := postgres.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if children := waitForChildren(5 * time.Second); len(children) > 0 {
		fmt.Fprintln(os.Stderr, "processes are left behind:", children)
		return 1
	}
	return 0
}

// Rounds is how often a test does what it does many times: short where the suite
// runs once more for another version of git ("go test -short"), long where there
// is time for it, else gate.
func Rounds(short, gate, long int) int {
	switch {
	case longtest.Long():
		return long
	case testing.Short():
		return short
	default:
		return gate
	}
}
