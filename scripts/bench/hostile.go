package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// hostileWall is the goal for a bystander beside a hostile reader, against the
// time that the same takes on a quiet server.
const hostileWall = 2.0

// benchHostile clones and pushes beside the holder of a read token of another
// repository, who sends half requests, floods of have lines, and asks for clones
// that nobody reads.
func benchHostile(ctx context.Context, b *bench) error {
	h, err := b.startHeadwater(ctx, "hostile", "127.0.0.1:1")
	if err != nil {
		return err
	}
	defer h.stop()
	src, err := b.generated(ctx, b.medium())
	if err != nil {
		return err
	}
	target, err := h.importCopy(ctx, src, "target")
	if err != nil {
		return err
	}
	bystander, err := h.importCopy(ctx, src, "bystander")
	if err != nil {
		return err
	}
	head, err := b.git.run(ctx, src, "rev-parse", "main")
	if err != nil {
		return err
	}
	dir := filepath.Join(b.work, "bystander-clone")
	defer os.RemoveAll(dir)
	// The quiet and the loud rounds alternate, so that what else the machine does meets both.
	var stop func()
	besieged := func(want bool) error {
		switch {
		case want == (stop != nil):
			return nil
		case !want:
			stop()
			stop = nil
		default:
			if stop, err = besiege(ctx, target, strings.TrimSpace(head)); err != nil {
				return err
			}
		}
		pause(ctx, 2*time.Second) // until the server is as busy, or as quiet, as it will be
		return ctx.Err()
	}
	defer func() { _ = besieged(false) }()
	clone := func(loud bool) variant {
		return variant{
			prepare: func(context.Context, int) error { return errors.Join(os.RemoveAll(dir), besieged(loud)) },
			op: func(ctx context.Context, _ int) error {
				_, err := bystander.git().run(ctx, "", "clone", "-q", "--bare", bystander.url, dir)
				return err
			},
		}
	}
	push := func(loud bool) variant {
		return variant{
			prepare: func(context.Context, int) error { return besieged(loud) },
			op: func(ctx context.Context, round int) error {
				_, err := bystander.git().run(ctx, src, "push", "-q", bystander.url, fmt.Sprintf("main:refs/heads/%t-%d", loud, round))
				return err
			},
		}
	}
	got, err := interleave(ctx, b.rounds(12), clone(false), push(false), clone(true), push(true))
	if err != nil {
		return err
	}
	b.table.compare("hostile", "clone beside a hostile reader", got[2].p50(), got[0].p50(), hostileWall, 0)
	b.table.compare("hostile", "push beside a hostile reader", got[3].p50(), got[1].p50(), hostileWall, 0)
	return nil
}

// besiege asks for all sorts of things on 150 connections until stop is called.
func besiege(ctx context.Context, r hosted, head string) (stop func(), err error) {
	var flood bytes.Buffer
	z := gzip.NewWriter(&flood)
	haves := "0011command=fetch0001" + strings.Repeat("0032have "+head+"\n", 3_000_000) + "0000"
	if _, err := io.WriteString(z, haves); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	clone := fmt.Sprintf("0011command=fetch0001%04xwant %s\n0009done\n0000", 10+len(head), head)
	ctx, cancel := context.WithCancel(ctx)
	transport := &http.Transport{MaxConnsPerHost: 0}
	post := func(body io.Reader, encoding string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/git-upload-pack", body)
		if err != nil {
			return
		}
		req.SetBasicAuth("t", r.token)
		req.Header.Set("Git-Protocol", "version=2")
		if encoding != "" {
			req.Header.Set("Content-Encoding", encoding)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return // a refusal does not keep it from sending the next request
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			_, _ = io.Copy(io.Discard, resp.Body)
			pause(ctx, 100*time.Millisecond)
			return
		}
		_, _ = io.CopyN(io.Discard, resp.Body, 1)
		pause(ctx, 5*time.Second) // and reads no more
	}
	var all sync.WaitGroup
	for i := range 150 {
		all.Go(func() {
			for ctx.Err() == nil {
				switch i % 3 {
				case 0:
					post(io.MultiReader(strings.NewReader(clone[:len(clone)-4]), endless{ctx}), "")
				case 1:
					if i < 15 { // more of them would measure this process
						post(bytes.NewReader(flood.Bytes()), "gzip")
					} else {
						pause(ctx, time.Second)
					}
				default:
					post(strings.NewReader(clone), "")
				}
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
		transport.CloseIdleConnections()
	}, nil
}

// endless is the other half of a request, which does not come.
type endless struct{ ctx context.Context }

// Read waits.
func (e endless) Read([]byte) (int, error) {
	<-e.ctx.Done()
	return 0, e.ctx.Err()
}

// pause waits, unless it is over.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
