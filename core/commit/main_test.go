package commit

import (
	"testing"

	"github.com/headwater-git/headwater/core/internal/coretest"
)

func TestMain(m *testing.M) { coretest.Main(m) }
