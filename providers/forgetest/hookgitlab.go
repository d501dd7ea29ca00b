package forgetest

// maxPushEvents is how many refs of one push GitLab tells of, by default: of
// more at once it tells nothing.
const maxPushEvents = 3

// gitlabProject is a project as GitLab's webhooks have it.
func (f *Forge) gitlabProject(repo *forgeRepo) object {
	level := 20
	if repo.private {
		level = 0
	}
	url, ssh := f.URL()+"/"+repo.path, "git@"+f.address+":"+repo.path+".git"
	return object{
		"id": repo.id, "name": repo.name(), "description": "", "web_url": url, "avatar_url": nil,
		"git_ssh_url": ssh, "git_http_url": f.CloneURL(repo.path), "namespace": repo.owner(),
		"visibility_level": level, "path_with_namespace": repo.path, "default_branch": f.branchOf(repo),
		"ci_config_path": "", "homepage": url, "url": ssh, "ssh_url": ssh, "http_url": f.CloneURL(repo.path),
	}
}

// gitlabPayloads makes GitLab's requests. Renames and deletions go to
// system hooks alone, which know events by name and send one header for all.
func gitlabPayloads(f *Forge, repo *forgeRepo, e Event, instance bool) []payload {
	named := func(event string, more object) []payload {
		if !instance {
			return nil
		}
		body := object{
			"created_at": "2026-11-22T06:28:30Z", "updated_at": "2026-11-22T06:28:32Z", "event_name": event,
			"name": repo.name(), "path": repo.name(), "path_with_namespace": repo.path, "project_id": repo.id,
			"owner_name": "Forge", "owner_email": "forge@example.test", "project_visibility": visibility(repo),
		}
		for key, value := range more {
			body[key] = value
		}
		return []payload{{event: "System Hook", want: event, body: body}}
	}
	switch e.Kind {
	case EventPush:
		if len(e.Updates) > maxPushEvents {
			return nil
		}
		var out []payload
		for _, u := range e.Updates {
			out = append(out, f.gitlabPush(repo, u, instance))
		}
		return out
	case EventRenamed:
		return named("project_rename", object{"old_path_with_namespace": e.From})
	case EventTransferred:
		return named("project_transfer", object{"old_path_with_namespace": e.From})
	case EventDeleted:
		return named("project_destroy", nil)
	case EventOther:
		return []payload{{event: "Issue Hook", want: "issues", body: object{
			"object_kind": "issue", "event_type": "issue", "user": object{"id": 1, "name": "Forge", "username": User},
			"project": f.gitlabProject(repo), "object_attributes": object{"id": 301, "iid": 23, "title": "A question", "action": "open"},
		}}}
	}
	return nil
}

func (f *Forge) gitlabPush(repo *forgeRepo, u RefUpdate, instance bool) payload {
	project := f.gitlabProject(repo)
	name, kind := u.short()
	p := payload{event: "Push Hook", want: "push", branch: branchName(name, kind)}
	word := "push"
	if kind == "tag" {
		p.event, p.want, word = "Tag Push Hook", "tag_push", "tag_push"
	}
	commits := f.commits(repo, u)
	p.body = object{
		"object_kind": word, "event_name": word, "before": u.Old, "after": u.New, "ref": u.Name, "ref_protected": false,
		"checkout_sha": u.New, "message": nil,
		"user_id": 4, "user_name": "Forge", "user_username": User, "user_email": "", "user_avatar": nil,
		"project_id": repo.id, "project": project, "commits": commits, "total_commits_count": len(commits), "push_options": object{},
		"repository": object{
			"name": repo.name(), "url": project["git_ssh_url"], "description": "", "homepage": project["web_url"],
			"git_http_url": project["git_http_url"], "git_ssh_url": project["git_ssh_url"], "visibility_level": project["visibility_level"],
		},
	}
	if u.Deletes() {
		p.body["checkout_sha"] = nil
	}
	if instance {
		p.event = "System Hook"
		delete(p.body, "object_kind")
	}
	return p
}

// signGitLab adds GitLab's headers. Its token is the secret itself: it says
// who sends, and nothing about the body.
func signGitLab(f *Forge, d *Delivery, w Webhook) {
	d.Header.Set("User-Agent", "GitLab/18.5.1-ee")
	d.Header.Set("X-Gitlab-Event", d.Event)
	d.Header.Set("X-Gitlab-Event-UUID", d.ID)
	d.Header.Set("X-Gitlab-Webhook-UUID", newUUID())
	d.Header.Set("Idempotency-Key", newUUID())
	d.Header.Set("X-Gitlab-Instance", f.URL())
	if w.Secret != "" {
		d.Header.Set("X-Gitlab-Token", w.Secret)
	}
}
