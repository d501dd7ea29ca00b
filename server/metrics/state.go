package metrics

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/core/schedule"
)

const (
	// readLimit bounds what a scrape may take from the database.
	readLimit = 10 * time.Second
	// maxHosts is how many hosts have a series of their own; the others are one, other.
	maxHosts = 50
)

// Plugin is how the plugin of one provider instance is.
type Plugin struct {
	Instance string
	Running  bool
	Starts   int
	Crashes  int
}

// Sources are what is read at every scrape.
type Sources struct {
	GitVersion string
	Store      core.OverviewStore
	Hosts      func() []schedule.HostLoad
	Load       func() (requests, heavy limit.Load)
	Plugins    func() []Plugin
	Disk       func() Disk
}

// state collects what is, rather than what happened.
type state struct {
	Sources
	worst int
	clock core.Clock
	descs map[string]*prometheus.Desc
	// scraping: scrapes that come together read one after another.
	scraping sync.Mutex
}

// lagBounds are the upper bounds of the lag's buckets in seconds.
func lagBounds() []float64 {
	return []float64{1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600}
}

// Watch adds what the sources say. It is called once.
func (m *Metrics) Watch(s Sources) {
	c := &state{Sources: s, worst: m.o.Worst, clock: m.o.Clock, descs: map[string]*prometheus.Desc{}}
	for _, d := range []struct {
		name, help string
		labels     []string
	}{
		{"repositories", "Repositories by state: local, pending (before their first sync), ready, failing, held, paused, or what became of the upstream (archived, private, revoked, suspended, deleted, replaced).", []string{"state"}},
		{"mirrors_failing", "Mirrors whose last sync failed, by the class of the failure.", []string{"class"}},
		{"mirror_lag_seconds", "Of all mirrors that were synced once: how long ago the upstream last confirmed the copy. A distribution as of now, so it does not only grow.", nil},
		{"mirror_worst_lag_seconds", "The mirrors whose copies are the oldest, by name; only with --metrics-worst.", []string{"organisation", "repository"}},
		{"organisations", "Organisations.", nil},
		{"events_undispatched", "Events that no delivery was made of yet.", nil},
		{"webhook_deliveries_waiting", "Deliveries of outbound webhooks that wait for an attempt.", nil},
		{"webhooks", "Outbound webhooks that are active, by state: ok, failing.", []string{"state"}},
		{"inbound_webhooks", "Registrations of webhooks at hosts, by state.", []string{"state"}},
		{"shared_credentials", "Credentials that repositories of an organisation share, by state: ok, failing (the host refused it when it was last asked).", []string{"state"}},
		{"shared_credential_expiry_seconds", "For how long the shared credential is still good that expires first, as the hosts say; negative if it has expired, missing if no host says.", nil},
		{"unfinished_writes", "Writes and syncs whose outcome is not settled.", nil},
		{"unfinished_write_oldest_seconds", "How long ago the oldest of them began; 0 if there is none.", nil},
		{"held_refs", "Refs that wait for a decision about a rewrite at the upstream.", nil},
		{"limit_running", "Requests, or pieces of heavy work, that have a slot.", []string{"kind"}},
		{"limit_waiting", "Requests, or pieces of heavy work, that wait for a slot.", []string{"kind"}},
		{"host_work", "Contacts under way at upstream hosts (run, look), and due without a place (queued). The busiest fifty hosts, and other.", []string{"host", "kind"}},
		{"host_pause_seconds", "For how long a host is still left alone, because it limits requests (rate_limited) or cannot be reached (down).", []string{"host", "reason"}},
		{"plugin_up", "1 if the plugin of a provider instance runs, 0 if it does not. Plugins start when they are first used.", []string{"instance"}},
		{"plugin_starts_total", "Processes of a plugin that were started.", []string{"instance"}},
		{"plugin_crashes_total", "Processes of a plugin that failed.", []string{"instance"}},
		{"disk_free_bytes", "Room that is left on the disk of the data directory.", nil},
		{"disk_size_bytes", "Size of the disk of the data directory.", nil},
		{"disk_used_bytes", "What the data directory holds, by class: repositories, quarantine, database, other. Measured in the background.", []string{"class"}},
		{"scrape_failed", "1 if the database could not be read for this scrape; then what is read from it is missing.", nil},
	} {
		c.descs[d.name] = prometheus.NewDesc(prometheus.BuildFQName(namespace, "", d.name), d.help, d.labels, nil)
	}
	m.registry.MustRegister(c, buildInfo(m.o.Version, s.GitVersion))
}

