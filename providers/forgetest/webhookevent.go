package forgetest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
)

// EventKind says what happened at a host, in no host's words.
type EventKind string

// The kinds of events.
const (
	EventPush              EventKind = "push"               // refs moved: Updates
	EventRenamed           EventKind = "renamed"            // the repository had the path From
	EventTransferred       EventKind = "transferred"        // likewise, with another owner
	EventDeleted           EventKind = "deleted"            // the repository is gone
	EventVisibility        EventKind = "visibility"         // it became private or public
	EventArchived          EventKind = "archived"           // it became archived, or no longer is
	EventDefaultBranch     EventKind = "default_branch"     // it was From
	EventPing              EventKind = "ping"               // the host tries the address
	EventInstallation      EventKind = "installation"       // GitHub: Action, Account, Repos
	EventInstallationRepos EventKind = "installation_repos" // GitHub: Action "added" or "removed", Account, Repos
	EventOther             EventKind = "other"              // nothing about refs, like an issue
)

// Event is something that happened at a host.
type Event struct {
	Kind    EventKind
	Updates []RefUpdate
	From    string
	Action  string   // "created", "deleted", "suspend", "unsuspend", "added", "removed"
	Account string   // owner whose installation it is about
	Repos   []string // paths
}

// payload is one request that a host makes of an event.
type payload struct {
	event  string // as the host's header has it
	want   string // as a webhook subscribes to it
	action string
	branch string // short name, of a push to a branch
	body   object
	header http.Header // beside the common ones
}

// zeroID stands for a ref that is not there.
const zeroID = "0000000000000000000000000000000000000000"

// Creates reports whether the update creates its ref.
func (u RefUpdate) Creates() bool { return strings.Trim(u.Old, "0") == "" }

// short returns the name of a branch or tag, and which of the two it is.
func (u RefUpdate) short() (name, kind string) {
	if name, ok := strings.CutPrefix(u.Name, "refs/tags/"); ok {
		return name, "tag"
	}
	return strings.TrimPrefix(u.Name, "refs/heads/"), "branch"
}

// announced reports whether hosts tell of the ref at all.
func (u RefUpdate) announced() bool {
	return strings.HasPrefix(u.Name, "refs/heads/") || strings.HasPrefix(u.Name, "refs/tags/")
}

// Payloads returns the requests that the host makes of an event to a
// webhook of the repository, or to that of the whole host, signed with a
// secret; none if the host has no such event. They are not sent.
func (f *Forge) Payloads(repo string, e Event, secret string, instance bool) ([]Delivery, error) {
	found, err := f.change(repo, func(*forgeRepo) {})
	if err != nil {
		return nil, err
	}
	var out []Delivery
	for _, p := range f.rules.payloads(f, found, e, instance) {
		out = append(out, f.sealed(found, p, Webhook{URL: f.URL(), Secret: secret, ContentType: "json"}, instance))
	}
	return out, nil
}

// sealed makes the request of a payload for one webhook.
func (f *Forge) sealed(repo *forgeRepo, p payload, w Webhook, instance bool) Delivery {
	body, err := json.Marshal(p.body)
	if err != nil {
		panic("forgetest: " + err.Error()) // objects of strings and numbers always marshal
	}
	d := Delivery{
		ID: newUUID(), Event: p.event, Action: p.action, Repo: repo.path, URL: w.URL, Header: http.Header{}, Body: body,
		repoID: repo.id, secret: w.Secret, instance: instance,
	}
	if i, ok := p.body["installation"].(object); ok {
		d.installation, _ = i["id"].(int64)
	}
	for name, values := range p.header {
		d.Header[name] = values
	}
	d.Header.Set("Content-Type", "application/json")
	f.rules.sign(f, &d, w)
	return d
}

// newUUID returns a random UUID of version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// hmacHex returns the HMAC-SHA-256 of a body in hexadecimal.
func hmacHex(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body) // never fails
	return hex.EncodeToString(mac.Sum(nil))
}

// forced reports whether an update rewrites its ref.
func (f *Forge) forced(repo *forgeRepo, u RefUpdate) bool {
	if u.Creates() || u.Deletes() {
		return false
	}
	_, err := f.git(filepath.Join(f.root, repo.folder), nil, "merge-base", "--is-ancestor", u.Old, u.New)
	return err != nil
}

// head returns the commit that an update leads to in the form that GitHub and
// those who took after it give commits; nil for a deletion.
func (f *Forge) head(repo *forgeRepo, u RefUpdate) any {
	if u.Deletes() {
		return nil
	}
	person := object{"name": "Forge", "email": "forge@example.test", "username": User}
	return object{
		"id": u.New, "tree_id": u.New, "distinct": true, "message": "Change something",
		"timestamp": "2026-11-22T06:28:31Z", "url": f.URL() + "/" + repo.path + "/commit/" + u.New,
		"author": person, "committer": person,
		"added": []string{}, "removed": []string{}, "modified": []string{"README.md"},
	}
}

// commits returns the list of commits of an update: its head only.
func (f *Forge) commits(repo *forgeRepo, u RefUpdate) []any {
	if head := f.head(repo, u); head != nil {
		return []any{head}
	}
	return []any{}
}
