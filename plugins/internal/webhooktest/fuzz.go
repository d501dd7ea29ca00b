package webhooktest

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headwater-git/headwater/providers"
)

// Fuzz feeds ParseWebhook with bodies that are signed well, and checks that
// what it makes of them is either a refusal or a result that the server can
// use. The recordings are where it starts from.
func (s Suite) Fuzz(f *testing.F, eventHeaders ...string) {
	files, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no recordings in %s: %v", folder, err)
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		header, err := os.ReadFile(strings.TrimSuffix(file, ".json") + ".headers")
		if err != nil {
			f.Fatal(err)
		}
		event := ""
		for _, line := range strings.Split(string(header), "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok && strings.EqualFold(name, eventHeaders[0]) {
				event = value
			}
		}
		f.Add(event, body)
	}
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		r := providers.WebhookRequest{Method: http.MethodPost, Header: http.Header{}, Body: body, Secrets: s.Secrets}
		for _, name := range eventHeaders {
			r.Header.Set(name, event)
		}
		s.Sign(&r, s.first())
		result, err := s.Provider.ParseWebhook(t.Context(), r)
		if err != nil {
			if code := providers.CodeOf(err); code != providers.CodeInvalidArgument {
				t.Fatalf("a signed body is answered with %s: %v", code, err)
			}
			return
		}
		if !result.Verified {
			t.Fatal("neither refused nor verified")
		}
		for _, hint := range result.Refs {
			if !strings.HasPrefix(hint.Name, "refs/") || strings.ContainsAny(hint.Name, "\x00\n ") {
				t.Fatalf("%q is no ref", hint.Name)
			}
			for _, id := range []string{hint.Old, hint.New} {
				if len(id) != 0 && len(id) != 40 && len(id) != 64 {
					t.Fatalf("%q is no object id", id)
				}
			}
		}
		if len(result.Refs) > 0 && result.RepositoryID == "" && result.RepositoryPath == "" {
			t.Fatal("refs of no repository")
		}
	})
}
