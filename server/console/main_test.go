package console_test

import (
	"os"
	"testing"

	"github.com/headwater-git/headwater/server/internal/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }
