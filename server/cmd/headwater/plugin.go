package main

import (
	"os"
	"slices"

	"github.com/headwater-git/headwater/plugins/builtin"
	"github.com/headwater-git/headwater/providers/sdk"
)

// pluginArgs is the hidden command that makes this binary a plugin; the name
// of the built-in provider follows.
func pluginArgs() []string { return []string{"provider", "serve"} }

// pluginName returns the built-in provider that argv asks this process to
// serve, if it is a plugin process.
func pluginName(argv []string) (name string, ok bool) {
	args := pluginArgs()
	if len(argv) != len(args)+2 || !slices.Equal(argv[1:len(args)+1], args) {
		return "", false
	}
	return argv[len(args)+1], true
}

// servePlugin serves one built-in provider to the server that started us.
func servePlugin(name string) int {
	newProvider, ok := builtin.All()[name]
	if !ok {
		return report(os.Stderr, failf("see the built-in names: headwater provider list", "no built-in provider %q", name))
	}
	sdk.Serve(newProvider())
	return 0
}
