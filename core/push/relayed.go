package push

import "sync"

// relayed passes the host's words on to the person who pushes, once it is known that
// they come from the host's git. Those of a request that the host refused are held
// back: they are the reason of the refusal, which is shown for each ref, and would
// stand there twice.
type relayed struct {
	emit func(line string)

	mu   sync.Mutex
	held []string
	open bool
}

// line takes a line of the host's.
func (r *relayed) line(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.open {
		r.held = append(r.held, line)
		return
	}
	r.emit(line)
}

// release passes on what was held back, and from now on each line at once.
func (r *relayed) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = true
	for _, line := range r.held {
		r.emit(line)
	}
	r.held = nil
}
