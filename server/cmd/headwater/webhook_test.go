package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWebhook_life walks through the commands against a receiver that refuses
// at first.
func TestWebhook_life(t *testing.T) {
	t.Parallel()
	status := make(chan int, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(<-status) }))
	t.Cleanup(receiver.Close)
	s := startServer(t, "", "--webhooks-allow-http", "--webhooks-allow-network", "127.0.0.0/8")
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("a secret of mine\n"), 0o600))

	out, err := s.cli(t, "webhook", "list")
	require.NoError(t, err)
	require.Empty(t, out)
	_, err = s.cli(t, "webhook", "create", receiver.URL)
	require.ErrorContains(t, err, "no event given")
	_, err = s.cli(t, "webhook", "create", "http://10.0.0.1/", "--event", "push")
	require.ErrorContains(t, err, "private address")
	out, err = s.cli(t, "webhook", "create", receiver.URL, "--event", "push", "--event", "repo.sync.failed", "--secret-file", secret)
	require.NoError(t, err)
	require.Regexp(t, `secret +a secret of mine`, out)
	id := regexp.MustCompile(`wh_[0-9a-z]{26}`).FindString(out)
	out, err = s.cli(t, "webhook", "list")
	require.NoError(t, err)
	require.Regexp(t, id+` +active +\(all\) +push,repo.sync.failed +`+receiver.URL, out)
	require.NotContains(t, out, "a secret of mine")

	status <- http.StatusTeapot
	_, err = s.cli(t, "webhook", "ping", id)
	require.ErrorContains(t, err, "the receiver answered 418")
	status <- http.StatusOK
	out, err = s.cli(t, "webhook", "ping", id)
	require.NoError(t, err)
	require.Contains(t, out, "answered 200")
	out, err = s.cli(t, "webhook", "deliveries", id)
	require.NoError(t, err)
	require.Regexp(t, `(?s)ping +delivered +1 +200.*ping +failed +1 +the receiver answered 418`, out)
	out, err = s.cli(t, "webhook", "deliveries", id, "--limit", "1", "--json")
	require.NoError(t, err)
	require.Contains(t, out, `"type":"ping"`)
	delivery := regexp.MustCompile(`dlv_[0-9a-z]{26}`).FindString(out)
	status <- http.StatusOK
	out, err = s.cli(t, "webhook", "redeliver", id, delivery)
	require.NoError(t, err)
	require.Contains(t, out, "will be sent")

	_, err = s.cli(t, "webhook", "update", id)
	require.ErrorContains(t, err, "nothing to change")
	out, err = s.cli(t, "webhook", "update", id, "--active=false", "--rotate-secret", "--event", "push")
	require.NoError(t, err)
	require.Regexp(t, `(?s)events +push\n.*state +inactive\n.*secret +\S{43}`, out)
	out, err = s.cli(t, "webhook", "show", id, "--json")
	require.NoError(t, err)
	require.Contains(t, out, `"state":"inactive"`)
	out, err = s.cli(t, "webhook", "delete", id)
	require.NoError(t, err)
	require.Contains(t, out, "deleted")
	_, err = s.cli(t, "webhook", "show", id)
	require.ErrorContains(t, err, "no such webhook")
}

// TestEvents_ofASync shows the events of a sync, and what one that fails says to
// whoever waits for it.
func TestEvents_ofASync(t *testing.T) {
	t.Parallel()
	forge, config, tokenFile := startForge(t)
	s := startServer(t, "", "--config", config)
	_, err := s.cli(t, "mirror", forge.CloneURL("river/delta"), "--username", "river", "--password-file", tokenFile)
	require.NoError(t, err)
	out, err := s.cli(t, "events")
	require.NoError(t, err)
	require.Regexp(t, `(?s)\d+  .* repo.sync.started +river/delta  run 1.* repo.sync.succeeded +river/delta  run 1`, out)
	last := regexp.MustCompile(`(?m)^ *(\d+)  `).FindAllStringSubmatch(out, -1)
	position := last[len(last)-1][1]
	out, err = s.cli(t, "events", "--since", position, "--json")
	require.NoError(t, err)
	require.Empty(t, out)
	out, err = s.cli(t, "events", "--repo", "river/delta", "--type", "repo.sync.succeeded", "--json")
	require.NoError(t, err)
	require.Contains(t, out, `"is_first_sync":true`)
	_, err = s.cli(t, "events", "--since", "yesterday")
	require.ErrorContains(t, err, "not a position")
	_, err = s.cli(t, "events", "--type", "pushed")
	require.ErrorContains(t, err, `"pushed" is unknown`)

	wrong := filepath.Join(t.TempDir(), "wrong")
	require.NoError(t, os.WriteFile(wrong, []byte("no such token"), 0o600))
	_, err = s.cli(t, "credential", "set", "river/delta", "--password-file", wrong)
	require.NoError(t, err)
	_, err = s.cli(t, "repo", "sync", "--wait", "river/delta")
	require.ErrorContains(t, err, "the sync of river/delta failed (auth)")
	out, err = s.cli(t, "events", "--type", "repo.sync.failed")
	require.NoError(t, err)
	require.Contains(t, out, "repo.sync.failed")
}
