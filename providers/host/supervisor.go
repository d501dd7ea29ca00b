package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/v1/wire"
)

// running is one configured process.
type running struct {
	client  *wire.Client
	proc    *process
	started time.Time
	stop    func()       // ends the process, gently if it can, and waits for it
	calls   atomic.Int64 // under way
	stalled atomic.Bool  // it was killed because it answered no ping
}

// starter launches a process and configures it. It returns when that is done or
// has failed; after ctx has ended it kills the process. Its errors are
// [*providers.Error].
type starter func(ctx context.Context) (*running, error)

// supervisor keeps at most one process of an instance running.
type supervisor struct {
	name  string
	o     Options
	start starter

	ctx    context.Context // ends when Close has drained the calls
	cancel context.CancelFunc
	calls  sync.WaitGroup // calls in flight
	tasks  sync.WaitGroup // own goroutines

	mu         sync.Mutex
	closed     bool
	retired    string   // why it was closed, if the catalog goes on without it
	current    *running // nil: none is ready
	attempt    *attempt // nil: none is being started
	generation int
	crashes    int
	streak     int // crashes in a row, none after HealthyAfter of health
	lastStart  time.Time
	retryAt    time.Time
	lastErr    *providers.Error
	vague      *running // whose failure lastErr tells without the call that caused it
}

// attempt is one start that callers wait for together.
type attempt struct {
	done chan struct{}
	err  error // valid after done
}

func newSupervisor(name string, o Options, start starter) *supervisor {
	s := &supervisor{name: name, o: o, start: start}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// call runs one call of the contract on the current process, starting one if
// need be. The caller has entered. It is a function because methods have no type
// parameters.
func call[T any](ctx context.Context, s *supervisor, method string, do func(context.Context, *wire.Client) (T, error)) (T, error) {
	var zero T
	// The second round is for a call whose process died under it. It waits for
	// the first pause, as nobody else knows that this call was under way; a
	// process that keeps crashing has longer pauses, and then the call fails.
	for patience := time.Duration(0); ; patience = s.o.BackoffMin {
		r, err := s.acquire(ctx, patience)
		if err != nil {
			return zero, err
		}
		limit := time.Now().Add(s.o.CallTimeout)
		callCtx, cancel := context.WithDeadline(ctx, limit)
		r.calls.Add(1)
		out, err := do(callCtx, r.client)
		r.calls.Add(-1)
		cancel()
		var broken *wire.TransportError
		if !errors.As(err, &broken) {
			return out, err
		}
		if ctx.Err() != nil {
			return zero, ctx.Err()
		}
		// gRPC has clocks of its own: its deadline may pass before the context's.
		if until, ok := ctx.Deadline(); ok && until.Before(limit) && broken.Code == codes.DeadlineExceeded {
			return zero, context.DeadlineExceeded
		}
		err, again := s.broken(r, method, broken)
		if !again || patience > 0 {
			return zero, err
		}
	}
}

// broken judges a call without an answer. It reports whether the call may be
// sent again.
func (s *supervisor) broken(r *running, method string, cause *wire.TransportError) (err error, again bool) {
	switch cause.Code {
	case codes.DeadlineExceeded:
		e := s.unavailable("its plugin did not answer %s within %s and was stopped; it starts again by itself: try again in a moment; the log of this server has what it said",
			method, s.o.CallTimeout)
		return s.failed(r, e), false
	case codes.Unavailable, codes.Canceled: // Canceled: the connection was closed under the call
		if r.stalled.Load() {
			e := s.unavailable("its plugin stopped responding during %s and was ended; it starts again by itself: try again in a moment; the log of this server has what it said", method)
			return s.failed(r, e), true
		}
		how := ""
		if status, ok := r.proc.exited(time.Second); ok {
			how = " (" + status + ")"
		}
		e := s.unavailable("its plugin crashed during %s%s; it starts again by itself: try again in a moment; the log of this server has what it said", method, how)
		return s.failed(r, e), true
	default:
		// The process is alive and its answer unusable: too large, or not of
		// this contract.
		return s.unavailable("its plugin answered %s with something that cannot be read (%s); see its log", method, cause.Code), false
	}
}

// enter registers a call, so that Close waits for it.
func (s *supervisor) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.retired != "" {
		return instanceError(s.name, providers.CodeInvalidConfig, "%s", s.retired)
	}
	if s.closed {
		return s.unavailable("the server is shutting down")
	}
	s.calls.Add(1)
	return nil
}

// acquire returns the ready process. It waits for one that is being started,
// and for the end of a pause if that is not further away than patience.
func (s *supervisor) acquire(ctx context.Context, patience time.Duration) (*running, error) {
	for {
		s.mu.Lock()
		if r := s.current; r != nil {
			s.mu.Unlock()
			return r, nil
		}
		if s.ctx.Err() != nil {
			s.mu.Unlock()
			return nil, s.unavailable("the server is shutting down")
		}
		if pause := time.Until(s.retryAt); s.attempt == nil && pause > 0 {
			err := s.pauseError(pause)
			s.mu.Unlock()
			if pause > patience {
				return nil, err
			}
			if err := s.sleep(ctx, pause); err != nil {
				return nil, err
			}
			continue
		}
		if s.attempt == nil {
			s.begin()
		}
		a := s.attempt
		s.mu.Unlock()

		select {
		case <-a.done:
			if a.err != nil {
				return nil, a.err
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// sleep waits for d. It returns early with an error when ctx or the supervisor
// ends.
func (s *supervisor) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return s.unavailable("the server is shutting down")
	}
}

// begin starts a process in the background: callers come and go, and one that
// gives up must not end the start that others wait for. The mutex is held.
func (s *supervisor) begin() {
	s.generation++
	s.lastStart = time.Now()
	a := &attempt{done: make(chan struct{})}
	s.attempt = a
	s.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, s.o.StartTimeout)
		defer cancel()
		r, err := s.start(ctx)

		s.mu.Lock()
		s.attempt = nil
		switch {
		case s.ctx.Err() != nil:
			a.err = s.unavailable("the server is shutting down")
		case err != nil:
			a.err = s.pause(asError(err))
		default:
			s.current = r
			s.tasks.Go(func() { s.watch(r) })
		}
		unwanted := r != nil && s.current != r
		s.mu.Unlock()
		if unwanted {
			r.stop()
		}
		close(a.done)
	})
}

