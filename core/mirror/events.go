package mirror

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
)

// failuresTold is how many failures in a row are told although nobody asked for
// the run: by then the quick retries are used up.
const failuresTold = 3

// What [core.SyncState.Told] says: the last event of a sync, for a failure its
// class, and the generation that the run served, which tells a retry from a new
// request.
const (
	toldStarted = "started"
	toldFailed  = "failed"
	toldDone    = "done" // the end of a sync, or nothing that needs one
)

type told struct {
	word  string
	class core.ErrorClass
	gen   int64
}

func (t told) String() string {
	word := t.word
	if t.class != "" {
		word += ":" + string(t.class)
	}
	return word + "@" + strconv.FormatInt(t.gen, 10)
}

// parseTold reads what String wrote; anything else is as if nothing was told.
func parseTold(s string) told {
	word, gen, _ := strings.Cut(s, "@")
	n, err := strconv.ParseInt(gen, 10, 64)
	if err != nil {
		return told{}
	}
	word, class, _ := strings.Cut(word, ":")
	return told{word, core.ErrorClass(class), n}
}

// pending reports whether something was told that an end is owed for.
func (t told) pending() bool { return t.word == toldStarted || t.word == toldFailed }

// kin folds the classes that one outage shows by turns: a host that is away
// refuses connections, hangs, and answers 502. Each change would be a notice.
func kin(class core.ErrorClass) core.ErrorClass {
	switch class {
	case core.ClassTimeout, core.ClassUnavailable:
		return core.ClassNetwork
	}
	return class
}

// syncEvent is the body of repo.sync.*, contract section 5.
type syncEvent struct {
	RunCount    int64           `json:"run_count"`
	IsFirstSync bool            `json:"is_first_sync"`
	StartedAt   core.Timestamp  `json:"started_at"`
	CompletedAt *core.Timestamp `json:"completed_at,omitempty"`
	Error       string          `json:"error,omitempty"`
}

// event makes a sync event of the run. runs is the number of finished runs: for
// a start those before it, for an end with it.
func (x *run) event(typ string, runs int64) (core.Event, error) {
	body := syncEvent{RunCount: runs, IsFirstSync: x.First, StartedAt: core.EventTime(x.StartedAt)}
	at := x.StartedAt
	if typ != core.EventSyncStarted {
		at = x.FinishedAt
		body.CompletedAt = new(core.EventTime(at))
	}
	if typ == core.EventSyncFailed {
		body.Error = x.Error
		if body.Error == "" {
			body.Error = string(x.Class) // receivers require a text
		}
	}
	return core.RepositoryEvent(x.repo, typ, body, at)
}

// begin writes the row of the run, and tells of its start unless that would be
// a repetition. Whoever did not ask hears of a run only once it has found
// something to do, so an echo of our own push and a look that finds no change
// leave neither row nor event.
func (s *Service) begin(ctx context.Context, x *run) error {
	if x.begun {
		return nil
	}
	x.begun = true
	before := parseTold(x.taken.Told)
	if !x.asked && before.pending() {
		return s.store.StartRun(ctx, x.Run) // a retry
	}
	e, err := x.event(core.EventSyncStarted, x.taken.Runs)
	if err != nil {
		return err
	}
	now := told{word: toldStarted, gen: x.taken.Wanted}.String()
	return s.store.Tx(ctx, func(q core.Queries) error {
		if err := q.StartRun(ctx, x.Run); err != nil {
			return err
		}
		if err := q.SetTold(ctx, x.RepoID, now); err != nil {
			return err
		}
		return q.AddEvents(ctx, []core.Event{e})
	})
}

