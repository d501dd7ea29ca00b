package remote

import (
	"context"
	"io"
	"time"

	"github.com/headwater-git/headwater/core"
)

const (
	// placePatience is how long an upload that has a place at its host may wait for bytes
	// of its client in all, and placeRate is how many bytes a second make up for a wait. An
	// upload that waits for longer gives its place to the next, and takes one again when its
	// bytes come fast enough to have made up for it all: while it has none, the host gets
	// little more than the client sends.
	placePatience = 3 * time.Second
	placeRate     = 256 << 10
)

// place is that of one upload at its host. It is for one goroutine at a time.
type place struct {
	take    func(ctx context.Context) (release func(), err error)
	clock   core.Clock
	release func()        // nil: it has none. It may be called more than once.
	left    time.Duration // of the patience
}

// begin takes the place.
func (p *place) begin(ctx context.Context) error {
	release, err := p.take(ctx)
	if err == nil {
		p.release, p.left = release, placePatience
	}
	return err
}

// end gives the place back, if the upload has it.
func (p *place) end() {
	if p.release != nil {
		p.release()
		p.release = nil
	}
}

// read reads, and gives the place back while that takes too long. Errors: those of from,
// and the end of ctx while it waits for a place again.
func (p *place) read(ctx context.Context, from io.Reader, into []byte) (int, error) {
	began := p.clock.Now()
	read := p.giveWay()
	n, err := from.Read(into)
	close(read)
	p.left = max(0, p.left-p.clock.Now().Sub(began))
	if p.left == 0 {
		p.end()
	}
	p.left = min(placePatience, p.left+time.Duration(n)*time.Second/placeRate)
	if err == nil && p.release == nil && p.left == placePatience {
		err = p.begin(ctx)
	}
	return n, err
}

// giveWay gives the place back when the patience is over, unless read is closed before.
func (p *place) giveWay() (read chan struct{}) {
	read = make(chan struct{})
	if release := p.release; release != nil {
		over := p.clock.After(p.left)
		go func() {
			select {
			case <-over:
				release()
			case <-read:
			}
		}()
	}
	return read
}
