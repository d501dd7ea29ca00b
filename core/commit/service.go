package commit

import (
	"compress/zlib"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/content"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/git/treeobject"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/core/repo"
)

// RefWriter is the one way to move refs; [*push.Service] implements it. Check
// reports what Write would refuse for the names of the refs alone, and changes
// nothing.
type RefWriter interface {
	Write(ctx context.Context, w push.Session) ([]push.Result, error)
	Check(ctx context.Context, w push.Session) ([]push.Result, error)
}

// Objects reads single objects; [*catfile.Pool] does.
type Objects interface {
	Info(ctx context.Context, dir string, names ...string) ([]catfile.Object, error)
	Contents(ctx context.Context, dir string, limit int64, names ...string) ([]catfile.Object, error)
}

// Revisions finds the commits that callers name; [*content.Service] does.
type Revisions interface {
	Resolve(ctx context.Context, repo core.Repository, ns core.Namespace, revision string) (core.ObjectID, error)
	// Served reports whether a caller may name an object by its id.
	Served(ctx context.Context, repo core.Repository, id core.ObjectID) (bool, error)
}

var (
	_ RefWriter = (*push.Service)(nil)
	_ Objects   = (*catfile.Pool)(nil)
	_ Revisions = (*content.Service)(nil)
)

// Options configures [New]. All but Trees, Logger, LargeFiles and MaxSize are required.
type Options struct {
	Git       *git.Git
	Repos     *repo.Repos
	Objects   Objects
	Trees     *treeobject.Sizes // nil is one of our own with the default limits
	Revisions Revisions
	Refs      RefWriter
	// LargeFiles is for commits whose LFS is set; nil: those that need it are refused.
	LargeFiles LargeFiles
	Clock      core.Clock
	Logger     hclog.Logger
	TempDir    string // for what is too large for memory while it arrives
	MaxSize    int64  // bytes that one request may bring, unpacked; 0 is no limit
}

// Service makes commits and moves refs for API calls. It is safe for
// concurrent use.
type Service struct {
	git       *git.Git
	repos     *repo.Repos
	objects   Objects
	unfold    *treeobject.Sizes
	revisions Revisions
	writer    RefWriter
	large     LargeFiles
	clock     core.Clock
	log       hclog.Logger
	temp      string
	maxSize   int64
	deflate   *sync.Pool // of *zlib.Writer: each holds a megabyte
}

// New returns a service.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Trees == nil {
		o.Trees = treeobject.NewSizes(o.Objects, treeobject.Limits{})
	}
	return &Service{
		git: o.Git, repos: o.Repos, objects: o.Objects, unfold: o.Trees, revisions: o.Revisions, writer: o.Refs, large: o.LargeFiles, clock: o.Clock, log: o.Logger.Named("commit"),
		temp: o.TempDir, maxSize: o.MaxSize,
		deflate: &sync.Pool{New: func() any {
			// The level is a constant of the package, so there is no error.
			z, _ := zlib.NewWriterLevel(io.Discard, zlib.BestSpeed)
			return z
		}},
	}
}

// Caller is who writes, and to which repository.
type Caller struct {
	Repo   core.Repository
	Actor  core.Actor
	Action string // what the call is, in the words of the audit
	Policy access.Policy
	// Audited is called when a write session has made the audit entry; see
	// [push.Session]. It may be nil.
	Audited func()
}

// namespace turns the flag of the wire into a namespace.
func namespace(ephemeral bool) core.Namespace {
	if ephemeral {
		return core.Ephemeral
	}
	return core.Default
}

func (s *Service) session(c Caller, ns core.Namespace, u core.RefUpdate) push.Session {
	return push.Session{
		Repo: c.Repo, Namespace: ns, Source: core.SourceAPI, Actor: c.Actor, Action: c.Action, Audited: c.Audited, Policy: c.Policy,
		Updates: []core.RefUpdate{u},
	}
}

// refusal returns the error of a session of one update, with the reason as the
// policy, git or the host gave it; nil if the ref was moved.
func refusal(results []push.Result, err error) error {
	if err != nil {
		return err
	}
	r := results[0]
	if r.OK() {
		return nil
	}
	return &core.Error{Kind: r.Kind, Op: "move ref", Subject: r.Update.Name, Message: r.Reason}
}

