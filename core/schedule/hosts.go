package schedule

import (
	"slices"
	"strings"
	"time"
)

// HostLoad is what the scheduler does at one upstream host.
type HostLoad struct {
	Host        string
	Runs, Looks int       // under way
	Queued      int       // due, and without a place yet
	PausedUntil time.Time // zero: it is not paused
	Down        bool      // paused because it could not be reached
}

// Reason returns why the host is paused: "down" or "rate_limited"; "" if it is not.
func (l HostLoad) Reason() string {
	switch {
	case l.PausedUntil.IsZero():
		return ""
	case l.Down:
		return "down"
	}
	return "rate_limited"
}

// Hosts returns the hosts where something is under way, due or paused, in the order
// of their names. Of a host at rest nothing is kept.
func (a *agenda) Hosts() []HostLoad {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	loads := make([]HostLoad, 0, len(a.hosts))
	for name, h := range a.hosts {
		l := HostLoad{Host: name, Runs: h.running[Run], Looks: h.running[Look], Queued: len(h.queue[Run]) + len(h.queue[Look])}
		if h.paused.After(now) {
			l.PausedUntil, l.Down = h.paused, h.outages > 0
		}
		loads = append(loads, l)
	}
	slices.SortFunc(loads, func(a, b HostLoad) int { return strings.Compare(a.Host, b.Host) })
	return loads
}
