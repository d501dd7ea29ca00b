// Command headwater is the server and its command line: one binary that
// mirrors repositories from Git hosts, serves them, and forwards pushes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/headwater-git/headwater/plugins/builtin"
)

func main() { os.Exit(run(os.Args)) }

// run is main with an exit code: 0 done, 1 failed, 2 wrong usage.
func run(argv []string) int {
	// A plugin process is this same binary. It must not read flags, open the
	// log or touch the database: its stdout is the plugin handshake.
	if served, err := builtin.Serve(argv); served {
		if err != nil {
			err = wrapf(err, "see the built-in names: headwater provider list", "serve a plugin")
		}
		return report(os.Stderr, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal asks for a graceful end; a second one must end at once.
	context.AfterFunc(ctx, stop)

	cmd := newRoot(withDefaultSettings(os.LookupEnv))
	cmd.SetArgs(argv[1:])
	return report(os.Stderr, cmd.ExecuteContext(ctx))
}

// report prints err with its next step and returns the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(w, "%s %v\n", colourOf(w, os.LookupEnv).paint(red, "headwater:"), err)
	step, ok := errors.AsType[*stepError](err)
	if ok && step.next != "" {
		fmt.Fprintf(w, "  next: %s\n", step.next)
	}
	if ok && step.usage {
		return 2
	}
	return 1
}
