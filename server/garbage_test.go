package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// document is as much of openapi.json as there is to send garbage to.
type document struct {
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Parameters map[string]parameter `json:"parameters"`
		Schemas    map[string]schema    `json:"schemas"`
	} `json:"components"`
}

type parameter struct {
	Ref      string `json:"$ref"`
	Name     string `json:"name"`
	In       string `json:"in"`
	Required bool   `json:"required"`
}

type schema struct {
	Ref        string                     `json:"$ref"`
	Properties map[string]json.RawMessage `json:"properties"`
}

type operation struct {
	Parameters  []parameter `json:"parameters"`
	RequestBody *struct {
		Content map[string]struct {
			Schema schema `json:"schema"`
		} `json:"content"`
	} `json:"requestBody"`
}

// Garbage in every place of every operation, and in git's requests, is answered with
// what is wrong with it: nothing that a caller sends is an internal error.
func TestServer_garbageIsNoInternalError(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	const repo = "team/garbage"
	s.Create(t, repo)
	c := s.Client(t, repo).Clone(s.Remote(repo))
	tip := c.Commit("one")
	c.Git("push", "--quiet", "origin", "HEAD:refs/heads/main")
	raw, err := os.ReadFile("api/openapi.json")
	require.NoError(t, err)
	var doc document
	require.NoError(t, json.Unmarshal(raw, &doc))

	ofRepo, ofOrg := s.Token(t, repo), s.Token(t, "org")
	token := ofRepo
	sent := 0
	send := func(method, target, contentType, body string) (status int) {
		sent++
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+target, strings.NewReader(body))
		require.NoError(t, err, target)
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Last-Event-ID", "garbage")
		resp, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err, "%s %s", method, target)
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what ends it is no concern here
		require.NoError(t, resp.Body.Close())
		if resp.StatusCode == http.StatusInternalServerError || strings.Contains(string(answer), "internal error") {
			t.Errorf("%s %s %.300q: %d %s", method, target, body, resp.StatusCode, answer)
		}
		return resp.StatusCode
	}
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	texts := []string{"", "\x00", "\xff\xfe", "-x", "../../etc/passwd", "a\nb", "refs/heads/..", "1e400", "[]", strings.Repeat("a", 9000), "main", tip}
	values := []string{`null`, `-1`, `1e300`, `[]`, `{}`, `true`, `"\u0000"`, `"-x"`, `"../../etc/passwd"`, `"a\nb"`, `["\u0000"]`, `[{}]`, `[null]`, `"main"`, `"` + tip + `"`, `"` + strings.Repeat("a", 9000) + `"`}
	if !longtest.Long() {
		texts, values = []string{"\x00", "-x", "a\nb", strings.Repeat("a", 9000)}, []string{`null`, `[]`, `"\u0000"`, `"` + strings.Repeat("a", 9000) + `"`}
	}
	for path, methods := range doc.Paths {
		if !longtest.Long() && strings.HasPrefix(path, "/api/v1/") {
			continue // the older routes of the same operations
		}
		var shared []parameter
		if p, ok := methods["parameters"]; ok {
			require.NoError(t, json.Unmarshal(p, &shared))
		}
		for method, definition := range methods {
			if method == "parameters" {
				continue
			}
			method = strings.ToUpper(method)
			var op operation
			require.NoError(t, json.Unmarshal(definition, &op))
			places, query := map[string]string{}, url.Values{}
			var all []parameter
			for _, p := range append(append([]parameter(nil), shared...), op.Parameters...) {
				if p.Ref != "" {
					p = doc.Components.Parameters[strings.TrimPrefix(p.Ref, "#/components/parameters/")]
				}
				all = append(all, p)
				switch {
				case p.In == "path" && p.Name == "name":
					places[p.Name] = repo
				case p.In == "path":
					places[p.Name] = "garbage"
				case p.In == "query" && p.Required:
					query.Set(p.Name, "main")
				}
			}
			target := func() string {
				at := path
				for name, value := range places {
					at = strings.ReplaceAll(at, "{"+name+"}", url.PathEscape(value))
				}
				if len(query) > 0 {
					at += "?" + query.Encode()
				}
				return at
			}
			if method == http.MethodDelete && strings.HasSuffix(path, "/{name}") {
				places["name"] = "team/other"
			}
			if token = ofRepo; send(method, target(), "application/json", "") == http.StatusForbidden {
				token = ofOrg
			}
			if strings.Contains(path, "stream") || strings.HasSuffix(path, "/events/watch") {
				query.Set("limit", "1")
			}
			for _, p := range all {
				for _, text := range texts {
					switch p.In {
					case "path":
						if text == "" {
							continue
						}
						before := places[p.Name]
						places[p.Name] = text
						send(method, target(), "application/json", "{}")
						places[p.Name] = before
					case "query":
						before, had := query[p.Name]
						query.Set(p.Name, text)
						send(method, target(), "application/json", "{}")
						if query.Del(p.Name); had {
							query[p.Name] = before
						}
					}
				}
			}
			if op.RequestBody == nil {
				continue
			}
			for kind, content := range op.RequestBody.Content {
				of := content.Schema
				if of.Ref != "" {
					of = doc.Components.Schemas[strings.TrimPrefix(of.Ref, "#/components/schemas/")]
				}
				for _, text := range append([]string{"{", "null", "\"x\"", "{}", `{"a":`, "\n\n", "{}\n{}", `{"no_such_field":1}`}, texts...) {
					send(method, target(), kind, text)
				}
				for _, value := range values {
					var fields []string
					for name := range of.Properties {
						fields = append(fields, `"`+name+`":`+value)
						if longtest.Long() {
							send(method, target(), kind, `{"`+name+`":`+value+`}`)
						}
					}
					send(method, target(), kind, "{"+strings.Join(fields, ",")+"}")
				}
			}
		}
	}

	// A stranger's webhooks and tokens.
	for _, text := range texts {
		for _, at := range []string{"/webhooks/" + url.PathEscape(text), "/webhooks/github/" + url.PathEscape(text), "/webhooks/gitea/none/" + url.PathEscape(text)} {
			send(http.MethodPost, at, "application/x-www-form-urlencoded", "payload="+url.QueryEscape(text))
			send(http.MethodPost, at, "application/json", text)
		}
		if token = strings.Map(printable, text); token != "" {
			send(http.MethodGet, "/api/repos/team%2Fgarbage", "", "")
			send(http.MethodGet, "/"+repo+".git/info/refs?service=git-upload-pack", "", "")
		}
	}
	token = ofRepo
	git := "/" + repo + ".git"
	for _, body := range append([]string{
		"0000", "0001", "0002", "0003", "0004", "zzzz", "ffff", "0009done\n", "0032want " + strings.Repeat("z", 40) + "\n0000", "0014command=ls-refs\n0000",
		"0014command=\x00\xff\xff\xff\xff\xff\xff0000", "0011command=fetch0001000fno-progress0000", "0012command=\xff\xfe\xfd\xfc\xfb0000",
	}, texts...) {
		for _, service := range []string{"git-upload-pack", "git-receive-pack"} {
			send(http.MethodPost, git+"/"+service, "application/x-"+service+"-request", body)
			send(http.MethodPost, git+"/"+service, "text/plain", body)
			send(http.MethodGet, git+"/info/refs?service="+url.QueryEscape(body), "", "")
			send(http.MethodGet, git+"/"+url.PathEscape(body), "", "")
		}
	}
	t.Log(sent, "requests")
}

// printable drops what no header may have.
func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return -1
	}
	return r
}
