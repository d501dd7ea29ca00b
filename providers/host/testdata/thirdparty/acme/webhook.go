package acme

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/headwater-git/headwater/providers"
)

// absent is the id of a ref that is not there.
const absent = "0000000000000000000000000000000000000000"

// webhook is what is read of a body. Acme's webhooks are those of Gitea, as it
// is with many hosts.
type webhook struct {
	Ref        string `json:"ref"` // full in a push, else short
	RefType    string `json:"ref_type"`
	SHA        string `json:"sha"`
	Before     string `json:"before"`
	After      string `json:"after"`
	Repository struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
}

// ParseWebhook implements the contract: verify, then parse, then check whom it
// is about. What it says is a hint to look; the server believes nothing of it.
func (p *Provider) ParseWebhook(_ context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	signature, err := hex.DecodeString(r.Header.Get("X-Gitea-Signature"))
	if err != nil || !signedByOne(r.Body, signature, r.Secrets) {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeSignatureInvalid, "the webhook is not signed with a known secret")
	}
	result := providers.WebhookResult{Verified: true, DeliveryID: r.Header.Get("X-Gitea-Delivery"), Kind: providers.WebhookIgnored}
	event := r.Header.Get("X-Gitea-Event")
	if event != "push" && event != "create" && event != "delete" && event != "repository" {
		return result, nil // of no interest, which is no failure
	}
	var body webhook
	if err := json.Unmarshal(r.Body, &body); err != nil || body.Repository.FullName == "" {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeInvalidArgument, "the webhook is not one of acme")
	}
	if r.Repository != nil && !strings.EqualFold(r.Repository.Path, body.Repository.FullName) {
		// Whoever knows one repository's secret must not speak for another.
		return providers.WebhookResult{}, providers.Errorf(providers.CodeInvalidArgument, "the webhook is about another repository")
	}
	result.RepositoryPath = body.Repository.FullName
	if event == "repository" {
		result.Kind = providers.WebhookDeleted // the only thing that it tells
		return result, nil
	}
	result.Kind = providers.WebhookRef
	if event == "push" {
		result.Kind = providers.WebhookPush
	}
	hint := body.hint(event)
	if !plausible(hint) {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeInvalidArgument, "the webhook names a ref that can be none")
	}
	result.Refs = []providers.RefHint{hint}
	return result, nil
}

// hint returns the ref that the webhook announces, with an empty id where it
// does not tell.
func (w webhook) hint(event string) providers.RefHint {
	if event == "push" {
		return providers.RefHint{Name: w.Ref, Old: w.Before, New: w.After}
	}
	name := "refs/heads/" + w.Ref
	if w.RefType == "tag" {
		name = "refs/tags/" + w.Ref
	}
	if event == "create" {
		return providers.RefHint{Name: name, Old: absent, New: w.SHA}
	}
	return providers.RefHint{Name: name, New: absent}
}

// plausible reports whether a hint may be one: signed is not the same as sane.
func plausible(h providers.RefHint) bool {
	for _, id := range []string{h.Old, h.New} {
		if id != "" && (len(id) != 40 && len(id) != 64 || strings.Trim(id, "0123456789abcdef") != "") {
			return false
		}
	}
	control := func(r rune) bool { return r <= ' ' || r == 0x7f }
	return strings.HasPrefix(h.Name, "refs/") && len(h.Name) < 1024 && !strings.ContainsFunc(h.Name, control)
}

// signedByOne reports whether one of the secrets signed the body. There are two
// while one is rotated.
func signedByOne(body, signature []byte, secrets []providers.Secret) bool {
	for _, s := range secrets {
		if s == "" {
			continue // everybody can sign with nothing
		}
		mac := hmac.New(sha256.New, []byte(s.Reveal()))
		_, _ = mac.Write(body)
		if hmac.Equal(mac.Sum(nil), signature) { // in constant time
			return true
		}
	}
	return false
}
