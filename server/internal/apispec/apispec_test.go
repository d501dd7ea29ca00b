package apispec_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/internal/apispec"
)

const small = `{"openapi":"3.1.0","info":{"title":"small","version":"1"},"paths":{
 "/things/{name}":{"parameters":[{"name":"name","in":"path","required":true,"schema":{"type":"string"}}],
  "get":{"operationId":"get","parameters":[{"name":"limit","in":"query","x-older-names":["max"],"schema":{"type":"integer"}},{"name":"q","in":"query","required":true,"schema":{"type":"string"}},
    {"name":"path","in":"query","schema":{"type":"array","items":{"type":"string"}}}],
   "responses":{"200":{"description":"","headers":{"ETag":{"required":true,"schema":{"type":"string"}}},"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Thing"}}}},"204":{"description":""}}},
  "post":{"operationId":"post","requestBody":{"required":true,"content":{"application/x-ndjson":{"schema":{"$ref":"#/components/schemas/Thing"}}}},"responses":{"204":{"description":""}}},
  "head":{"operationId":"head","responses":{"200":{"description":"","content":{"application/json":{"schema":{"$ref":"#/components/schemas/Thing"}}}}}}},
 "/things/all":{"get":{"operationId":"all","responses":{"200":{"description":"","content":{"application/gzip":{}}}}}}},
 "components":{"schemas":{"Thing":{"type":"object","required":["id"],"properties":{
  "id":{"type":"string","pattern":"^[a-z]+$"},"kind":{"type":"string","enum":["a","b"]},"size":{"type":"integer"},"none":{"type":["string","null"]},
  "at":{"type":"string","format":"date-time"},"data":{"type":"string","contentEncoding":"base64"},"list":{"type":"array","items":{"$ref":"#/components/schemas/Thing"}},
  "map":{"type":"object","additionalProperties":{"type":"boolean"}}}}}}}`

func TestSpec_CheckResponse(t *testing.T) {
	t.Parallel()
	spec, err := apispec.Parse([]byte(small))
	require.NoError(t, err)
	json := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Etag": {`"1"`}}
	for _, c := range []struct {
		name   string
		op     string
		status int
		header http.Header
		body   string
		want   string // part of the error; "" is none
	}{
		{"whole", "get", 200, json, `{"id":"x","kind":"a","size":1,"none":null,"at":"2026-01-02T03:04:05Z","data":"aGk=","list":[{"id":"y"}],"map":{"k":true}}`, ""},
		{"least", "get", 200, json, `{"id":"x"}`, ""},
		{"status", "get", 201, json, `{"id":"x"}`, "does not have this status"},
		{"header", "get", 200, http.Header{"Content-Type": {"application/json"}}, `{"id":"x"}`, "ETag is missing"},
		{"media", "get", 200, http.Header{"Content-Type": {"text/plain"}, "Etag": {"1"}}, `{"id":"x"}`, "text/plain"},
		{"no JSON", "get", 200, json, `{"id":`, "not JSON"},
		{"no object", "get", 200, json, `[]`, "got array, want object"},
		{"missing", "get", 200, json, `{}`, "missing property 'id'"},
		{"undescribed", "get", 200, json, `{"id":"x","more":1}`, "additional properties 'more'"},
		{"null", "get", 200, json, `{"id":null}`, "got null, want string"},
		{"pattern", "get", 200, json, `{"id":"X"}`, "does not match"},
		{"enum", "get", 200, json, `{"id":"x","kind":"c"}`, "must be one of 'a', 'b'"},
		{"fraction", "get", 200, json, `{"id":"x","size":1.5}`, "got number, want integer"},
		{"date", "get", 200, json, `{"id":"x","at":"today"}`, "today"},
		{"nine digits", "get", 200, json, `{"id":"x","at":"2026-01-02T03:04:05.123456789Z"}`, "six digits"},
		{"six digits", "get", 200, json, `{"id":"x","at":"2026-01-02T03:04:05.123456+02:00"}`, ""},
		{"base64", "get", 200, json, `{"id":"x","data":"%"}`, "base64"},
		{"deep", "get", 200, json, `{"id":"x","list":[{"id":"y"},{"id":2}]}`, "'/list/1/id'"},
		{"map", "get", 200, json, `{"id":"x","map":{"k":1}}`, "'/map/k'"},
		{"empty", "get", 204, json, "", ""},
		{"not empty", "get", 204, json, "x", "should be empty"},
		{"HEAD", "head", 200, json, "", ""},
		{"HEAD with a body", "head", 200, json, "{}", "has a body"},
		{"bytes", "all", 200, http.Header{"Content-Type": {"application/gzip"}}, "\x1f", ""},
		{"operation", "nope", 200, json, "", "no operation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			requireError(t, spec.CheckResponse(c.op, c.status, c.header, []byte(c.body)), c.want)
		})
	}
}

