package bitbucket

import (
	"encoding/json"

	"github.com/headwater-git/headwater/plugins/internal/webhook"
	"github.com/headwater-git/headwater/providers"
)

// delivery is what is read of the bodies of all events.
type delivery struct {
	Repository struct {
		UUID     string `json:"uuid"`
		FullName string `json:"full_name"`
	} `json:"repository"`
	Push struct {
		Changes []change `json:"changes"`
	} `json:"push"`
	// Changes are those of repo:updated. A repository that was renamed has its former
	// full name here; the former values of other things may be of any form.
	Changes struct {
		FullName *struct {
			Old string `json:"old"`
		} `json:"full_name"`
		Name json.RawMessage `json:"name"`
	} `json:"changes"`
}

// change is one ref of a push: Old is null for a new ref, New for a deleted one.
// (Its field truncated is about the list of commits.)
type change struct {
	Old *ref `json:"old"`
	New *ref `json:"new"`
}

type ref struct {
	Type   string `json:"type"`
	Name   string `json:"name"`
	Target struct {
		Hash string `json:"hash"`
	} `json:"target"`
}

// parseWebhook verifies and reads a webhook. Bitbucket signs with HMAC-SHA256 in
// the header that other hosts use for SHA-1. Its bodies do not tell the host in
// a way to rely on, and there is only one.
func parseWebhook(r providers.WebhookRequest) (providers.WebhookResult, error) {
	if err := webhook.VerifyHMAC(r, webhook.Header(r.Header, "X-Hub-Signature")); err != nil {
		return providers.WebhookResult{}, err
	}
	result := providers.WebhookResult{
		Verified: true,
		// It stays the same when Bitbucket tries again.
		DeliveryID: webhook.DeliveryID(webhook.Header(r.Header, "X-Request-Uuid")),
		Kind:       providers.WebhookIgnored,
	}
	event := webhook.Header(r.Header, "X-Event-Key")
	switch event {
	case "diagnostics:ping":
		result.Kind = providers.WebhookPing
		return result, nil
	case "repo:push", "repo:updated", "repo:transfer", "repo:deleted":
	default:
		return result, nil
	}
	var d delivery
	if err := webhook.Decode(r, &d); err != nil {
		return providers.WebhookResult{}, err
	}
	subject := webhook.Subject{ID: d.Repository.UUID, Path: d.Repository.FullName}
	if d.Changes.FullName != nil {
		subject.Former = d.Changes.FullName.Old
	}
	if err := subject.About(r.Repository); err != nil {
		return providers.WebhookResult{}, err
	}
	result.RepositoryID, result.RepositoryPath = subject.ID, subject.Path
	switch event {
	case "repo:push":
		refs, err := d.refs()
		if err != nil {
			return providers.WebhookResult{}, err
		}
		result.Kind, result.Refs, result.Truncated = providers.WebhookPush, refs.Hints, refs.Truncated
	case "repo:updated":
		if d.Changes.FullName != nil || len(d.Changes.Name) > 0 {
			result.Kind = providers.WebhookRenamed
		}
	case "repo:transfer":
		result.Kind = providers.WebhookRenamed
	case "repo:deleted":
		result.Kind = providers.WebhookDeleted
	}
	return result, nil
}

func (d delivery) refs() (webhook.Refs, error) {
	var refs webhook.Refs
	for _, c := range d.Push.Changes {
		if c.Old == nil && c.New == nil {
			continue
		}
		named := c.New
		if named == nil {
			named = c.Old
		}
		before, after := c.Old.id(), c.New.id()
		if err := refs.Add(named.fullName(), before, after); err != nil {
			return webhook.Refs{}, err
		}
	}
	return refs, nil
}

// id returns the id that the ref has, [webhook.Absent] for null. Of a tag
// Bitbucket tells the commit, which is not what the ref of an annotated tag
// points to: then it is not known.
func (r *ref) id() string {
	switch {
	case r == nil:
		return webhook.Absent
	case r.Type == "tag":
		return ""
	}
	return r.Target.Hash
}

func (r *ref) fullName() string {
	if r.Type == "tag" {
		return "refs/tags/" + r.Name
	}
	return "refs/heads/" + r.Name
}
