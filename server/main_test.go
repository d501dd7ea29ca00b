package server_test

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"github.com/headwater-git/headwater/server/internal/servertest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// Every check is a repository and dozens of git processes; the flag on the
	// command line still wins.
	if err := flag.Set("rapid.checks", strconv.Itoa(servertest.Rounds(4, 8, 200))); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(servertest.Main(m))
}
