package api

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
)

// node is a JSON object of the document. Keys are written in order, so the
// document is the same each time.
type node = map[string]any

// openAPIPath is where the document is served.
const openAPIPath = "/api/openapi.json"

// legacyTag marks the routes below /api/v1.
const legacyTag = "legacy"

// tags group the operations, in this order.
var tags = []node{
	{"name": "repositories", "description": "Create, find and delete repositories, and follow an upstream"},
	{"name": "credentials", "description": "The upstream credential of a synced repository"},
	{"name": "files", "description": "Files, archives, blame and search"},
	{"name": "commits", "description": "Commits and diffs, and new commits"},
	{"name": "branches", "description": "Branches and merges"},
	{"name": "tags", "description": "Lightweight tags, and those that git pushes"},
	{"name": "rewrites", "description": "Forced moves and deletions of refs: restore, approve, dismiss"},
	{"name": "notes", "description": "Git notes"},
	{"name": "webhooks", "description": "Subscriptions to events, and what was sent to them"},
	{"name": "events", "description": "What became true, as a list and as a stream"},
	{"name": "server", "description": "The server itself"},
	{"name": legacyTag, "description": "The same operations below /api/v1, where the token alone names the repository"},
}

// openAPI serves the OpenAPI document to everyone: it says nothing that the
// published contract does not. It is built when it is first asked for.
func openAPI(version string) http.Handler {
	type file struct {
		text []byte
		etag string
	}
	build := sync.OnceValue(func() file {
		text, err := json.Marshal(newDocument(version).root)
		if err != nil {
			panic(err) // only a programming error gets here
		}
		sum := sha256.Sum256(text)
		return file{text, `"` + hex.EncodeToString(sum[:16]) + `"`}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !readOnly(w, r) {
			return
		}
		f := build()
		header := w.Header()
		header.Set("Content-Type", "application/json; charset=utf-8")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-cache")
		header.Set("ETag", f.etag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.text))
	})
}

// document is an OpenAPI 3.1 document in the making. What operations share is
// a component, so that the two routes of an operation differ in nothing but
// their path, their name and their tag.
type document struct {
	root       node
	paths      node
	parameters node
	responses  node
	bodies     node
	schemas    *schemaSet
	problems   []string // contradictions in the tables, for the tests
}

// newDocument builds the document from the operations.
func newDocument(version string) *document {
	d := &document{paths: node{}, parameters: node{}, responses: node{}, bodies: node{}, schemas: newSchemaSet()}
	for key, text := range pathVariables {
		d.parameters[key] = node{"name": key, "in": "path", "required": true, "description": text, "schema": node{"type": "string"}}
	}
	for _, op := range slices.Concat(operations, openOperations) {
		d.add(op)
	}
	d.problems = append(d.problems, d.schemas.problems...)
	d.root = node{
		"openapi":  "3.1.0",
		"info":     node{"title": "Headwater", "version": version, "description": overview, "license": node{"name": "Apache-2.0", "identifier": "Apache-2.0"}},
		"servers":  []node{{"url": "/", "description": "The server that this document comes from"}},
		"security": []node{{"bearer": []string{}}},
		"tags":     tags,
		"paths":    d.paths,
		"components": node{
			"schemas": d.schemas.components, "parameters": d.parameters, "responses": d.responses, "requestBodies": d.bodies,
			"securitySchemes": node{"bearer": node{"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": bearerText}},
		},
	}
	return d
}

// add adds the routes of one operation.
func (d *document) add(op operation) {
	shared := node{"summary": op.doc.summary, "description": op.describe(), "responses": d.answers(op), "security": []node{}}
	if parameters := d.query(op.parameters()); len(parameters) > 0 {
		shared["parameters"] = parameters
	}
	if !op.open() {
		shared["security"] = []node{{"bearer": scopes(op)}}
	}
	if body := d.body(op.in); body != nil {
		shared["requestBody"] = body
	}
	if op.preferred != "" {
		d.route(op.method, op.preferred, op.id, op.doc.tag, shared)
		if op.head != "" {
			d.route(http.MethodHead, op.preferred, op.head, op.doc.tag, headOnly(shared, op))
		}
	}
	if op.legacy != "" {
		d.route(op.method, op.legacy, op.id+"Legacy", legacyTag, shared)
		if op.head != "" {
			d.route(http.MethodHead, op.legacy, op.head+"Legacy", legacyTag, headOnly(shared, op))
		}
	}
}

// headOnly is an operation for HEAD: the same without a body.
func headOnly(get node, op operation) node {
	head := node{}
	for key, value := range get {
		head[key] = value
	}
	head["summary"] = op.doc.summary + ": headers only"
	head["description"] = "As GET, without a body."
	return head
}

// scopes are what the token must have for an operation.
func scopes(op operation) []string {
	if op.scope == anyScope {
		return []string{}
	}
	return []string{string(op.scope)}
}

// route adds one operation under its path.
func (d *document) route(method, path, id, tag string, shared node) {
	item, ok := d.paths[path].(node)
	if !ok {
		item = node{}
		if variables := variablesOf(path); len(variables) > 0 {
			refs := make([]node, len(variables))
			for i, name := range variables {
				refs[i] = reference("parameters", name)
			}
			item["parameters"] = refs
		}
		d.paths[path] = item
	}
	op := node{"operationId": id, "tags": []string{tag}, "deprecated": false}
	for key, value := range shared {
		op[key] = value
	}
	item[strings.ToLower(method)] = op
}

