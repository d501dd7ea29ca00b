package builtin

import (
	"fmt"
	"os"
	"slices"

	"github.com/headwater-git/headwater/providers/sdk"
)

// serveArgs make a program that embeds the server one of its plugins; the name of
// the built-in provider follows.
func serveArgs() []string { return []string{"provider", "serve"} }

// Command returns the argv that runs this same program as a plugin, but for the name
// of the provider, which the server appends.
func Command() []string {
	// On Linux the running image itself, also after the file was replaced.
	self := "/proc/self/exe"
	if _, err := os.Readlink(self); err != nil {
		if self, err = os.Executable(); err != nil {
			self = os.Args[0]
		}
	}
	return append([]string{self}, serveArgs()...)
}

// Serve serves a built-in provider if argv, which is os.Args, says that the server
// has started this process as a plugin (see [Command]), and returns when the server
// is done with it. It returns false, and does nothing, in any other process.
//
// It must be the first call in main: the plugin's standard output is a handshake,
// and what the program does at its start, such as opening a database, must not
// happen in its plugins. The error is that there is no provider of the name.
func Serve(argv []string) (served bool, err error) {
	args := serveArgs()
	if len(argv) != len(args)+2 || !slices.Equal(argv[1:len(args)+1], args) {
		return false, nil
	}
	name := argv[len(args)+1]
	construct, ok := All()[name]
	if !ok {
		return true, fmt.Errorf("no built-in provider %q", name)
	}
	sdk.Serve(construct())
	return true, nil
}
