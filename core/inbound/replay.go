package inbound

import (
	"context"
	"errors"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

const (
	// replayEvery is how often hosts are asked for deliveries that never arrived.
	replayEvery = time.Hour
	// replayOverlap is how much further back each look goes than the last one: a
	// delivery is listed as failed only when the host has given up on it.
	replayOverlap = 10 * time.Minute
	// replayReach is how far back a look goes at most: a little less than the
	// three days for which GitHub keeps deliveries.
	replayReach = 3*24*time.Hour - 10*time.Minute
	// replayTimeout bounds one look, which may list and replay many.
	replayTimeout = 50 * time.Second
)

// Replay is the last look for deliveries that never arrived.
type Replay struct {
	At         time.Time
	Since      time.Time
	Failed     int    // never arrived
	Replayed   int    // of them, asked for again
	Incomplete bool   // the host's log does not reach back so far, or was too long
	Error      string // one sentence; "": it worked
}

// Replays returns the last look at each provider instance that can replay.
func (s *Service) Replays() map[string]Replay {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]Replay, len(s.replays))
	for name, r := range s.replays {
		out[name] = r
	}
	return out
}

// followReplays looks for lost deliveries at the start, and every hour until
// ctx ends.
func (s *Service) followReplays(ctx context.Context) {
	for {
		for _, name := range s.plugins.Instances() {
			if ctx.Err() == nil {
				s.replayDue(ctx, name)
			}
		}
		if !loop.Sleep(ctx, s.clock, loop.Later(replayEvery), nil) {
			return
		}
	}
}

// replayDue replays at an instance that receives webhooks for all of its
// repositories. One without a secret has never received any, and is not started
// for it.
func (s *Service) replayDue(ctx context.Context, name string) {
	p, err := s.plugins.Instance(name)
	if err != nil || len(p.WebhookSecrets()) == 0 {
		return
	}
	m, err := p.Manifest(ctx)
	if err != nil || !m.Capabilities.Replay {
		return
	}
	// What failed is kept for the status and the log; the next look repeats it.
	_, _ = s.Replay(ctx, name)
}

// Replay asks the host of a provider instance to send again what never arrived:
// since the last look or, at the first one, since an hour before the last
// delivery that came; at most three days. Errors: KindNotFound (no such
// instance), KindUnsupported (its hosts keep no deliveries), KindPrecondition
// (it is not configured), KindRateLimited, KindUpstreamUnavailable.
func (s *Service) Replay(ctx context.Context, name string) (Replay, error) {
	const op = "replay deliveries"
	p, err := s.plugins.Instance(name)
	if err != nil {
		return Replay{}, core.Errorf(core.KindNotFound, "there is no provider instance %q", name)
	}
	m, err := p.Manifest(ctx)
	if err != nil {
		return Replay{}, &core.Error{Kind: core.KindUpstreamUnavailable, Op: op, Subject: name, Message: sentence(err), Err: err}
	}
	if !m.Capabilities.Replay {
		return Replay{}, core.Errorf(core.KindUnsupported, "the hosts of provider %q keep no deliveries that could be replayed", name)
	}
	now := s.clock.Now()
	since, err := s.replaySince(ctx, name, now)
	if err != nil {
		return Replay{}, err
	}
	callCtx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	result, err := replayAt(callCtx, p, since)
	r := Replay{At: now, Since: since, Failed: result.Failed, Replayed: result.Replayed, Incomplete: result.Incomplete}
	log := s.log.With("provider", name, "since", since.Format(time.RFC3339), "duration", s.clock.Now().Sub(now))
	switch {
	case ctx.Err() != nil:
		return Replay{}, context.Cause(ctx)
	case providers.CodeOf(err) == providers.CodeInvalidConfig:
		return Replay{}, &core.Error{Kind: core.KindPrecondition, Op: op, Subject: name, Message: sentence(err)}
	case err != nil:
		r.Error = sentence(err)
		log.Warn("lost deliveries could not be asked for", "error", err)
	case r.Failed > 0 || r.Incomplete:
		log.Info("deliveries were lost and are sent again", "failed", r.Failed, "replayed", r.Replayed, "incomplete", r.Incomplete)
	default:
		log.Debug("no delivery was lost")
	}
	s.mu.Lock()
	s.replays[name] = r
	s.mu.Unlock()
	if err == nil {
		return r, nil
	}
	kind := core.KindUpstreamUnavailable
	if providers.CodeOf(err) == providers.CodeRateLimited {
		kind = core.KindRateLimited
	}
	return r, &core.Error{Kind: kind, Op: op, Subject: name, Message: r.Error, Err: err}
}

// replayAt replays at every host of the instance that sends webhooks to its
// address; where none is named, at the default one.
func replayAt(ctx context.Context, p upstream.Plugin, since time.Time) (providers.ReplayResult, error) {
	hosts := p.WebhookHosts()
	if len(hosts) == 0 {
		hosts = []string{""}
	}
	var sum providers.ReplayResult
	var errs []error
	for _, host := range hosts {
		r, err := p.ReplayDeliveries(ctx, providers.ReplayRequest{Host: host, Since: since})
		sum.Failed, sum.Replayed, sum.Incomplete = sum.Failed+r.Failed, sum.Replayed+r.Replayed, sum.Incomplete || r.Incomplete
		errs = append(errs, err)
	}
	return sum, errors.Join(errs...)
}

// replaySince returns how far back to look.
func (s *Service) replaySince(ctx context.Context, name string, now time.Time) (time.Time, error) {
	s.mu.Lock()
	last := s.replays[name]
	s.mu.Unlock()
	since := last.At
	if last.Error != "" {
		since = last.Since.Add(replayOverlap) // what it should have found
	}
	if since.IsZero() {
		came, err := s.store.LastInboundDelivery(ctx, name)
		if err != nil {
			return time.Time{}, err
		}
		if !came.IsZero() {
			// One that came says nothing of those before it, back to the look
			// that was the last one then.
			since = came.Add(-replayEvery)
		}
	}
	since = since.Add(-replayOverlap)
	if oldest := now.Add(-replayReach); since.Before(oldest) {
		since = oldest
	}
	return since, nil
}
