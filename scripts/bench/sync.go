package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// benchSync syncs repositories whose upstream has not changed.
func benchSync(ctx context.Context, b *bench) error {
	st, err := b.start(ctx, "sync")
	if err != nil {
		return err
	}
	defer st.stop()
	h, n := st.headwater, st.nginx
	for _, refs := range []int{10, 2792, 50000} {
		src, err := b.withRefs(ctx, refs)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("refs%d", refs)
		if err := b.publish(ctx, n, src, name); err != nil {
			return err
		}
		r, err := h.create(ctx, name, n.host, "open/"+name)
		if err != nil {
			return err
		}
		first, err := r.sync(ctx)
		if err != nil {
			return err
		}
		if refs > 10 {
			if err := b.firstOfRefs(ctx, n.url(name), refs, first); err != nil {
				return err
			}
		}
		var runs []time.Duration
		s, err := interleave(ctx, b.rounds(15),
			variant{cpu: h.cpu, op: func(ctx context.Context, round int) error {
				took, err := r.sync(ctx)
				if round > 0 {
					runs = append(runs, took)
				}
				return err
			}},
			variant{op: func(ctx context.Context, _ int) error {
				_, err := b.git.run(ctx, "", "ls-remote", "--heads", "--tags", n.url(name))
				return err
			}})
		if err != nil {
			return err
		}
		what := fmt.Sprintf("no change, %d refs", refs)
		b.table.compare("sync", what+", run", sample{wall: runs}.p50(), s[1].p50(), 1.1, 0)
		b.table.note("sync", what+", CPU with the calls", show(s[0].cpuPer()))
	}
	return b.syncGitea(ctx, n, h)
}

// firstOfRefs compares the first mirror of a repository that is nothing but refs
// with a git fetch of them.
func (b *bench) firstOfRefs(ctx context.Context, url string, refs int, ours time.Duration) error {
	dir := filepath.Join(b.work, "many-refs.git")
	defer os.RemoveAll(dir)
	if _, err := b.git.run(ctx, "", "init", "-q", "--bare", "-b", "main", "--template=", dir); err != nil {
		return err
	}
	start := time.Now()
	if _, err := b.git.run(ctx, dir, "fetch", "-q", "--no-tags", url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"); err != nil {
		return err
	}
	b.table.compare("sync", fmt.Sprintf("first mirror of %d refs, one round", refs), ours, time.Since(start), 1.1, 0)
	return nil
}

