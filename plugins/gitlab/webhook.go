package gitlab

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	gitlabapi "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/headwater-git/headwater/plugins/internal/webhook"
	"github.com/headwater-git/headwater/providers"
)

const (
	// signingPrefix is what GitLab's signing tokens begin with. A secret with it
	// verifies signatures only, any other one is compared to X-Gitlab-Token
	// only: what was meant to sign is never taken as a password, and an operator
	// who configures signing tokens alone has every unsigned webhook refused.
	signingPrefix = "whsec_"
	// tolerance is how far the time of a signature may be from ours, in both
	// directions; the specification of Standard Webhooks suggests it.
	tolerance = 5 * time.Minute
)

// parseWebhook verifies and reads a webhook of a project or of a group, or a
// system hook.
func parseWebhook(r providers.WebhookRequest) (providers.WebhookResult, error) {
	delivery, err := verify(r)
	if err != nil {
		return providers.WebhookResult{}, err
	}
	result := providers.WebhookResult{Verified: true, DeliveryID: delivery, Kind: providers.WebhookIgnored}
	event := gitlabapi.EventType(webhook.Header(r.Header, "X-Gitlab-Event"))
	switch event {
	case gitlabapi.EventTypePush, gitlabapi.EventTypeTagPush, gitlabapi.EventTypeProject, gitlabapi.EventTypeSystemHook:
	default:
		return result, nil
	}
	var kind struct {
		Event string `json:"event_name"`
	}
	if err := webhook.Decode(r, &kind); err != nil {
		return providers.WebhookResult{}, err
	}
	if event == gitlabapi.EventTypeSystemHook && !understood(kind.Event) {
		return result, nil // client-go has errors for what it does not know
	}
	parsed, err := gitlabapi.ParseHook(event, r.Body)
	if err != nil {
		return providers.WebhookResult{}, webhook.Malformed()
	}
	n := readEvent(parsed, kind.Event)
	if n.kind == providers.WebhookIgnored {
		return result, nil
	}
	if err := n.subject.About(r.Repository); err != nil {
		return providers.WebhookResult{}, err
	}
	var refs webhook.Refs
	for _, m := range n.moves {
		if err := refs.Add(m.Name, m.Old, m.New); err != nil {
			return providers.WebhookResult{}, err
		}
	}
	result.Kind = n.kind
	result.Host = webhook.HostOf(n.url)
	if result.Host == "" {
		result.Host = webhook.HostOf(webhook.Header(r.Header, "X-Gitlab-Instance"))
	}
	result.RepositoryID, result.RepositoryPath = n.subject.ID, n.subject.Path
	result.Refs, result.Truncated = refs.Hints, refs.Truncated
	return result, nil
}

// understood reports whether a system hook says something about refs or about
// where a project is.
func understood(event string) bool {
	switch event {
	case "push", "tag_push", "repository_update", "project_destroy", "project_rename", "project_transfer":
		return true
	}
	return false
}

// verify verifies a webhook and returns the id of its delivery.
func verify(r providers.WebhookRequest) (delivery string, err error) {
	var signing, tokens []providers.Secret
	for _, s := range r.Secrets {
		if strings.HasPrefix(s.Reveal(), signingPrefix) {
			signing = append(signing, s)
		} else {
			tokens = append(tokens, s)
		}
	}
	signature := webhook.Header(r.Header, standardwebhooks.HeaderWebhookSignature)
	if signature != "" && len(signing) > 0 {
		if err := verifySignature(r, signing); err != nil {
			return "", err
		}
		return webhook.DeliveryID(webhook.Header(r.Header, standardwebhooks.HeaderWebhookID)), nil
	}
	token := webhook.Header(r.Header, "X-Gitlab-Token")
	if err := webhook.VerifyToken(token, tokens); err != nil {
		return "", err
	}
	return deliveryID(r), nil
}

