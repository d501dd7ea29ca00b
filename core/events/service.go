package events

import (
	"context"
	"crypto/x509"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers/netguard"
)

// Store is what this package needs of [core.Store].
type Store interface {
	core.WebhookStore
	core.EventFeed
	core.EventStore
	core.EventWatcher
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	core.Transactor
}

// Options configures [New]. Store is required.
type Options struct {
	Store  Store
	Clock  core.Clock // nil is the system's
	Logger hclog.Logger
	Policy Policy

	// Progress returns the progress of the syncs that run, by repository id;
	// nil: the feed tells of none.
	Progress func() map[string]core.Progress

	Resolver netguard.Resolver // nil is the system's
	RootCAs  *x509.CertPool    // that sign receivers' certificates; nil is the system's
	Timeout  time.Duration     // of one attempt; 0 is 10 s
	// Tried is called after every attempt of a delivery, for whoever counts; it must
	// not block. nil: nobody does.
	Tried   func(Try)
	Workers int // requests in flight; 0 is 128
	Slots   int // requests in flight to one webhook; 0 is 8
}

// Try is one attempt of a delivery.
type Try struct {
	Status int // of the answer; 0: none came
	OK     bool
	Took   time.Duration
}

// Service keeps webhooks, delivers events to them and feeds readers. It is
// safe for concurrent use.
type Service struct {
	*Feed
	store    Store
	clock    core.Clock
	log      hclog.Logger
	policy   Policy
	resolver netguard.Resolver
	sender   *sender
}

// New returns a service that delivers nothing until [Service.Run].
func New(o Options) *Service {
	if o.Clock == nil {
		o.Clock = core.SystemClock{}
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Workers == 0 {
		o.Workers = 128
	}
	if o.Slots == 0 {
		o.Slots = 8
	}
	if o.Progress == nil {
		o.Progress = func() map[string]core.Progress { return nil }
	}
	o.Logger = o.Logger.Named("events")
	return &Service{
		Feed: newFeed(o), store: o.Store, clock: o.Clock, log: o.Logger, policy: o.Policy, resolver: o.Resolver, sender: newSender(o),
	}
}

// Run makes deliveries of events and sends them until ctx ends. Requests that
// are under way then are given up; they are repeated after the next start.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.dispatch(ctx) })
	g.Go(func() error { return s.sender.run(ctx) })
	return g.Wait()
}
