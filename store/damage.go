package store

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

const damageColumns = `id, repo_id, state, reason, missing, released, found_at, ended_at, carried, lost`

func scanDamage(row scanner) (d core.Damage, err error) {
	err = row.Scan(&d.ID, &d.RepoID, &d.State, &d.Reason, &d.Missing, &d.Released, timeColumn{&d.FoundAt}, timeColumn{&d.EndedAt}, &d.Carried, jsonColumn{&d.Lost})
	return d, err
}

// SaveDamage implements [core.DamageStore].
func (q *queries) SaveDamage(ctx context.Context, d core.Damage) error {
	lost, err := encode(d.Lost)
	if err != nil {
		return err
	}
	return q.exec(ctx, op{name: "save damage", subject: d.RepoID, missing: "there is no such repository"}, `
		INSERT INTO damages (`+damageColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, reason = excluded.reason, missing = excluded.missing,
			released = excluded.released, ended_at = excluded.ended_at, carried = excluded.carried, lost = excluded.lost`,
		d.ID, d.RepoID, d.State, d.Reason, bit(d.Missing), bit(d.Released), micros(d.FoundAt), micros(d.EndedAt), d.Carried, lost)
}

// OpenDamages implements [core.DamageStore].
func (q *queries) OpenDamages(ctx context.Context) ([]core.Damage, error) {
	all, err := collect(ctx, q.read, scanDamage, `SELECT `+damageColumns+` FROM damages WHERE ended_at = 0
		AND repo_id NOT IN (SELECT id FROM repositories WHERE deleted_at > 0) ORDER BY id`)
	return all, op{name: "list damages"}.fail(err)
}

// Damage implements [core.DamageStore].
func (q *queries) Damage(ctx context.Context, id string) (core.Damage, error) {
	d, err := scanDamage(q.read.QueryRowContext(ctx, `SELECT `+damageColumns+` FROM damages WHERE id = $1`, id))
	return d, op{name: "read damage", subject: id, missing: "there is no damage of that id"}.fail(err)
}

// LastDamage implements [core.DamageStore].
func (q *queries) LastDamage(ctx context.Context, repoID string) (core.Damage, error) {
	d, err := scanDamage(q.read.QueryRowContext(ctx, `SELECT `+damageColumns+` FROM damages WHERE repo_id = $1 ORDER BY id DESC LIMIT 1`, repoID))
	return d, op{name: "read damage", subject: repoID, missing: "no damage of the repository was found"}.fail(err)
}
