package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The schemas of the published SDK, by which it judges answers: a key may be
// absent if its name here ends in "?", and nothing may be null. What follows
// "+" is not of the SDK's schema, but ours may have it.
type (
	object  map[string]any
	array   struct{ of any }
	mapping struct{ of any }
	oneOf   []string
)

const (
	aString  = "string"
	aNumber  = "number"
	aBoolean = "boolean"
)

func paged(o object) object {
	o["next_cursor?"], o["has_more"] = aString, aBoolean
	return o
}

func schemaEntry() object {
	return object{"path": aString, "type": oneOf{"blob", "tree", "symlink", "submodule"}, "mode": aString}
}

func schemaCommit() object {
	return object{"sha": aString, "parent_shas": array{aString}, "message": aString, "author_name": aString, "author_email": aString,
		"committer_name": aString, "committer_email": aString, "date": aString}
}

func schemaDiff(o object) object {
	filtered := object{"path": aString, "state": aString, "old_path?": aString, "bytes": aNumber, "is_eof": aBoolean}
	file := object{"raw": aString, "additions?": aNumber, "deletions?": aNumber}
	for key, value := range filtered {
		file[key] = value
	}
	o["merge_base_sha?"] = aString
	o["stats"] = object{"files": aNumber, "additions": aNumber, "deletions": aNumber, "changes": aNumber}
	o["files"], o["filtered_files"] = array{file}, array{filtered}
	return o
}

// schemas by the last part of the route.
func schemas() map[string]object {
	commit := schemaCommit()
	commit["signature?"], commit["payload?"] = aString, aString
	metadata := schemaEntry()
	metadata["size"], metadata["last_commit_sha"] = aNumber, aString
	blob := object{"oid?": aString, "content?": aString, "truncated": aBoolean, "binary": aBoolean}
	return map[string]object{
		"files":          paged(object{"paths": array{aString}, "ref": aString, "entries?": array{schemaEntry()}}),
		"files/metadata": paged(object{"files": array{metadata}, "commits": mapping{object{"author": aString, "date": aString, "message": aString}}, "ref": aString}),
		"branches":       paged(object{"branches": array{object{"cursor": aString, "name": aString, "head_sha": aString, "created_at": aString}}}),
		"branch":         {"branch": object{"name": aString, "head_sha": aString, "created_at": aString}},
		"tags":           paged(object{"tags": array{object{"cursor": aString, "name": aString, "sha": aString}}}),
		"tag":            {"tag": object{"name": aString, "sha": aString}},
		"commits":        paged(object{"commits": array{schemaCommit()}}),
		"commit":         {"commit": commit},
		"blame": {"ref": aString, "path": aString, "commit_sha": aString, "lines": array{object{
			"line_number": aNumber, "commit_sha": aString, "original_line_number": aNumber, "original_path": aString, "previous_commit_sha?": aString,
			"author_name": aString, "author_email": aString, "author_time": aString, "committer_name": aString, "committer_email": aString,
			"committer_time": aString, "summary": aString}}},
		"notes":         {"sha": aString, "note": aString, "ref_sha": aString},
		"notes/refs":    paged(object{"refs": array{object{"cursor": aString, "ref": aString, "sha": aString}}, "prefix": aString}),
		"branches/diff": schemaDiff(object{"branch": aString, "base": aString, "+head_sha": aString, "+base_sha": aString}),
		"diff":          schemaDiff(object{"sha": aString, "base_sha?": aString}),
		"merge/preview": {
			"status": oneOf{"clean", "conflicted"}, "result": oneOf{"merge_commit", "fast_forward", "no_op"}, "source_branch": aString, "+source_ref": aString,
			"target_branch": aString, "source_tip_sha": aString, "target_tip_sha": aString, "merge_base_sha?": aString, "conflict_paths?": array{aString},
			"conflicts?":          array{object{"path": aString, "result": blob, "base": blob, "ours": blob, "theirs": blob}},
			"filtered_conflicts?": array{object{"path": aString, "reason": aString}},
		},
		"grep": paged(object{
			"query": object{"pattern": aString, "case_sensitive": aBoolean}, "repo": object{"ref": aString, "commit": aString},
			"matches": array{object{"path": aString, "lines": array{object{"line_number": aNumber, "text": aString, "type": oneOf{"match", "context"}}}}},
		}),
		"error": {"error": aString, "status": aNumber, "title": aString, "type": aString, "detail": aString, "code": aString},
	}
}

// conform checks a decoded JSON value against a schema.
func conform(t *testing.T, schema, value any, at string) {
	t.Helper()
	fail := func(want string) { t.Errorf("%s: %v (%T) is not %s", at, value, value, want) }
	switch schema := schema.(type) {
	case string:
		got := map[bool]string{true: aNumber}[fmt.Sprintf("%T", value) == "float64"]
		switch value.(type) {
		case string:
			got = aString
		case bool:
			got = aBoolean
		}
		if got != schema {
			fail("a " + schema)
		}
	case oneOf:
		if word, ok := value.(string); !ok || !slices.Contains(schema, word) {
			fail("one of " + strings.Join(schema, ", "))
		}
	case array:
		list, ok := value.([]any)
		if !ok {
			fail("an array")
		}
		for i, item := range list {
			conform(t, schema.of, item, fmt.Sprintf("%s[%d]", at, i))
		}
	case mapping:
		items, ok := value.(map[string]any)
		if !ok {
			fail("an object")
		}
		for key, item := range items {
			conform(t, schema.of, item, at+"."+key)
		}
	case object:
		fields, ok := value.(map[string]any)
		if !ok {
			fail("an object")
			return
		}
		known := map[string]bool{}
		for key, want := range schema {
			name, optional := strings.CutSuffix(strings.TrimPrefix(key, "+"), "?")
			known[name] = true
			field, ok := fields[name]
			if ok {
				conform(t, want, field, at+"."+name)
			} else if !optional {
				t.Errorf("%s: the field %q is missing", at, name)
			}
		}
		for name := range fields {
			if !known[name] {
				t.Errorf("%s: the field %q is not in the schema", at, name)
			}
		}
	default:
		t.Fatalf("%s: unknown schema %T", at, schema)
	}
}
