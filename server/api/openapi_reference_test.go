package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// TestOpenAPI_reference compares docs/api.md with the document. Run it with
// HEADWATER_UPDATE=1 to write the file anew.
func TestOpenAPI_reference(t *testing.T) {
	t.Parallel()
	_, read := newDocument(t).encode(t)
	r := &referenceWriter{t: t, d: read, failures: map[reflect.Type]string{}}
	r.printf("# HTTP API\n\nThis page is generated from the OpenAPI 3.1 document of the server, which every server has at\n`%s`. A test holds real answers against it.\n\n%s\n", openAPIPath, overview)
	r.problem()
	for _, tag := range tags {
		if tag.Name == legacyTag {
			continue
		}
		r.printf("\n## %s\n\n%s.\n", strings.ToUpper(tag.Name[:1])+tag.Name[1:], tag.Description)
		for _, op := range slices.Concat(operations, openOperations) {
			if op.doc.tag == tag.Name {
				r.operation(op)
			}
		}
	}
	requireFile(t, filepath.Join("..", "..", "docs", "api.md"), r.text.String())
}

// TestOpenAPI_examples checks that the examples of bodies are of the types
// that handlers decode, with no field too many.
func TestOpenAPI_examples(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		require.Equal(t, op.in.body != nil, op.in.example != "", op.route())
		for line := range strings.Lines(op.in.example) {
			decoder := json.NewDecoder(strings.NewReader(line))
			decoder.DisallowUnknownFields()
			require.NoError(t, decoder.Decode(reflect.New(reflect.TypeOf(op.in.body)).Interface()), op.route())
		}
	}
}

// referenceWriter writes the reference.
type referenceWriter struct {
	t        *testing.T
	d        *openapi3.T
	failures map[reflect.Type]string // first operation of each shape
	text     bytes.Buffer
}

func (r *referenceWriter) printf(format string, args ...any) { fmt.Fprintf(&r.text, format, args...) }

// problem shows what an error looks like.
func (r *referenceWriter) problem() {
	r.printf("\n## What an error looks like\n\n```json\n%s\n```\n\n| status | codes |\n| --- | --- |\n",
		r.indented(envelope(http.StatusNotFound, "not_found", `ref "nope" not found`)))
	for status := 400; status < 600; status++ {
		if codes := codesText(status); strings.HasPrefix(codes, "`code`: ") {
			r.printf("| %d %s | %s |\n", status, http.StatusText(status), strings.TrimSuffix(strings.TrimPrefix(codes, "`code`: "), "."))
		}
	}
}

func (r *referenceWriter) operation(op operation) {
	r.printf("\n### %s\n\n```text\n", op.doc.summary)
	for _, path := range []string{op.preferred, op.legacy} {
		if path != "" {
			r.printf("%s %s\n", op.method, path)
		}
	}
	r.printf("```\n\n%s\n", op.describe())
	r.parameters(op)
	if body := r.described(op).RequestBody; body != nil {
		r.printf("\n| field | type | |\n| --- | --- | --- |\n")
		r.rows("", body.Value.Content[cmp.Or(op.in.media, "application/json")].Schema)
	}
	r.example(op)
	var others []string
	for _, s := range op.answers()[1:] {
		if s.text == notModified.text {
			continue
		}
		others = append(others, fmt.Sprintf("%d (%s)", s.status, strings.ToLower(s.text[:1])+strings.TrimSuffix(s.text[1:], ".")))
	}
	if len(others) > 0 {
		r.printf("\nAlso: %s.\n", strings.Join(others, "; "))
	}
	var errors []string
	for _, status := range op.errorStatuses() {
		errors = append(errors, fmt.Sprint(status))
	}
	if len(errors) > 0 {
		r.printf("\nErrors: %s.", strings.Join(errors, ", "))
		r.failure(op)
		r.printf("\n")
	}
}

