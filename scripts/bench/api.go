package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// apiWriters is how many clients call at once where several do. Each writer has
// a branch of its own.
const apiWriters = 8

// apiBulk is how many files the large commit has.
const apiBulk = 1000

// apiTimes is how many times Gitea's calls per second ours should be.
const apiTimes = 5

// apiSize is the repository of the API's group.
func (b *bench) apiSize() size {
	if b.quick {
		return size{commits: 1000, files: 5000, branches: 1, tags: 1}
	}
	return size{commits: 2000, files: 20000, branches: 1, tags: 1}
}

// apiBench is the group's state: the same repository on both servers.
type apiBench struct {
	*bench
	files []string // of main, in tree order
	shas  []string // commits of main to be shown as diffs
	ours  headwaterAPI
	gitea apiSide      // nil without a Gitea
	next  atomic.Int64 // number of the next change, so that no two are equal
}

// benchAPI calls the REST API in a repository of 20,000 files, beside the same
// operations of a real Gitea's API.
func benchAPI(ctx context.Context, b *bench) error {
	a := &apiBench{bench: b}
	dir, err := a.prepare(ctx)
	if err != nil {
		return err
	}
	h, err := b.startHeadwater(ctx, "api")
	if err != nil {
		return err
	}
	defer h.stop()
	r, err := h.importCopy(ctx, dir, "files")
	if err != nil {
		return err
	}
	if a.ours, err = r.overKeptConnections(); err != nil {
		return err
	}
	g, err := b.startGitea(ctx, "api-gitea-peer")
	switch {
	case errors.Is(err, errNoGitea):
		b.table.note("api", "beside Gitea", "not measured")
		fmt.Fprintln(os.Stderr, "#", err)
	case err != nil:
		return err
	default:
		defer g.stop()
		if err := b.fillGitea(ctx, g, dir, "files"); err != nil {
			return err
		}
		a.gitea = g.api("files")
	}
	// Reads come first, from repositories of one pack on both sides.
	for _, part := range []func(context.Context) error{a.reads, a.metadata, a.diffs, a.commits, a.bulk, a.grep} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the repository with a branch for each writer.
func (a *apiBench) prepare(ctx context.Context) (string, error) {
	src, err := a.generated(ctx, a.apiSize())
	if err != nil {
		return "", err
	}
	dir := filepath.Join(a.work, "api-src.git")
	if _, err := a.git.run(ctx, "", "init", "-q", "--bare", "-b", "main", "--template=", dir); err != nil {
		return "", err
	}
	if err := copyInto(ctx, src, dir); err != nil {
		return "", err
	}
	for w := range apiWriters {
		if _, err := a.git.run(ctx, dir, "update-ref", "refs/heads/"+writerBranch(w), "refs/heads/main"); err != nil {
			return "", err
		}
	}
	if _, err := a.git.run(ctx, dir, "pack-refs", "--all"); err != nil {
		return "", err
	}
	names, err := a.git.run(ctx, dir, "ls-tree", "-r", "--name-only", "refs/heads/main")
	if err != nil {
		return "", err
	}
	a.files = strings.Split(names, "\n")
	shas, err := a.git.run(ctx, dir, "rev-list", "--no-merges", "-n", "50", "refs/heads/main")
	a.shas = strings.Fields(shas)
	return dir, err
}

func writerBranch(w int) string { return fmt.Sprintf("writer-%d", w) }

// fillGitea pushes the repository and then brings it into the same shape as
// ours: one pack with a bitmap and a commit-graph.
func (b *bench) fillGitea(ctx context.Context, g gitea, dir, name string) error {
	if err := g.create(ctx, name); err != nil {
		return err
	}
	args := []string{"push", "-q", g.url(name), "refs/heads/main"}
	for w := range apiWriters {
		args = append(args, "refs/heads/"+writerBranch(w))
	}
	if _, err := b.git.with(g.token).run(ctx, dir, args...); err != nil {
		return err
	}
	if err := b.tidy(ctx, filepath.Join(g.repos, "admin1", name+".git")); err != nil {
		return err
	}
	// It takes note of what was pushed some time after the push.
	for range 200 {
		var repo struct{ Empty bool }
		if err := g.call(ctx, http.MethodGet, "/api/v1/repos/admin1/"+name, nil, &repo); err != nil {
			return err
		}
		var branches []struct{ Name string }
		if err := g.call(ctx, http.MethodGet, "/api/v1/repos/admin1/"+name+"/branches?limit=50", nil, &branches); err != nil {
			return err
		}
		if !repo.Empty && len(branches) == apiWriters+1 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return errors.New("the Gitea does not notice the branches that were pushed")
}

// sides returns the servers that are measured, ours first.
func (a *apiBench) sides() []apiSide {
	if a.gitea == nil {
		return []apiSide{a.ours}
	}
	return []apiSide{a.ours, a.gitea}
}

// rate compares calls per second of the servers, and the CPU time of a call.
func (a *apiBench) rate(ctx context.Context, what string, rounds, clients int, slice time.Duration, call func(ctx context.Context, s apiSide, client int) error) error {
	var ops []clientOp
	for _, s := range a.sides() {
		ops = append(ops, clientOp{s.cpu, func(ctx context.Context, client int) error { return call(ctx, s, client) }})
	}
	loads, err := throughput(ctx, rounds, clients, slice, ops...)
	if err != nil {
		return err
	}
	what += fmt.Sprintf(", %d at once", clients)
	if len(loads) == 1 {
		a.table.note("api", what, fmt.Sprintf("%.1f/s", loads[0].rate()))
		a.table.note("api", what+", server CPU", show(loads[0].cpuPer()))
		return nil
	}
	a.table.rate("api", what, loads[0].rate(), loads[1].rate(), apiTimes)
	a.table.beside("api", what+", server CPU", loads[0].cpuPer(), loads[1].cpuPer())
	return nil
}

// slice is how long one side is called before it is the other's turn.
func (a *apiBench) slice(full time.Duration) time.Duration {
	if a.quick {
		return full / 2
	}
	return full
}

// pair runs the same call on both servers and returns their samples; without
// a Gitea the second is empty.
func (a *apiBench) pair(ctx context.Context, rounds int, call func(ctx context.Context, s apiSide, round int) error) ([]sample, error) {
	var variants []variant
	for _, s := range a.sides() {
		variants = append(variants, variant{cpu: s.cpu, op: func(ctx context.Context, round int) error { return call(ctx, s, round) }})
	}
	s, err := interleave(ctx, rounds, variants...)
	if err == nil && len(s) == 1 {
		s = append(s, sample{})
	}
	return s, err
}

// change is a new file beside an existing one, with content of its own.
func (a *apiBench) change() apiFile {
	n := a.next.Add(1)
	beside := a.files[n*7919%int64(len(a.files))]
	return apiFile{path.Join(path.Dir(beside), fmt.Sprintf("new-%d.txt", n)), fmt.Sprintf("change %d of the benchmark\n", n)}
}

// commits makes commits of one file: one after another on main, then as many
// as fit, from one writer and from several with a branch each.
func (a *apiBench) commits(ctx context.Context) error {
	a.next.Store(0) // for grep: see there
	mark, err := os.Stat(a.ours.r.h.log)
	if err != nil {
		return err
	}
	rounds := a.rounds(15)
	s, err := a.pair(ctx, rounds, func(ctx context.Context, s apiSide, _ int) error { return s.commit(ctx, "main", a.change()) })
	if err != nil {
		return err
	}
	processes, err := readProcesses(a.ours.r.h.log, mark.Size())
	if err != nil {
		return err
	}
	var git time.Duration
	count := 0
	for command, took := range processes {
		if command == "cat-file" {
			continue // lives on between requests
		}
		each := len(took) / (rounds + 1)
		git += time.Duration(each) * sample{wall: took}.p50()
		count += each
	}
	a.table.beside("api", "one-file commit, wall p50", s[0].p50(), s[1].p50())
	a.table.beside("api", "one-file commit, server CPU", s[0].cpuPer(), s[1].cpuPer())
	a.table.note("api", "one-file commit, git processes", fmt.Sprint(count))
	a.table.note("api", "one-file commit, time of them", show(git))
	a.table.limit("api", "one-file commit, our own time", max(0, s[0].p50()-git), 15*time.Millisecond)
	for _, writers := range []int{1, apiWriters} {
		err := a.rate(ctx, "one-file commit", 3, writers, a.slice(3*time.Second), func(ctx context.Context, s apiSide, writer int) error {
			return s.commit(ctx, writerBranch(writer), a.change())
		})
		if err != nil {
			return err
		}
	}
	return a.oneByOne(ctx, s[1].p50())
}

// oneByOne compares a commit of many files with as many commits in Gitea, of
// which only one is made: its time, as measured before, is multiplied.
func (a *apiBench) oneByOne(ctx context.Context, one time.Duration) error {
	s, err := interleave(ctx, a.rounds(9), variant{cpu: a.ours.cpu, op: func(ctx context.Context, _ int) error { return a.ours.commit(ctx, "main", a.many(apiBulk)...) }})
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d-file commit", apiBulk)
	a.table.note("api", what+", server CPU", show(s[0].cpuPer()))
	if a.gitea == nil {
		a.table.note("api", what+", wall p50", show(s[0].p50()))
		return nil
	}
	a.table.compare("api", what+", against one by one", s[0].p50(), apiBulk*one, 1.0/20, 0)
	return nil
}

// many returns so many new files in as many folders as there are.
func (a *apiBench) many(files int) []apiFile {
	n := a.next.Add(1)
	list := make([]apiFile, files)
	for i := range list {
		beside := a.files[i*len(a.files)/files]
		list[i] = apiFile{path.Join(path.Dir(beside), fmt.Sprintf("bulk-%d-%d.txt", n, i)), fmt.Sprintf("file %d of bulk %d\n", i, n)}
	}
	return list
}

// bulk makes one large commit with one call on each side. It takes Gitea so
// long that there is a single round.
func (a *apiBench) bulk(ctx context.Context) error {
	if a.gitea == nil {
		return nil
	}
	files := apiBulk
	if a.quick {
		files /= 5
	}
	var took [2]time.Duration
	for i, s := range a.sides() {
		start := time.Now()
		if err := s.commit(ctx, "main", a.many(files)...); err != nil {
			return err
		}
		took[i] = time.Since(start)
	}
	a.table.beside("api", fmt.Sprintf("%d-file commit, one call each, once", files), took[0], took[1])
	return nil
}
