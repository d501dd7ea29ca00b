package main

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// settle is how long a server gets after each operation to reap its processes,
// before its CPU time is read.
const settle = 30 * time.Millisecond

// variant is one side of a comparison.
type variant struct {
	cpu func() time.Duration // used by the servers so far; nil counts none
	// prepare runs before each operation and is not measured; it may be nil.
	prepare func(ctx context.Context, round int) error
	op      func(ctx context.Context, round int) error
}

// sample is what the rounds of a variant came to.
type sample struct {
	wall []time.Duration
	cpu  time.Duration   // of all rounds together
	each []time.Duration // CPU time of each round
}

// p50 returns the median wall time.
func (s sample) p50() time.Duration { return s.quantile(50) }

// quantile returns the wall time that so many of a hundred rounds stayed below.
func (s sample) quantile(percent int) time.Duration {
	if len(s.wall) == 0 {
		return 0
	}
	w := slices.Sorted(slices.Values(s.wall))
	return w[min(len(w)-1, len(w)*percent/100)]
}

// cpuPer returns the CPU time of one operation.
func (s sample) cpuPer() time.Duration {
	return s.cpu / time.Duration(max(1, len(s.wall)))
}

// interleave runs the variants in turn for so many rounds, after one round that
// does not count. The order within a round alternates, so that neither side
// always follows the other.
func interleave(ctx context.Context, rounds int, variants ...variant) ([]sample, error) {
	samples := make([]sample, len(variants))
	for round := range rounds + 1 {
		for n := range variants {
			i := n
			if round%2 == 1 {
				i = len(variants) - 1 - n
			}
			v := variants[i]
			if v.prepare != nil {
				if err := v.prepare(ctx, round); err != nil {
					return nil, err
				}
			}
			var before time.Duration
			if v.cpu != nil {
				before = v.cpu()
			}
			start := time.Now()
			if err := v.op(ctx, round); err != nil {
				return nil, err
			}
			wall := time.Since(start)
			time.Sleep(settle)
			if round == 0 {
				continue
			}
			samples[i].wall = append(samples[i].wall, wall)
			if v.cpu != nil {
				used := v.cpu() - before
				samples[i].cpu += used
				samples[i].each = append(samples[i].each, used)
			}
		}
	}
	return samples, nil
}

// clientOp is one call of one of several clients, which are numbered.
type clientOp struct {
	cpu func() time.Duration // used by the server so far
	op  func(ctx context.Context, client int) error
}

// load is what the slices of an operation came to.
type load struct {
	calls     int64
	wall, cpu time.Duration
}

// rate returns the calls per second.
func (l load) rate() float64 { return float64(l.calls) / l.wall.Seconds() }

// cpuPer returns the server's CPU time of one call.
func (l load) cpuPer() time.Duration { return l.cpu / time.Duration(max(1, l.calls)) }

// throughput calls the operations in turn, each from so many clients at once
// for a slice of time per round. A round before does not count. Calls that are
// under way when a slice ends are waited for and counted, with their time.
func throughput(ctx context.Context, rounds, clients int, slice time.Duration, ops ...clientOp) ([]load, error) {
	loads := make([]load, len(ops))
	for round := range rounds + 1 {
		for n := range ops {
			i := n
			if round%2 == 1 {
				i = len(ops) - 1 - n
			}
			var done atomic.Int64
			group, gctx := errgroup.WithContext(ctx)
			before, start := ops[i].cpu(), time.Now()
			for client := range clients {
				group.Go(func() error {
					for time.Since(start) < slice {
						if err := ops[i].op(gctx, client); err != nil {
							return err
						}
						done.Add(1)
					}
					return nil
				})
			}
			if err := group.Wait(); err != nil {
				return nil, err
			}
			wall := time.Since(start)
			time.Sleep(settle)
			if round == 0 {
				continue
			}
			loads[i].calls += done.Load()
			loads[i].wall += wall
			loads[i].cpu += ops[i].cpu() - before
		}
	}
	return loads, nil
}