// verifySignature verifies a signature of Standard Webhooks with one of the
// signing tokens. Errors: [providers.CodeSignatureInvalid].
func verifySignature(r providers.WebhookRequest, signing []providers.Secret) error {
	header := r.Header.Clone()
	for _, name := range []string{
		standardwebhooks.HeaderWebhookID, standardwebhooks.HeaderWebhookTimestamp, standardwebhooks.HeaderWebhookSignature,
	} {
		header.Set(name, webhook.Header(r.Header, name)) // one value or none
	}
	seconds, err := strconv.ParseInt(header.Get(standardwebhooks.HeaderWebhookTimestamp), 10, 64)
	if err != nil {
		return webhook.SignatureInvalid()
	}
	received := r.ReceivedAt
	if received.IsZero() {
		received = time.Now()
	}
	if received.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return webhook.SignatureInvalid()
	}
	for _, s := range signing {
		if s == signingPrefix {
			continue // an empty key verifies what anyone signs
		}
		key, err := standardwebhooks.NewWebhook(s.Reveal())
		if err != nil {
			continue // not base64: it signs nothing
		}
		// The time was compared above, to when the webhook arrived: it may have
		// waited since.
		if key.VerifyIgnoringTimestamp(r.Body, header) == nil {
			return nil
		}
	}
	return webhook.SignatureInvalid()
}

// deliveryID returns the id of a delivery without a signature. The idempotency
// key is the same for all attempts of one delivery. GitLab before 17.4 sends
// only the id of the event, which the deliveries for several refs of one push
// may share, so the body is a part of it then.
func deliveryID(r providers.WebhookRequest) string {
	if key := webhook.DeliveryID(webhook.Header(r.Header, "Idempotency-Key")); key != "" {
		return key
	}
	event := webhook.DeliveryID(webhook.Header(r.Header, "X-Gitlab-Event-Uuid"))
	if event == "" {
		return ""
	}
	digest := sha256.Sum256(r.Body)
	return event + "/" + hex.EncodeToString(digest[:8])
}

// notice is what the events have in common.
type notice struct {
	kind    providers.WebhookKind
	subject webhook.Subject
	url     string // of the project's page
	moves   []providers.RefHint
}

func push(project int64, path, page string, moves ...providers.RefHint) notice {
	return notice{kind: providers.WebhookPush, subject: subjectOf(project, path, ""), url: page, moves: moves}
}

func subjectOf(project int64, path, former string) webhook.Subject {
	s := webhook.Subject{Path: path, Former: former}
	if project != 0 {
		s.ID = strconv.FormatInt(project, 10)
	}
	return s
}

// readEvent reads an event by its type in client-go, and by its name those that
// share a type.
func readEvent(event any, name string) notice {
	switch e := event.(type) {
	case *gitlabapi.PushEvent:
		return push(e.ProjectID, e.Project.PathWithNamespace, e.Project.WebURL, providers.RefHint{Name: e.Ref, Old: e.Before, New: e.After})
	case *gitlabapi.TagEvent:
		return push(e.ProjectID, e.Project.PathWithNamespace, e.Project.WebURL, providers.RefHint{Name: e.Ref, Old: e.Before, New: e.After})
	case *gitlabapi.PushSystemEvent:
		return push(e.ProjectID, e.Project.PathWithNamespace, e.Project.WebURL, providers.RefHint{Name: e.Ref, Old: e.Before, New: e.After})
	case *gitlabapi.TagPushSystemEvent:
		return push(e.ProjectID, e.Project.PathWithNamespace, e.Project.WebURL, providers.RefHint{Name: e.Ref, Old: e.Before, New: e.After})
	case *gitlabapi.RepositoryUpdateSystemEvent:
		n := push(e.ProjectID, e.Project.PathWithNamespace, e.Project.WebURL)
		for _, c := range e.Changes {
			n.moves = append(n.moves, providers.RefHint{Name: c.Ref, Old: c.Before, New: c.After})
		}
		return n
	case *gitlabapi.ProjectSystemEvent:
		return notice{kind: lifeOf(name), subject: subjectOf(e.ProjectID, e.PathWithNamespace, e.OldPathWithNamespace)}
	case *gitlabapi.ProjectWebhookEvent:
		return notice{kind: lifeOf(name), subject: subjectOf(e.ProjectID, e.PathWithNamespace, e.OldPathWithNamespace)}
	}
	return notice{kind: providers.WebhookIgnored}
}

// lifeOf says what an event about a whole project means.
func lifeOf(event string) providers.WebhookKind {
	switch event {
	case "project_rename", "project_transfer":
		return providers.WebhookRenamed
	case "project_destroy":
		return providers.WebhookDeleted
	}
	return providers.WebhookIgnored
}
