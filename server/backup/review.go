package backup

import (
	"context"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/store"
)

// Review is what an operator must look at after a restore: what was granted or revoked
// between the backup and the loss is not in the database.
type Review struct {
	BackupAt     core.Timestamp  `json:"backup_at"`
	RestoredAt   core.Timestamp  `json:"restored_at"`
	ConfirmedAt  *core.Timestamp `json:"confirmed_at"` // nil: deliveries are held
	FirstSeq     int64           `json:"first_seq"`    // readers of events from before it are sent a gap
	LiveKeys     []ReviewKey     `json:"live_keys"`    // tokens of these keys open what they say
	DisabledKeys []ReviewKey     `json:"disabled_keys"`
	Webhooks     []ReviewWebhook `json:"webhooks"` // that are active
	Held         int             `json:"held_deliveries"`

	// Revocations are those that the backup had, newest first; of many, the newest.
	Revocations     []ReviewRevocation `json:"revocations"`
	MoreRevocations bool               `json:"more_revocations"`
}

// ReviewKey is a public key that verifies tokens.
type ReviewKey struct {
	Organisation string          `json:"organisation"`
	ID           string          `json:"id"`
	KeyID        string          `json:"kid,omitempty"`
	Algorithm    string          `json:"algorithm"`
	CreatedAt    core.Timestamp  `json:"created_at"`
	DisabledAt   *core.Timestamp `json:"disabled_at,omitempty"`
	// Issuer: the server signs with it the tokens that it issues.
	Issuer        bool            `json:"issuer"`
	VerifiesUntil *core.Timestamp `json:"verifies_until,omitempty"`
}

// maxRevocations is how many revocations of an organisation a review shows.
const maxRevocations = 1000

// ReviewRevocation is tokens that are refused.
type ReviewRevocation struct {
	Organisation string          `json:"organisation"`
	ID           string          `json:"id"`
	Kind         string          `json:"kind"`
	Value        string          `json:"value"`
	CreatedAt    core.Timestamp  `json:"created_at"`
	ExpiresAt    *core.Timestamp `json:"expires_at,omitempty"`
}

// ReviewWebhook is an outbound webhook.
type ReviewWebhook struct {
	Organisation string `json:"organisation"`
	ID           string `json:"id"`
	URL          string `json:"url"`
}

// ReviewOf reads the review of a database. KindPrecondition: it was never restored.
func ReviewOf(ctx context.Context, s *store.Store) (Review, error) {
	restored, ok, err := s.Restored(ctx)
	if err != nil {
		return Review{}, err
	}
	if !ok {
		return Review{}, core.Errorf(core.KindPrecondition, "the database was not restored from a backup: there is nothing to review")
	}
	r := Review{
		BackupAt: core.Timestamp(restored.BackupAt), RestoredAt: core.Timestamp(restored.RestoredAt), FirstSeq: restored.FirstSeq, Held: restored.Held,
		LiveKeys: []ReviewKey{}, DisabledKeys: []ReviewKey{}, Webhooks: []ReviewWebhook{}, Revocations: []ReviewRevocation{},
	}
	if !restored.ConfirmedAt.IsZero() {
		r.ConfirmedAt = new(core.Timestamp(restored.ConfirmedAt))
		r.Held = 0
	}
	orgs, err := s.Orgs(ctx)
	if err != nil {
		return Review{}, err
	}
	for _, org := range orgs {
		keys, err := s.Keys(ctx, org.Name)
		if err != nil {
			return Review{}, err
		}
		for _, k := range keys {
			key := ReviewKey{Organisation: org.Name, ID: k.ID, KeyID: k.KeyID, Algorithm: k.Algorithm, CreatedAt: core.Timestamp(k.CreatedAt), Issuer: k.Issuer}
			if !k.VerifiesUntil.IsZero() {
				key.VerifiesUntil = new(core.Timestamp(k.VerifiesUntil))
			}
			if k.DisabledAt.IsZero() {
				r.LiveKeys = append(r.LiveKeys, key)
				continue
			}
			key.DisabledAt = new(core.Timestamp(k.DisabledAt))
			r.DisabledKeys = append(r.DisabledKeys, key)
		}
		if err := r.addRevocations(ctx, s, org.Name); err != nil {
			return Review{}, err
		}
	}
	webhooks, err := s.ActiveWebhooks(ctx)
	if err != nil {
		return Review{}, err
	}
	for _, w := range webhooks {
		r.Webhooks = append(r.Webhooks, ReviewWebhook{Organisation: w.Org, ID: w.ID, URL: w.URL})
	}
	return r, nil
}

// addRevocations adds what is revoked in an organisation.
func (r *Review) addRevocations(ctx context.Context, s *store.Store, org string) error {
	all, err := s.Revocations(ctx, org, 0, maxRevocations+1)
	if err != nil {
		return err
	}
	if len(all) > maxRevocations {
		all, r.MoreRevocations = all[:maxRevocations], true
	}
	for _, one := range all {
		row := ReviewRevocation{Organisation: org, ID: one.ID, Kind: string(one.Kind), Value: one.Value, CreatedAt: core.Timestamp(one.CreatedAt)}
		if !one.ExpiresAt.IsZero() {
			row.ExpiresAt = new(core.Timestamp(one.ExpiresAt))
		}
		r.Revocations = append(r.Revocations, row)
	}
	return nil
}
