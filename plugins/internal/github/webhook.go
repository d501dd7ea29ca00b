package github

import (
	"encoding/hex"
	"mime"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/go-github/v62/github"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

const (
	// maxWebhook is the longest body that GitHub sends: it drops an event
	// whose body would be longer.
	maxWebhook = 25 << 20
	// maxDeliveryID bounds the id of a delivery, a UUID.
	maxDeliveryID = 64
	// zeroID stands for no object. GitHub's repositories are SHA-1.
	zeroID = "0000000000000000000000000000000000000000"
)

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
	if len(r.Body) > maxWebhook {
		return refuse("the webhook is longer than %d bytes, the most that GitHub sends", maxWebhook)
	}
	if !signed(r) {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeSignatureInvalid,
			"the webhook has no X-Hub-Signature-256 that fits one of the secrets")
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return refuse("the webhook is not application/json: set its content type to that at GitHub")
	}
	result := providers.WebhookResult{
		Verified:   true,
		DeliveryID: deliveryID(r.Header.Get(github.DeliveryIDHeader)),
		Kind:       providers.WebhookIgnored,
	}
	name := r.Header.Get(github.EventTypeHeader)
	switch name {
	case "push", "create", "delete", "repository", "installation", "installation_repositories", "ping":
	default:
		return result, nil
	}
	event, err := github.ParseWebHook(name, r.Body)
	if err != nil {
		return refuse("the webhook is not what GitHub sends for the event %q", name)
	}
	repository := read(event, &result)
	if r.Repository != nil && result.Kind != providers.WebhookIgnored && !repository.matches(*r.Repository, result.Kind) {
		return refuse("the webhook is about another repository than its address is for")
	}
	return result, nil
}

func refuse(format string, args ...any) (providers.WebhookResult, error) {
	return providers.WebhookResult{}, providers.Errorf(providers.CodeInvalidArgument, format, args...)
}

// signed reports whether one of the secrets made the signature.
func signed(r providers.WebhookRequest) bool {
	signature := r.Header.Get(github.SHA256SignatureHeader)
	// The prefix names the hash, and ValidateSignature would take any.
	if !strings.HasPrefix(signature, "sha256=") {
		return false
	}
	fits := false
	for _, secret := range r.Secrets {
		// Anybody can sign with an empty secret.
		if secret != "" && github.ValidateSignature(signature, r.Body, []byte(secret.Reveal())) == nil {
			fits = true
		}
	}
	return fits
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

// subject is the repository of a webhook, empty for one that is about none.
type subject struct {
	id    string
	paths []string // as it is now, then as it was
}

// matches reports whether a webhook with this subject may come to the address
// of a repository.
func (s subject) matches(address providers.Remote, kind providers.WebhookKind) bool {
	if s.id == "" && len(s.paths) == 0 {
		return kind == providers.WebhookPing
	}
	if address.UpstreamID != "" && s.id != "" {
		return address.UpstreamID == s.id
	}
	for _, path := range s.paths {
		if strings.EqualFold(path, address.Path) {
			return true
		}
	}
	return false
}

// tells names the repository in the result.
func tells(result *providers.WebhookResult, id int64, path, page string) subject {
	result.RepositoryPath = path
	if id > 0 {
		result.RepositoryID = strconv.FormatInt(id, 10)
	}
	result.Host = hostOf(page)
	if path == "" {
		return subject{id: result.RepositoryID}
	}
	return subject{id: result.RepositoryID, paths: []string{path}}
}

// hostOf returns the host of a page's URL, "" if it cannot be one.
func hostOf(page string) string {
	u, err := url.Parse(page)
	if err != nil || u.Host == "" {
		return ""
	}
	host, err := netguard.ParseHost(u.Host)
	if err != nil {
		return ""
	}
	return host
}

// read fills in what an event says, and returns whom it is about.
func read(event any, result *providers.WebhookResult) subject {
	switch e := event.(type) {
	case *github.PushEvent:
		result.Kind = providers.WebhookPush
		hint(result, providers.RefHint{Name: e.GetRef(), Old: e.GetBefore(), New: e.GetAfter()})
		return tells(result, e.GetRepo().GetID(), e.GetRepo().GetFullName(), e.GetRepo().GetHTMLURL())
	case *github.CreateEvent:
		result.Kind = providers.WebhookRef
		// Which object the new ref is on, only the push beside it tells.
		hint(result, providers.RefHint{Name: fullName(e.GetRefType(), e.GetRef()), Old: zeroID})
		return tells(result, e.GetRepo().GetID(), e.GetRepo().GetFullName(), e.GetRepo().GetHTMLURL())
	case *github.DeleteEvent:
		result.Kind = providers.WebhookRef
		hint(result, providers.RefHint{Name: fullName(e.GetRefType(), e.GetRef()), New: zeroID})
		return tells(result, e.GetRepo().GetID(), e.GetRepo().GetFullName(), e.GetRepo().GetHTMLURL())
	case *github.RepositoryEvent:
		return readRepository(e, result)
	case *github.InstallationEvent:
		switch e.GetAction() {
		case "created", "deleted", "suspend", "unsuspend", "new_permissions_accepted":
			// The repositories that some of these list are those of the
			// installation now; a repository that was in it once matters too.
			result.Kind = providers.WebhookInstallation
			tellsGrant(result, e.GetInstallation())
		}
	case *github.InstallationRepositoriesEvent:
		switch e.GetAction() {
		case "added", "removed":
			result.Kind = providers.WebhookInstallation
			tellsGrant(result, e.GetInstallation())
			for _, list := range [][]*github.Repository{e.RepositoriesAdded, e.RepositoriesRemoved} {
				for _, r := range list {
					result.Repositories = append(result.Repositories,
						providers.RepositoryHint{ID: strconv.FormatInt(r.GetID(), 10), Path: r.GetFullName()})
				}
			}
		}
	case *github.PingEvent:
		result.Kind = providers.WebhookPing
		if e.Repo != nil {
			return tells(result, e.GetRepo().GetID(), e.GetRepo().GetFullName(), e.GetRepo().GetHTMLURL())
		}
	}
	return subject{}
}

// readRepository reads an event about a repository as a whole. Those about its
// visibility and archival count as renames: all of them mean that the host has
// to be asked again what the repository is.
func readRepository(e *github.RepositoryEvent, result *providers.WebhookResult) subject {
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
		about.paths = append(about.paths, owner+"/"+was)
	}
	from := e.GetChanges().GetOwner().GetOwnerInfo()
	for _, was := range []string{from.GetUser().GetLogin(), from.GetOrg().GetLogin()} {
		if was != "" {
			about.paths = append(about.paths, was+"/"+name)
		}
	}
	return about
}

// tellsGrant names the account whose installation an event is about.
func tellsGrant(result *providers.WebhookResult, i *github.Installation) {
	result.Account = i.GetAccount().GetLogin()
	result.Host = hostOf(i.GetHTMLURL())
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
	if !strings.HasPrefix(h.Name, "refs/") || !isObjectID(h.Old) || !isObjectID(h.New) {
		result.Truncated = true
		return
	}
	result.Refs = append(result.Refs, h)
}

// isObjectID reports whether a string is an object id, or "" for not told.
func isObjectID(id string) bool {
	if id == "" {
		return true
	}
	_, err := hex.DecodeString(id)
	return err == nil && (len(id) == 40 || len(id) == 64)
}
