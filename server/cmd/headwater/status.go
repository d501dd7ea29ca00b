package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server"
)

// statusTimeout bounds the question to the running server.
const statusTimeout = 10 * time.Second

// statusReport is what the command prints.
type statusReport struct {
	// Server is what the running server says, null if none runs or it has no address
	// of the operator's own; then NoServer says which.
	Server   *server.Status `json:"server"`
	NoServer string         `json:"no_server,omitempty"`
	// ReadOnly is why and since when the server takes no writes, null if it does.
	ReadOnly *statusReadOnly `json:"read_only"`
	Totals   statusTotals    `json:"totals"`
	States   map[string]int  `json:"states"` // repositories by [core.RepositoryState]
	// Upstreams are mirrors by what became of their upstream, without those where it works.
	Upstreams map[string]int `json:"upstreams"`
	Failing   map[string]int `json:"failing"`
	Mirrors   int            `json:"mirrors"`
	Recent    int            `json:"confirmed_within_15m"` // mirrors
	Worst     []statusMirror `json:"worst"`                // the oldest copies first
}

// statusReadOnly is [core.ReadOnlyMode] for the report.
type statusReadOnly struct {
	Since  core.Timestamp `json:"since"`
	Reason string         `json:"reason,omitempty"`
}

// statusTotals is [core.Totals] for the report.
type statusTotals struct {
	Organisations    int             `json:"organisations"`
	Deliveries       int             `json:"deliveries_waiting"`
	Undispatched     int64           `json:"events_undispatched"`
	Unfinished       int             `json:"unfinished_writes"`
	OldestUnfinished *core.Timestamp `json:"oldest_unfinished_write"`
	FailingWebhooks  int             `json:"failing_webhooks"`
	Held             int             `json:"held_refs"`
}

// statusMirror is one of the mirrors with the oldest copies.
type statusMirror struct {
	Org        string          `json:"organisation"`
	Name       string          `json:"name"`
	State      string          `json:"state"`
	Upstream   string          `json:"upstream,omitempty"` // what became of it; "" if it works
	Class      string          `json:"class,omitempty"`
	ObservedAt *core.Timestamp `json:"observed_at"` // null: never
}

