// Command bench measures the server against baselines taken in the same run.
//
// Every comparison interleaves its variants (A B A B ...), so that what else
// the machine does meets both alike; ratios and CPU seconds carry over to other
// machines, times do not. See docs/performance.md for what each row means.
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
	"syscall"
)

// benchmark is one group of rows.
type benchmark struct {
	name string
	what string
	run  func(ctx context.Context, b *bench) error
}

// benchmarks returns all groups in the order in which they run.
func benchmarks() []benchmark {
	return []benchmark{
		{"idle", "memory of an idle server with every provider configured", benchIdle},
		{"observe", "clones and pushes with metrics and traces, beside without", benchObserve},
		{"refs", "ls-remote with 10, 2,000 and 50,000 refs", benchRefs},
		{"read", "clone, shallow clone and fetch of one commit", benchRead},
		{"push", "pushes: local, and written through to nginx and to Gitea", benchPush},
		{"many", "pushes and deletions of 3,000 branches, local and written through", benchMany},
		{"sync", "a sync that finds no change", benchSync},
		{"change", "an upstream's new commit, until it is readable here", benchChange},
		{"hook", "an upstream's webhook, until its commit is readable here", benchHook},
		{"events", "webhooks going out, beside posting the same bodies", benchEvents},
		{"poll", "5,000 repositories of one host, polled", benchPoll},
		{"api", "calls of the REST API in 20,000 files, beside a real Gitea's", benchAPI},
		{"mirror", "first mirror of a large repository, and a clone right after it", benchMirror},
		{"memory", "memory of the server while 16 clones run", benchMemory},
		{"hostile", "a bystander's clone and push beside a hostile reader", benchHostile},
	}
}

// bench is what the groups share.
type bench struct {
	root  string // of the source tree
	cache string // of generated repositories
	work  string // of this run; removed at its end
	quick bool
	git   client
	table *table
}

// rounds returns how often each variant runs: n, or a third of that for --quick.
func (b *bench) rounds(n int) int {
	if b.quick {
		return max(3, n/3)
	}
	return n
}

func main() {
	if filepath.Base(os.Args[0]) == accountProgram {
		os.Exit(keepAccount(os.Args[0]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// run parses the flags and runs the groups that they name. A group that fails
// does not keep the others from running.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	root := flags.String("root", ".", "source tree, with bin/headwater built")
	quick := flags.Bool("quick", false, "smaller repositories and fewer rounds")
	list := flags.Bool("list", false, "name the groups")
	keep := flags.Bool("keep", false, "keep the working folder, with the servers' logs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *list {
		for _, m := range benchmarks() {
			fmt.Printf("%-8s %s\n", m.name, m.what)
		}
		return nil
	}
	var chosen []benchmark
	for _, m := range benchmarks() {
		if flags.NArg() == 0 || slices.Contains(flags.Args(), m.name) {
			chosen = append(chosen, m)
		}
	}
	for _, name := range flags.Args() {
		if !slices.ContainsFunc(chosen, func(m benchmark) bool { return m.name == name }) {
			return fmt.Errorf("no group is named %q; --list names them", name)
		}
	}
	b, err := newBench(*root, *quick)
	if err != nil {
		return err
	}
	if *keep {
		fmt.Println("working folder:", b.work)
	} else {
		defer os.RemoveAll(b.work)
	}
	var errs []error
	for _, m := range chosen {
		fmt.Fprintf(os.Stderr, "# %s: %s\n", m.name, m.what)
		if err := m.run(ctx, b); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
			fmt.Fprintf(os.Stderr, "# %s failed: %v\n", m.name, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	b.table.print(os.Stdout)
	return errors.Join(errs...)
}

func newBench(root string, quick bool) (*bench, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	cache := os.Getenv("HEADWATER_BENCH_DIR")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		cache = filepath.Join(base, "headwater-bench")
	}
	if err := os.MkdirAll(cache, 0o750); err != nil {
		return nil, err
	}
	// Beside the cache, so that copies of large repositories can be hard links.
	work, err := os.MkdirTemp(cache, "run-")
	if err != nil {
		return nil, err
	}
	// What is set for a server or a git of the caller's must not reach ours.
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "GIT_") || strings.HasPrefix(name, "HEADWATER_") && name != "HEADWATER_GITEA" && name != "HEADWATER_PEERS_DIR" {
			if err := os.Unsetenv(name); err != nil {
				return nil, err
			}
		}
	}
	return &bench{root: root, cache: cache, work: work, quick: quick, git: client{home: work}, table: &table{}}, nil
}
