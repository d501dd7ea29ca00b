package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// readBudget is the budget of reads: wall against the baseline, and CPU.
const (
	readWall = 1.0
	readCPU  = 1.1
)

// reads adds the two rows of a read: samples of the server, the baseline, and
// the baseline that keeps account.
func (b *bench) reads(group, what string, s []sample) {
	b.table.compare(group, what+", wall p50", s[0].p50(), s[1].p50(), readWall, 0)
	b.table.compare(group, what+", server CPU", s[0].cpuPer(), s[2].cpuPer(), readCPU, 0)
}

// stage is a server beside its baselines.
type stage struct {
	*headwater
	nginx   nginx
	counted nginx // over the same repositories, for CPU times
	stop    func()
}

// start starts a server and its baselines.
func (b *bench) start(ctx context.Context, name string) (*stage, error) {
	root := filepath.Join(b.work, name+"-repos")
	n, err := b.startNginx(ctx, name+"-nginx", root, false)
	if err != nil {
		return nil, err
	}
	counted, err := b.startNginx(ctx, name+"-counted", root, true)
	if err != nil {
		n.stop()
		return nil, err
	}
	h, err := b.startHeadwater(ctx, name, n.host)
	if err != nil {
		n.stop()
		counted.stop()
		return nil, err
	}
	return &stage{headwater: h, nginx: n, counted: counted, stop: func() { h.stop(); n.stop(); counted.stop() }}, nil
}

// side is one server of a comparison, seen by a client.
type side struct {
	git client
	url string
	cpu func() time.Duration
}

// sides returns the three sides of a comparison of reads.
func (s *stage) sides(r hosted, name string) []side {
	return []side{{r.git(), r.url, s.cpu}, {s.b.git, s.nginx.url(name), nil}, {s.b.git, s.counted.url(name), s.counted.cpu}}
}

// benchRefs lists the refs of repositories of three sizes.
func benchRefs(ctx context.Context, b *bench) error {
	st, err := b.start(ctx, "refs")
	if err != nil {
		return err
	}
	defer st.stop()
	for _, refs := range []int{10, 2000, 50000} {
		src, err := b.withRefs(ctx, refs)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("refs%d", refs)
		if err := b.publish(ctx, st.nginx, src, name); err != nil {
			return err
		}
		r, err := st.importCopy(ctx, src, name)
		if err != nil {
			return err
		}
		list := func(c client, url string) func(context.Context, int) error {
			return func(ctx context.Context, _ int) error {
				out, err := c.run(ctx, "", "ls-remote", url)
				if got := strings.Count(out, "\n"); err == nil && got != refs {
					err = fmt.Errorf("%s lists %d refs beside HEAD, not %d", url, got, refs)
				}
				return err
			}
		}
		rounds := 30
		if refs > 10000 {
			rounds = 12
		}
		var variants []variant
		for _, side := range st.sides(r, name) {
			variants = append(variants, variant{cpu: side.cpu, op: list(side.git, side.url)})
		}
		s, err := interleave(ctx, b.rounds(rounds), variants...)
		if err != nil {
			return err
		}
		b.reads("refs", fmt.Sprintf("ls-remote, %d refs", refs), s)
	}
	return nil
}

// benchRead clones and fetches.
func benchRead(ctx context.Context, b *bench) error {
	st, err := b.start(ctx, "read")
	if err != nil {
		return err
	}
	defer st.stop()
	for _, kind := range []struct {
		name   string
		size   size
		rounds int
	}{{"medium", b.medium(), 12}, {"large", b.large(), 5}} {
		src, err := b.generated(ctx, kind.size)
		if err != nil {
			return err
		}
		if err := b.publish(ctx, st.nginx, src, kind.name); err != nil {
			return err
		}
		r, err := st.importCopy(ctx, src, kind.name)
		if err != nil {
			return err
		}
		sides := st.sides(r, kind.name)
		s, err := b.cloneAll(ctx, sides, b.rounds(kind.rounds))
		if err != nil {
			return err
		}
		b.reads("read", "clone, "+kind.name, s)
		if s, err = b.cloneAll(ctx, sides, b.rounds(2*kind.rounds), "--depth=1"); err != nil {
			return err
		}
		b.reads("read", "shallow clone, "+kind.name, s)
		if s, err = b.fetchAll(ctx, sides, src, b.rounds(4*kind.rounds)); err != nil {
			return err
		}
		b.reads("read", "fetch of one commit, "+kind.name, s)
	}
	return nil
}

