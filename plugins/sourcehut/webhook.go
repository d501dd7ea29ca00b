package sourcehut

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/headwater-git/headwater/plugins/internal/webhook"
	"github.com/headwater-git/headwater/providers"
)

// maxNonce bounds the nonce, which is signed after the body.
const maxNonce = 256 // bytes

// attributes are those of the provider block.
type attributes struct {
	PublicKey  string   `json:"webhook_public_key"`
	PublicKeys []string `json:"webhook_public_keys"`
}

func attributesOfBlock() []providers.Attribute {
	return []providers.Attribute{
		{Name: "webhook_public_key", Type: "string", Doc: "Ed25519 public key, in base64, that SourceHut signs its webhooks with"},
		{Name: "webhook_public_keys", Type: "list", Doc: "several of them: during a rotation, or of several hosts"},
	}
}

// keys reads the public keys. Errors: [providers.CodeInvalidConfig].
func (a attributes) keys() ([]ed25519.PublicKey, error) {
	var keys []ed25519.PublicKey
	named := a.PublicKeys
	if a.PublicKey != "" {
		named = append(slices.Clone(named), a.PublicKey)
	}
	for _, text := range named {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(key) != ed25519.PublicKeySize {
			return nil, providers.Errorf(providers.CodeInvalidConfig,
				"webhook_public_key of provider \"sourcehut\" must be an Ed25519 public key: %d bytes in base64", ed25519.PublicKeySize)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// Configure implements [providers.Provider].
func (p *Provider) Configure(ctx context.Context, c providers.Config) error {
	var a attributes
	if err := p.ConfigureInto(ctx, c, &a); err != nil {
		return err
	}
	keys, err := a.keys()
	if err != nil {
		return err
	}
	p.keys.Store(&keys)
	return nil
}

// ParseWebhook implements [providers.Provider]. SourceHut signs with its own
// private key, the same for all, so there is no secret to share; what the
// request brings as secrets is not looked at.
func (p *Provider) ParseWebhook(ctx context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	if err := ctx.Err(); err != nil {
		return providers.WebhookResult{}, err
	}
	if _, err := p.Config(); err != nil {
		return providers.WebhookResult{}, err
	}
	if err := webhook.Check(r); err != nil {
		return providers.WebhookResult{}, err
	}
	var keys []ed25519.PublicKey
	if configured := p.keys.Load(); configured != nil {
		keys = *configured
	}
	nonce := webhook.Header(r.Header, "X-Payload-Nonce")
	if err := verify(r, nonce, keys); err != nil {
		return providers.WebhookResult{}, err
	}
	return read(r, nonce)
}

// verify verifies the signature of the body followed by the nonce.
// Errors: [providers.CodeSignatureInvalid].
func verify(r providers.WebhookRequest, nonce string, keys []ed25519.PublicKey) error {
	signature, err := base64.StdEncoding.DecodeString(webhook.Header(r.Header, "X-Payload-Signature"))
	if err != nil || len(signature) != ed25519.SignatureSize || nonce == "" || len(nonce) > maxNonce {
		return webhook.SignatureInvalid()
	}
	signed := slices.Concat(r.Body, []byte(nonce))
	for _, key := range keys {
		if ed25519.Verify(key, signed, signature) {
			return nil
		}
	}
	return webhook.SignatureInvalid()
}

// payload is the answer to the GraphQL query that the webhook was made with:
// what it does not ask for is not there.
type payload struct {
	Data struct {
		Webhook struct {
			UUID       string `json:"uuid"`
			Event      string `json:"event"`
			Repository struct {
				ID    int64  `json:"id"`
				Name  string `json:"name"`
				Owner struct {
					CanonicalName string `json:"canonicalName"`
				} `json:"owner"`
			} `json:"repository"`
			Updates []update `json:"updates"`
		} `json:"webhook"`
	} `json:"data"`
}

// update is one ref of a push: Old is null for a new ref, New for a deleted one,
// and either is missing if the query does not ask for it. Where the reference
// itself is null, its name is not known.
type update struct {
	Ref *struct {
		Name string `json:"name"`
	} `json:"ref"`
	Old json.RawMessage `json:"old"`
	New json.RawMessage `json:"new"`
}

// side returns the id of one side of an update as a [providers.RefHint] has it.
func side(raw json.RawMessage) (string, error) {
	if len(raw) == 0 {
		return "", nil
	}
	var object *struct {
		ID string `json:"id"`
	}
	switch err := json.Unmarshal(raw, &object); {
	case err != nil:
		return "", webhook.Malformed()
	case object == nil:
		return webhook.Absent, nil
	}
	return object.ID, nil
}

func read(r providers.WebhookRequest, nonce string) (providers.WebhookResult, error) {
	var p payload
	if err := webhook.Decode(r, &p); err != nil {
		return providers.WebhookResult{}, err
	}
	w := p.Data.Webhook
	result := providers.WebhookResult{Verified: true, DeliveryID: webhook.DeliveryID(w.UUID), Kind: providers.WebhookIgnored}
	if result.DeliveryID == "" {
		// It is signed, unlike the header X-Webhook-Delivery, and it is new for
		// every delivery.
		result.DeliveryID = webhook.DeliveryID(nonce)
	}
	event := w.Event
	if event == "" {
		event = webhook.Header(r.Header, "X-Webhook-Event")
	}
	switch event {
	case "GIT_POST_RECEIVE":
		result.Kind = providers.WebhookPush
	case "REPO_UPDATE":
		result.Kind = providers.WebhookRenamed
	case "REPO_DELETED":
		result.Kind = providers.WebhookDeleted
	default:
		return result, nil
	}
	subject := webhook.Subject{ExactCase: true}
	if w.Repository.ID != 0 {
		subject.ID = strconv.FormatInt(w.Repository.ID, 10)
	}
	if w.Repository.Name != "" && w.Repository.Owner.CanonicalName != "" {
		subject.Path = w.Repository.Owner.CanonicalName + "/" + w.Repository.Name
	}
	if err := subject.About(r.Repository); err != nil {
		return providers.WebhookResult{}, err
	}
	result.RepositoryID, result.RepositoryPath = subject.ID, subject.Path
	if result.Kind != providers.WebhookPush {
		return result, nil
	}
	refs, err := refsOf(w.Updates)
	if err != nil {
		return providers.WebhookResult{}, err
	}
	result.Refs, result.Truncated = refs.Hints, refs.Truncated
	return result, nil
}

func refsOf(updates []update) (webhook.Refs, error) {
	// A query need not ask for the updates.
	refs := webhook.Refs{Truncated: len(updates) == 0}
	for _, u := range updates {
		if u.Ref == nil {
			refs.Truncated = true
			continue
		}
		before, err := side(u.Old)
		if err != nil {
			return webhook.Refs{}, err
		}
		after, err := side(u.New)
		if err != nil {
			return webhook.Refs{}, err
		}
		if err := refs.Add(u.Ref.Name, before, after); err != nil {
			return webhook.Refs{}, err
		}
	}
	return refs, nil
}
