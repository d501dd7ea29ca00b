package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
)

// order is how repositories are sorted: by what, and in which direction.
type order struct {
	by      string // an expression over the tables of selectRepository and sync_states
	compare string // of what comes after a key
	text    bool   // the key is text, else a number
}

// never is above every time: what was never confirmed because there is nobody to do so
// is behind all others.
const never = "9223372036854775807"

var orders = map[core.RepositorySort]order{
	core.SortName:       {by: "CASE WHEN r.deleted_at > 0 THEN r.deleted_name ELSE r.name END", compare: ">", text: true},
	core.SortSize:       {by: "r.disk_bytes", compare: "<"},
	core.SortLastChange: {by: "CASE WHEN r.changed_at > r.created_at THEN r.changed_at ELSE r.created_at END", compare: "<"},
	core.SortLag:        {by: "COALESCE(s.observed_at, " + never + ")", compare: ">"},
}

// direction of the order, in SQL.
func (o order) direction() string {
	if o.compare == ">" {
		return "ASC"
	}
	return "DESC"
}

// stateConditions are what a state says of a row. What is not here has an upstream.
var stateConditions = map[core.RepositoryState]string{
	"":                     "",
	core.RepositoryLocal:   " AND u.repo_id IS NULL",
	core.RepositoryPaused:  " AND s.paused_at > 0",
	core.RepositoryFailing: " AND s.last_error <> '' AND s.last_class <> 'diverged' AND s.brake_digest = '' AND s.paused_at = 0",
	core.RepositoryHeld:    " AND (s.brake_digest <> '' OR s.last_error <> '' AND s.last_class = 'diverged') AND s.paused_at = 0",
	core.RepositoryPending: " AND s.first_synced_at = 0 AND s.last_error = ''",
}

// Repositories implements [core.RepositoryStore]. Newest first, a page costs what it
// has; in every other order the rows of the organisation are read and sorted.
func (q *queries) Repositories(ctx context.Context, f core.RepositoryFilter) ([]core.ListedRepository, error) {
	action := op{name: "list repositories", subject: f.Org}
	if err := checkLimit(action, f.Limit); err != nil {
		return nil, err
	}
	query := `
		WHERE r.org = $1 AND ($2 = '' OR r.search_name LIKE $2 ESCAPE '!')`
	args := []any{f.Org, containing(f.Query)}
	param := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	if f.Provider != "" {
		p := param(f.Provider)
		query += ` AND (u.provider = ` + p + ` OR u.instance = ` + p + `)`
	}
	if f.Host != "" {
		query += ` AND lower(u.host) = ` + param(strings.ToLower(f.Host))
	}
	if f.Class != "" {
		query += ` AND s.last_error <> '' AND s.last_class = ` + param(f.Class)
	}
	condition, known := stateConditions[f.State]
	if !known {
		condition = ` AND u.repo_id IS NOT NULL`
	}
	if f.State == core.RepositoryDeleted {
		query += ` AND r.deleted_at > 0`
	} else {
		query += ` AND r.deleted_at = 0` + condition
	}
	key := "''"
	if f.Sort == core.SortNewest {
		query += ` AND r.id < ` + param(orLast(f.Before)) + ` ORDER BY r.id DESC`
	} else {
		o, ok := orders[f.Sort]
		if !ok {
			return nil, core.Errorf(core.KindInvalid, "there is no order %q", f.Sort)
		}
		key = o.by
		if f.Before != "" {
			after, err := o.key(f.AfterKey)
			if err != nil {
				return nil, err
			}
			k, id := param(after), param(f.Before)
			query += fmt.Sprintf(` AND (%[1]s %[2]s %[3]s OR %[1]s = %[3]s AND r.id < %[4]s)`, o.by, o.compare, k, id)
		}
		query += ` ORDER BY ` + o.by + ` ` + o.direction() + `, r.id DESC`
	}
	query += ` LIMIT ` + param(f.Limit)
	// What is put together here are the texts of this file; what is asked for are parameters.
	query = strings.Replace(selectRepository, "\n\tSELECT ", "\n\tSELECT CAST("+key+" AS TEXT), ", 1) +
		` LEFT JOIN sync_states s ON s.repo_id = r.id` + query
	all, err := collect(ctx, q.read, scanListed, query, args...)
	return all, action.fail(err)
}

// key returns the value of a key; KindInvalid if it is none of the order's.
func (o order) key(text string) (any, error) {
	if o.text {
		return text, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, core.Errorf(core.KindInvalid, "the place in the list is not one of this order")
	}
	return n, nil
}

func scanListed(row scanner) (l core.ListedRepository, err error) {
	l.Repository, err = scanRepository(prefixed{row, &l.Key})
	return l, err
}

// SetDiskSize implements [core.RepositoryStore].
func (q *queries) SetDiskSize(ctx context.Context, id string, bytes int64, at time.Time) error {
	return q.exec(ctx, op{name: "record the size of a repository", subject: id, missing: noRepository}, `
		UPDATE repositories SET disk_bytes = $1, disk_measured_at = $2 WHERE id = $3`, bytes, micros(at), id)
}

// SetPaused implements [core.RepositoryStore].
func (q *queries) SetPaused(ctx context.Context, id string, at time.Time) (changed bool, err error) {
	err = q.writeAll(ctx, func(tx runner) error {
		var since time.Time
		if err := tx.QueryRowContext(ctx, `SELECT paused_at FROM sync_states WHERE repo_id = $1`, id).Scan(timeColumn{&since}); err != nil {
			return err
		}
		if changed = since.IsZero() != at.IsZero(); !changed {
			return nil // it keeps its time
		}
		return touch(ctx, tx, `UPDATE sync_states SET paused_at = $1, idle = $2 WHERE repo_id = $3`, micros(at), bit(!at.IsZero()), id)
	})
	return changed, op{name: "pause", subject: id, missing: noUpstream}.fail(err)
}