// described returns what the document says of an operation.
func (r *referenceWriter) described(op operation) *openapi3.Operation {
	return r.d.Paths.Value(cmp.Or(op.preferred, op.legacy)).GetOperation(op.method)
}

// answer returns the schema of an answer in JSON, nil if it is something else.
func (r *referenceWriter) answer(op operation, status int) *openapi3.SchemaRef {
	if media := r.described(op).Responses.Status(status).Value.Content.Get("application/json"); media != nil {
		return media.Schema
	}
	return nil
}

// failure shows what errors look like that have a shape of their own, the first
// time that there is such an operation.
func (r *referenceWriter) failure(op operation) {
	if op.out.failure.body == nil {
		return
	}
	kind := reflect.TypeOf(op.out.failure.body)
	if first, ok := r.failures[kind]; ok {
		r.printf(" They look as those of %q.", first)
		return
	}
	r.failures[kind] = op.doc.summary
	o := r.sample("", "", r.answer(op, op.errorStatuses()[0])).(node)
	for key, value := range map[string]any{"error": "the branch is not where it was expected", "detail": "the branch is not where it was expected",
		"code": "precondition", "status": 409, "title": "Conflict", "type": "about:blank"} {
		o[key] = value
	}
	if kind == reflect.TypeFor[noteProblem]() {
		delete(o, "error") // see noteProblem
		o["detail"] = "the notes ref is not where it was expected"
		o["status"], o["title"], o["new_ref_sha"] = http.StatusPreconditionFailed, http.StatusText(http.StatusPreconditionFailed), ""
	}
	if result, ok := o["result"].(node); ok {
		result["success"], result["status"] = false, "precondition_failed"
		if _, ok := result["new_sha"]; ok {
			result["new_sha"] = ""
		}
	}
	if kind == reflect.TypeFor[mergeProblem]() {
		o["code"], o["error"], o["detail"], o["conflict_paths"] = "conflict", "merge conflict", "merge conflict", []string{"README.md"}
	}
	r.printf(" They look like this:\n\n```json\n%s\n```", r.indented(o))
}

// saidOnce are the parameters of which the overview tells, because nearly every operation has them.
var saidOnce = []string{paramHeaderIfNoneMatchAnswer.component(), paramHeaderIdempotencyKey.component()}

// parameters lists the parameters of the query.
func (r *referenceWriter) parameters(op operation) {
	list := slices.DeleteFunc(op.parameters(), func(p parameter) bool { return slices.Contains(saidOnce, p.component()) })
	if len(list) == 0 {
		return
	}
	r.printf("\n| parameter | |\n| --- | --- |\n")
	for _, about := range list {
		name := fmt.Sprintf("`%s`", about.name)
		for _, older := range about.older {
			name += fmt.Sprintf(", older `%s`", older)
		}
		if about.in == "header" {
			name += " (header)"
		}
		text := []string{about.text}
		if about.required {
			text = append(text, "Required.")
		}
		if about.repeated {
			text = append(text, "May be repeated.")
		}
		if about.absent != nil && about.absent != false {
			text = append(text, fmt.Sprintf("Default %v.", about.absent))
		}
		if about.top > 0 {
			text = append(text, fmt.Sprintf("At most %v.", about.top))
		}
		r.printf("| %s | %s |\n", name, strings.Join(text, " "))
	}
}

