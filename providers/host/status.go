package host

import "time"

// State is what the process of an instance is doing.
type State string

// The states of an instance.
const (
	StateIdle     State = "idle"     // no process, the next call starts one
	StateStarting State = "starting" // launched and not yet configured
	StateRunning  State = "running"
	StateBackoff  State = "backoff" // it failed, and the next start has to wait
	StateClosed   State = "closed"  // the catalog was closed
)

// Status is the state of one instance, for an operator. It holds no secret.
type Status struct {
	Name       string
	Type       string
	Builtin    bool
	State      State
	PID        int // 0: no process
	Generation int // processes started so far
	Crashes    int // of them, those that failed
	LastStart  time.Time
	RetryAt    time.Time // zero unless State is StateBackoff
	LastError  string    // one sentence about the last failure; "" if there was none
	Stderr     []string  // the last lines of standard error, at most twenty
}

// Status returns the state of every instance, sorted by name.
func (c *Catalog) Status() []Status {
	all := c.set.Load().instances
	out := make([]Status, len(all))
	for n, i := range all {
		out[n] = i.Status()
	}
	return out
}

// Status returns the state of the instance.
func (i *Instance) Status() Status {
	s := i.super
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Status{
		Name:       i.name,
		Type:       i.typ,
		Builtin:    i.builtin,
		State:      StateIdle,
		Generation: s.generation,
		Crashes:    s.crashes,
		LastStart:  s.lastStart,
		Stderr:     i.tail.last(),
	}
	if s.lastErr != nil {
		out.LastError = i.tail.redact.clean(s.lastErr.Message)
	}
	switch {
	case s.closed:
		out.State = StateClosed
	case s.current != nil:
		out.State = StateRunning
		out.PID = s.current.proc.pid()
	case s.attempt != nil:
		out.State = StateStarting
	case time.Now().Before(s.retryAt):
		out.State = StateBackoff
		out.RetryAt = s.retryAt
	}
	return out
}