// Describe implements [prometheus.Collector].
func (c *state) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *state) Collect(ch chan<- prometheus.Metric) {
	c.scraping.Lock()
	defer c.scraping.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), readLimit)
	defer cancel()
	out := &output{c: c, ch: ch}
	failed := 0.0
	if err := c.stored(ctx, out); err != nil {
		failed = 1
	}
	out.gauge("scrape_failed", failed)
	c.limits(out)
	c.hosts(out)
	c.plugins(out)
	c.disk(out)
}

// output makes metrics of the descriptions.
type output struct {
	c  *state
	ch chan<- prometheus.Metric
}

func (o *output) gauge(name string, value float64, labels ...string) {
	o.ch <- prometheus.MustNewConstMetric(o.c.descs[name], prometheus.GaugeValue, value, labels...)
}

func (o *output) counter(name string, value float64, labels ...string) {
	o.ch <- prometheus.MustNewConstMetric(o.c.descs[name], prometheus.CounterValue, value, labels...)
}

// lag is the lag of one mirror.
type lag struct {
	org, name string
	seconds   float64
}

// mirrors is what is summed up of all mirrors.
type mirrors struct {
	states  map[string]int
	failing map[core.ErrorClass]int
	buckets map[float64]uint64
	count   uint64
	sum     float64
	worst   []lag // the worst first
}

// stored says what the database knows.
func (c *state) stored(ctx context.Context, out *output) error {
	totals, err := c.Store.Totals(ctx)
	if err != nil {
		return err
	}
	sum, err := c.sum(ctx)
	if err != nil {
		return err
	}
	sum.states["local"] = totals.Local
	for name, n := range sum.states {
		out.gauge("repositories", float64(n), name)
	}
	for class, n := range sum.failing {
		out.gauge("mirrors_failing", float64(n), string(class))
	}
	out.ch <- prometheus.MustNewConstHistogram(c.descs["mirror_lag_seconds"], sum.count, sum.sum, sum.buckets)
	for _, l := range sum.worst {
		out.gauge("mirror_worst_lag_seconds", l.seconds, l.org, l.name)
	}
	out.gauge("organisations", float64(totals.Organisations))
	out.gauge("events_undispatched", float64(totals.Undispatched))
	out.gauge("webhook_deliveries_waiting", float64(totals.Deliveries))
	out.gauge("webhooks", float64(totals.Webhooks-totals.FailingWebhooks), "ok")
	out.gauge("webhooks", float64(totals.FailingWebhooks), "failing")
	for _, s := range []core.InboundState{core.InboundNone, core.InboundActive, core.InboundFailing} {
		out.gauge("inbound_webhooks", float64(totals.Inbound[s]), string(s))
	}
	out.gauge("shared_credentials", float64(totals.Credentials-totals.FailingCredentials), "ok")
	out.gauge("shared_credentials", float64(totals.FailingCredentials), "failing")
	if !totals.FirstExpiry.IsZero() {
		out.gauge("shared_credential_expiry_seconds", totals.FirstExpiry.Sub(c.clock.Now()).Seconds())
	}
	out.gauge("unfinished_writes", float64(totals.Unfinished))
	oldest := 0.0
	if !totals.OldestUnfinished.IsZero() {
		oldest = max(c.clock.Now().Sub(totals.OldestUnfinished), 0).Seconds()
	}
	out.gauge("unfinished_write_oldest_seconds", oldest)
	out.gauge("held_refs", float64(totals.Held))
	return nil
}

