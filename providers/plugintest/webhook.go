package plugintest

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// The secrets of the webhooks in the suite.
const (
	hookSecret  = "planted-webhook-secret-1-must-not-be-seen"
	otherSecret = "planted-webhook-secret-2-must-not-be-seen"
)

// zeroID stands for a ref that is not there.
const zeroID = "0000000000000000000000000000000000000000"

// request is what the server hands to the provider of a delivery: no other
// headers than those that the manifest names.
func (sc *scene) request(d forgetest.Delivery, secrets ...providers.Secret) providers.WebhookRequest {
	r := providers.WebhookRequest{
		Method: http.MethodPost, Path: "/webhooks/test/token", Header: http.Header{},
		Body: d.Body, Secrets: secrets, ReceivedAt: time.Now(),
	}
	for _, name := range sc.manifest.WebhookHeaders {
		if values := d.Header.Values(name); len(values) > 0 {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	return r
}

// parse parses deliveries that must verify.
func (sc *scene) parse(t *testing.T, deliveries ...forgetest.Delivery) []providers.WebhookResult {
	t.Helper()
	var out []providers.WebhookResult
	for _, d := range deliveries {
		result, err := sc.provider.ParseWebhook(t.Context(), sc.request(d, hookSecret))
		require.NoError(t, err, "%s %s", d.Event, d.Action)
		require.True(t, result.Verified)
		requireSecret(t, hookSecret, result)
		out = append(out, result)
	}
	return out
}

// pushEvent is a push to the default branch.
func pushEvent() forgetest.Event {
	return forgetest.Event{Kind: forgetest.EventPush, Updates: []forgetest.RefUpdate{{
		Name: "refs/heads/main", Old: strings.Repeat("1", 40), New: strings.Repeat("2", 40),
	}}}
}

// hooked starts a scene for webhooks, unless the provider reads none.
func (s *suite) hooked(t *testing.T) (*scene, bool) {
	t.Helper()
	sc := s.stage(t, forgetest.ForgeOptions{})
	return sc, sc.manifest.Capabilities.Webhooks
}

// anyPush returns one delivery about a push to the scene's repository.
func (sc *scene) anyPush() forgetest.Delivery {
	return sc.forge.Payloads(sc.repo, pushEvent(), hookSecret, false)[0]
}

func (s *suite) testWebhooksUnsupported(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	ctx := t.Context()
	if !sc.manifest.Capabilities.Webhooks {
		_, err := sc.provider.ParseWebhook(ctx, providers.WebhookRequest{Method: http.MethodPost, Body: []byte(`{}`)})
		requireCode(t, err, providers.CodeUnsupported)
		require.False(t, sc.manifest.Capabilities.WebhookRegistration, "webhooks that nobody reads must not be registered")
	}
	if registrar, ok := sc.provider.(providers.WebhookRegistrar); !sc.manifest.Capabilities.WebhookRegistration && ok {
		_, err := registrar.EnsureWebhook(ctx, providers.EnsureWebhookRequest{
			Remote: sc.resolve(t), Stored: sc.stored(), URL: "https://headwater.example/webhooks/test", Secret: hookSecret,
		})
		requireCode(t, err, providers.CodeUnsupported)
	}
	if replayer, ok := sc.provider.(providers.DeliveryReplayer); !sc.manifest.Capabilities.Replay && ok {
		_, err := replayer.ReplayDeliveries(ctx, providers.ReplayRequest{Host: sc.forge.Host(), Since: time.Now()})
		requireCode(t, err, providers.CodeUnsupported)
	}
	require.Zero(t, sc.forge.Count())
}

func (s *suite) testWebhookVerified(t *testing.T) {
	sc, ok := s.hooked(t)
	if !ok {
		return
	}
	require.NotEmpty(t, sc.manifest.WebhookHeaders)
	d := sc.anyPush()
	first := sc.parse(t, d)[0]
	require.Equal(t, first, sc.parse(t, d)[0], "what is sent twice is answered alike: the server drops repeated ones")
	again := sc.forge.Payloads(sc.repo, pushEvent(), hookSecret, false)[0]
	if first.DeliveryID != "" {
		require.NotEqual(t, first.DeliveryID, sc.parse(t, again)[0].DeliveryID, "another delivery has another id")
	}
	if first.Host != "" {
		require.Equal(t, sc.forge.Host(), first.Host)
	}
	require.Equal(t, sc.repo, first.RepositoryPath)
	if first.RepositoryID != "" {
		require.Equal(t, sc.forge.RepoID(sc.repo), first.RepositoryID)
	}
	require.True(t, first.RepositoryID != "" || !sc.manifest.Capabilities.StableIDs, "hosts with stable ids tell them")
	require.Zero(t, sc.forge.Count(), "a webhook is read without asking the host")

	if sc.traits.HostKey {
		return // there are no secrets to rotate
	}
	for name, secrets := range map[string][]providers.Secret{
		"newest of two": {hookSecret, otherSecret}, "oldest of two": {otherSecret, hookSecret}, "among empty ones": {"", hookSecret},
	} {
		_, err := sc.provider.ParseWebhook(t.Context(), sc.request(d, secrets...))
		require.NoError(t, err, name)
	}
}

func (s *suite) testWebhookRefused(t *testing.T) {
	sc, ok := s.hooked(t)
	if !ok {
		return
	}
	good := sc.anyPush()
	refuse := func(name string, r providers.WebhookRequest) {
		t.Helper()
		result, err := sc.provider.ParseWebhook(t.Context(), r)
		require.Error(t, err, name)
		requireCode(t, err, providers.CodeSignatureInvalid)
		require.False(t, result.Verified, name)
		requireSecret(t, hookSecret, err)
		requireSecret(t, otherSecret, err)
	}
	unsigned := good
	unsigned.Header = http.Header{"Content-Type": good.Header["Content-Type"]}
	refuse("unsigned", sc.request(unsigned, hookSecret))
	refuse("empty body, unsigned", sc.request(forgetest.Delivery{Header: http.Header{}}, hookSecret))

	tampered := good
	tampered.Body = bytes.Replace(good.Body, []byte(strings.Repeat("2", 40)), []byte(strings.Repeat("3", 40)), 1)
	require.NotEqual(t, good.Body, tampered.Body)
	if !sc.traits.OpenBody {
		refuse("tampered body", sc.request(tampered, hookSecret))
		cut := good
		cut.Body = good.Body[:len(good.Body)-1]
		refuse("body cut short", sc.request(cut, hookSecret))
	}
	if sc.traits.HostKey {
		stranger := s.stage(t, forgetest.ForgeOptions{})
		refuse("another host's key", sc.request(stranger.anyPush()))
		sc.provider = s.new()
		require.NoError(t, sc.provider.Configure(t.Context(), providers.Config{Instance: "test", Hosts: []providers.HostPolicy{sc.forge.HostPolicy()}}))
		refuse("no key is configured", sc.request(good, hookSecret))
		return
	}
	refuse("wrong secret", sc.request(good, otherSecret))
	refuse("beginning of the secret", sc.request(good, providers.Secret(hookSecret[:len(hookSecret)-1])))
	refuse("no secret", sc.request(good))
	refuse("empty secret", sc.request(good, ""))
	// Everybody can sign with nothing.
	empty := sc.forge.Payloads(sc.repo, pushEvent(), "", false)[0]
	refuse("signed with nothing", sc.request(empty, ""))
	refuse("signed with nothing, no secret", sc.request(empty))
	refuse("signed with nothing, some secret", sc.request(empty, hookSecret))
}

func (s *suite) testWebhookNonsense(t *testing.T) {
	sc, ok := s.hooked(t)
	if !ok {
		return
	}
	model := sc.anyPush()
	for name, body := range map[string]string{
		"empty": "", "null": "null", "no object": "[]", "string": `"x"`, "not JSON": "<html>", "cut": `{"ref":`, "wrong types": nonsense(`{"a":1}`),
		"deep": strings.Repeat("[", 20000), "deep objects": strings.Repeat(`{"repository":`, 20000), "large": `{"ref":"` + strings.Repeat("a", 4<<20) + `"}`,
		"not UTF-8": "{\"ref\":\"\xff\xfe\"}", "null byte": "{\"ref\":\"refs/heads/a\\u0000b\"}",
	} {
		d := sc.forge.Resign(model, hookSecret, []byte(body))
		begin := time.Now()
		result, err := sc.provider.ParseWebhook(t.Context(), sc.request(d, hookSecret))
		require.Less(t, time.Since(begin), patience, name)
		if err != nil {
			requireCode(t, err, providers.CodeInvalidArgument)
			continue
		}
		// It may be read as saying nothing, but not as saying nonsense.
		require.Empty(t, result.Refs, name)
		require.Empty(t, result.RepositoryPath, name)
	}
}

// nonsense is an object whose every field that hosts have is of another type.
func nonsense(value string) string {
	var fields []string
	for _, name := range []string{
		"ref", "before", "after", "repository", "project", "project_id", "event_name", "object_kind", "action", "installation", "push", "data", "sender",
	} {
		fields = append(fields, fmt.Sprintf("%q:[%s]", name, value))
	}
	return "{" + strings.Join(fields, ",") + "}"
}

func (s *suite) testWebhookRepository(t *testing.T) {
	sc, ok := s.hooked(t)
	if !ok {
		return
	}
	other := sc.repo + "-other"
	sc.forge.CreateRepo(other, false)
	remoteOf := func(path, id string) *providers.Remote {
		remote := sc.resolve(t)
		remote.Path, remote.UpstreamID = path, id
		remote.URL, remote.WebURL = sc.forge.CloneURL(path), sc.forge.URL()+"/"+path
		return &remote
	}
	ask := func(remote *providers.Remote) error {
		r := sc.request(sc.anyPush(), hookSecret)
		r.Repository = remote
		_, err := sc.provider.ParseWebhook(t.Context(), r)
		return err
	}
	id, otherID := sc.forge.RepoID(sc.repo), sc.forge.RepoID(other)
	require.NoError(t, ask(nil), "the address of the whole instance")
	require.NoError(t, ask(remoteOf(sc.repo, "")), "by its path")
	requireCode(t, ask(remoteOf(other, "")), providers.CodeInvalidArgument)
	if sc.manifest.Capabilities.StableIDs {
		require.NoError(t, ask(remoteOf(sc.repo, id)), "by its id")
		require.NoError(t, ask(remoteOf(sc.repo+"-before", id)), "under the name it had before")
		requireCode(t, ask(remoteOf(other, otherID)), providers.CodeInvalidArgument)
		requireCode(t, ask(remoteOf(sc.repo, otherID)), providers.CodeInvalidArgument)
	}
}

func (s *suite) testWebhookRefs(t *testing.T) {
	sc, ok := s.hooked(t)
	if !ok {
		return
	}
	one, two := strings.Repeat("1", 40), strings.Repeat("2", 40)
	for name, u := range map[string]forgetest.RefUpdate{
		"update":          {Name: "refs/heads/main", Old: one, New: two},
		"create":          {Name: "refs/heads/new", Old: zeroID, New: two},
		"delete":          {Name: "refs/heads/old", Old: one, New: zeroID},
		"tag":             {Name: "refs/tags/v1", Old: zeroID, New: two},
		"tag deleted":     {Name: "refs/tags/v1", Old: one, New: zeroID},
		"slashes":         {Name: "refs/heads/a/b/c", Old: one, New: two},
		"like a tag":      {Name: "refs/heads/refs/tags/x", Old: one, New: two},
		"not ASCII":       {Name: "refs/heads/caf\u00e9", Old: one, New: two},
		"like HTML":       {Name: "refs/heads/<b>&\"'", Old: one, New: two},
		"all at once":     {},
		"several at once": {},
	} {
		updates := []forgetest.RefUpdate{u}
		if u.Name == "" {
			updates = []forgetest.RefUpdate{
				{Name: "refs/heads/a", Old: one, New: two}, {Name: "refs/heads/b", Old: zeroID, New: two}, {Name: "refs/tags/c", Old: zeroID, New: one},
			}
		}
		hints := map[string]providers.RefHint{}
		for _, result := range sc.parse(t, sc.forge.Payloads(sc.repo, forgetest.Event{Kind: forgetest.EventPush, Updates: updates}, hookSecret, false)...) {
			require.Contains(t, []providers.WebhookKind{providers.WebhookPush, providers.WebhookRef}, result.Kind, name)
			require.False(t, result.Truncated, name)
			for _, hint := range result.Refs {
				if known, ok := hints[hint.Name]; ok && hint.New == "" {
					hint = known // another event has said more
				}
				hints[hint.Name] = hint
			}
		}
		require.Len(t, hints, len(updates), name)
		for _, u := range updates {
			hint, ok := hints[u.Name]
			require.True(t, ok, "%s: %s is not named in %v", name, u.Name, hints)
			require.Contains(t, []string{u.Old, "", zeroID}, hint.Old, name)
			if strings.HasPrefix(u.Name, "refs/tags/") && !u.Deletes() {
				// Some hosts tell what an annotated tag leads to and not what it is.
				require.Contains(t, []string{u.New, ""}, hint.New, name)
				continue
			}
			require.Equal(t, u.New, hint.New, name)
		}
	}
}

func (s *suite) testWebhookKinds(t *testing.T) {
	sc, ok := s.hooked(t)
	if !ok {
		return
	}
	for _, test := range []struct {
		event forgetest.Event
		want  providers.WebhookKind
	}{
		{forgetest.Event{Kind: forgetest.EventPing}, providers.WebhookPing},
		{forgetest.Event{Kind: forgetest.EventOther}, providers.WebhookIgnored},
		{forgetest.Event{Kind: forgetest.EventDefaultBranch, From: "trunk"}, providers.WebhookDefaultBranch},
		{forgetest.Event{Kind: forgetest.EventRenamed, From: sc.repo + "-before"}, providers.WebhookRenamed},
		{forgetest.Event{Kind: forgetest.EventTransferred, From: "umbrella/widget"}, providers.WebhookRenamed},
		{forgetest.Event{Kind: forgetest.EventVisibility}, providers.WebhookRenamed},
		{forgetest.Event{Kind: forgetest.EventDeleted}, providers.WebhookDeleted},
	} {
		for _, instance := range []bool{false, true} {
			for _, result := range sc.parse(t, sc.forge.Payloads(sc.repo, test.event, hookSecret, instance)...) {
				require.Equal(t, test.want, result.Kind, "%s", test.event.Kind)
				if test.want == providers.WebhookIgnored || test.want == providers.WebhookPing {
					require.Empty(t, result.Refs)
					continue
				}
				require.Equal(t, sc.repo, result.RepositoryPath, "%s: the path as it is now", test.event.Kind)
			}
		}
	}
	// An event that no version of the host has.
	d := sc.anyPush()
	for _, name := range []string{sc.traits.EventHeader, "X-Forgejo-Event", "X-Gogs-Event"} {
		if name != "" && d.Header.Get(name) != "" { // Forgejo sends its event under the names of its ancestors, too
			d.Header.Set(name, "made_up")
		}
	}
	if sc.traits.EventHeader == "" {
		return // the body tells the event, and with it this one is a push
	}
	require.Equal(t, providers.WebhookIgnored, sc.parse(t, d)[0].Kind)
}

func (s *suite) testWebhookInstallation(t *testing.T) {
	sc, ok := s.hooked(t)
	if !ok || !sc.traits.Apps {
		return
	}
	for _, action := range []string{"created", "deleted", "suspend", "unsuspend", "new_permissions_accepted"} {
		event := forgetest.Event{Kind: forgetest.EventInstallation, Action: action, Account: "acme", Repos: []string{sc.repo}}
		for _, result := range sc.parse(t, sc.forge.Payloads(sc.repo, event, hookSecret, true)...) {
			require.Equal(t, providers.WebhookInstallation, result.Kind, action)
			require.Equal(t, "acme", result.Account, action)
			if action == "created" || action == "deleted" { // these name them, which may have come from another account
				require.Equal(t, []providers.RepositoryHint{{ID: sc.forge.RepoID(sc.repo), Path: sc.repo}}, result.Repositories, action)
			}
		}
	}
	for _, action := range []string{"added", "removed"} {
		event := forgetest.Event{Kind: forgetest.EventInstallationRepos, Action: action, Account: "acme", Repos: []string{sc.repo}}
		for _, result := range sc.parse(t, sc.forge.Payloads(sc.repo, event, hookSecret, true)...) {
			require.Equal(t, providers.WebhookInstallation, result.Kind, action)
			require.Empty(t, result.Account, "the others are not concerned: %s", action)
			require.Equal(t, []providers.RepositoryHint{{ID: sc.forge.RepoID(sc.repo), Path: sc.repo}}, result.Repositories, action)
		}
	}
}
