package forgetest

import "strings"

func (f *Forge) giteaUser(login string) object {
	return object{
		"id": 1, "login": login, "login_name": "", "source_id": 0, "full_name": "", "email": "1+" + login + "@noreply.127.0.0.1",
		"avatar_url": f.URL() + "/avatars/1", "html_url": f.URL() + "/" + login, "is_admin": false, "restricted": false,
		"active": false, "visibility": "public", "username": login,
	}
}

func (f *Forge) giteaRepository(repo *forgeRepo) object {
	return object{
		"id": repo.id, "owner": f.giteaUser(repo.owner()), "name": repo.name(), "full_name": repo.path, "description": "",
		"empty": false, "private": repo.private, "fork": false, "template": false, "mirror": false, "size": 24,
		"html_url": f.URL() + "/" + repo.path, "url": f.APIURL() + "/repos/" + repo.path,
		"ssh_url": "git@" + f.address + ":" + repo.path + ".git", "clone_url": f.CloneURL(repo.path),
		"default_branch": f.branchOf(repo), "archived": repo.archived, "created_at": "2026-11-22T06:28:30Z",
		"updated_at": "2026-11-22T06:28:32Z", "permissions": object{"admin": false, "push": false, "pull": false},
		"internal": false, "object_format_name": "sha1",
	}
}

// giteaPayloads makes Gitea's requests, as its push queue and notifiers do: a
// new branch is a "create" and then a push, a new tag a push and then a
// "create", a deleted tag a push and a "delete", and a deleted branch a
// "delete" alone. Of renames it tells nobody, of a deleted repository only
// webhooks of the owner and of the whole host.
func giteaPayloads(f *Forge, repo *forgeRepo, e Event, instance bool) []payload {
	switch e.Kind {
	case EventPush:
		var out []payload
		for _, u := range e.Updates {
			out = append(out, f.giteaPush(repo, u)...)
		}
		return out
	case EventDeleted:
		if !instance {
			return nil
		}
		return []payload{{event: "repository", want: "repository", action: "deleted", body: object{
			"action": "deleted", "repository": f.giteaRepository(repo), "sender": f.giteaUser(User), "organization": f.giteaUser(repo.owner()),
		}}}
	case EventOther:
		return []payload{{event: "issues", want: "issues", action: "opened", body: object{
			"action": "opened", "number": 1, "issue": object{"id": 1, "number": 1, "title": "A question"},
			"repository": f.giteaRepository(repo), "sender": f.giteaUser(User),
		}}}
	}
	return nil
}

func (f *Forge) giteaPush(repo *forgeRepo, u RefUpdate) []payload {
	name, kind := u.short()
	if kind == "tag" && !u.Deletes() {
		u.Old = zeroID // a moved tag comes as a new one
	}
	branch := branchName(name, kind)
	push := payload{event: "push", want: "push", branch: branch, body: object{
		"ref": u.Name, "before": u.Old, "after": u.New, "compare_url": f.URL() + "/",
		"commits": f.commits(repo, u), "total_commits": 1, "head_commit": f.head(repo, u),
		"repository": f.giteaRepository(repo), "pusher": f.giteaUser(User), "sender": f.giteaUser(User),
	}}
	created := payload{event: "create", want: "create", branch: branch, body: object{
		"sha": u.New, "ref": name, "ref_type": kind, "repository": f.giteaRepository(repo), "sender": f.giteaUser(User),
	}}
	deleted := payload{event: "delete", want: "delete", branch: branch, body: object{
		"ref": name, "ref_type": kind, "pusher_type": "user", "repository": f.giteaRepository(repo), "sender": f.giteaUser(User),
	}}
	switch {
	case kind == "tag" && u.Deletes():
		return []payload{push, deleted}
	case kind == "tag":
		return []payload{push, created}
	case u.Deletes():
		return []payload{deleted}
	case u.Creates():
		return []payload{created, push}
	}
	return []payload{push}
}

// signGitea adds the headers of Gitea, or of its fork Forgejo, which sends
// Gitea's beside its own. Without a secret the signatures are there and empty.
func signGitea(f *Forge, d *Delivery, w Webhook) {
	target := "repository"
	if d.instance {
		target = "system"
	}
	brands := []string{"GitHub", "Gogs", "Gitea"}
	if f.options.HostKind != HostGitea {
		brands = append(brands, "Forgejo")
	}
	if w.Authorization != "" {
		d.Header.Set("Authorization", w.Authorization)
	}
	signature := ""
	d.Header.Set("X-Hub-Signature", "sha1=")
	d.Header.Set("X-Hub-Signature-256", "sha256=")
	if w.Secret != "" {
		signature = hmacHex(w.Secret, d.Body)
		signHub(d, w.Secret)
	}
	for _, brand := range brands {
		d.Header.Set("X-"+brand+"-Delivery", d.ID)
		d.Header.Set("X-"+brand+"-Event", d.Event)
		d.Header.Set("X-"+brand+"-Event-Type", d.Event)
		if !strings.EqualFold(brand, "GitHub") {
			d.Header.Set("X-"+brand+"-Signature", signature)
		}
	}
	d.Header.Set("X-Gitea-Hook-Installation-Target-Type", target)
}