// rows lists the fields of a body, with those of objects in it.
func (r *referenceWriter) rows(prefix string, schema *openapi3.SchemaRef) {
	properties, demanded := schema.Value.Properties, schema.Value.Required
	for _, name := range r.order(properties, demanded) {
		property := properties[name]
		about := r.own(property)
		if isOlder(about) {
			continue
		}
		kind, inner, suffix := property.Value.Type.Slice()[0], property, "."
		if kind == openapi3.TypeArray {
			inner, suffix = property.Value.Items, "[]."
			kind = "array of " + inner.Value.Type.Slice()[0] + "s"
		}
		var text []string
		if slices.Contains(demanded, name) {
			text = append(text, "Required.")
		}
		if list := property.Value.Enum; list != nil {
			words := make([]string, len(list))
			for i, word := range list {
				words[i] = word.(string)
			}
			text = append(text, "`"+strings.Join(words, "`, `")+"`.")
		}
		if about != "" {
			text = append(text, about)
		}
		names := fmt.Sprintf("`%s%s`", prefix, name)
		for other, property := range properties {
			if strings.HasPrefix(r.own(property), "Older name of `"+name+"`") {
				names += fmt.Sprintf(", older `%s`", other) // there is one at most
			}
		}
		r.printf("| %s | %s | %s |\n", names, kind, strings.Join(text, " "))
		if inner.Value.Properties != nil && !slices.Contains(people, name) {
			r.rows(prefix+name+suffix, inner)
		}
	}
}

// own returns the description of a field, which is not that of its type.
func (r *referenceWriter) own(property *openapi3.SchemaRef) string {
	if property.Ref != "" && property.Value.Description == r.d.Components.Schemas[componentOf(property)].Value.Description {
		return ""
	}
	return property.Value.Description
}

// isOlder reports whether a description is that of an older name.
func isOlder(text string) bool { return strings.HasPrefix(text, "Older name of ") }

// people are fields that have the same two fields everywhere.
var people = []string{"author", "committer"}

// order is the names of properties, required ones first.
func (r *referenceWriter) order(properties openapi3.Schemas, demanded []string) []string {
	rank := func(name string) int {
		switch {
		case slices.Contains(demanded, name):
			return 0
		case strings.HasSuffix(r.own(properties[name]), "Required."):
			return 1
		}
		return 2
	}
	return slices.SortedFunc(maps.Keys(properties), func(a, b string) int {
		return cmp.Or(rank(a)-rank(b), strings.Compare(a, b))
	})
}

// example shows a request on the preferred route and its answer.
func (r *referenceWriter) example(op operation) {
	path := cmp.Or(op.preferred, op.legacy)
	path = strings.NewReplacer("{name}", "team%2Fapp", "{id}", "ggc_01k4v6e7", "{webhook}", "wh_01k4v6e7", "{delivery}", "dlv_01k4v6e7", "{tag}", "v1.0").Replace(path)
	if op.in.sample != "" {
		path += "?" + op.in.sample
	}
	r.printf("\n```http\n%s %s\n", op.method, path)
	if !op.open() {
		r.printf("Authorization: Bearer TOKEN\n")
	}
	switch {
	case op.in.media != "":
		r.printf("Content-Type: %s\n\n%s\n", op.in.media, op.in.example)
	case op.in.example != "":
		r.printf("Content-Type: application/json\n\n%s\n", op.in.example)
	}
	first := op.answers()[0]
	r.printf("```\n\n```http\n%d %s\n", first.status, http.StatusText(first.status))
	if first.body == nil {
		for _, media := range first.media {
			r.printf("Content-Type: %s\n", media)
		}
	}
	for _, name := range first.headers {
		name = strings.TrimSuffix(name, "?")
		if value, ok := samples[name]; ok {
			r.printf("%s: %v\n", name, value)
		}
	}
	switch {
	case first.body != nil:
		r.printf("\n%s\n", r.indented(r.sample("", "", r.answer(op, first.status))))
	case first.media != nil:
		r.printf("\n(bytes)\n")
	}
	r.printf("```\n")
}

func (r *referenceWriter) indented(value any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	require.NoError(r.t, encoder.Encode(value))
	return strings.TrimSpace(text.String())
}

const (
	sampleCommit = "9fceb02d0ae598e95dc970b74767f19372d61af8"
	sampleBlob   = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
	sampleParent = "3d21ec53a331a6f037a91c368710b99387d012c1"
	sampleZeros  = "0000000000000000000000000000000000000000"
	sampleTime   = "2026-01-02T15:04:05Z"
	sampleHook   = "https://git.example.com/webhooks/gitea/qJ3v..."
)

