package remote

import (
	"cmp"
	"context"
	"net"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

const (
	// stallTime and stallBytes are the slowest host that is waited for, as for git. An
	// upload has twice the time: a host puts away what it took before it answers.
	stallTime  = 60 * time.Second
	stallBytes = 60 * 1000
	// defaultTransfers is how many objects are moved at once at a host that the operator
	// has not set max_concurrent for; Git LFS moves as many.
	defaultTransfers = 8
)

// Upstreams opens upstreams; *upstream.Service does.
type Upstreams interface {
	Open(ctx context.Context, repo core.Repository, operation providers.Operation, fresh bool) (git.Remote, error)
	Do(ctx context.Context, repo core.Repository, operation providers.Operation, f func(r git.Remote) error) error
	HostPolicy(up core.Upstream, host string) (providers.HostPolicy, error)
}

var _ Upstreams = (*upstream.Service)(nil)

// Hosts remembers how hosts answer, for all who ask them; *schedule.Service does.
type Hosts interface {
	// RateLimitedUntil returns until when a host is left alone because it limits
	// requests; zero: it is not.
	RateLimitedUntil(host string) time.Time
	// RecordContact takes in how a contact ended: "" is a success, and hostAsked the
	// pause that the host asked for.
	RecordContact(host, repoID string, class core.ErrorClass, hostAsked time.Duration)
}

// Links knows which repository answers under an upstream's name; *upstream.Monitor does.
type Links interface {
	// Admit makes sure of it before a write, and returns the repository as it is linked.
	Admit(ctx context.Context, repo core.Repository) (core.Repository, error)
	// Follow asks what became of an upstream that turned a request away, and returns the
	// repository as it is linked then, and what explains the failure.
	Follow(ctx context.Context, repo core.Repository, failure error) (now core.Repository, refusal error)
}

var _ Links = (*upstream.Monitor)(nil)

// Options configures [New].
type Options struct {
	Upstreams Upstreams
	// Links is asked before each write, and after a refusal; nil: the link is taken as
	// it is.
	Links Links
	// Hosts is asked before a host is, and learns how it answers; nil: nobody is.
	Hosts Hosts
	Clock core.Clock
	// Resolver resolves the names of hosts; nil is the system's.
	Resolver netguard.Resolver
	// Agent is what the server calls itself, such as "headwater/1.2".
	Agent string
	// Stall is how long a host may move too few bytes; 0 is a minute.
	Stall time.Duration
}

// Service makes clients of LFS servers, which share connections and what each host is
// asked for at once. It is safe for concurrent use.
type Service struct {
	up         Upstreams
	links      Links
	hosts      Hosts
	clock      core.Clock
	userAgent  string
	stall      time.Duration
	transports *transports
	slots      *slots
}

// New returns a service. Close it when it is not needed any more.
func New(o Options) *Service {
	resolver := o.Resolver
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return &Service{
		up: o.Upstreams, links: o.Links, hosts: o.Hosts, clock: o.Clock,
		// Hosts know Git LFS by its name.
		userAgent:  "git-lfs/3.8.1 (" + o.Agent + ")",
		stall:      cmp.Or(o.Stall, stallTime),
		transports: newTransports(resolver),
		slots:      newSlots(),
	}
}

// CloseIdle closes the connections that serve no request now. Later requests open new
// ones.
func (s *Service) CloseIdle() { s.transports.closeIdle() }

// For returns the LFS server of the repository's upstream. The repository must have one.
func (s *Service) For(repo core.Repository) lfs.Upstream { return &client{s: s, repo: repo} }

// client is the LFS server of one repository's upstream.
type client struct {
	s    *Service
	repo core.Repository
}

var _ lfs.Upstream = (*client)(nil)