// syncGitea compares with the mirror-sync of a real Gitea on the same upstream.
func (b *bench) syncGitea(ctx context.Context, n nginx, h *headwater) error {
	g, err := b.startGitea(ctx, "sync-gitea-peer")
	if errors.Is(err, errNoGitea) {
		b.table.note("sync", "against Gitea's mirror-sync", "not measured")
		fmt.Fprintln(os.Stderr, "#", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer g.stop()
	const name = "refs2792"
	r, err := h.create(ctx, "beside-gitea", n.host, "open/"+name)
	if err != nil {
		return err
	}
	if _, err := r.sync(ctx); err != nil {
		return err
	}
	if err := g.call(ctx, http.MethodPost, "/api/v1/repos/migrate", map[string]any{
		"clone_addr": n.url(name), "repo_name": name, "mirror": true, "mirror_interval": "24h0m0s",
	}, nil); err != nil {
		return err
	}
	updated := func(ctx context.Context) (string, error) {
		var a struct {
			Updated string `json:"mirror_updated"`
		}
		err := g.call(ctx, http.MethodGet, "/api/v1/repos/admin1/"+name, nil, &a)
		return a.Updated, err
	}
	var runs []time.Duration
	before := ""
	s, err := interleave(ctx, b.rounds(6),
		variant{op: func(ctx context.Context, round int) error {
			took, err := r.sync(ctx)
			if round > 0 {
				runs = append(runs, took)
			}
			return err
		}},
		variant{
			prepare: func(ctx context.Context, _ int) (err error) {
				// Gitea tells the time of a sync in whole seconds.
				time.Sleep(1100 * time.Millisecond)
				before, err = updated(ctx)
				return err
			},
			op: func(ctx context.Context, _ int) error {
				if err := g.call(ctx, http.MethodPost, "/api/v1/repos/admin1/"+name+"/mirror-sync", nil, nil); err != nil {
					return err
				}
				for {
					now, err := updated(ctx)
					if err != nil || now != before {
						return err
					}
					time.Sleep(10 * time.Millisecond)
				}
			},
		})
	if err != nil {
		return err
	}
	b.table.compare("sync", "no change, 2792 refs, against Gitea", sample{wall: runs}.p50(), s[1].p50(), 0.1, 0)
	return nil
}

// benchChange measures from asking for a sync to the upstream's new commit
// being readable.
func benchChange(ctx context.Context, b *bench) error {
	src, err := b.generated(ctx, b.medium())
	if err != nil {
		return err
	}
	st, err := b.start(ctx, "change")
	if err != nil {
		return err
	}
	defer st.stop()
	h, n := st.headwater, st.nginx
	f, err := b.follow(ctx, h, n, src, "follower")
	if err != nil {
		return err
	}
	s, err := interleave(ctx, b.rounds(20),
		variant{cpu: h.cpu, prepare: f.change, op: func(ctx context.Context, _ int) error {
			if _, err := f.pull(ctx); err != nil {
				return err
			}
			return f.shown(ctx)
		}},
		variant{prepare: f.change, op: f.byHand})
	if err != nil {
		return err
	}
	if out, err := f.git().run(ctx, "", "ls-remote", f.url, "refs/heads/main"); err != nil {
		return err
	} else if _, err := f.sync(ctx); err != nil || out == "" {
		return errors.Join(err, errors.New("the follower does not show its main branch"))
	}
	b.table.compare("change", "upstream change to readable", s[0].p50(), s[1].p50(), 1.2, 30*time.Millisecond)
	return nil
}

// benchMirror makes first mirrors of a large repository, and clones one.
func benchMirror(ctx context.Context, b *bench) error {
	src, err := b.generated(ctx, b.large())
	if err != nil {
		return err
	}
	st, err := b.start(ctx, "mirror")
	if err != nil {
		return err
	}
	defer st.stop()
	h, n := st.headwater, st.nginx
	if err := b.publish(ctx, n, src, "large"); err != nil {
		return err
	}
	var last hosted
	var runs []time.Duration
	bare := filepath.Join(b.work, "mirror.git")
	checked := filepath.Join(b.work, "checked.git")
	fetch := func(dir string, config ...string) variant {
		return variant{
			prepare: func(ctx context.Context, _ int) error {
				if err := os.RemoveAll(dir); err != nil {
					return err
				}
				_, err := b.git.run(ctx, "", "init", "-q", "--bare", "-b", "main", "--template=", dir)
				return err
			},
			op: func(ctx context.Context, _ int) error {
				_, err := b.git.run(ctx, dir, append(config, "fetch", "-q", "--no-tags", n.url("large"), "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")...)
				return err
			},
		}
	}
	s, err := interleave(ctx, b.rounds(3),
		variant{
			prepare: func(ctx context.Context, round int) (err error) {
				if last.url != "" {
					// Its maintenance must not run beside the next round.
					if err := waitBitmap(ctx, last.path); err != nil {
						return err
					}
				}
				last, err = h.create(ctx, fmt.Sprintf("mirror%d", round), n.host, "open/large")
				return err
			},
			op: func(ctx context.Context, round int) error {
				took, err := last.sync(ctx)
				if round > 0 {
					runs = append(runs, took)
				}
				return err
			},
		},
		variant{
			prepare: func(ctx context.Context, r int) error {
				if err := waitBitmap(ctx, last.path); err != nil && last.url != "" {
					return err
				}
				return fetch(bare).prepare(ctx, r)
			},
			op: fetch(bare).op,
		},
		fetch(checked, "-c", "fetch.fsckObjects=true", "-c", "core.fsync=committed"))
	if err != nil {
		return err
	}
	b.table.compare("mirror", "first mirror, against git fetch", sample{wall: runs}.p50(), s[1].p50(), 1.1, 0)
	b.table.beside("mirror", "the same, with fsck and fsync in both", sample{wall: runs}.p50(), s[2].p50())
	return b.cloneMirror(ctx, h, last, src)
}

// cloneMirror compares the clone of a mirror whose housekeeping is done with
// that of the best state.
func (b *bench) cloneMirror(ctx context.Context, h *headwater, mirror hosted, src string) error {
	start := time.Now()
	if err := waitBitmap(ctx, mirror.path); err != nil {
		return err
	}
	if waited := time.Since(start); waited > time.Second {
		b.table.note("mirror", "bitmap after the first sync", show(waited))
	}
	best, err := h.importCopy(ctx, src, "best")
	if err != nil {
		return err
	}
	// The source holds refs that are no branches or tags, so both sides get
	// the same ones to serve.
	if err := b.tidy(ctx, best.path); err != nil {
		return err
	}
	s, err := b.cloneAll(ctx, []side{{mirror.git(), mirror.url, h.cpu}, {best.git(), best.url, h.cpu}}, b.rounds(4))
	if err != nil {
		return err
	}
	b.table.compare("mirror", "clone after first sync, server CPU", s[0].cpuPer(), s[1].cpuPer(), 1.1, 0)
	return nil
}

// waitBitmap waits for the housekeeping after a first mirror.
func waitBitmap(ctx context.Context, dir string) error {
	if dir == "" {
		return nil
	}
	for range 6000 {
		bitmaps, _ := fs.Glob(os.DirFS(dir), "objects/pack/*.bitmap")
		graphs, _ := fs.Glob(os.DirFS(dir), "objects/info/commit-graphs/commit-graph-chain")
		if len(bitmaps) > 0 && len(graphs) > 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s gets no bitmap", dir)
}
