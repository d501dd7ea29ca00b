package github

import (
	"mime"
	"strconv"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/webhook"
	"github.com/headwater-git/headwater/providers"
)

// maxDeliveryID bounds the id of a delivery, a UUID.
const maxDeliveryID = 64

// WebhookEvents returns the events that [ParseWebhook] makes use of and that a
// webhook or an App has to subscribe to. Apps get the two about installations
// besides, without asking.
func WebhookEvents() []string { return []string{"push", "create", "delete", "repository"} }

// ParseWebhook is the ParseWebhook of both GitHub plugins. It needs no
// configuration. The signature is the one of X-Hub-Signature-256; the older one
// over SHA-1 is not looked at.
//
// What the host tells is incomplete by design: it sends one push for each ref,
// and none at all when more than three branches or tags are pushed at once.
func ParseWebhook(r providers.WebhookRequest) (providers.WebhookResult, error) {
	if err := webhook.Check(r); err != nil {
		return providers.WebhookResult{}, err
	}
	if err := webhook.VerifyHMAC(r, webhook.Header(r.Header, github.SHA256SignatureHeader)); err != nil {
		return providers.WebhookResult{}, err
	}
	// GitHub can be configured to send forms, and signs those too.
	if kind, _, err := mime.ParseMediaType(webhook.Header(r.Header, "Content-Type")); err != nil || kind != "application/json" {
		return refuse("the webhook is not JSON: set its content type to application/json at GitHub")
	}
	result := providers.WebhookResult{
		Verified:   true,
		DeliveryID: deliveryID(webhook.Header(r.Header, github.DeliveryIDHeader)),
		Kind:       providers.WebhookIgnored,
	}
	name := webhook.Header(r.Header, github.EventTypeHeader)
	switch name {
	case "push", "create", "delete", "repository", "installation", "installation_repositories", "ping":
	default:
		return result, nil
	}
	event, err := github.ParseWebHook(name, r.Body)
	if err != nil {
		return refuse("the webhook is not what GitHub sends for the event %q", name)
	}
	about := read(event, &result)
	if r.Repository == nil || result.Kind == providers.WebhookIgnored ||
		result.Kind == providers.WebhookPing && about == (webhook.Subject{}) {
		return result, nil
	}
	if err := about.About(r.Repository); err != nil {
		return providers.WebhookResult{}, err
	}
	return result, nil
}

func refuse(format string, args ...any) (providers.WebhookResult, error) {
	return providers.WebhookResult{}, providers.Errorf(providers.CodeInvalidArgument, format, args...)
}

// deliveryID returns the id of a delivery, "" for what cannot be one: the
// header is not signed.
func deliveryID(id string) string {
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	}
	if len(id) > maxDeliveryID || strings.ContainsFunc(id, strange) {
		return ""
	}
	return id
}

// tells names the repository in the result.
func tells(result *providers.WebhookResult, id int64, path, page string) webhook.Subject {
	result.RepositoryPath, result.Host = path, webhook.HostOf(page)
	if id > 0 {
		result.RepositoryID = strconv.FormatInt(id, 10)
	}
	return webhook.Subject{ID: result.RepositoryID, Path: path}
}

