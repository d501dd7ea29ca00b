package upstream

import (
	"time"

	"github.com/headwater-git/headwater/core"
)

// OutageClass folds the classes that one outage shows alternately: a host that is
// down refuses connections, hangs, and answers 502. Each change would be a notice.
func OutageClass(class core.ErrorClass) core.ErrorClass {
	switch class {
	case core.ClassTimeout, core.ClassUnavailable:
		return core.ClassNetwork
	}
	return class
}

// place is where an upstream is, in events.
type place struct {
	Owner string `json:"owner"`
	Name  string `json:"name"`
	URL   string `json:"url"`
}

func placeOf(up core.Upstream) place { return place{up.Owner, up.Name, up.URL} }

// movedEvent says that the upstream was renamed or transferred, and followed.
func movedEvent(r core.Repository, to core.Upstream, at time.Time) (core.Event, error) {
	return core.RepositoryEvent(r, core.EventUpstreamMoved, struct {
		Old place `json:"old"`
		New place `json:"new"`
	}{placeOf(*r.Upstream), placeOf(to)}, at)
}

// outage is why an upstream cannot be followed: the state that its host reports, else
// the class of failures in a row. The zero value is none.
type outage struct {
	state core.UpstreamState
	class core.ErrorClass
}

// outageOf reads it from a sync state. One or two failures in a row are none.
func outageOf(s core.SyncState) outage {
	if !s.UpstreamState.Readable() {
		return outage{state: s.UpstreamState}
	}
	if s.Failures >= FailuresNotified {
		switch class := OutageClass(s.LastClass); class {
		case core.ClassNetwork, core.ClassAuth, core.ClassRevoked, core.ClassNotFound, core.ClassMoved, core.ClassProtocol, core.ClassRefused:
			return outage{state: s.UpstreamState, class: class}
		}
	}
	return outage{state: s.UpstreamState}
}

// unreadable reports whether the upstream cannot be read.
func (o outage) unreadable() bool { return o.class != "" || !o.state.Readable() }

// Unreadable reports whether the upstream of a repository with that state cannot be
// read, as far as was notified.
func Unreadable(s core.SyncState) bool { return outageOf(s).unreadable() }

// statusEvents returns one event when an upstream becomes unreadable or archived, and
// one when it recovers. message is a sentence for a person.
func statusEvents(r core.Repository, before, after core.SyncState, message string, at time.Time) ([]core.Event, error) {
	was, is := outageOf(before), outageOf(after)
	if was == is {
		return nil, nil
	}
	var out []core.Event
	if was != (outage{}) && !is.unreadable() && (was.unreadable() || is == outage{}) {
		since := before.UpstreamSince
		if was.class != "" || since.IsZero() {
			since = lastContact(before)
		}
		e, err := core.RepositoryEvent(r, core.EventUpstreamRecovered, struct {
			State core.UpstreamState `json:"state"`
			Since core.Timestamp     `json:"since"`
		}{was.state, core.EventTime(since)}, at)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	// An archived repository is archived after its outage too: that is no change.
	if is.unreadable() || is.state == core.UpstreamArchived && was.state != core.UpstreamArchived {
		since := at
		if is.class != "" {
			since = lastContact(after)
		}
		e, err := core.RepositoryEvent(r, core.EventUpstreamUnavailable, struct {
			State   core.UpstreamState `json:"state"`
			Class   core.ErrorClass    `json:"class"`
			Message string             `json:"message"`
			Since   core.Timestamp     `json:"since"`
		}{is.state, after.LastClass, message, core.EventTime(since)}, at)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// lastContact is when the upstream last answered as it should, as far as is known;
// without such a time, when it last failed.
func lastContact(s core.SyncState) time.Time {
	if at := core.Later(s.ObservedAt, s.LastSuccessAt); !at.IsZero() {
		return at
	}
	return s.LastErrorAt
}
