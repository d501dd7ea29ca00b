package repo_test

import (
	"testing"

	"github.com/headwater-git/headwater/core/internal/coretest"
)

func TestMain(m *testing.M) {
	coretest.Checks(20, 200) // every one makes a repository
	coretest.Main(m)
}