// check returns what a write would be refused for by the name of the ref alone,
// before anything is uploaded or stored.
func (s *Service) check(ctx context.Context, c Caller, ns core.Namespace, u core.RefUpdate) error {
	return refusal(s.writer.Check(ctx, s.session(c, ns, u)))
}

// move makes one ref update, with the words of the host in the error if the host
// refuses it.
func (s *Service) move(ctx context.Context, c Caller, ns core.Namespace, u core.RefUpdate) error {
	if err := s.repos.Current(ctx, c.Repo); err != nil {
		return err
	}
	session := s.session(c, ns, u)
	var said []string
	session.Notify = func(line string) {
		if line = strings.TrimSpace(line); line != "" && len(said) < maxSaid {
			said = append(said, line)
		}
	}
	err := refusal(s.writer.Write(ctx, session))
	if core.KindOf(err) == core.KindUpstreamRejected {
		// Many hosts give the reason beside the protocol, for people to read, and
		// some say it in both places.
		message := core.MessageOf(err)
		said = slices.DeleteFunc(said, func(line string) bool { return strings.Contains(message, line) })
		if len(said) > 0 {
			err = &core.Error{Kind: core.KindUpstreamRejected, Message: message + ": " + strings.Join(said, "; "), Err: err}
		}
	}
	return err
}

// maxSaid is how many lines of a host become part of an error.
const maxSaid = 20

const (
	// turnTimeout bounds the wait for other API writes to the same ref.
	turnTimeout = 2 * time.Minute
	// maxAttempts is how often a write without a guard is built anew because
	// pushes moved its ref.
	maxAttempts = 10
)

// turn waits until no other API write is at work on the ref, and returns the
// function that ends the caller's own turn. Pushes take no turns. With the context
// that it returns the turn's work is one of the repository's writers, see
// [repo.Repos.Writing].
//
// The slot comes first: who has a turn waits for nobody's slot.
func (s *Service) turn(ctx context.Context, c Caller, ns core.Namespace, name string) (context.Context, func(), error) {
	if err := limit.Take(ctx, c.Repo.ID); err != nil {
		return ctx, nil, err
	}
	ctx, done, err := s.repos.Writing(ctx, c.Repo.ID)
	if err != nil {
		return ctx, nil, err
	}
	waitCtx, cancel := context.WithTimeout(ctx, turnTimeout)
	defer cancel()
	unlock, err := s.repos.Locks().LockRef(waitCtx, c.Repo.ID, "turn/"+ns.Path(name), nil)
	if err == nil {
		return ctx, func() { unlock(); done() }, nil
	}
	done()
	if ctx.Err() != nil {
		return ctx, nil, context.Cause(ctx)
	}
	return ctx, nil, core.Errorf(core.KindLocked, "too many writes to %s are waiting, try again", name)
}

// again reports whether a refused write may be built anew: a push moved the ref
// of a branch that no upstream owns, and the caller did not say where the ref
// has to be.
func again(err error, c Caller, ns core.Namespace, name, guard string, attempt int) bool {
	upstream := c.Repo.Upstream != nil && core.UpstreamOwned(ns, name)
	return core.KindOf(err) == core.KindStale && guard == "" && !upstream && attempt < maxAttempts
}

// TipError is a refused write with what its branch held.
type TipError struct {
	Tip core.ObjectID // "" if the branch does not exist
	Err error
}

// Error gives the reason.
func (e *TipError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *TipError) Unwrap() error { return e.Err }

// idDigits is the length of an object id of the repository in hexadecimal.
func idDigits(r core.Repository) int {
	if r.ObjectFormat == "sha256" {
		return 64
	}
	return 40
}

// shortName takes a branch by its short or full name.
func shortName(name string) string { return strings.TrimPrefix(name, "refs/heads/") }

// exitCode returns the exit status of a git that ran and failed, and what it
// said.
func exitCode(err error) (code int, text string, ok bool) {
	if exit := git.Exit(err); exit != nil {
		return exit.Code, exit.Stderr, true
	}
	return 0, "", false
}