// samples are values of answers by field or header. What is left out here is
// shown empty.
var samples = map[string]any{
	"ETag": `"` + sampleBlob + `"`, "Last-Modified": "Fri, 02 Jan 2026 15:04:05 GMT", "Accept-Ranges": "bytes", "Content-Length": 5,
	"X-Blob-Sha": sampleBlob, "X-Last-Commit-Sha": sampleCommit, "X-Commit-Sha": sampleCommit,
	"id": "ggc_01k4v6e7", "repo_id": "repo_01k4v6e7", "repo_name": "team/app", "url": "team/app", "http_url": "https://git.example.com/team/app.git",
	"default_branch": "main", "name": "main", "owner": "team", "provider": "gitea", "upstream_host": "git.example.com", "username": "robot",
	"message": "done", "ref": "main", "path": "README.md", "paths": []string{"README.md"}, "mode": "100644", "prefix": "refs/notes/",
	"author": "Ada", "author_name": "Ada", "author_email": "ada@example.com", "committer_name": "Ada", "committer_email": "ada@example.com",
	"date": sampleTime, "author_time": sampleTime, "committer_time": sampleTime, "created_at": sampleTime, "last_start": sampleTime,
	"target_ref": "refs/notes/reviews", "notes_ref": "refs/notes/reviews", "note": "Reviewed by Ada\n", "old_sha": sampleZeros,
	"branch": "main", "base": "main", "target_branch": "main", "source_branch": "feature", "source_ref": "feature", "size": 5, "line_number": 1, "original_line_number": 1,
	"original_path": "README.md", "summary": "Say hello", "text": "hello", "pattern": "func [A-Z]", "has_more": false, "success": true, "state": "A", "raw": "diff --git ...",
	"bytes": 120, "is_eof": true, "files": 1, "additions": 1, "changes": 1, "pack_bytes": 310, "blob_count": 1, "promoted_commits": 1,
	"type": "blob", "status": "ok", "conflict_paths": []string{}, "hosts": []string{"gitlab.com"}, "generation": 1, "builtin": true, "pid": 4242, "version": "1.0.0",
	"openapi": "3.1.0", "cursor": "bWFpbg",
	"BaseRepo.name": "app", "CreatedRepository.id": "repo_01k4v6e7", "CreatedRepository.message": "repository created", "DeletedRepository.message": "repository deleted",
	"CreatedBranch.message": "branch created", "DeletedBranch.message": "branch deleted", "CreatedTag.message": "tag created", "DeletedTag.message": "tag deleted",
	"CreatedBranch.target_branch": "feature", "DeletedBranch.target_branch": "feature", "DeletedBranch.name": "feature", "BranchDiff.branch": "feature",
	"Tag.name": "v1.0", "CreatedTag.name": "v1.0", "DeletedTag.name": "v1.0", "MergeSource.branch": "feature", "MergeSource.ref": "feature",
	"MergeTarget.old_sha": sampleParent, "Commit.message": "Say hello\n", "LastCommit.message": "Say hello\n", "NotesRef.ref": "refs/notes/reviews", "CommitProblem.commit": nil,
	"InboundWebhook.url": sampleHook, "RotatedInboundWebhook.url": sampleHook, "InboundWebhook.state": "active", "RotatedInboundWebhook.state": "active",
	"RotatedInboundWebhook.secret": "n0Xn...", "checked_at": sampleTime, "confirmed_at": sampleTime, "last_delivery_at": sampleTime, "since": sampleTime, "failed": 2, "replayed": 2,
	"NoteProblem.sha": "main", "ProviderStatus.name": "gitlab", "ProviderStatus.type": "gitlab", "ProviderStatus.state": "running", "ReadinessAnswer.status": "ready",
	"Webhook.id": "wh_01k4v6e7", "Webhook.url": "https://example.com/hooks/headwater", "Webhook.repo": "team/app", "events": []string{"push", "repo.sync.failed"}, "Webhook.active": true,
	"secret": "kJ6n3q0Vw8sXb1m9TzYdRf4hLg2pCu7EaOiK5rNvQxA", "updated_at": sampleTime, "at": sampleTime, "Delivery.id": "dlv_01k4v6e7", "event_id": "evt_01k4v6e7", "event_type": "push", "number": 1,
	"duration_ms": 42, "response": "ok", "last_status": 200, "DeliveryAttempt.status": 200, "Event.id": "evt_01k4v6e7", "seq": 42, "Event.type": "push",
	"EventRepository.id": "repo_01k4v6e7", "EventRepository.url": "team/app", "EventList.next_cursor": "42", "Event.body": pushBody, "DeliveryRequest.body": pushBody,
}

