package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// follower is a repository that follows an upstream which changes, beside a bare
// clone of the same upstream for fetches by hand.
type follower struct {
	hosted
	writer *pusher
	before string // tip of the upstream before its last change
	clone  string
	source string // URL of the upstream
	rounds int
}

// follow publishes src as "upstream" and mirrors it.
func (b *bench) follow(ctx context.Context, h *headwater, n nginx, src, name string) (*follower, error) {
	if err := b.publish(ctx, n, src, "upstream"); err != nil {
		return nil, err
	}
	r, err := h.create(ctx, "follower", n.host, "open/upstream")
	if err != nil {
		return nil, err
	}
	if _, err := r.sync(ctx); err != nil {
		return nil, err
	}
	f := &follower{
		hosted: r, source: n.url("upstream"), clone: filepath.Join(b.work, name+".git"),
		// The writer works in the upstream's folder, so its commits need no push.
		writer: &pusher{git: b.git, dir: n.path("upstream")},
	}
	if f.writer.tip, err = b.git.run(ctx, f.writer.dir, "rev-parse", "main"); err != nil {
		return nil, err
	}
	if _, err := b.git.run(ctx, "", "init", "-q", "--bare", "-b", "main", "--template=", f.clone); err != nil {
		return nil, err
	}
	return f, copyInto(ctx, src, f.clone)
}

// change puts a commit onto main of the upstream.
func (f *follower) change(ctx context.Context, _ int) error {
	f.rounds++
	f.before = f.writer.tip
	if err := f.writer.commit(ctx, f.rounds); err != nil {
		return err
	}
	_, err := f.writer.git.run(ctx, f.writer.dir, "update-ref", "refs/heads/main", f.writer.tip)
	return err
}

// shown waits until the commit is here. Looking at the file is how to see it
// within a millisecond without loading the server.
func (f *follower) shown(ctx context.Context) error {
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until) && ctx.Err() == nil; time.Sleep(500 * time.Microsecond) {
		raw, err := os.ReadFile(filepath.Join(f.path, "refs", "heads", "main"))
		if err == nil && strings.TrimSpace(string(raw)) == f.writer.tip {
			return nil
		}
	}
	return errors.Join(errors.New("the new commit does not appear"), ctx.Err())
}

// byHand is the fetch that a person would start.
func (f *follower) byHand(ctx context.Context, _ int) error {
	_, err := f.writer.git.run(ctx, f.clone, "fetch", "-q", "--no-tags", f.source, "+refs/heads/main:refs/heads/main")
	return err
}
