package githubapp

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	api "github.com/google/go-github/v62/github"

	"github.com/headwater-git/headwater/plugins/internal/github"
	"github.com/headwater-git/headwater/providers"
)

// Bounds of a replay.
const (
	// deliveriesKept is how long GitHub keeps the log of deliveries.
	deliveriesKept = 3 * 24 * time.Hour
	deliveryPages  = 50
	deliveriesPage = 100 // the most that GitHub gives at once
	maxReplayed    = 500 // GitHub limits requests that make it work
	// replayReserve is kept of the caller's time to bring the result home.
	replayReserve = 2 * time.Second
)

var _ providers.DeliveryReplayer = (*Provider)(nil)

// ReplayDeliveries implements [providers.DeliveryReplayer]. A delivery that
// arrived at any of its attempts has arrived, whatever became of the others.
// Those of events that mean nothing here are not asked for again.
//
// Errors: [providers.CodeInvalidConfig] without an App,
// [providers.CodeInvalidArgument] for a host that it is not for, and those of
// the host while nothing has been asked for again yet.
func (p *Provider) ReplayDeliveries(ctx context.Context, r providers.ReplayRequest) (providers.ReplayResult, error) {
	if err := ctx.Err(); err != nil {
		return providers.ReplayResult{}, err
	}
	app, config, err := p.ready()
	if err != nil {
		return providers.ReplayResult{}, err
	}
	// The App's own log belongs to no repository; only the host counts.
	place, err := github.Rules().Place(p.Manifest(), config, providers.Locator{Host: r.Host, Owner: "app", Name: "hook"})
	if err != nil {
		return providers.ReplayResult{}, err
	}
	s, err := app.session(p.HTTPClient(place.Policy), place)
	if err != nil {
		return providers.ReplayResult{}, err
	}
	var result providers.ReplayResult
	since := r.Since
	if oldest := time.Now().Add(-deliveriesKept); since.Before(oldest) {
		since, result.Incomplete = oldest, true
	}
	lost, all, err := s.lost(ctx, since)
	if err != nil {
		return providers.ReplayResult{}, err
	}
	result.Failed = len(lost)
	result.Incomplete = result.Incomplete || !all || len(lost) > maxReplayed
	for _, id := range lost[:min(len(lost), maxReplayed)] {
		if soon(ctx) {
			result.Incomplete = true
			break
		}
		err := s.redeliver(ctx, id)
		switch {
		case err == nil:
			result.Replayed++
		case providers.CodeOf(err) == providers.CodeNotFound:
			result.Incomplete = true // too old by now
		case result.Replayed > 0:
			result.Incomplete = true
			return result, nil
		default:
			return providers.ReplayResult{}, err
		}
	}
	return result, nil
}

// soon reports whether a context is about to end.
func soon(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && time.Until(deadline) < replayReserve
}

// lost returns the newest attempt of each delivery since a time that never
// arrived, oldest first, and whether the log was read to its end.
func (s session) lost(ctx context.Context, since time.Time) (attempts []int64, all bool, err error) {
	arrived := map[string]bool{}
	newest := map[string]int64{}
	order := []string{} // of guids, newest first, as the log is
	options := &api.ListCursorOptions{PerPage: deliveriesPage}
	for range deliveryPages {
		begin := time.Now()
		page, response, err := s.api.Apps.ListHookDeliveries(ctx, options)
		if err != nil {
			answer := github.Answer(response, begin)
			return nil, false, s.explain(github.Error(ctx, s.place, answer, err, s.signed), answer)
		}
		for _, d := range page {
			if d.GetDeliveredAt().Before(since) {
				all = true
				break
			}
			guid := d.GetGUID()
			if code := d.GetStatusCode(); code >= http.StatusOK && code < http.StatusMultipleChoices {
				arrived[guid] = true
			}
			if _, seen := newest[guid]; !seen && matters(d.GetEvent()) {
				newest[guid] = d.GetID()
				order = append(order, guid)
			}
		}
		if all || response.Cursor == "" {
			all = true
			break
		}
		options.Cursor = response.Cursor
		if soon(ctx) {
			break
		}
	}
	for _, guid := range slices.Backward(order) {
		if !arrived[guid] {
			attempts = append(attempts, newest[guid])
		}
	}
	return attempts, all, nil
}

// matters reports whether the server learns something from an event.
func matters(event string) bool {
	return event == "installation" || event == "installation_repositories" || slices.Contains(github.WebhookEvents(), event)
}

// redeliver asks for one more attempt of a delivery.
func (s session) redeliver(ctx context.Context, attempt int64) error {
	begin := time.Now()
	_, response, err := s.api.Apps.RedeliverHookDelivery(ctx, attempt)
	var accepted *api.AcceptedError
	if err == nil || errors.As(err, &accepted) {
		return nil // GitHub answers 202
	}
	return github.Error(ctx, s.place, github.Answer(response, begin), err, s.signed)
}