func newStatusCommand() *cobra.Command {
	var (
		data   string
		worst  int
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show on one screen how the server and its mirrors are",
		Long: `Show how the server is: what runs and waits, the hosts it rests from, its plugins and
its disk, how many mirrors are fresh, failing and held, and the oldest copies by name.

It reads the database of the data directory, so it shows every organisation and works
while the server is stopped, too; what only a running server knows is asked of its
address for the operator (serve --admin-listen).`,
		Example: `  headwater status
  headwater status --data /var/lib/headwater --worst 20
  headwater status --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if worst < 0 {
				return usagef("give 0 or more", "--worst must not be negative")
			}
			dir, err := openDataDir(data)
			if err != nil {
				return err
			}
			report := statusReport{}
			if report.Server, report.NoServer, err = askStatus(cmd.Context(), dir); err != nil {
				return err
			}
			now := time.Now()
			if err := withStore(cmd.Context(), data, func(ctx context.Context, s core.Store) error { return report.read(ctx, s, now, worst) }); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			}
			return printTyped(cmd, func(out io.Writer) error { return report.print(out, now) })
		},
	}
	bindDataDir(cmd.Flags(), &data)
	cmd.Flags().IntVar(&worst, "worst", 10, "name this many of the oldest copies")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// askStatus asks the running server. Without one it says why there is no answer.
func askStatus(ctx context.Context, dir dataDir) (_ *server.Status, why string, err error) {
	address, err := os.ReadFile(dir.adminAddressFile())
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := dir.address(); err == nil {
			return nil, "the server runs without --admin-listen, so that it cannot be asked", nil
		}
		return nil, "no server is running on this data directory", nil
	}
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	base := strings.TrimSpace(string(address))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/status", nil)
	if err != nil {
		return nil, "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		// It may have been killed, which leaves its address behind.
		return nil, "the server does not answer at " + base, nil //nolint:nilerr // said in words
	}
	defer func() { _ = resp.Body.Close() }()
	s := &server.Status{}
	if err := json.NewDecoder(resp.Body).Decode(s); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Sprintf("something else than this server answers at %s", base), nil
	}
	return s, "", nil
}

// read fills in what the database knows.
func (p *statusReport) read(ctx context.Context, s core.Store, now time.Time, worst int) error {
	t, err := s.Totals(ctx)
	if err != nil {
		return err
	}
	mode, err := s.ReadOnly(ctx)
	if err != nil {
		return err
	}
	if mode.On() {
		p.ReadOnly = &statusReadOnly{core.Timestamp(mode.Since), mode.Reason}
	}
	p.Totals = statusTotals{
		Organisations: t.Organisations, Deliveries: t.Deliveries, Undispatched: t.Undispatched, Unfinished: t.Unfinished,
		FailingWebhooks: t.FailingWebhooks, Held: t.Held,
	}
	if !t.OldestUnfinished.IsZero() {
		p.Totals.OldestUnfinished = new(core.Timestamp(t.OldestUnfinished))
	}
	p.States, p.Upstreams, p.Failing, p.Worst = map[string]int{}, map[string]int{}, map[string]int{}, []statusMirror{}
	err = s.Health(ctx, "", func(h core.RepositoryHealth) error {
		one := statusMirror{Org: h.Org, Name: h.Name, State: string(h.State())}
		p.States[one.State]++
		if !h.Synced {
			return nil
		}
		p.Mirrors++
		if h.Upstream != core.UpstreamActive {
			one.Upstream = string(h.Upstream)
			p.Upstreams[one.Upstream]++
		}
		if h.Failures > 0 && !h.Paused {
			one.Class = string(h.Class)
			p.Failing[one.Class]++
		}
		if !h.ObservedAt.IsZero() {
			one.ObservedAt = new(core.Timestamp(h.ObservedAt))
			if now.Sub(h.ObservedAt) <= 15*time.Minute {
				p.Recent++
			}
		}
		if !h.Paused { // it is old on purpose
			p.Worst = append(p.Worst, one)
		}
		return nil
	})
	slices.SortFunc(p.Worst, func(a, b statusMirror) int {
		return cmp.Or(observed(a).Compare(observed(b)), cmp.Compare(a.Org, b.Org), cmp.Compare(a.Name, b.Name))
	})
	p.Worst = p.Worst[:min(len(p.Worst), worst)]
	return err
}

// observed is when a copy was confirmed, the beginning of time if never.
func observed(m statusMirror) time.Time {
	if m.ObservedAt == nil {
		return time.Time{}
	}
	return m.ObservedAt.Time()
}

// print writes the screen.
func (p *statusReport) print(out io.Writer, now time.Time) error {
	t := newTable(out)
	p.printServer(t, now)
	if m := p.ReadOnly; m != nil {
		reason := ""
		if m.Reason != "" {
			reason = ": " + m.Reason
		}
		fmt.Fprintf(t, "read-only\tsince %s%s; end it: headwater read-only off\n", m.Since.Time().UTC().Format(time.RFC3339), reason)
	}
	fmt.Fprintf(t, "repositories\t%s\n", counts(p.States))
	if len(p.Failing) > 0 {
		fmt.Fprintf(t, "failing\t%s; see: headwater repo list --state failing\n", counts(p.Failing))
	}
	if len(p.Upstreams) > 0 {
		fmt.Fprintf(t, "upstreams\t%s\n", counts(p.Upstreams))
	}
	if p.Mirrors > 0 {
		fmt.Fprintf(t, "copies\t%d of %d confirmed within 15 minutes\n", p.Recent, p.Mirrors)
	}
	fmt.Fprintf(t, "waiting\t%s, %s, %s for a decision, %s without an outcome", core.Count(p.Totals.Deliveries, "delivery"), core.Count(p.Totals.Undispatched, "event"),
		core.Count(p.Totals.Held, "ref"), core.Count(p.Totals.Unfinished, "write"))
	if p.Totals.OldestUnfinished != nil {
		fmt.Fprintf(t, " (the oldest for %s)", core.Ago(now.Sub(p.Totals.OldestUnfinished.Time())))
	}
	fmt.Fprintln(t)
	if p.Totals.FailingWebhooks > 0 {
		fmt.Fprintf(t, "webhooks\t%d failing; see: headwater webhook list\n", p.Totals.FailingWebhooks)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	p.printHosts(out, now)
	p.printPlugins(out)
	if len(p.Worst) == 0 {
		return nil
	}
	fmt.Fprintln(out, "\nOldest copies")
	t = newTable(out)
	for _, m := range p.Worst {
		lag := "never"
		if m.ObservedAt != nil {
			lag = core.Ago(now.Sub(m.ObservedAt.Time()))
		}
		why := strings.TrimSpace(m.Class + " " + m.Upstream)
		if m.Class == m.Upstream {
			why = m.Class
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", m.Org+": "+m.Name, lag, m.State, why)
	}
	return t.Flush()
}

// printServer writes what the running server says.
func (p *statusReport) printServer(t io.Writer, now time.Time) {
	if p.Server == nil {
		fmt.Fprintf(t, "server\t%s\n", p.NoServer)
		return
	}
	s := p.Server
	fmt.Fprintf(t, "server\tHeadwater %s, up for %s, git %s\n", s.Version, core.Ago(now.Sub(s.StartedAt.Time())), s.Git)
	if len(s.Problems) == 0 {
		fmt.Fprintf(t, "ready\t%s\n", yesNo(s.Ready))
	}
	for i, problem := range s.Problems {
		name := "\t"
		if i == 0 {
			name = "ready\t" + yesNo(s.Ready) + "; "
		}
		fmt.Fprintf(t, "%s%s\n", name, problem)
	}
	fmt.Fprintf(t, "requests\t%d running, %d waiting; of heavy work %d and %d\n", s.Requests.Running, s.Requests.Waiting, s.Heavy.Running, s.Heavy.Waiting)
	if s.Disk.Size > 0 {
		fmt.Fprintf(t, "disk\t%s of %s free (%d %%)", core.ByteSize(s.Disk.Free), core.ByteSize(s.Disk.Size), s.Disk.Free*100/s.Disk.Size)
		for _, class := range slices.Sorted(maps.Keys(s.Disk.Used)) {
			if n := s.Disk.Used[class]; n > 0 {
				fmt.Fprintf(t, ", %s %s", class, core.ByteSize(n))
			}
		}
		fmt.Fprintln(t)
	}
}

// printHosts writes the hosts where something goes on.
func (p *statusReport) printHosts(out io.Writer, now time.Time) {
	if p.Server == nil || len(p.Server.Hosts) == 0 {
		return
	}
	fmt.Fprintln(out, "\nHosts")
	t := newTable(out)
	for _, h := range p.Server.Hosts {
		rest := ""
		if h.PausedUntil != nil {
			rest = fmt.Sprintf("left alone for %s, because it %s", core.Ago(h.PausedUntil.Time().Sub(now)), map[string]string{
				"down": "cannot be reached", "rate_limited": "limits requests",
			}[h.Reason])
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%d due\t%s\n", h.Host, core.Count(h.Runs, "sync"), core.Count(h.Looks, "look"), h.Queued, rest)
	}
	_ = t.Flush() // to a writer that has failed already
}

// printPlugins writes the plugins that need a look.
func (p *statusReport) printPlugins(out io.Writer) {
	if p.Server == nil {
		return
	}
	for _, plugin := range p.Server.Plugins {
		if plugin.LastError != "" {
			fmt.Fprintf(out, "\nplugin %s is %s after %s: %s\n", plugin.Instance, plugin.State, core.Count(plugin.Crashes, "crash"), plugin.LastError)
		}
	}
}

// counts writes numbers with their names, the largest first.
func counts(all map[string]int) string {
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int { return cmp.Or(cmp.Compare(all[b], all[a]), cmp.Compare(a, b)) })
	var parts []string
	for _, name := range names {
		if all[name] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", all[name], name))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
