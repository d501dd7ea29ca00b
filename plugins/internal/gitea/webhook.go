package gitea

import (
	"strconv"

	"github.com/headwater-git/headwater/plugins/internal/webhook"
	"github.com/headwater-git/headwater/providers"
)

// githubSignature is the header of GitHub that Gitea and Forgejo send, too.
const githubSignature = "X-Hub-Signature-256"

// delivery is what is read of the bodies of all events. These are our own few
// fields and not a client library's types: GitHub's, which Gitea imitates, have
// no sha in "create", and no body shall be refused for a field that nobody
// reads.
type delivery struct {
	Action     string `json:"action"`
	Ref        string `json:"ref"`
	RefType    string `json:"ref_type"`
	Before     string `json:"before"`
	After      string `json:"after"`
	SHA        string `json:"sha"`
	Repository struct {
		ID       int64  `json:"id"`
		FullName string `json:"full_name"`
		HTMLURL  string `json:"html_url"`
	} `json:"repository"`
}

// parseWebhook verifies and reads a webhook. Gitea signs the JSON with
// HMAC-SHA256 and says so twice: in GitHub's header and, without the name of
// the algorithm, in its own.
func (f Flavor) parseWebhook(r providers.WebhookRequest) (providers.WebhookResult, error) {
	signature := webhook.Header(r.Header, githubSignature)
	if own := webhook.FirstHeader(r.Header, f.headers("Signature")...); signature == "" && own != "" {
		signature = "sha256=" + own
	}
	if err := webhook.VerifyHMAC(r, signature); err != nil {
		return providers.WebhookResult{}, err
	}
	result := providers.WebhookResult{
		Verified:   true,
		DeliveryID: webhook.DeliveryID(webhook.FirstHeader(r.Header, f.headers("Delivery")...)),
		Kind:       providers.WebhookIgnored,
	}
	event := webhook.FirstHeader(r.Header, f.headers("Event")...)
	switch event {
	case "ping":
		result.Kind = providers.WebhookPing
		return result, nil
	case "push", "create", "delete", "repository":
	default:
		return result, nil
	}
	var d delivery
	if err := webhook.Decode(r, &d); err != nil {
		return providers.WebhookResult{}, err
	}
	return d.read(event, r, result)
}

func (d delivery) read(event string, r providers.WebhookRequest, result providers.WebhookResult) (providers.WebhookResult, error) {
	subject := webhook.Subject{Path: d.Repository.FullName}
	if d.Repository.ID != 0 {
		subject.ID = strconv.FormatInt(d.Repository.ID, 10)
	}
	// Gitea does not tell the path that a repository had before it was renamed,
	// so only an id can say that it is the same.
	if err := subject.About(r.Repository); err != nil {
		return providers.WebhookResult{}, err
	}
	result.Host = webhook.HostOf(d.Repository.HTMLURL)
	result.RepositoryID, result.RepositoryPath = subject.ID, subject.Path

	var refs webhook.Refs
	var err error
	switch event {
	case "push":
		result.Kind = providers.WebhookPush
		err = refs.Add(d.Ref, d.Before, d.After)
	case "create":
		result.Kind = providers.WebhookRef
		// A tag that was moved comes as a new one, so its object of before is not
		// known.
		err = refs.Add(d.fullRef(), "", d.SHA)
	case "delete":
		result.Kind = providers.WebhookRef
		err = refs.Add(d.fullRef(), "", webhook.Absent)
	case "repository":
		switch d.Action {
		case "deleted":
			result.Kind = providers.WebhookDeleted
		case "renamed", "transferred":
			result.Kind = providers.WebhookRenamed
		}
	}
	if err != nil {
		return providers.WebhookResult{}, err
	}
	result.Refs, result.Truncated = refs.Hints, refs.Truncated
	return result, nil
}

// fullRef returns the full name of the ref of "create" and "delete", which
// tell a short one and its type.
func (d delivery) fullRef() string {
	switch d.RefType {
	case "branch":
		return "refs/heads/" + d.Ref
	case "tag":
		return "refs/tags/" + d.Ref
	}
	return ""
}

// headers returns the names under which the flavor sends a header.
func (f Flavor) headers(name string) []string {
	out := make([]string, 0, len(f.HeaderPrefixes))
	for _, prefix := range f.HeaderPrefixes {
		out = append(out, prefix+name)
	}
	return out
}
