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
	cpu  time.Duration // of all rounds together
}

// p50 returns the median wall time.
func (s sample) p50() time.Duration {
	if len(s.wall) == 0 {
		return 0
	}
	w := slices.Clone(s.wall)
	slices.Sort(w)
	return w[len(w)/2]
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
				samples[i].cpu += v.cpu() - before
			}
		}
	}
	return samples, nil
}

// clientOp is one call of one of several clients, which are numbered.
type clientOp func(ctx context.Context, client int) error

// throughput calls the operations in turn, each from so many clients at once
// for a slice of time per round, and returns their calls per second. A round
// before does not count. Calls that are under way when a slice ends are waited
// for and counted, with their time.
func throughput(ctx context.Context, rounds, clients int, slice time.Duration, ops ...clientOp) ([]float64, error) {
	calls := make([]int64, len(ops))
	took := make([]time.Duration, len(ops))
	for round := range rounds + 1 {
		for n := range ops {
			i := n
			if round%2 == 1 {
				i = len(ops) - 1 - n
			}
			var done atomic.Int64
			group, gctx := errgroup.WithContext(ctx)
			start := time.Now()
			for client := range clients {
				group.Go(func() error {
					for time.Since(start) < slice {
						if err := ops[i](gctx, client); err != nil {
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
			if round > 0 {
				calls[i] += done.Load()
				took[i] += time.Since(start)
			}
			time.Sleep(settle)
		}
	}
	rates := make([]float64, len(ops))
	for i := range rates {
		rates[i] = float64(calls[i]) / took[i].Seconds()
	}
	return rates, nil
}