// read fills in what an event says, and returns whom it is about.
func read(event any, result *providers.WebhookResult) webhook.Subject {
	switch e := event.(type) {
	case *github.PushEvent:
		result.Kind = providers.WebhookPush
		hint(result, providers.RefHint{Name: e.GetRef(), Old: e.GetBefore(), New: e.GetAfter()})
		return tells(result, e.GetRepo().GetID(), e.GetRepo().GetFullName(), e.GetRepo().GetHTMLURL())
	case *github.CreateEvent:
		result.Kind = providers.WebhookRef
		// Which object the new ref is on, only the push beside it tells.
		hint(result, providers.RefHint{Name: fullName(e.GetRefType(), e.GetRef()), Old: webhook.Absent})
		return tells(result, e.GetRepo().GetID(), e.GetRepo().GetFullName(), e.GetRepo().GetHTMLURL())
	case *github.DeleteEvent:
		result.Kind = providers.WebhookRef
		hint(result, providers.RefHint{Name: fullName(e.GetRefType(), e.GetRef()), New: webhook.Absent})
		return tells(result, e.GetRepo().GetID(), e.GetRepo().GetFullName(), e.GetRepo().GetHTMLURL())
	case *github.RepositoryEvent:
		return readRepository(e, result)
	case *github.InstallationEvent:
		switch e.GetAction() {
		case "created", "deleted", "suspend", "unsuspend", "new_permissions_accepted":
			// The repositories that some of these list are those of the
			// installation now. One that was in it once matters too, and one
			// that came from another account is known by its id.
			result.Kind = providers.WebhookInstallation
			tellsGrant(result, e.GetInstallation())
			result.Repositories = hints(e.Repositories)
		}
	case *github.InstallationRepositoriesEvent:
		switch e.GetAction() {
		case "added", "removed":
			result.Kind = providers.WebhookInstallation
			tellsGrant(result, e.GetInstallation())
			if result.Repositories = hints(e.RepositoriesAdded, e.RepositoriesRemoved); len(result.Repositories) > 0 {
				result.Account = "" // the others are not concerned
			}
		}
	case *github.PingEvent:
		result.Kind = providers.WebhookPing
		if e.Repo != nil {
			return tells(result, e.GetRepo().GetID(), e.GetRepo().GetFullName(), e.GetRepo().GetHTMLURL())
		}
	}
	return webhook.Subject{}
}

// readRepository reads an event about a repository as a whole. Those about its
// visibility and archival count as renames: all of them mean that the host has
// to be asked again what the repository is.
func readRepository(e *github.RepositoryEvent, result *providers.WebhookResult) webhook.Subject {
	switch action := e.GetAction(); {
	case action == "renamed", action == "transferred", action == "privatized", action == "publicized",
		action == "archived", action == "unarchived":
		result.Kind = providers.WebhookRenamed
	case action == "deleted":
		result.Kind = providers.WebhookDeleted
	case action == "edited" && e.GetChanges().GetDefaultBranch() != nil:
		result.Kind = providers.WebhookDefaultBranch
	}
	about := tells(result, e.GetRepo().GetID(), e.GetRepo().GetFullName(), e.GetRepo().GetHTMLURL())
	owner, name := forge.SplitPath(e.GetRepo().GetFullName())
	if was := e.GetChanges().GetRepo().GetName().GetFrom(); was != "" {
		about.Former = owner + "/" + was
	}
	from := e.GetChanges().GetOwner().GetOwnerInfo()
	for _, was := range []string{from.GetUser().GetLogin(), from.GetOrg().GetLogin()} {
		if was != "" {
			about.Former = was + "/" + name
		}
	}
	return about
}

// tellsGrant names the account whose installation an event is about.
func tellsGrant(result *providers.WebhookResult, i *github.Installation) {
	result.Account = i.GetAccount().GetLogin()
	if result.Host = webhook.HostOf(i.GetHTMLURL()); result.Host == "" {
		result.Host = webhook.HostOf(i.GetAccount().GetHTMLURL())
	}
}

// hints names repositories; very many become none.
func hints(lists ...[]*github.Repository) []providers.RepositoryHint {
	var out []providers.RepositoryHint
	for _, list := range lists {
		for _, r := range list {
			if r.GetID() > 0 {
				out = append(out, providers.RepositoryHint{ID: strconv.FormatInt(r.GetID(), 10), Path: r.GetFullName()})
			}
		}
	}
	if len(out) > webhook.MaxRefs {
		return nil
	}
	return out
}

// fullName returns the full name of a ref that an event names shortly, "" for a
// kind of ref that is none.
func fullName(kind, name string) string {
	switch {
	case name == "":
		return ""
	case kind == "branch":
		return "refs/heads/" + name
	case kind == "tag":
		return "refs/tags/" + name
	}
	return ""
}

// hint adds what an event says about a ref. One that says it in a form that
// cannot be read still means that something moved.
func hint(result *providers.WebhookResult, h providers.RefHint) {
	var refs webhook.Refs
	if err := refs.Add(h.Name, h.Old, h.New); err != nil {
		result.Truncated = true
		return
	}
	result.Refs = refs.Hints
}