// end returns the type of the event that tells of the end of the run, "" if
// nobody needs to hear of it. state is after the run; final is a failure that no
// retry can mend.
func (x *run) end(before told, state core.SyncState, final bool) string {
	switch x.Outcome {
	case outcomeInterrupted:
		return "" // it goes on
	case outcomeFailed, outcomeHeld:
		again := before.word == toldFailed && kin(before.class) == kin(x.Class)
		switch {
		case x.asked, final && before.pending():
			return core.EventSyncFailed
		case again:
			return ""
		case before.word == toldFailed, state.Failures >= failuresTold:
			return core.EventSyncFailed
		}
		return ""
	}
	if x.asked || before.pending() {
		return core.EventSyncSucceeded
	}
	return ""
}

// tell returns the event of the run's end, if there is one, and notes it in the
// state.
func (x *run) tell(state *core.SyncState, final bool) ([]core.Event, error) {
	typ := x.end(parseTold(state.Told), *state, final)
	if typ == "" {
		return nil, nil
	}
	now := told{word: toldDone, gen: x.taken.Wanted}
	if typ == core.EventSyncFailed && !final {
		now.word, now.class = toldFailed, x.Class
	}
	state.Told = now.String()
	e, err := x.event(typ, state.Runs)
	return []core.Event{e}, err
}

// headChanged makes the event of a default branch that followed the upstream's;
// names are short.
func headChanged(r core.Repository, to string, at time.Time) (core.Event, error) {
	return core.RepositoryEvent(r, core.EventDefaultBranchChanged, struct {
		Old string `json:"old"`
		New string `json:"new"`
	}{r.DefaultBranch, to}, at)
}

// place is where an upstream is, in events.
type place struct {
	Owner string `json:"owner"`
	Name  string `json:"name"`
	URL   string `json:"url"`
}

func placeOf(up core.Upstream) place { return place{up.Owner, up.Name, up.URL} }

// movedEvent tells that the upstream was renamed or transferred, and followed.
func movedEvent(r core.Repository, to core.Upstream, at time.Time) (core.Event, error) {
	return core.RepositoryEvent(r, core.EventUpstreamMoved, struct {
		Old place `json:"old"`
		New place `json:"new"`
	}{placeOf(*r.Upstream), placeOf(to)}, at)
}

// trouble is why an upstream cannot be followed: the state that its host tells,
// else the class of failures in a row. The zero value is none.
type trouble struct {
	state core.UpstreamState
	class core.ErrorClass
}

// troubleOf reads it from a sync state. One or two failures in a row are none.
func troubleOf(s core.SyncState) trouble {
	if !s.UpstreamState.Readable() {
		return trouble{state: s.UpstreamState}
	}
	if s.Failures >= failuresTold {
		switch class := kin(s.LastClass); class {
		case core.ClassNetwork, core.ClassAuth, core.ClassRevoked, core.ClassNotFound, core.ClassMoved, core.ClassProtocol, core.ClassRefused:
			return trouble{state: s.UpstreamState, class: class}
		}
	}
	return trouble{state: s.UpstreamState}
}

// away reports whether the upstream cannot be read.
func (t trouble) away() bool {
	return t.class != "" || !t.state.Readable()
}

// upstreamEvents tells once what became of an upstream, and once that it is
// back. message is a sentence for a person.
func upstreamEvents(r core.Repository, before, after core.SyncState, message string, at time.Time) ([]core.Event, error) {
	was, is := troubleOf(before), troubleOf(after)
	if was == is {
		return nil, nil
	}
	var out []core.Event
	if was != (trouble{}) && !is.away() && (was.away() || is == trouble{}) {
		since := before.UpstreamSince
		if was.class != "" || since.IsZero() {
			since = lastHeard(before)
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
	// An outage of an archived repository ends with it archived: no news.
	if is.away() || is.state == core.UpstreamArchived && was.state != core.UpstreamArchived {
		since := at
		if is.class != "" {
			since = lastHeard(after)
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

// lastHeard is when the upstream was last in order, as far as is known.
func lastHeard(s core.SyncState) time.Time {
	heard := s.ObservedAt
	if s.LastSuccessAt.After(heard) {
		heard = s.LastSuccessAt
	}
	if heard.IsZero() {
		heard = s.LastErrorAt
	}
	return heard
}
