package metrics

import (
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/core/maintain"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/server/middleware"
)

// namespace begins every name.
const namespace = "headwater"

// Options configures [New].
type Options struct {
	Version string // of the server
	// Worst is for how many mirrors the lag is shown by name; 0 shows none. Names
	// belong to tenants, and whoever reads the metrics reads them.
	Worst int
	Clock core.Clock // nil is the system's
}

// Metrics counts for one server, in a registry of its own. It is safe for concurrent
// use.
type Metrics struct {
	o        Options
	registry *prometheus.Registry

	requests      *prometheus.CounterVec
	requestTime   *prometheus.HistogramVec
	responseBytes *prometheus.CounterVec

	processes     *prometheus.CounterVec
	processTime   *prometheus.HistogramVec
	processCPU    *prometheus.CounterVec
	processMemory *prometheus.HistogramVec
	waits         *prometheus.HistogramVec
	turnedAway    *prometheus.CounterVec

	pushes    *prometheus.CounterVec
	pushTime  *prometheus.HistogramVec
	pushPhase *prometheus.HistogramVec
	pushRefs  *prometheus.CounterVec

	syncs     *prometheus.CounterVec
	syncTime  *prometheus.HistogramVec
	syncPhase *prometheus.HistogramVec
	syncBytes prometheus.Counter
	syncRefs  *prometheus.CounterVec

	deliveries   *prometheus.CounterVec
	deliveryTime prometheus.Histogram
	tasks        *prometheus.CounterVec
	taskTime     *prometheus.HistogramVec
	writeWait    prometheus.Histogram
	writeTime    prometheus.Histogram
	caches       *prometheus.CounterVec
}

var _ engine.Observer = (*Metrics)(nil)

// The buckets of histograms, in seconds: of what takes moments, and of what may take
// hours.
var (
	quick = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}
	long  = []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200}
)

// New returns metrics that are all zero.
func New(o Options) *Metrics {
	if o.Clock == nil {
		o.Clock = core.SystemClock{}
	}
	m := &Metrics{o: o, registry: prometheus.NewRegistry()}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.registerRequests()
	m.registerGit()
	m.registerPushes()
	m.registerSyncs()
	m.registerRest()
	return m
}

func (m *Metrics) registerRequests() {
	m.requests = m.counter("http_requests_total", "Requests that are over, by route and status. Status 0 is a connection that was cut.", "method", "route", "status")
	m.requestTime = m.histogram("http_request_duration_seconds", "How long requests took, with their bodies. An event stream takes as long as it is followed.", long, "route")
	m.responseBytes = m.counter("http_response_bytes_total", "Bytes of the bodies of answers.", "route")
}

func (m *Metrics) registerGit() {
	m.processes = m.counter("git_processes_total", "Git processes that have ended, by command and how: ok, failed, resource (a ceiling of memory, or the machine is short), cancelled.", "command", "ending")
	m.processTime = m.histogram("git_process_duration_seconds", "How long git processes ran.", long, "command")
	m.processCPU = m.counter("git_process_cpu_seconds_total", "Processor time of git processes and their children.", "command")
	m.processMemory = m.histogram("git_process_memory_bytes", "The largest resident set of git processes.", prometheus.ExponentialBuckets(4<<20, 2, 11), "command")
	m.waits = m.histogram("limit_wait_seconds", "How long those waited that could not begin at once. Kind is request, or heavy for searches, walks and merges.", quick, "kind")
	m.turnedAway = m.counter("limit_refusals_total", "Requests that were answered 429 because too many run or wait.", "kind")
}

func (m *Metrics) registerPushes() {
	m.pushes = m.counter("pushes_total", "Writes that are over, by source and what became of them: ok, partial, refused, unknown (the answer of the upstream was lost), failed.", "source", "outcome")
	m.pushTime = m.histogram("push_duration_seconds", "How long writes took.", long, "source")
	m.pushPhase = m.histogram("push_phase_duration_seconds", "How long the phases of writes took: check, lock, journal, upstream, apply.", long, "phase")
	m.pushRefs = m.counter("push_refs_total", "Refs of writes, moved and refused.", "result")
}

func (m *Metrics) registerSyncs() {
	m.syncs = m.counter("syncs_total", "Syncs that are over, by what caused them, their outcome, and the class of a failure.", "trigger", "outcome", "class")
	m.syncTime = m.histogram("sync_duration_seconds", "How long syncs took, by outcome.", long, "outcome")
	m.syncPhase = m.histogram("sync_phase_duration_seconds", "How long the phases of syncs took: list, fetch, apply.", long, "phase")
	m.syncBytes = prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: "sync_received_bytes_total", Help: "Bytes that syncs received from upstreams."})
	m.registry.MustRegister(m.syncBytes)
	m.syncRefs = m.counter("sync_refs_total", "Refs that syncs changed: created, updated, deleted; and of the updated ones, forced; and held back.", "change")
}