// cloneAll clones from all sides. Bare clones: a checkout would be the same
// on both, and long.
func (b *bench) cloneAll(ctx context.Context, sides []side, rounds int, flags ...string) ([]sample, error) {
	var variants []variant
	for i, s := range sides {
		dir := filepath.Join(b.work, fmt.Sprintf("clone%d", i))
		variants = append(variants, variant{
			cpu:     s.cpu,
			prepare: func(context.Context, int) error { return os.RemoveAll(dir) },
			op: func(ctx context.Context, _ int) error {
				_, err := s.git.run(ctx, "", append(append([]string{"clone", "-q", "--bare"}, flags...), s.url, dir)...)
				return err
			},
		})
		defer os.RemoveAll(dir)
	}
	return interleave(ctx, rounds, variants...)
}

// fetchAll fetches the newest commit into a clone that lacks nothing else.
func (b *bench) fetchAll(ctx context.Context, sides []side, src string, rounds int) ([]sample, error) {
	behind := filepath.Join(b.work, "behind.git")
	defer os.RemoveAll(behind)
	if _, err := b.git.run(ctx, "", "init", "-q", "--bare", "-b", "main", "--template=", behind); err != nil {
		return nil, err
	}
	parent, err := b.git.run(ctx, src, "rev-parse", "main~1")
	if err != nil {
		return nil, err
	}
	if _, err := b.git.run(ctx, behind, "-c", "protocol.version=2", "fetch", "-q", "--no-tags", "file://"+src, parent+":refs/heads/main"); err != nil {
		return nil, err
	}
	var variants []variant
	for i, s := range sides {
		dir := filepath.Join(b.work, fmt.Sprintf("fetch%d.git", i))
		variants = append(variants, variant{
			cpu: s.cpu,
			prepare: func(ctx context.Context, _ int) error {
				if err := os.RemoveAll(dir); err != nil {
					return err
				}
				return command(ctx, nil, "cp", "-al", behind, dir)
			},
			op: func(ctx context.Context, _ int) error {
				_, err := s.git.run(ctx, dir, "fetch", "-q", "--no-tags", s.url, "refs/heads/main")
				return err
			},
		})
		defer os.RemoveAll(dir)
	}
	return interleave(ctx, rounds, variants...)
}

// benchMemory runs 16 clones at once and looks at the server itself.
func benchMemory(ctx context.Context, b *bench) error {
	const clones = 16
	src, err := b.generated(ctx, b.large())
	if err != nil {
		return err
	}
	h, err := b.startHeadwater(ctx, "memory", "127.0.0.1:1")
	if err != nil {
		return err
	}
	defer h.stop()
	r, err := h.importCopy(ctx, src, "big")
	if err != nil {
		return err
	}
	before, err := memoryOf(h.pid, "VmRSS")
	if err != nil {
		return err
	}
	if err := resetPeak(h.pid); err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, clones)
	start := time.Now()
	for i := range clones {
		wg.Go(func() {
			dir := filepath.Join(b.work, fmt.Sprintf("many%d.git", i))
			defer os.RemoveAll(dir)
			_, errs[i] = r.git().run(ctx, "", "clone", "-q", "--bare", r.url, dir)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	took := time.Since(start)
	peak, err := memoryOf(h.pid, "VmHWM")
	if err != nil {
		return err
	}
	b.table.note("memory", "resident before", mib(before))
	b.table.memory("memory", fmt.Sprintf("peak during %d clones", clones), peak, 100<<20)
	b.table.note("memory", "those clones took", show(took))
	return nil
}

// benchIdle starts a server with all eight providers configured and uses none.
func benchIdle(ctx context.Context, b *bench) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	var hcl strings.Builder
	fmt.Fprintf(&hcl, "provider \"github-app\" {\n  app_id = 1\n  private_key = <<PEM\n%sPEM\n}\n", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for _, name := range []string{"github-public", "gitlab", "bitbucket", "gitea", "forgejo", "codeberg", "sourcehut"} {
		fmt.Fprintf(&hcl, "provider %q {\n  host \"%s.example.test\" {\n    max_concurrent = 2\n  }\n}\n", name, name)
	}
	h, err := b.startHeadwaterWith(ctx, "idle", hcl.String())
	if err != nil {
		return err
	}
	defer h.stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(2 * time.Second): // for what a start leaves to be done
	}
	rss, err := memoryOf(h.pid, "VmRSS")
	if err != nil {
		return err
	}
	b.table.memory("idle", "resident, 8 providers configured", rss, 60<<20)
	var anonymous int64
	for _, s := range tree(h.pid) {
		of, err := memoryOf(s.pid, "RssAnon")
		if err != nil {
			return err
		}
		anonymous += of
	}
	b.table.memory("idle", "anonymous, with all child processes", anonymous, 60<<20)
	b.table.note("idle", "child processes", fmt.Sprint(len(tree(h.pid))-1))
	return nil
}
