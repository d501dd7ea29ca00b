package mirror

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/upstream"
)

// checkEvery is how often the host is asked unasked what became of an upstream:
// whether it was renamed, archived, or its name given to another.
const checkEvery = 24 * time.Hour

// checkAgain is how soon it is asked again when it could not be.
const checkAgain = time.Hour

// maxHops is how often one run follows an upstream to where it was moved.
const maxHops = 3

// errFollow ends an attempt because the upstream is somewhere else now, where
// the run goes on.
var errFollow = errors.New("the upstream has moved")

// CheckUpstream asks that the host be asked what became of the upstream:
// renamed, archived, made private, gone. It returns before the answer is here.
// Errors: KindNotFound if the repository is not synced.
func (s *Service) CheckUpstream(ctx context.Context, repoID string) error {
	return s.requestDoubting(ctx, repoID, schedule.TriggerWebhook)
}

// requestDoubting asks for a run that asks the host about the upstream before it
// asks its git.
func (s *Service) requestDoubting(ctx context.Context, repoID, trigger string) error {
	s.mu.Lock()
	s.doubts[repoID] = true
	s.mu.Unlock()
	_, err := s.schedule.Request(ctx, repoID, trigger, "")
	return err
}

// takeDoubt reports whether the host has to be asked about the upstream before
// its git is, and is answered once.
func (s *Service) takeDoubt(repoID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	doubt := s.doubts[repoID]
	delete(s.doubts, repoID)
	return doubt
}

// checkDue reports whether it is time for the daily question. What was asked
// before the start of the server is not known: the first ones are spread over a
// day.
func (s *Service) checkDue(repoID string) bool {
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.checks[repoID]
	if !ok {
		s.checks[repoID] = now.Add(-rand.N(checkEvery)) //nolint:gosec // spreading needs no secrecy
		return false
	}
	return now.Sub(last) >= checkEvery
}

// check asks the host about the upstream. An answer that tells nothing is not
// Known.
func (s *Service) check(ctx context.Context, r core.Repository) upstream.Condition {
	c, err := s.question(ctx, r)
	if err != nil {
		return upstream.Condition{}
	}
	return c
}

// question is check for who has to know that the host could not be asked.
func (s *Service) question(ctx context.Context, r core.Repository) (upstream.Condition, error) {
	if until := s.uncheckedUntil(r.Upstream.Host); !until.IsZero() {
		return upstream.Condition{}, &core.Error{
			Kind: core.KindRateLimited, Op: "check upstream", Message: "the API of " + r.Upstream.Host + " limits requests at the moment",
			RetryAfter: until.Sub(s.clock.Now()),
		}
	}
	begin := s.clock.Now()
	c, err := s.up.Check(ctx, r)
	s.checked(r.Upstream.Host, err)
	asked := s.clock.Now()
	if err != nil {
		s.log.Debug("the host cannot be asked about an upstream", "repo_id", r.ID, "error", err)
		asked = asked.Add(checkAgain - checkEvery)
	} else {
		s.doubtCredential(ctx, r, &c)
		s.noteIdentity(r, c, begin)
	}
	s.mu.Lock()
	s.checks[r.ID] = asked
	s.mu.Unlock()
	return c, err
}

// uncheckedUntil returns when the host's API may be asked again; zero: now.
func (s *Service) uncheckedUntil(host string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	until := s.unchecked[host]
	if !until.After(s.clock.Now()) {
		delete(s.unchecked, host)
		return time.Time{}
	}
	return until
}

