package main

import (
	"context"
	"slices"
	"time"
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
