package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/headwater-git/headwater/core"
)

// Settings implements [core.SettingsStore].
func (q *queries) Settings(ctx context.Context, repoID string) (s core.Settings, err error) {
	err = q.read.QueryRowContext(ctx, `SELECT body FROM settings WHERE repo_id = $1`, repoID).Scan(jsonColumn{&s})
	if errors.Is(err, sql.ErrNoRows) {
		return core.Settings{}, nil
	}
	return s, op{name: "read settings", subject: repoID}.fail(err)
}

// SaveSettings implements [core.SettingsStore]. KindNotFound: no such
// repository.
func (q *queries) SaveSettings(ctx context.Context, repoID string, s core.Settings) error {
	action := op{name: "save settings", subject: repoID, missing: noRepository}
	body, err := json.Marshal(s)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		INSERT INTO settings (repo_id, body) VALUES ($1, $2) ON CONFLICT (repo_id) DO UPDATE SET body = excluded.body`,
		repoID, string(body))
}

// ExpiringRepositories implements [core.SettingsStore]. KindInvalid: the limit
// is not positive.
func (q *queries) ExpiringRepositories(ctx context.Context, after string, limit int) ([]string, error) {
	action := op{name: "list repositories whose ephemeral branches expire"}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	// A field that is not set is not in the JSON, and in a text of it the quote
	// would follow a backslash.
	all, err := collect(ctx, q.read, scanString, `
		SELECT repo_id FROM settings WHERE repo_id > $1 AND body LIKE '%"ephemeral_ttl":%' ORDER BY repo_id LIMIT $2`, after, limit)
	return all, action.fail(err)
}
