package commit

import (
	"testing"

	"github.com/headwater-git/headwater/core/internal/coretest"
)

func TestMain(m *testing.M) {
	coretest.Checks(20, 100) // every one starts several git processes
	coretest.Main(m)
}
