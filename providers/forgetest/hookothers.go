package forgetest

import (
	"crypto/ed25519"
	"encoding/base64"
	"strconv"
	"strings"
)

func (f *Forge) bitbucketRepository(repo *forgeRepo) object {
	return object{
		"type": "repository", "uuid": f.stableID(repo), "full_name": repo.path, "name": repo.name(), "scm": "git", "is_private": repo.private,
		"links": object{
			"self": object{"href": f.APIURL() + "/repositories/" + repo.path},
			"html": object{"href": f.URL() + "/" + repo.path},
		},
		"workspace": object{"type": "workspace", "slug": repo.owner()},
	}
}

// bitbucketPayloads makes Bitbucket's requests: one for a whole push.
func bitbucketPayloads(f *Forge, repo *forgeRepo, e Event, _ bool) []payload {
	actor := object{"type": "user", "display_name": "Forge", "nickname": User, "uuid": "{a54f16da-24e9-4d7f-a3a7-b1ba2cd98aa3}"}
	one := func(event string, more object) []payload {
		body := object{"actor": actor, "repository": f.bitbucketRepository(repo)}
		for key, value := range more {
			body[key] = value
		}
		return []payload{{event: event, want: event, body: body}}
	}
	switch e.Kind {
	case EventPush:
		changes := []object{}
		for _, u := range e.Updates {
			changes = append(changes, f.bitbucketChange(repo, u))
		}
		return one("repo:push", object{"push": object{"changes": changes}})
	case EventRenamed:
		return one("repo:updated", object{"changes": object{
			"name":      object{"new": repo.name(), "old": lastPart(e.From)},
			"full_name": object{"new": repo.path, "old": e.From},
		}})
	case EventTransferred:
		return one("repo:transfer", object{"previousOwner": object{"type": "team", "username": firstPart(e.From)}})
	case EventDeleted:
		return one("repo:deleted", nil)
	case EventOther:
		return one("issue:created", object{"issue": object{"id": 1, "title": "A question"}})
	}
	return nil
}

func (f *Forge) bitbucketChange(repo *forgeRepo, u RefUpdate) object {
	name, kind := u.short()
	side := func(id string) any {
		if strings.Trim(id, "0") == "" {
			return nil
		}
		return object{"type": kind, "name": name, "target": object{"type": "commit", "hash": id, "message": "Change something\n", "parents": []object{}}}
	}
	return object{
		"new": side(u.New), "old": side(u.Old), "created": u.Creates(), "closed": u.Deletes(), "forced": f.forced(repo, u),
		"commits": []object{}, "truncated": false,
	}
}

// signBitbucket adds Bitbucket's headers. Its X-Hub-Signature is not GitHub's:
// it is an HMAC with SHA-256.
func signBitbucket(_ *Forge, d *Delivery, w Webhook) {
	d.Header.Set("User-Agent", "Bitbucket-Webhooks/2.0")
	d.Header.Set("X-Event-Key", d.Event)
	d.Header.Set("X-Hook-UUID", strings.Trim(w.ID, "{}"))
	d.Header.Set("X-Request-UUID", d.ID)
	d.Header.Set("X-Attempt-Number", "1")
	if w.Secret != "" {
		d.Header.Set("X-Hub-Signature", "sha256="+hmacHex(w.Secret, d.Body))
	}
}

// sourcehutPayloads makes what git.sr.ht answers to the GraphQL query that a
// webhook is made with, for the query in our documentation.
func sourcehutPayloads(f *Forge, repo *forgeRepo, e Event, _ bool) []payload {
	one := func(event string, more object) []payload {
		hook := object{
			"uuid": newUUID(), "event": event, "date": "2026-11-22T06:28:31Z",
			"repository": object{
				"id": repo.id, "rid": "r" + strconv.FormatInt(repo.id, 10), "name": repo.name(), "visibility": strings.ToUpper(visibility(repo)),
				"owner": object{"canonicalName": repo.owner()},
			},
		}
		for key, value := range more {
			hook[key] = value
		}
		return []payload{{event: event, want: event, body: object{"data": object{"webhook": hook}}}}
	}
	gitObject := func(id string) any {
		if strings.Trim(id, "0") == "" {
			return nil
		}
		return object{"id": id, "type": "COMMIT"}
	}
	switch e.Kind {
	case EventPush:
		updates := []object{}
		for _, u := range e.Updates {
			updates = append(updates, object{"ref": object{"name": u.Name}, "old": gitObject(u.Old), "new": gitObject(u.New)})
		}
		return one("GIT_POST_RECEIVE", object{"updates": updates, "pusher": object{"canonicalName": "~" + User}})
	case EventRenamed, EventVisibility:
		return one("REPO_UPDATE", nil)
	case EventDeleted:
		return one("REPO_DELETED", nil)
	case EventOther:
		return one("REPO_CREATED", nil)
	}
	return nil
}

// signSourceHut adds git.sr.ht's headers: the host signs body and nonce with a
// key of its own.
func signSourceHut(f *Forge, d *Delivery, _ Webhook) {
	nonce := strings.ReplaceAll(newUUID(), "-", "")
	d.Header.Set("X-Webhook-Event", d.Event)
	d.Header.Set("X-Webhook-Delivery", d.ID)
	d.Header.Set("X-Payload-Nonce", nonce)
	signed := append(append([]byte{}, d.Body...), nonce...)
	d.Header.Set("X-Payload-Signature", base64.StdEncoding.EncodeToString(ed25519.Sign(f.webhooks.key, signed)))
}
