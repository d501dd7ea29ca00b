package commit

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Poison: a git that does not get its environment from core/git fails.
	for name, value := range map[string]string{"GIT_DIR": "/dev/null", "GIT_CONFIG_GLOBAL": "/dev/null/none"} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}
