package acme

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/headwater-git/headwater/providers"
)

// ParseWebhook implements the contract.
func (p *Provider) ParseWebhook(_ context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	got, err := hex.DecodeString(r.Header.Get("X-Acme-Signature"))
	if err != nil || !signedByOne(r.Body, got, r.Secrets) {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeSignatureInvalid, "the webhook is not signed with a known secret")
	}
	var body struct {
		Repository string `json:"repository"`
		Ref        string `json:"ref"`
		Old        string `json:"old"`
		New        string `json:"new"`
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeInvalidArgument, "the webhook is not JSON")
	}
	out := providers.WebhookResult{
		Verified:       true,
		DeliveryID:     r.Header.Get("X-Acme-Delivery"),
		Kind:           providers.WebhookPush,
		RepositoryPath: body.Repository,
	}
	if body.Ref == "" {
		out.Kind = providers.WebhookPing
		return out, nil
	}
	out.Refs = []providers.RefHint{{Name: body.Ref, Old: body.Old, New: body.New}}
	return out, nil
}

func signedByOne(body, signature []byte, secrets []providers.Secret) bool {
	for _, s := range secrets {
		if s == "" {
			continue // an empty secret signs anything
		}
		mac := hmac.New(sha256.New, []byte(s.Reveal()))
		_, _ = mac.Write(body)
		if hmac.Equal(mac.Sum(nil), signature) {
			return true
		}
	}
	return false
}
