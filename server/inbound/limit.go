package inbound

import (
	"context"
	"errors"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"
)

// turns lets only so many proceed with the same key.
type turns struct {
	each int64
	mu   sync.Mutex
	keys map[string]*turn
}

type turn struct {
	weighted *semaphore.Weighted
	users    int // who has it or waits; the last one takes it away
}

func newTurns(each int64) *turns { return &turns{each: each, keys: map[string]*turn{}} }

// take waits for a turn; it reports false if ctx ended first. After true, give
// it back.
func (t *turns) take(ctx context.Context, key string) bool {
	t.mu.Lock()
	k := t.keys[key]
	if k == nil {
		k = &turn{weighted: semaphore.NewWeighted(t.each)}
		t.keys[key] = k
	}
	k.users++
	t.mu.Unlock()
	if k.weighted.Acquire(ctx, 1) != nil {
		t.leave(key, k)
		return false
	}
	return true
}

// give returns a turn.
func (t *turns) give(key string) {
	t.mu.Lock()
	k := t.keys[key]
	t.mu.Unlock()
	k.weighted.Release(1)
	t.leave(key, k)
}

func (t *turns) leave(key string, k *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k.users--; k.users == 0 {
		delete(t.keys, key)
	}
}

const (
	// freeBody is how much of a body costs nothing: most webhooks are smaller.
	freeBody = 64 << 10
	// maxMemory bounds what the larger bodies take together.
	maxMemory = 256 << 20
)

// errFull says that there was no memory for a body in time.
var errFull = errors.New("too many large bodies at once")

// memory bounds bodies in total. A body takes its share as it grows, so that a
// large Content-Length without the bytes costs nothing.
type memory struct{ weighted *semaphore.Weighted }

func newMemory(size int64) *memory { return &memory{weighted: semaphore.NewWeighted(size)} }

// body is a body that was read.
type body struct {
	bytes  []byte
	shared int64 // taken of the memory
	memory *memory
}

// release gives back what the body took. Its bytes must not be used after it.
func (b *body) release() {
	b.bytes = nil
	b.memory.weighted.Release(b.shared)
	b.shared = 0
}

// read reads r to its end. Errors: errFull, and those of r.
func (m *memory) read(ctx context.Context, r io.Reader) (*body, error) {
	b := &body{memory: m, bytes: make([]byte, 0, 4<<10)}
	for {
		if len(b.bytes) == cap(b.bytes) {
			// While it is copied, both are there.
			grown := 2 * cap(b.bytes)
			if grown > freeBody {
				if err := m.weighted.Acquire(ctx, int64(grown)); err != nil {
					b.release()
					return nil, errFull
				}
			}
			old, oldShare := b.bytes, b.shared
			b.bytes = append(make([]byte, 0, grown), old...)
			b.shared = 0
			if grown > freeBody {
				b.shared = int64(grown)
			}
			m.weighted.Release(oldShare)
		}
		n, err := r.Read(b.bytes[len(b.bytes):cap(b.bytes)])
		b.bytes = b.bytes[:len(b.bytes)+n]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			b.release()
			return nil, err
		}
	}
}