// sum reads all mirrors.
func (c *state) sum(ctx context.Context) (mirrors, error) {
	s := mirrors{states: map[string]int{"pending": 0, "ready": 0, "failing": 0}, failing: map[core.ErrorClass]int{}, buckets: map[float64]uint64{}}
	bounds := lagBounds()
	for _, b := range bounds {
		s.buckets[b] = 0
	}
	now := c.clock.Now()
	err := c.Store.Mirrors(ctx, func(m core.MirrorHealth) error {
		s.states[m.State()]++
		if m.Failures > 0 && !m.Paused && m.Class != "" {
			s.failing[m.Class]++
		}
		if m.ObservedAt.IsZero() || m.Paused {
			return nil // one that is paused is old on purpose
		}
		l := lag{m.Org, m.Name, max(now.Sub(m.ObservedAt), 0).Seconds()}
		s.count++
		s.sum += l.seconds
		for _, b := range bounds {
			if l.seconds <= b {
				s.buckets[b]++
			}
		}
		s.keep(l, c.worst)
		return nil
	})
	return s, err
}

// keep keeps a lag if it is of the n worst.
func (s *mirrors) keep(l lag, n int) {
	if n == 0 || len(s.worst) == n && l.seconds <= s.worst[n-1].seconds {
		return
	}
	at, _ := slices.BinarySearchFunc(s.worst, l, func(a, b lag) int { return cmp.Compare(b.seconds, a.seconds) })
	s.worst = slices.Insert(s.worst, at, l)
	s.worst = s.worst[:min(len(s.worst), n)]
}

// limits says what has a slot.
func (c *state) limits(out *output) {
	requests, heavy := c.Load()
	for kind, load := range map[string]limit.Load{"request": requests, "heavy": heavy} {
		out.gauge("limit_running", float64(load.Running), kind)
		out.gauge("limit_waiting", float64(load.Waiting), kind)
	}
}

// hosts says what goes on at upstream hosts. Tenants name hosts, so that only the
// busiest have series of their own.
func (c *state) hosts(out *output) {
	loads := c.Hosts()
	slices.SortStableFunc(loads, func(a, b schedule.HostLoad) int {
		return cmp.Compare(b.Runs+b.Looks+b.Queued, a.Runs+a.Looks+a.Queued)
	})
	other := schedule.HostLoad{Host: "other"}
	for i, l := range loads {
		if i >= maxHosts {
			other.Runs, other.Looks, other.Queued = other.Runs+l.Runs, other.Looks+l.Looks, other.Queued+l.Queued
			continue
		}
		c.host(out, l)
	}
	if len(loads) > maxHosts {
		c.host(out, other)
	}
}

func (c *state) host(out *output, l schedule.HostLoad) {
	out.gauge("host_work", float64(l.Runs), l.Host, "run")
	out.gauge("host_work", float64(l.Looks), l.Host, "look")
	out.gauge("host_work", float64(l.Queued), l.Host, "queued")
	if left := l.PausedUntil.Sub(c.clock.Now()); !l.PausedUntil.IsZero() && left > 0 {
		out.gauge("host_pause_seconds", left.Seconds(), l.Host, l.Reason())
	}
}

// plugins says how the plugins are.
func (c *state) plugins(out *output) {
	for _, p := range c.Plugins() {
		up := 0.0
		if p.Running {
			up = 1
		}
		out.gauge("plugin_up", up, p.Instance)
		out.counter("plugin_starts_total", float64(p.Starts), p.Instance)
		out.counter("plugin_crashes_total", float64(p.Crashes), p.Instance)
	}
}

// disk says how full the disk is, as far as it was measured.
func (c *state) disk(out *output) {
	d := c.Disk()
	if d.Size > 0 {
		out.gauge("disk_free_bytes", float64(d.Free))
		out.gauge("disk_size_bytes", float64(d.Size))
	}
	for class, n := range d.Used {
		out.gauge("disk_used_bytes", float64(n), class)
	}
}
