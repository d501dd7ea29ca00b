package store

import (
	"context"
	"errors"

	"github.com/headwater-git/headwater/core"
)

// Mirrors implements [core.OverviewStore]. Twenty thousand rows take about 60 ms.
func (q *queries) Mirrors(ctx context.Context, f func(core.MirrorHealth) error) (err error) {
	action := op{name: "read mirrors"}
	rows, err := q.read.QueryContext(ctx, `
		SELECT r.id, r.org, r.name, u.provider, u.instance, u.host, s.upstream_state, s.first_synced_at > 0, s.failures, s.last_class, s.observed_at, s.paused_at > 0
		FROM sync_states s JOIN repositories r ON r.id = s.repo_id JOIN upstreams u ON u.repo_id = s.repo_id
		WHERE r.deleted_at = 0
		ORDER BY s.repo_id`)
	if err != nil {
		return action.fail(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var m core.MirrorHealth
		if err := rows.Scan(&m.RepoID, &m.Org, &m.Name, &m.Provider, &m.Instance, &m.Host, &m.Upstream, &m.Ready, &m.Failures, &m.Class,
			timeColumn{&m.ObservedAt}, &m.Paused); err != nil {
			return action.fail(err)
		}
		if err := f(m); err != nil {
			return err
		}
	}
	return action.fail(rows.Err())
}

// Totals implements [core.OverviewStore].
func (q *queries) Totals(ctx context.Context) (t core.Totals, err error) {
	action := op{name: "count"}
	// The states are literals, so that the indexes of what is open serve this.
	err = q.read.QueryRowContext(ctx, `
		SELECT (SELECT count(*) FROM orgs),
			(SELECT count(*) FROM repositories r WHERE r.deleted_at = 0 AND NOT EXISTS (SELECT 1 FROM upstreams u WHERE u.repo_id = r.id)),
			(SELECT count(*) FROM events WHERE seq > (SELECT seq FROM outbox)),
			(SELECT count(*) FROM deliveries WHERE state = 'pending'),
			(SELECT count(*) FROM journal WHERE state IN ('sent', 'lagging')),
			(SELECT COALESCE(min(created_at), 0) FROM journal WHERE state IN ('sent', 'lagging')),
			(SELECT count(*) FROM webhooks WHERE active <> 0),
			(SELECT count(*) FROM webhooks WHERE active <> 0 AND failing_since > 0),
			(SELECT count(*) FROM rewrites WHERE state IN ('held', 'frozen', 'dismissed') AND state <> 'dismissed'),
			(SELECT count(*) FROM shared_credentials),
			(SELECT count(*) FROM shared_credentials WHERE check_error <> ''),
			(SELECT COALESCE(min(expires_at), 0) FROM shared_credentials WHERE expires_at > 0)`).Scan(
		&t.Organisations, &t.Local, &t.Undispatched, &t.Deliveries, &t.Unfinished, timeColumn{&t.OldestUnfinished},
		&t.Webhooks, &t.FailingWebhooks, &t.Held, &t.Credentials, &t.FailingCredentials, timeColumn{&t.FirstExpiry})
	if err != nil {
		return core.Totals{}, action.fail(err)
	}
	type state struct {
		name  core.InboundState
		count int
	}
	states, err := collect(ctx, q.read, func(row scanner) (s state, err error) {
		err = row.Scan(&s.name, &s.count)
		return s, err
	}, `SELECT state, count(*) FROM inbound_webhooks GROUP BY state`)
	if err != nil {
		return core.Totals{}, action.fail(err)
	}
	t.Inbound = make(map[core.InboundState]int, len(states))
	for _, s := range states {
		t.Inbound[s.name] = s.count
	}
	return t, nil
}
