package forgetest

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"
)

// maxTagEvents is how many tags of one push GitHub tells of: of more at once it
// tells nothing.
const maxTagEvents = 3

// quiet returns the updates that a host tells of when it stays silent about all
// tags of a push with more than so many.
func quietTags(updates []RefUpdate, most int) []RefUpdate {
	tags := 0
	for _, u := range updates {
		if _, kind := u.short(); kind == "tag" {
			tags++
		}
	}
	var out []RefUpdate
	for _, u := range updates {
		if _, kind := u.short(); kind == "branch" || tags <= most {
			out = append(out, u)
		}
	}
	return out
}

// githubRepository is a repository as GitHub's webhooks have it.
func (f *Forge) githubRepository(repo *forgeRepo) object {
	url := f.URL() + "/" + repo.path
	return object{
		"id": repo.id, "node_id": "R_" + strconv.FormatInt(repo.id, 10),
		"name": repo.name(), "full_name": repo.path, "private": repo.private, "visibility": visibility(repo),
		"owner":    f.githubAccount(repo.owner()),
		"html_url": url, "url": f.APIURL() + "/repos/" + repo.path,
		"clone_url": f.CloneURL(repo.path), "ssh_url": "git@" + f.address + ":" + repo.path + ".git",
		"git_url": "git://" + f.address + "/" + repo.path + ".git", "description": nil, "fork": false,
		"default_branch": f.branchOf(repo), "archived": repo.archived, "disabled": false, "size": 1,
		"created_at": "2026-11-22T06:28:30Z", "updated_at": "2026-11-22T06:28:32Z", "pushed_at": "2026-11-22T06:28:32Z",
	}
}

func (f *Forge) githubAccount(login string) object {
	return object{
		"login": login, "id": int64(21031067), "node_id": "O_21031067", "type": "Organization", "site_admin": false,
		"html_url": f.URL() + "/" + login, "url": f.APIURL() + "/users/" + login,
	}
}

// githubPayloads makes GitHub's requests. Only those to the App name the
// installation.
func githubPayloads(f *Forge, repo *forgeRepo, e Event, instance bool) []payload {
	common := func(action string, more object) object {
		body := object{"repository": f.githubRepository(repo), "sender": f.githubAccount(User)}
		if action != "" {
			body["action"] = action
		}
		if instance && f.app != nil {
			if i, ok := f.app.at(repo.owner()); ok {
				body["installation"] = object{"id": i.id, "node_id": "MDIzOkludGVncmF0aW9u"}
			}
		}
		for key, value := range more {
			body[key] = value
		}
		return body
	}
	about := func(action string, more object) []payload {
		return []payload{{event: "repository", want: "repository", action: action, body: common(action, more)}}
	}
	switch e.Kind {
	case EventPush:
		var out []payload
		for _, u := range quietTags(e.Updates, maxTagEvents) {
			out = append(out, f.githubPush(repo, u, common)...)
		}
		return out
	case EventRenamed:
		return about("renamed", object{"changes": object{"repository": object{"name": object{"from": lastPart(e.From)}}}})
	case EventTransferred:
		owner := f.githubAccount(firstPart(e.From))
		return about("transferred", object{"changes": object{"owner": object{"from": object{"organization": owner}}}})
	case EventDeleted:
		return about("deleted", nil)
	case EventVisibility:
		return about(map[bool]string{true: "privatized", false: "publicized"}[repo.private], nil)
	case EventArchived:
		return about(map[bool]string{true: "archived", false: "unarchived"}[repo.archived], nil)
	case EventDefaultBranch:
		return about("edited", object{"changes": object{"default_branch": object{"from": e.From}}})
	case EventPing:
		hook := object{"type": "App", "id": int64(109948940), "name": "web", "active": true, "events": []string{"push"}, "app_id": AppID}
		return []payload{{event: "ping", want: "ping", body: object{
			"zen": "Anything added dilutes everything else.", "hook_id": int64(109948940), "hook": hook,
		}}}
	case EventInstallation, EventInstallationRepos:
		return f.githubInstallationEvent(e)
	case EventOther:
		return []payload{{event: "star", want: "star", action: "created", body: common("created", object{"starred_at": nil})}}
	}
	return nil
}

