package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// size is what a generated repository is made of.
type size struct{ commits, files, branches, tags, binaryMB int }

// large is the repository for packs, medium the one for many short operations.
func (b *bench) large() size {
	if b.quick {
		return size{commits: 4000, files: 1500, branches: 50, tags: 100, binaryMB: 40}
	}
	return size{commits: 20000, files: 4000, branches: 200, tags: 500, binaryMB: 200}
}

func (b *bench) medium() size {
	return size{commits: 1500, files: 800, branches: 4, tags: 5, binaryMB: 6}
}

// generated returns a bare repository of that size with one pack, a bitmap and
// a commit-graph. It is made once and kept in the cache; nobody may change it.
func (b *bench) generated(ctx context.Context, s size) (string, error) {
	dir := filepath.Join(b.cache, fmt.Sprintf("c%d-f%d-b%d-t%d-m%d.git", s.commits, s.files, s.branches, s.tags, s.binaryMB))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fmt.Fprintf(os.Stderr, "# making a repository of %d commits and %d MB (once)\n", s.commits, s.binaryMB)
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	if _, err := b.git.run(ctx, "", "init", "-q", "--bare", "-b", "main", "--template=", tmp); err != nil {
		return "", err
	}
	arg := func(name string, n int) string { return "--" + name + "=" + strconv.Itoa(n) }
	synth := exec.CommandContext(ctx, "python3", filepath.Join(b.root, "scripts", "peers", "synthrepo.py"),
		arg("commits", s.commits), arg("files", s.files), arg("branches", s.branches), arg("tags", s.tags), arg("binary-mb", s.binaryMB), arg("pulls", s.branches))
	history, err := synth.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := synth.Start(); err != nil {
		return "", err
	}
	if _, err := b.git.pipe(ctx, tmp, history, "fast-import", "--quiet", "--depth=10"); err != nil {
		return "", err
	}
	if err := synth.Wait(); err != nil {
		return "", fmt.Errorf("synthrepo.py: %w", err)
	}
	if err := b.tidy(ctx, tmp); err != nil {
		return "", err
	}
	return dir, os.Rename(tmp, dir)
}

// tidy brings a repository into its best shape for serving.
func (b *bench) tidy(ctx context.Context, dir string) error {
	for _, args := range [][]string{
		{"repack", "-q", "-a", "-d", "--write-bitmap-index"},
		{"commit-graph", "write", "--reachable", "--changed-paths"},
		{"pack-refs", "--all"},
	} {
		if _, err := b.git.run(ctx, dir, args...); err != nil {
			return err
		}
	}
	return nil
}

// withRefs returns a small repository with so many branches, kept in the cache.
func (b *bench) withRefs(ctx context.Context, refs int) (string, error) {
	dir := filepath.Join(b.cache, fmt.Sprintf("refs-%d.git", refs))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return "", err
	}
	if _, err := b.git.run(ctx, "", "init", "-q", "--bare", "-b", "main", "--template=", tmp); err != nil {
		return "", err
	}
	var ids []string
	parent := ""
	tree, err := b.git.run(ctx, tmp, "hash-object", "-w", "-t", "tree", "/dev/null")
	if err != nil {
		return "", err
	}
	for i := range 20 {
		args := []string{"commit-tree", tree, "-m", fmt.Sprintf("Commit %d", i)}
		if parent != "" {
			args = append(args, "-p", parent)
		}
		if parent, err = b.git.run(ctx, tmp, args...); err != nil {
			return "", err
		}
		ids = append(ids, parent)
	}
	var updates strings.Builder
	fmt.Fprintf(&updates, "create refs/heads/main %s\n", parent)
	for i := range refs - 1 {
		fmt.Fprintf(&updates, "create refs/heads/topic/%06d %s\n", i, ids[i%len(ids)])
	}
	if _, err := b.git.pipe(ctx, tmp, strings.NewReader(updates.String()), "update-ref", "--stdin"); err != nil {
		return "", err
	}
	if err := b.tidy(ctx, tmp); err != nil {
		return "", err
	}
	return dir, os.Rename(tmp, dir)
}

// copyInto replaces content and refs of the bare repository at dst by those of
// src, with hard links for the packs, which git never changes.
func copyInto(ctx context.Context, src, dst string) error {
	if err := os.MkdirAll(dst, 0o750); err != nil {
		return err
	}
	for _, part := range []string{"objects", "refs", "packed-refs"} {
		if err := os.RemoveAll(filepath.Join(dst, part)); err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(src, part)); err != nil {
			continue
		}
		how := "-al"
		if part != "objects" {
			how = "-a"
		}
		if err := command(ctx, nil, "cp", how, filepath.Join(src, part), filepath.Join(dst, part)); err != nil {
			return err
		}
	}
	return nil
}

// publish puts a copy of the repository under the baseline server, open for
// pushes.
func (b *bench) publish(ctx context.Context, n nginx, src, name string) error {
	dst := n.path(name)
	if _, err := b.git.run(ctx, "", "init", "-q", "--bare", "-b", "main", "--template=", dst); err != nil {
		return err
	}
	if _, err := b.git.run(ctx, dst, "config", "http.receivepack", "true"); err != nil {
		return err
	}
	if src == "" {
		return nil
	}
	return copyInto(ctx, src, dst)
}

// importCopy puts a copy of the repository under the server, as a local one.
func (h *headwater) importCopy(ctx context.Context, src, name string) (hosted, error) {
	r, err := h.create(ctx, name, "", "")
	if err != nil {
		return r, err
	}
	return r, copyInto(ctx, src, r.path)
}
