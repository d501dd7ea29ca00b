package mirror_test

import (
	"testing"

	"github.com/headwater-git/headwater/core/internal/coretest"
)

func TestMain(m *testing.M) {
	// Every check makes a repository; the flag on the command line still wins.
	coretest.Checks(10, 100)
	coretest.Main(m)
}