// pushBody is the body of a push event.
var pushBody = node{"repository": node{"id": "repo_01k4v6e7", "url": "team/app"}, "ref": "refs/heads/main", "before": sampleParent, "after": sampleCommit,
	"customer_id": "acme", "pushed_at": sampleTime}

// hidden are optional fields that examples are better off without.
var hidden = []string{"sync", "credential", "next_cursor", "signature", "payload", "old_path", "previous_commit_sha", "retry_at", "last_error", "stderr", "last_missed_at", "replay", "InboundWebhook.message", "RotatedInboundWebhook.message", "UpstreamIdentity.message", "ReplayStatus.error",
	"failing_since", "last_success_at", "last_attempt_at", "next_attempt_at", "finished_at",
	"RefResult.message", "NoteResult.message", "Branch.cursor", "Tag.cursor"}

// empty are lists that are empty most of the time.
var empty = []string{"filtered_files", "conflicts", "filtered_conflicts"}

// sample makes an example of a schema. The name is that of the field.
func (r *referenceWriter) sample(owner, name string, schema *openapi3.SchemaRef) any {
	if value, ok := samples[owner+"."+name]; ok {
		return value
	}
	if componentOf(schema) == "ObjectID" {
		return cmp.Or(samples[name], any(sampleCommit))
	}
	target := schema.Value
	if target.Enum != nil {
		return target.Enum[0]
	}
	switch {
	case target.Type.Is(openapi3.TypeObject):
		if of := target.AdditionalProperties.Schema; of != nil {
			if of.Ref == "" {
				return node{}
			}
			return node{sampleCommit: r.sample("", "", of)}
		}
		o := node{}
		component := componentOf(schema)
		for field, property := range target.Properties {
			if !slices.Contains(hidden, field) && !slices.Contains(hidden, component+"."+field) {
				o[field] = r.sample(component, field, property)
			}
		}
		return o
	case target.Type.Is(openapi3.TypeArray):
		if slices.Contains(empty, name) || target.Items.Ref == "" && target.Items.Value.IsEmpty() {
			return []any{}
		}
		if value, ok := samples[name]; ok && target.Items.Ref == "" {
			return value
		}
		return []any{r.sample("", name, target.Items)}
	case target.Type.Is(openapi3.TypeNull):
		return nil
	}
	value, ok := samples[name]
	switch {
	case ok && fits(value, target.Type):
		return value
	case target.Type.Is(openapi3.TypeBoolean):
		return false
	case target.Type.Is(openapi3.TypeInteger):
		return 0
	}
	return ""
}

// node is an object of an example.
type node = map[string]any

// fits reports whether an example is of a JSON type.
func fits(value any, kind *openapi3.Types) bool {
	switch value.(type) {
	case string:
		return kind.Is(openapi3.TypeString)
	case int:
		return kind.Is(openapi3.TypeInteger)
	case bool:
		return kind.Is(openapi3.TypeBoolean)
	}
	return false
}
