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

	"github.com/spf13/cobra"

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

	return execute(ctx, withDefaultSettings(os.LookupEnv), os.Stderr, argv[1:])
}

// execute runs a command line, and prints how it failed.
func execute(ctx context.Context, env lookupEnv, failures io.Writer, args []string) int {
	root := newRoot(env)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	return reportOf(failures, cmd, err)
}

// report prints err with its next step and returns the exit code.
func report(w io.Writer, err error) int { return reportOf(w, nil, err) }

// reportOf is report for the error of a command, whose flags are in the next step.
func reportOf(w io.Writer, cmd *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(w, "%s %s\n", colourOf(w, os.LookupEnv).paint(red, "headwater:"), asTyped(cmd, err.Error()))
	step, ok := errors.AsType[*stepError](err)
	if ok && step.next != "" {
		fmt.Fprintf(w, "  next: %s\n", asTyped(cmd, step.next))
	}
	if ok && step.usage {
		return 2
	}
	return 1
}