// githubPush makes what GitHub sends of one ref: that it came or went is an
// event of its own.
func (f *Forge) githubPush(repo *forgeRepo, u RefUpdate, common func(string, object) object) []payload {
	name, kind := u.short()
	var out []payload
	if u.Creates() {
		out = append(out, payload{event: "create", want: "create", body: common("", object{
			"ref": name, "ref_type": kind, "master_branch": f.branchOf(repo), "description": nil, "pusher_type": "user",
		})})
	}
	if u.Deletes() {
		out = append(out, payload{event: "delete", want: "delete", body: common("", object{
			"ref": name, "ref_type": kind, "pusher_type": "user",
		})})
	}
	body := common("", object{
		"ref": u.Name, "before": u.Old, "after": u.New, "created": u.Creates(), "deleted": u.Deletes(),
		"forced": f.forced(repo, u), "base_ref": nil,
		"compare": f.URL() + "/" + repo.path + "/compare/" + u.Old + "..." + u.New,
		"commits": f.commits(repo, u), "head_commit": f.head(repo, u),
		"pusher": object{"name": User, "email": "forge@example.test"},
	})
	// Only in this event GitHub gives the repository's times as numbers and
	// the name of its owner twice.
	repository := body["repository"].(object)
	repository["created_at"], repository["pushed_at"], repository["stargazers"] = 1700000000, 1700000060, 0
	owner := f.githubAccount(repo.owner())
	owner["name"], owner["email"] = repo.owner(), "forge@example.test"
	repository["owner"] = owner
	return append(out, payload{event: "push", want: "push", branch: branchName(name, kind), body: body})
}

func branchName(name, kind string) string {
	if kind != "branch" {
		return ""
	}
	return name
}

// githubInstallationEvent makes the webhooks of an App about its grants.
func (f *Forge) githubInstallationEvent(e Event) []payload {
	if f.app == nil {
		return nil
	}
	i, ok := f.app.at(e.Account)
	if !ok {
		i = installation{owner: e.Account} // it has just been removed
	}
	repositories := []object{}
	for _, path := range e.Repos {
		if repo := f.find(path); repo != nil {
			repositories = append(repositories, object{
				"id": repo.id, "node_id": "R_" + strconv.FormatInt(repo.id, 10), "name": repo.name(), "full_name": repo.path, "private": repo.private,
			})
		}
	}
	grant := object{
		"id": i.id, "account": f.githubAccount(e.Account), "repository_selection": "all", "app_id": AppID, "app_slug": "headwater-test",
		"target_id": int64(21031067), "target_type": "Organization", "permissions": i.permissions(), "events": []string{"push"},
		"suspended_by": nil, "suspended_at": nil,
	}
	if !i.suspended.IsZero() {
		grant["suspended_at"] = i.suspended.UTC().Format("2006-01-02T15:04:05Z")
		grant["suspended_by"] = f.githubAccount(User)
	}
	body := object{"action": e.Action, "installation": grant, "sender": f.githubAccount(User)}
	p := payload{event: "installation", want: "installation", action: e.Action, body: body}
	if e.Kind == EventInstallationRepos {
		p.event, p.want = "installation_repositories", "installation_repositories"
		grant["repository_selection"] = "selected"
		body["repository_selection"], body["requester"] = "selected", nil
		body["repositories_added"], body["repositories_removed"] = []object{}, []object{}
		body["repositories_"+e.Action] = repositories
	} else if e.Action == "created" || e.Action == "deleted" {
		body["repositories"] = repositories
	}
	return []payload{p}
}

// signGitHub adds GitHub's headers.
func signGitHub(_ *Forge, d *Delivery, w Webhook) {
	d.Header.Set("User-Agent", "GitHub-Hookshot/f3a1b2c")
	d.Header.Set("X-GitHub-Delivery", d.ID)
	d.Header.Set("X-GitHub-Event", d.Event)
	target := "repository"
	if d.instance {
		target = "integration"
		d.Header.Set("X-GitHub-Hook-Installation-Target-ID", strconv.Itoa(AppID))
	}
	d.Header.Set("X-GitHub-Hook-Installation-Target-Type", target)
	signHub(d, w.Secret)
}

// signHub adds the two signatures that GitHub has and Gitea took over. Without
// a secret there is none.
func signHub(d *Delivery, secret string) {
	if secret == "" {
		return
	}
	old := hmac.New(sha1.New, []byte(secret))
	_, _ = old.Write(d.Body) // never fails
	d.Header.Set("X-Hub-Signature", "sha1="+hex.EncodeToString(old.Sum(nil)))
	d.Header.Set("X-Hub-Signature-256", "sha256="+hmacHex(secret, d.Body))
}

func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func firstPart(path string) string {
	owner, _, _ := strings.Cut(path, "/")
	return owner
}
