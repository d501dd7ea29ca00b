// Command quickstart-forge is the Git host of the quickstart: a loopback server
// that behaves like Gitea, with one private repository of a few thousand commits,
// whose branch "release" takes no pushes.
//
// It writes what the quickstart needs to know into DIR: "url" (base URL),
// "clone-url", "user" and "token" (mode 0600), and runs until a signal ends it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/headwater-git/headwater/providers/forgetest"
)

func main() {
	dir := flag.String("dir", "", "folder for the forge's files; emptied at start")
	repo := flag.String("repo", "river/delta", "path of the repository")
	commits := flag.Int("commits", 3000, "commits on its main branch")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, *repo, *commits); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart-forge:", err)
		os.Exit(1)
	}
}

// run serves the forge until ctx ends.
func run(ctx context.Context, dir, repo string, commits int) (err error) {
	if dir == "" {
		return errors.New("say where to keep the files: -dir DIR")
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	forge, err := forgetest.NewForge(dir, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, forge.Close()) }()
	if err := fill(forge, repo, commits); err != nil {
		return err
	}
	user, token := forge.Credential()
	for _, f := range []struct {
		name, content string
		mode          os.FileMode
	}{
		{"user", user, 0o644},
		{"token", token, 0o600},
		{"clone-url", forge.CloneURL(repo), 0o644},
		{"url", forge.URL(), 0o644}, // last: the quickstart waits for it
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(f.content+"\n"), f.mode); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// fill makes the repository.
func fill(forge *forgetest.Forge, repo string, commits int) error {
	if err := forge.CreateRepo(repo, true); err != nil {
		return err
	}
	if err := forge.Seed(repo, forgetest.SeedOptions{Commits: commits, Branches: 5, Tags: 12, PullRefs: 40, FileSize: 4000}); err != nil {
		return err
	}
	if _, err := forge.Git(repo, "branch", "release", "main"); err != nil {
		return err
	}
	return forge.Protect(repo, "refs/heads/release")
}