// variablesOf returns the variables of a path in order.
func variablesOf(path string) []string {
	var names []string
	for segment := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

func reference(kind, name string) node {
	return node{"$ref": "#/components/" + kind + "/" + name}
}

// query returns the parameters of an operation, each older name after the
// newer one.
func (d *document) query(list []parameter) []node {
	var refs []node
	for _, p := range list {
		key := p.component()
		d.parameters[key] = p.node(p.name, p.text)
		refs = append(refs, reference("parameters", key))
		for _, older := range p.older {
			name := key + "." + older
			d.parameters[name] = p.node(older, "Older name of `"+p.name+"`, which wins.")
			refs = append(refs, reference("parameters", name))
		}
	}
	return refs
}

// node is a parameter of a query under one of its names.
func (p parameter) node(name, text string) node {
	kind := p.kind
	if kind == "" {
		kind = "string"
	}
	schema := node{"type": kind}
	if p.top > 0 {
		schema["maximum"], schema["minimum"] = p.top, 1
	}
	if p.absent != nil {
		schema["default"] = p.absent
	}
	if p.repeated {
		schema = node{"type": "array", "items": schema}
	}
	o := node{"name": name, "in": cmp.Or(p.in, "query"), "description": text, "schema": schema}
	if p.required {
		o["required"] = true
	}
	return o
}

// body is what an operation is sent, nil for nothing.
func (d *document) body(about input) any {
	if about.body == nil {
		return nil
	}
	schema := d.schemas.request(about.body)
	name := strings.TrimPrefix(schema["$ref"].(string), "#/components/schemas/")
	media := about.media
	if media == "" {
		media = "application/json"
	}
	content := node{"schema": schema}
	if media == "application/json" && about.example != "" {
		content["example"] = json.RawMessage(about.example)
	}
	if _, ok := d.bodies[name]; ok {
		// Operations that share a body differ in what an example of it would be.
		delete(d.bodies[name].(node)["content"].(node)[media].(node), "example")
		return reference("requestBodies", name)
	}
	d.bodies[name] = node{"required": about.required, "content": node{media: content}}
	return reference("requestBodies", name)
}

// answers are the answers to an operation: its successes, and the errors of
// its class.
func (d *document) answers(op operation) node {
	all := node{}
	for _, a := range op.answers() {
		all[strconv.Itoa(a.status)] = d.success(a)
	}
	for _, status := range op.errorStatuses() {
		if op.out.failure.body == nil {
			all[strconv.Itoa(status)] = d.problem(status)
			continue
		}
		all[strconv.Itoa(status)] = d.failure(op.out.failure.body)
	}
	return all
}

func (d *document) success(a success) node {
	o := node{"description": a.text}
	if a.body != nil {
		o["content"] = node{"application/json": node{"schema": d.schemas.answer(a.body)}}
	}
	if len(a.media) > 0 {
		content, ok := o["content"].(node)
		if !ok {
			content = node{}
		}
		for _, media := range a.media {
			content[media] = node{}
		}
		o["content"] = content
	}
	if len(a.headers) > 0 {
		o["headers"] = headerObjects(a.headers...)
	}
	return o
}

// headerObjects describes headers of answers; those with "?" may be absent.
func headerObjects(names ...string) node {
	all := node{}
	for _, name := range names {
		bare, optional := strings.CutSuffix(name, "?")
		all[bare] = node{"description": answerHeaders[bare], "required": !optional, "schema": node{"type": "string"}}
	}
	return all
}

// problem is the answer to an error of no shape of its own.
func (d *document) problem(status int) node {
	name := strings.ReplaceAll(http.StatusText(status), " ", "")
	if _, ok := d.responses[name]; !ok {
		o := node{
			"description": http.StatusText(status) + ". " + codesText(status),
			"content":     node{"application/json": node{"schema": d.schemas.answer(errorBody{})}},
		}
		switch status {
		case http.StatusUnauthorized:
			o["headers"] = headerObjects("WWW-Authenticate")
		case http.StatusConflict, http.StatusTooManyRequests, http.StatusBadGateway:
			o["headers"] = headerObjects("Retry-After?")
		}
		d.responses[name] = o
	}
	return reference("responses", name)
}

// failure is the answer to an error that has a shape of its own.
func (d *document) failure(body any) node {
	schema := d.schemas.answer(body)
	name := strings.TrimPrefix(schema["$ref"].(string), "#/components/schemas/")
	if _, ok := d.responses[name]; !ok {
		d.responses[name] = node{
			"description": "The call failed and nothing was changed, unless `code` is `upstream_timeout`. The status says why, as everywhere.",
			"content":     node{"application/json": node{"schema": schema}},
			"headers":     headerObjects("Retry-After?", "WWW-Authenticate?"),
		}
	}
	return reference("responses", name)
}

// codesText names the codes of a status, from the table that answers use.
func codesText(status int) string {
	var codes []string
	for _, kind := range core.Kinds() {
		if statuses[kind] == status {
			codes = append(codes, "`"+string(kind)+"`")
		}
	}
	if len(codes) == 0 {
		return "The field `code` says why."
	}
	return "`code`: " + strings.Join(codes, ", ") + "."
}
