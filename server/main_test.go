package server_test

import (
	"flag"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/headwater-git/headwater/plugins/builtin"
	"github.com/headwater-git/headwater/providers/sdk"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

func TestMain(m *testing.M) {
	if slices.Equal(os.Args[1:], append(builtin.Command()[1:], bearerName)) {
		sdk.Serve(newBearerProvider())
		return
	}
	flag.Parse()
	// Every check is a repository and dozens of git processes; the flag on the
	// command line still wins.
	if err := flag.Set("rapid.checks", strconv.Itoa(servertest.Rounds(5, 20, 200))); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(servertest.Main(m))
}