func (m *Metrics) registerRest() {
	m.deliveries = m.counter("webhook_attempts_total", "Attempts to deliver outbound webhooks, by result and the class of the status, none if no answer came.", "result", "status")
	m.deliveryTime = m.single("webhook_attempt_duration_seconds", "How long attempts to deliver outbound webhooks took.", quick)
	m.tasks = m.counter("maintenance_tasks_total", "Maintenance of repositories, by task and result.", "task", "result")
	m.taskTime = m.histogram("maintenance_task_duration_seconds", "How long maintenance took.", long, "task")
	m.caches = m.counter("cache_lookups_total", "Looks into the caches of the server, by what they found: hit, miss.", "cache", "result")
	m.writeWait = m.single("store_write_wait_seconds", "How long write transactions waited for the writer of the database.", quick)
	m.writeTime = m.single("store_write_duration_seconds", "How long write transactions held the writer of the database.", quick)
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) single(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

// Handler serves the metrics in the formats of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		// What could be read is shown, also if the database does not answer.
		ErrorHandling: promhttp.ContinueOnError,
		Registry:      m.registry,
	})
}

// Gatherer returns what [Metrics.Handler] shows.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Request is the [middleware.Measure] of all surfaces.
func (m *Metrics) Request(x *middleware.Exchange, r *http.Request, took time.Duration) {
	route, status := x.Route, x.Status()
	if route == "" {
		route = "none"
	}
	switch {
	case x.Aborted:
		status = 0
	case status == 0:
		status = http.StatusOK // net/http's own
	}
	m.requests.WithLabelValues(method(r.Method), route, strconv.Itoa(status)).Inc()
	m.requestTime.WithLabelValues(route).Observe(took.Seconds())
	m.responseBytes.WithLabelValues(route).Add(float64(x.Bytes()))
}

// method keeps what a client has invented out of the labels.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return name
	}
	return "other"
}

// Git is the Ended of [git.Options].
func (m *Metrics) Git(u git.Usage) {
	m.processes.WithLabelValues(u.Command, string(u.Ending)).Inc()
	m.processTime.WithLabelValues(u.Command).Observe(u.Took.Seconds())
	m.processCPU.WithLabelValues(u.Command).Add(u.CPU.Seconds())
	if u.Memory > 0 {
		m.processMemory.WithLabelValues(u.Command).Observe(float64(u.Memory))
	}
}

// StoreWrote is the Wrote of the store's options.
func (m *Metrics) StoreWrote(waited, held time.Duration) {
	m.writeWait.Observe(waited.Seconds())
	m.writeTime.Observe(held.Seconds())
}

// Queued implements [engine.Observer].
func (m *Metrics) Queued(w limit.Wait) {
	kind := "request"
	if w.Heavy {
		kind = "heavy"
	}
	if w.Refused {
		m.turnedAway.WithLabelValues(kind).Inc()
		return
	}
	m.waits.WithLabelValues(kind).Observe(w.Took.Seconds())
}

// Pushed implements [engine.Observer].
func (m *Metrics) Pushed(f push.Finished) {
	m.pushes.WithLabelValues(string(f.Source), string(f.Ending)).Inc()
	m.pushTime.WithLabelValues(string(f.Source)).Observe(f.Took.Seconds())
	for _, p := range f.Phases {
		m.pushPhase.WithLabelValues(p.Name).Observe(p.Duration.Seconds())
	}
	m.pushRefs.WithLabelValues("moved").Add(float64(f.Refs - f.Refused))
	m.pushRefs.WithLabelValues("refused").Add(float64(f.Refused))
}

// Synced implements [engine.Observer].
func (m *Metrics) Synced(_ core.Repository, run core.Run) {
	class := string(run.Class)
	if class == "" {
		class = "none"
	}
	m.syncs.WithLabelValues(run.Trigger, run.Outcome, class).Inc()
	m.syncTime.WithLabelValues(run.Outcome).Observe(max(run.FinishedAt.Sub(run.StartedAt), 0).Seconds())
	for _, p := range run.Phases {
		m.syncPhase.WithLabelValues(p.Name).Observe(p.Duration.Seconds())
	}
	m.syncBytes.Add(float64(run.Bytes))
	for change, n := range map[string]int{
		"created": run.RefsCreated, "updated": run.RefsUpdated, "deleted": run.RefsDeleted, "forced": run.RefsForced, "held": run.RefsHeld,
	} {
		m.syncRefs.WithLabelValues(change).Add(float64(n))
	}
}

// Delivered implements [engine.Observer].
func (m *Metrics) Delivered(t events.Try) {
	result, status := "failed", "none"
	if t.OK {
		result = "delivered"
	}
	if t.Status != 0 {
		status = strconv.Itoa(t.Status/100) + "xx"
	}
	m.deliveries.WithLabelValues(result, status).Inc()
	m.deliveryTime.Observe(t.Took.Seconds())
}

// Maintained implements [engine.Observer].
func (m *Metrics) Maintained(task maintain.Task, took time.Duration, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.tasks.WithLabelValues(string(task), result).Inc()
	m.taskTime.WithLabelValues(string(task)).Observe(took.Seconds())
}

// buildInfo is a metric of the value 1 that has the versions as labels.
func buildInfo(version, gitVersion string) prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "1; its labels are the versions of the server, of git and of Go.",
		ConstLabels: prometheus.Labels{"version": version, "git": gitVersion, "go": runtime.Version()},
	})
	g.Set(1)
	return g
}

// Cached implements [engine.Observer].
func (m *Metrics) Cached(c engine.Cache, found bool) {
	result := "miss"
	if found {
		result = "hit"
	}
	m.caches.WithLabelValues(string(c), result).Inc()
}
