package server_test

import (
	"flag"
	"os"
	"testing"

	"github.com/headwater-git/headwater/server/internal/servertest"
)

func TestMain(m *testing.M) {
	// Every check is a repository and dozens of git processes; the flag on the
	// command line still wins.
	if err := flag.Set("rapid.checks", "40"); err != nil {
		panic(err)
	}
	os.Exit(servertest.Main(m))
}