// watch looks after a process until it ends or the supervisor does. It pings
// more often while a call is under way: the call cannot tell a plugin that waits
// for its host from one that does not run.
func (s *supervisor) watch(r *running) {
	ticker := time.NewTicker(s.o.CallPingInterval)
	defer ticker.Stop()
	pinged := r.started
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-r.proc.done:
			status, _ := r.proc.exited(0)
			e := s.failed(r, s.unavailable("its plugin ended by itself (%s); it starts again by itself: try again in a moment; the log of this server has what it said", status))
			s.mu.Lock()
			if s.lastErr == e {
				s.vague = r
			}
			s.mu.Unlock()
			return
		case <-ticker.C:
			if r.calls.Load() == 0 && time.Since(pinged) < s.o.PingInterval {
				continue
			}
			ctx, cancel := context.WithTimeout(s.ctx, s.o.PingTimeout)
			err := r.client.Ping(ctx)
			cancel()
			pinged = time.Now()
			if err != nil && s.ctx.Err() == nil {
				_, ended := r.proc.exited(0)
				r.stalled.Store(!ended)
				_ = s.failed(r, s.unavailable("its plugin did not answer a ping and was stopped; it starts again by itself: try again in a moment; the log of this server has what it said"))
				return
			}
		}
	}
}

// failed takes a process out of service and orders the pause before the next
// one. Only the first report about a process counts; the calls that were under
// way all make one. It returns e with the time to try again.
func (s *supervisor) failed(r *running, e *providers.Error) *providers.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != r {
		e.RetryAfter = max(0, time.Until(s.retryAt))
		if s.vague == r { // the watch was faster, and knew less
			s.lastErr, s.vague = e, nil
		}
		return e
	}
	s.current = nil
	s.vague = nil
	if time.Since(r.started) >= s.o.HealthyAfter {
		s.streak = 0
	}
	// Cleaning up may take seconds, and the caller has waited long enough.
	s.tasks.Go(func() {
		_ = r.proc.Kill(context.Background())
		r.stop()
	})
	return s.pause(e)
}

// pause records a failure and orders the pause after it. The mutex is held.
func (s *supervisor) pause(e *providers.Error) *providers.Error {
	s.crashes++
	s.streak++
	d := backoff(s.streak, s.o.BackoffMin, s.o.BackoffMax)
	s.retryAt = time.Now().Add(d)
	e.RetryAfter = d
	s.lastErr = e
	s.o.Logger.Warn("plugin failed", "provider", s.name, "error", e.Message, "generation", s.generation, "crashes", s.crashes, "retry_after", d)
	return e
}

// pauseError is the answer to a call during a pause. A configuration error
// keeps its code: it is the operator who has to act, and not the caller who has
// to wait.
func (s *supervisor) pauseError(pause time.Duration) *providers.Error {
	e := &providers.Error{Code: providers.CodeUnavailable, RetryAfter: pause}
	if s.lastErr != nil {
		e.Message = s.lastErr.Message
		if s.lastErr.Code == providers.CodeInvalidConfig {
			e.Code = providers.CodeInvalidConfig
		}
	}
	return e
}

// retire refuses new calls for that reason.
func (s *supervisor) retire(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired, s.closed = why, true
}

// close refuses new calls, waits for those in flight until ctx ends, and stops
// the process. It is safe to call more than once.
func (s *supervisor) close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()

	drained := make(chan struct{})
	// This goroutine ends before close returns: the calls end when their
	// process does.
	go func() {
		s.calls.Wait()
		close(drained)
	}()
	var err error
	select {
	case <-drained:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.cancel()

	s.mu.Lock()
	r := s.current
	s.current = nil
	s.mu.Unlock()
	if r != nil {
		if err != nil {
			_ = r.proc.Kill(context.Background())
		}
		r.stop()
	}
	<-drained
	s.tasks.Wait()
	return err
}

// unavailable returns an error of the instance that passes by itself.
func (s *supervisor) unavailable(format string, args ...any) *providers.Error {
	return instanceError(s.name, providers.CodeUnavailable, format, args...)
}

// instanceError begins every message with the instance it is about.
func instanceError(name string, code providers.Code, format string, args ...any) *providers.Error {
	return providers.Errorf(code, "provider %q: %s", name, fmt.Sprintf(format, args...))
}

// asError returns the [*providers.Error] in err's chain.
func asError(err error) *providers.Error {
	var e *providers.Error
	if errors.As(err, &e) {
		return e
	}
	return &providers.Error{Code: providers.CodeUnavailable, Message: err.Error()}
}

// backoff returns the pause after the n-th failure in a row.
func backoff(n int, low, high time.Duration) time.Duration {
	d := low
	for i := 1; i < n && d < high; i++ {
		d *= 2
	}
	return min(d, high)
}
