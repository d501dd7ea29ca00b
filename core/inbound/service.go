package inbound

import (
	"context"
	"net/url"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// Announcements take what webhooks say of refs. [*Announcer] is one.
type Announcements interface {
	// AnnounceIn asks, in the caller's transaction, for a look at the
	// repository that expects these ids on these refs. NotifyAll makes it happen
	// once the transaction is committed.
	AnnounceIn(ctx context.Context, q core.Queries, repoID string, expect []core.Expectation) error
	NotifyAll()
}

// Upstreams follows up what becomes of upstreams.
type Upstreams interface {
	// CheckUpstream asks that the host be asked what became of the upstream.
	// KindNotFound: the repository is not synced (any more).
	CheckUpstream(ctx context.Context, repoID string) error
	// ConfirmIdentity makes sure that the repository which answers under the upstream's
	// name is the one that is followed, before something is set up there. It may follow
	// a rename. KindUpstreamUnavailable: the host cannot be asked, or the upstream is
	// gone or another one.
	ConfirmIdentity(ctx context.Context, r core.Repository) error
}

// Plugins finds provider instances. [upstream.Plugins] is one.
type Plugins interface {
	Webhook(name string) (upstream.Plugin, error)
	Instance(name string) (upstream.Plugin, error)
	Instances() []string
}

// Store is what this package needs of [core.Store].
type Store interface {
	core.InboundStore
	core.RepositoryStore
	core.Transactor
}

// Options configures [New]. Store, Plugins, Syncs and Clock are required.
type Options struct {
	Store         Store
	Plugins       Plugins
	Announcements Announcements
	Upstreams     Upstreams
	Clock         core.Clock
	Logger        hclog.Logger
	// PublicURL is the base of the addresses that hosts are given; with "" no
	// webhook can be registered.
	PublicURL string
}

// Service receives inbound webhooks and registers them at hosts. It is safe for
// concurrent use.
type Service struct {
	store         Store
	plugins       Plugins
	announcements Announcements
	upstreams     Upstreams
	clock         core.Clock
	log           hclog.Logger
	publicURL     string

	recent   *recent
	checks   chan check   // what [Service.Run] asks hosts about
	removals chan removal // what it takes away from hosts
	due      loop.Signal

	pauses *loop.Pauses // of hosts that limit requests or do not answer

	mu      sync.Mutex
	warned  map[string]bool   // instances whose missing secret was logged
	replays map[string]Replay // last one, by instance
	remotes map[core.Upstream]providers.Remote
}

// New returns a service. It receives at once; the rest is done by
// [Service.Run].
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Service{
		store: o.Store, plugins: o.Plugins, announcements: o.Announcements, upstreams: o.Upstreams, clock: o.Clock, log: o.Logger.Named("inbound"),
		publicURL: strings.TrimSuffix(o.PublicURL, "/"), recent: newRecent(), pauses: loop.NewPauses(o.Clock),
		checks: make(chan check, maxQueue), removals: make(chan removal, maxQueue), due: loop.NewSignal(),
		warned: map[string]bool{}, replays: map[string]Replay{}, remotes: map[core.Upstream]providers.Remote{},
	}
}

// maxQueue bounds what waits for [Service.Run]. What finds no place is left to
// the daily look at every upstream.
const maxQueue = 1000

// Run registers webhooks, follows up what hosts reported about repositories as a
// whole, and asks hosts for what was lost, until ctx ends and all of it has
// stopped.
func (s *Service) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { s.followChecks(ctx) })
	running.Go(func() { s.followRemovals(ctx) })
	running.Go(func() { s.followReplays(ctx) })
	s.complete(ctx)
	s.followDue(ctx)
	running.Wait()
	return nil
}

// PathOf returns the path of a repository's own address. It holds the token:
// whoever may know it may know the token.
func PathOf(up core.Upstream, token string) string {
	return "/webhooks/" + url.PathEscape(up.Instance) + "/" + token
}
