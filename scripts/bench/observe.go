package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// observedRounds are the pairs of the budget.
	observedRounds = 20
	// observedOps are run in each round: the kernel counts CPU time in steps of 10 ms.
	observedOps = 5
)

// benchObserve compares a server that is scraped and sends traces with one that does
// neither: both do the same clones and pushes, in turn.
func benchObserve(ctx context.Context, b *bench) error {
	src, err := b.generated(ctx, b.medium())
	if err != nil {
		return err
	}
	collector, stop, err := startCollector(ctx)
	if err != nil {
		return err
	}
	defer stop()
	port, err := freePort()
	if err != nil {
		return err
	}
	admin := fmt.Sprintf("127.0.0.1:%d", port)
	var clones, pushes []variant
	for _, side := range []struct {
		name  string
		flags []string
	}{
		{"observed", []string{"--admin-listen", admin, "--otlp-endpoint", collector}},
		{"unobserved", nil},
	} {
		h, err := b.startHeadwaterWith(ctx, side.name, "", side.flags...)
		if err != nil {
			return err
		}
		defer h.stop()
		r, err := h.importCopy(ctx, src, "team/app")
		if err != nil {
			return err
		}
		p, err := b.newPusher(ctx, "push-"+side.name, src, r.url, r.git())
		if err != nil {
			return err
		}
		scrape := func(context.Context) error { return nil }
		if side.flags != nil {
			scrape = func(ctx context.Context) error { return readAll(ctx, "http://"+admin+"/metrics") }
		}
		into := filepath.Join(b.work, "clone-"+side.name)
		clones = append(clones, variant{cpu: h.cpu, op: func(ctx context.Context, _ int) error {
			for range observedOps {
				if _, err := r.git().run(ctx, "", "clone", "-q", "--bare", r.url, into); err != nil {
					return err
				}
				if err := os.RemoveAll(into); err != nil {
					return err
				}
			}
			return scrape(ctx)
		}})
		pushes = append(pushes, variant{cpu: h.cpu, op: func(ctx context.Context, round int) error {
			for n := range observedOps {
				if err := p.commit(ctx, round*observedOps+n); err != nil {
					return err
				}
				if err := p.push(ctx, round); err != nil {
					return err
				}
			}
			return scrape(ctx)
		}})
	}
	for _, group := range []struct {
		what     string
		variants []variant
	}{{"clone", clones}, {"push", pushes}} {
		s, err := interleave(ctx, observedRounds, group.variants...)
		if err != nil {
			return err
		}
		b.table.compare("observe", fmt.Sprintf("%d of a %s, server CPU p50", observedOps, group.what), median(s[0].each), median(s[1].each), 1.05, 0)
		var pairs []float64
		for i := range s[0].each {
			pairs = append(pairs, float64(s[0].each[i])/float64(max(s[1].each[i], clockTick)))
		}
		b.table.most("observe", group.what+", median of the pairs", median(pairs), 1.05)
	}
	return nil
}

// median returns the middle value.
func median[T float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// startCollector starts what takes traces and forgets them, and returns its URL.
func startCollector(ctx context.Context) (url string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	})}
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String(), func() { _ = server.Close() }, nil
}

// readAll reads an address to its end.
func readAll(ctx context.Context, url string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