func TestSpec_CheckRequest(t *testing.T) {
	t.Parallel()
	spec, err := apispec.Parse([]byte(small))
	require.NoError(t, err)
	lines := http.Header{"Content-Type": {"application/x-ndjson"}}
	for _, c := range []struct {
		name, op, query, body, want string
	}{
		{"query", "get", "q=x&limit=1&path=a&path=b", "", ""},
		{"older name", "get", "q=x&max=1", "", ""},
		{"older name of another type", "get", "q=x&max=many", "", "many"},
		{"missing", "get", "limit=1", "", `"q" is missing`},
		{"undescribed", "get", "q=x&z=1", "", `"z" is not in the document`},
		{"twice", "get", "q=x&q=y", "", "2 times"},
		{"number", "get", "q=x&limit=many", "", "many"},
		{"body where none is", "get", "q=x", "{}", "no body"},
		{"lines", "post", "", "{\"id\":\"x\"}\n{\"id\":\"y\"}\n", ""},
		{"second line", "post", "", "{\"id\":\"x\"}\n{}\n", "missing property 'id'"},
		{"no body", "post", "", "", "not JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			query, err := url.ParseQuery(c.query)
			require.NoError(t, err)
			requireError(t, spec.CheckRequest(c.op, query, lines, []byte(c.body)), c.want)
		})
	}
}

func TestSpec_Find(t *testing.T) {
	t.Parallel()
	spec, err := apispec.Parse([]byte(small))
	require.NoError(t, err)
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/things/x", "get"}, {"GET", "/things/team%2Fx", "get"}, {"GET", "/things/all", "all"},
		{"HEAD", "/things/x", "head"}, {"PUT", "/things/x", ""}, {"GET", "/things/x/y", ""}, {"GET", "/things/", ""},
	} {
		id, ok := spec.Find(c.method, c.path)
		require.Equal(t, c.want, id, c)
		require.Equal(t, c.want != "", ok)
	}
}

func TestParse_refuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, changed, want string }{
		"version":             {"3.1.0", "3.0.0", "3.0.0"},
		"reference":           {"schemas/Thing\"}}}},\"204\"", "schemas/Other\"}}}},\"204\"", "failed to resolve"},
		"same id":             {`"operationId":"all"`, `"operationId":"get"`, "same operation id"},
		"undeclared variable": {`"/things/{name}"`, `"/things/{other}"`, "must define exactly all path parameters"},
		"schema":              {`"^[a-z]+$"`, `"^[a-z+$"`, "regexp"},
		"same parameter":      {`"name":"limit"`, `"name":"q"`, "more than one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := strings.Replace(small, c.old, c.changed, 1)
			require.NotEqual(t, small, changed)
			_, err := apispec.Parse([]byte(changed))
			requireError(t, err, c.want)
		})
	}
}

// requireError checks an error by a part of its text; "" is none.
func requireError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	require.ErrorContains(t, err, want)
}
