package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// reads reads one file per call: of all files, most of them for the first time,
// and of a few, again and again.
func (a *apiBench) reads(ctx context.Context) error {
	if a.gitea != nil {
		ours, err := a.ours.read(ctx, a.files[0])
		if err != nil {
			return err
		}
		theirs, err := a.gitea.read(ctx, a.files[0])
		if err != nil {
			return err
		}
		if !bytes.Equal(ours, theirs) {
			return fmt.Errorf("the servers hold different content of %s", a.files[0])
		}
	}
	for _, clients := range []int{1, apiWriters} {
		for _, set := range []struct {
			what  string
			files int64
		}{{"file read", int64(len(a.files))}, {"repeated file read", 100}} {
			err := a.rate(ctx, set.what, a.rounds(6), clients, a.slice(time.Second), func(ctx context.Context, s apiSide, _ int) error {
				// Steps of a prime go through all files, each call to another folder.
				_, err := s.read(ctx, a.files[a.next.Add(1)%set.files*7919%int64(len(a.files))])
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// metadata compares the listing of all files and their last commits with git's
// walk over the same history. Gitea tells last commits one folder at a time.
func (a *apiBench) metadata(ctx context.Context) error {
	mark, err := os.Stat(a.ours.r.h.log)
	if err != nil {
		return err
	}
	rounds := a.rounds(9)
	s, err := interleave(ctx, rounds,
		variant{cpu: a.ours.cpu, op: func(ctx context.Context, _ int) error {
			n, err := a.ours.metadata(ctx)
			if err == nil && n != len(a.files) {
				err = fmt.Errorf("files/metadata lists %d files, not %d", n, len(a.files))
			}
			return err
		}},
		variant{op: func(ctx context.Context, _ int) error {
			_, err := a.git.run(ctx, a.ours.r.path, "log", "--raw", "--format=%H", "refs/heads/main")
			return err
		}})
	if err != nil {
		return err
	}
	processes, err := readProcesses(a.ours.r.h.log, mark.Size())
	if err != nil {
		return err
	}
	what := fmt.Sprintf("metadata of %d files", len(a.files))
	a.table.beside("api", what+", beside git log --raw", s[0].p50(), s[1].p50())
	a.table.note("api", what+", server CPU", show(s[0].cpuPer()))
	count := 0
	for _, took := range processes {
		count += len(took)
	}
	a.table.most("api", what+", git processes", float64(count)/float64(rounds+1), 4)
	return nil
}

// diffs shows what single commits change.
func (a *apiBench) diffs(ctx context.Context) error {
	s, err := a.pair(ctx, a.rounds(30), func(ctx context.Context, s apiSide, round int) error {
		_, err := s.diff(ctx, a.shas[round%len(a.shas)])
		return err
	})
	if err != nil {
		return err
	}
	a.table.beside("api", "diff of a commit, wall p50", s[0].p50(), s[1].p50())
	a.table.beside("api", "diff of a commit, server CPU", s[0].cpuPer(), s[1].cpuPer())
	return nil
}

// grep compares a search of main with git's over the same repository; Gitea's
// API has none. It finds the first nine changes that this run committed to it.
func (a *apiBench) grep(ctx context.Context) error {
	const pattern = "^change [1-9] of the bench(mark|es)"
	var ours, theirs int
	s, err := interleave(ctx, a.rounds(9),
		variant{cpu: a.ours.cpu, op: func(ctx context.Context, _ int) error {
			var err error
			ours, err = a.ours.grep(ctx, pattern)
			return err
		}},
		variant{op: func(ctx context.Context, _ int) error {
			out, err := a.git.run(ctx, a.ours.r.path, "grep", "-E", pattern, "refs/heads/main")
			theirs = strings.Count(out, "\n") + 1
			return err
		}})
	if err != nil {
		return err
	}
	if ours != theirs {
		return fmt.Errorf("grep finds %d lines, git %d", ours, theirs)
	}
	a.table.beside("api", "grep, beside git grep", s[0].p50(), s[1].p50())
	a.table.note("api", "grep, server CPU", show(s[0].cpuPer()))
	return nil
}

// readProcesses returns how long the git processes of each command took that
// ended since the log had that size.
func readProcesses(log string, offset int64) (map[string][]time.Duration, error) {
	f, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(offset, 0); err != nil {
		return nil, err
	}
	found := map[string][]time.Duration{}
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var l logLine
		if json.Unmarshal(sc.Bytes(), &l) != nil || !strings.HasSuffix(l.Message, "git finished") {
			continue
		}
		if d, ok := duration(l.Duration); ok {
			found[l.Command] = append(found[l.Command], d)
		}
	}
	return found, sc.Err()
}
