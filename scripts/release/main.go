// Command release makes the files of a release from a checkout: for each target an
// archive, for Linux packages (deb, rpm) and an SBOM, and checksums of all. The same
// source and the same version of Go make the same bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

// target is what a binary is built for.
type target struct{ os, arch string }

func (t target) String() string { return t.os + "/" + t.arch }

// targets are those of a release. Those of darwin are built, and run nowhere before
// they are published.
func targets() []target {
	return []target{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run is main with an error.
func run(ctx context.Context, args []string) error {
	r := release{log: os.Stderr}
	var from, out string
	flags := flag.NewFlagSet("scripts/release/build", flag.ContinueOnError)
	flags.StringVar(&r.root, "root", "../..", "the repository")
	flags.StringVar(&from, "from", ".", "what --out is relative to")
	flags.StringVar(&out, "out", "dist", "where the files go; must not exist, or be a former one's")
	flags.StringVar(&r.version, "version", "", "version of the release, like v1.2.3 (default: a snapshot of the commit)")
	flags.Func("target", "build for this one alone, like linux/amd64; may be repeated", func(text string) error {
		i := slices.IndexFunc(targets(), func(t target) bool { return t.String() == text })
		if i < 0 {
			return fmt.Errorf("there is no target %q", text)
		}
		r.targets = append(r.targets, targets()[i])
		return nil
	})
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if len(r.targets) == 0 {
		r.targets = targets()
	}
	if !filepath.IsAbs(out) {
		out = filepath.Join(from, out)
	}
	if r.version != "" && !strings.HasPrefix(r.version, "v") {
		return fmt.Errorf("the version %q does not begin with v, as the tag of a Go module must", r.version)
	}
	var err error
	if r.root, err = filepath.Abs(r.root); err != nil {
		return err
	}
	return r.make(ctx, out)
}