// checked records how a question to the host's API ended. The API's limits are not
// those of git, so they hold up no sync.
func (s *Service) checked(host string, err error) {
	if core.KindOf(err) != core.KindRateLimited {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unchecked[host] = s.clock.Now().Add(schedule.PauseAfter(retryAfter(err)))
}

// examine asks the host about the upstream of a run and takes in what it says.
// It returns errFollow if the run has to go on somewhere else.
func (s *Service) examine(ctx context.Context, x *run) error {
	c := s.check(ctx, x.repo)
	if !c.Known {
		return nil
	}
	x.life = &c
	if !c.State.Readable() {
		return nil
	}
	if c.Moved {
		if err := s.follow(ctx, x, c.Upstream); err != nil {
			return err
		}
		return errFollow
	}
	if c.Upstream.ID != x.repo.Upstream.ID {
		if err := s.store.SetUpstreamID(ctx, x.RepoID, c.Upstream.ID); err != nil {
			return err
		}
		x.relink(c.Upstream)
	}
	return nil
}

// relink changes the run's copy of the link.
func (x *run) relink(up core.Upstream) { x.repo.Upstream = &up }

// follow goes along with an upstream that was renamed or transferred.
func (s *Service) follow(ctx context.Context, x *run, to core.Upstream) error {
	e, err := movedEvent(x.repo, to, s.clock.Now())
	if err != nil {
		return err
	}
	// The latest link, but for the place: it may have been edited meanwhile.
	err = s.store.Tx(ctx, func(q core.Queries) error {
		r, err := q.RepositoryByID(ctx, x.RepoID)
		if err != nil {
			return err
		}
		if r.Upstream == nil {
			return core.Errorf(core.KindNotFound, "the repository is not synced")
		}
		up := *r.Upstream
		moved := up.Owner != to.Owner || up.Name != to.Name || up.URL != to.URL
		up.ID, up.Owner, up.Name, up.URL = to.ID, to.Owner, to.Name, to.URL
		to = up
		if err := q.MoveUpstream(ctx, x.RepoID, up); err != nil {
			return err
		}
		if !moved {
			return nil // a write has followed it already, and told so
		}
		return q.AddEvents(ctx, []core.Event{e})
	})
	if err != nil {
		return err
	}
	s.log.Info("the upstream has moved and is followed", "repo_id", x.RepoID, "from", x.repo.Upstream.URL, "to", to.URL)
	x.relink(to)
	return nil
}

// errLost is a failure whose reason is the state of the upstream.
func errLost(c upstream.Condition) error {
	class := core.ClassRevoked
	switch c.State {
	case core.UpstreamDeleted:
		class = core.ClassNotFound
	case core.UpstreamReplaced:
		class = core.ClassMoved
	case core.UpstreamPrivate:
		class = core.ClassAuth
	}
	return &classError{class: class, text: c.Message}
}

// precheck asks the host before its git is asked, where its git might show
// another repository: an upstream that was deleted or replaced when it was last
// seen, and one that a webhook put into doubt.
func (s *Service) precheck(ctx context.Context, x *run) error {
	identified := x.taken.UpstreamState.Gone() && x.repo.Upstream.ID != ""
	// A person who asks wants to know of it now.
	if doubt := s.takeDoubt(x.RepoID) || x.asked; !doubt && !identified && !s.checkDue(x.RepoID) || x.First {
		return nil
	}
	x.life = nil
	if err := s.examine(ctx, x); err != nil {
		return err
	}
	switch {
	case x.life != nil && x.life.State.Gone():
		if class, _ := classify(x.life.GitError); class == core.ClassNotFound {
			return x.explained(x.life.GitError) // in the host's own words too
		}
		return errLost(*x.life)
	case x.life == nil && identified:
		// What has its name now is anybody's guess. The host is asked again soon.
		return &classError{class: x.taken.LastClass, text: x.taken.LastError}
	}
	return nil
}

// diagnose asks the host why its git failed, where it may know: then a rename is
// followed, and a state is told instead of a status code. It returns errFollow
// or the failure to report.
func (s *Service) diagnose(ctx context.Context, x *run, failure error) error {
	class, _ := classify(failure)
	var ce *classError
	if errors.As(failure, &ce) && ce.final {
		return failure
	}
	switch class {
	case core.ClassAuth, core.ClassRevoked, core.ClassNotFound, core.ClassMoved, core.ClassProtocol, core.ClassRefused, core.ClassDiverged:
	default:
		return failure
	}
	if x.life == nil { // else asked already
		if err := s.examine(ctx, x); err != nil {
			return err
		}
	}
	failure = x.explained(failure)
	if class == core.ClassNotFound && x.Ref == "" && s.unseen(ctx, x.repo) && (x.life == nil || !x.life.State.Gone()) {
		_, text := classify(failure)
		if !strings.HasPrefix(text, unseenText) {
			text = unseenText + text
		}
		failure = &classError{class: core.ClassAuth, text: text, cause: failure}
	}
	return failure
}

// explained adds to a failure what the host's API says of the upstream: its git
// says "not found" to whatever the credential does not open, and what a person
// can do about it only the API knows. The class stays that of the failure. Of a
// refused credential the git's words go first: they are the host's own.
func (x *run) explained(failure error) error {
	if x.life == nil || x.life.Message == "" || x.life.State.Readable() {
		return failure
	}
	class, text := classify(failure)
	switch {
	case text == "":
		text = x.life.Message
	case strings.Contains(text, x.life.Message), strings.Contains(x.life.Message, text):
		return failure
	case class == core.ClassAuth:
		text += "; " + x.life.Message
	default:
		text = x.life.Message + "; its git says: " + text
	}
	return &classError{class: class, text: text, cause: failure}
}

// identify makes sure, while a run fetches, that what it fetches from is still
// the same repository: another one may have taken its name, and nothing of that
// may reach the public refs. The function that it returns waits for the answer.
// It also learns the stable id of an upstream at its first mirror.
func (s *Service) identify(ctx context.Context, x *run) (wait func() error) {
	if x.life != nil || x.repo.Upstream.ID == "" && !x.First && !s.checkDue(x.RepoID) {
		return func() error { return nil }
	}
	answer := make(chan error, 1)
	probe := &run{Run: x.Run, repo: x.repo}
	go func() { answer <- s.examine(ctx, probe) }()
	return func() error {
		err := <-answer
		x.life, x.repo.Upstream = probe.life, probe.repo.Upstream
		if err != nil {
			return err
		}
		// Its git answers, so a refusal of the API is about the API.
		if x.life != nil && x.life.State == core.UpstreamReplaced {
			return errLost(*x.life)
		}
		return nil
	}
}

// stateAfter returns the upstream's state after a run. A contact that worked
// proves an active one, unless the host says that it is archived; a failure that
// the host's API could not explain does after the third in a row.
func (x *run) stateAfter(s core.SyncState, failure error, anonymous bool) (core.UpstreamState, string) {
	if failure == nil {
		switch {
		case x.life != nil && x.life.State.Readable():
			return x.life.State, x.life.Message
		case s.UpstreamState == core.UpstreamArchived:
			return core.UpstreamArchived, ""
		}
		return core.UpstreamActive, ""
	}
	if x.life != nil {
		return x.life.State, x.life.Message
	}
	if s.Failures < failuresTold || s.UpstreamState != core.UpstreamActive {
		return s.UpstreamState, x.Error
	}
	switch {
	case x.Class == core.ClassNotFound:
		return core.UpstreamDeleted, x.Error
	case x.Class == core.ClassAuth && anonymous:
		return core.UpstreamPrivate, x.Error
	case x.Class == core.ClassAuth, x.Class == core.ClassRevoked:
		return core.UpstreamRevoked, x.Error
	}
	return s.UpstreamState, x.Error
}
