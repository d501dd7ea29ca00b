package forgetest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Webhook is a webhook that is registered at a forge.
type Webhook struct {
	ID          string
	Name        string // for people
	Description string // for people
	URL         string
	Secret      string
	// Events are the events it wants, in the words of the host: "push" at
	// Gitea, "push" and "tag_push" at GitLab, "repo:push" at Bitbucket. Empty
	// is all of them.
	Events       []string
	Active       bool   // GitLab has no such switch
	ContentType  string // Gitea: "json" or "form"
	BranchFilter string // GitLab, Gitea: deliveries of other branches are left out
	// Authorization is sent with every delivery in the header of that name, and
	// is shown to those who may see the webhook: Gitea.
	Authorization string
	SkipVerify    bool   // certificates are not verified
	Template      string // GitLab: of a body in place of the documented one
	// Disabled says that GitLab gave up on the webhook after too many failures.
	Disabled  bool
	CreatedAt time.Time
}

// wants reports whether a payload is delivered to the webhook.
func (w *Webhook) wants(p payload) bool {
	if len(w.Events) > 0 && !slices.Contains(w.Events, p.want) {
		return false
	}
	return w.BranchFilter == "" || w.BranchFilter == "*" || p.branch == "" || p.branch == w.BranchFilter
}

// WebhookFaults make a forge deliver webhooks badly. The zero value delivers
// every event once and at once.
type WebhookFaults struct {
	// Drop sends nothing. The host believes to have tried: its log, where it
	// keeps one, has a failed delivery.
	Drop bool
	// Delay comes before every delivery.
	Delay time.Duration
	// Duplicates is how often a delivery is sent again with the same id.
	Duplicates int
	// Tamper changes the body after it was signed.
	Tamper bool
}

// forgeHooks are the webhooks of a forge.
type forgeHooks struct {
	key      ed25519.PrivateKey // of a host that signs with a key of the host
	faults   WebhookFaults
	instance *Webhook            // of the whole host; nil: none
	byRepo   map[int64][]Webhook // by id of the repository, oldest first
	lastID   int64
	held     map[int64]string // id of a repository -> folder that fetches see
}

func newForgeHooks() forgeHooks {
	_, key, _ := ed25519.GenerateKey(rand.Reader) // never fails since Go 1.24
	return forgeHooks{key: key, byRepo: map[int64][]Webhook{}, held: map[int64]string{}}
}

// SetInstanceWebhook registers the webhook of the whole host: that of the
// GitHub App, GitLab's system hook, Gitea's system webhook. An empty URL
// removes it.
func (f *Forge) SetInstanceWebhook(url, secret string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.webhooks.instance = nil
	if url != "" {
		f.webhooks.instance = &Webhook{ID: "instance", URL: url, Secret: secret, Active: true}
	}
}

// SetWebhookFaults makes the forge deliver badly from now on.
func (f *Forge) SetWebhookFaults(x WebhookFaults) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.webhooks.faults = x
}

// WebhookKey returns what verifies webhooks of a host that signs with a key of
// its own instead of a secret of the receiver, base64; "" for the other hosts.
func (f *Forge) WebhookKey() string {
	if !f.rules.hostKey {
		return ""
	}
	return base64.StdEncoding.EncodeToString(f.webhooks.key.Public().(ed25519.PublicKey))
}

// Webhooks returns the webhooks of a repository, oldest first.
func (f *Forge) Webhooks(repo string) []Webhook {
	found := f.find(repo)
	if found == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.webhooks.byRepo[found.id])
}

// AddWebhook registers a webhook at a repository, as a person does in the
// host's settings, and returns its id.
func (f *Forge) AddWebhook(repo string, w Webhook) (string, error) {
	found := f.find(repo)
	if found == nil {
		return "", fmt.Errorf("add webhook to %q: %w", repo, ErrNoRepository)
	}
	return f.addWebhook(found.id, w).ID, nil
}

func (f *Forge) addWebhook(repoID int64, w Webhook) Webhook {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.webhooks.lastID++
	w.ID = strconv.FormatInt(f.webhooks.lastID, 10)
	if f.options.HostKind == HostBitbucket {
		w.ID = fmt.Sprintf("{00000000-0000-4000-9000-%012d}", f.webhooks.lastID)
	}
	w.CreatedAt = f.now()
	f.reduce(&w)
	f.webhooks.byRepo[repoID] = append(f.webhooks.byRepo[repoID], w)
	return w
}

// EditWebhook changes a webhook, as a person does in the host's settings.
// It reports whether there is such a webhook.
func (f *Forge) EditWebhook(repo, id string, edit func(*Webhook)) bool {
	found := f.find(repo)
	return found != nil && f.editWebhook(found.id, id, edit)
}

func (f *Forge) editWebhook(repoID int64, id string, edit func(*Webhook)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.webhooks.byRepo[repoID]
	i := slices.IndexFunc(list, func(w Webhook) bool { return w.ID == id })
	if i < 0 {
		return false
	}
	edit(&list[i])
	f.reduce(&list[i])
	return true
}

// reduce takes from a webhook what the host has no setting for.
func (f *Forge) reduce(w *Webhook) {
	switch f.options.HostKind {
	case HostGitLab:
		w.Active, w.ContentType, w.Authorization = true, "json", ""
	case HostBitbucket:
		w.ContentType, w.BranchFilter, w.Template, w.Authorization, w.Disabled = "json", "", "", "", false
	case hostCustom:
		w.Template, w.Disabled, w.SkipVerify, w.BranchFilter, w.ContentType, w.Authorization = "", false, false, "", "json", ""
	default:
		w.Template, w.Disabled, w.SkipVerify = "", false, false
	}
}

// removeWebhook reports whether there was such a webhook.
func (f *Forge) removeWebhook(repoID int64, id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.webhooks.byRepo[repoID])
	f.webhooks.byRepo[repoID] = slices.DeleteFunc(f.webhooks.byRepo[repoID], func(w Webhook) bool { return w.ID == id })
	return len(f.webhooks.byRepo[repoID]) < before
}

// SetClockSkew moves the forge's clock: its Date headers, what it thinks of
// the times in an App's token, and when its tokens expire.
func (f *Forge) SetClockSkew(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.skew = d
}

// clock returns the time as the forge has it.
func (f *Forge) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now()
}

func (f *Forge) clockSkewed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.skew != 0
}

// now is [Forge.clock] for those who hold the lock.
func (f *Forge) now() time.Time { return time.Now().Add(f.skew) }

// Delivery is one webhook that a forge has sent, or tried to.
type Delivery struct {
	Number     int64 // of the delivery, increasing
	ID         string
	Event      string // in the word of the host
	Action     string
	Repo       string
	URL        string
	Header     http.Header
	Body       []byte
	At         time.Time
	Took       time.Duration
	Status     int    // of the answer; 0: none came
	Err        string // why none came
	Redelivery bool

	repoID       int64
	installation int64
	secret       string
	instance     bool
}

// Delivered reports whether the receiver took it.
func (d Delivery) Delivered() bool { return d.Status >= 200 && d.Status < 300 }
