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
	sdkObject  map[string]any
	sdkArray   struct{ of any }
	sdkMapping struct{ of any }
	sdkEnum    []string
)

const (
	sdkString  = "string"
	sdkNumber  = "number"
	sdkBoolean = "boolean"
)

func sdkPaged(o sdkObject) sdkObject {
	o["next_cursor?"], o["has_more"] = sdkString, sdkBoolean
	return o
}

func schemaEntry() sdkObject {
	return sdkObject{"path": sdkString, "type": sdkEnum{"blob", "tree", "symlink", "submodule"}, "mode": sdkString}
}

func schemaCommit() sdkObject {
	return sdkObject{"sha": sdkString, "parent_shas": sdkArray{sdkString}, "message": sdkString, "author_name": sdkString, "author_email": sdkString,
		"committer_name": sdkString, "committer_email": sdkString, "date": sdkString}
}

func schemaDiff(o sdkObject) sdkObject {
	filtered := sdkObject{"path": sdkString, "state": sdkString, "old_path?": sdkString, "bytes": sdkNumber, "is_eof": sdkBoolean}
	file := sdkObject{"raw": sdkString, "additions?": sdkNumber, "deletions?": sdkNumber}
	for key, value := range filtered {
		file[key] = value
	}
	o["merge_base_sha?"] = sdkString
	o["stats"] = sdkObject{"files": sdkNumber, "additions": sdkNumber, "deletions": sdkNumber, "changes": sdkNumber}
	o["files"], o["filtered_files"] = sdkArray{file}, sdkArray{filtered}
	return o
}

// schemas by the last part of the route.
func sdkSchemas() map[string]sdkObject {
	commit := schemaCommit()
	commit["signature?"], commit["payload?"] = sdkString, sdkString
	metadata := schemaEntry()
	metadata["size"], metadata["last_commit_sha"] = sdkNumber, sdkString
	blob := sdkObject{"oid?": sdkString, "content?": sdkString, "truncated": sdkBoolean, "binary": sdkBoolean}
	return map[string]sdkObject{
		"files":          sdkPaged(sdkObject{"paths": sdkArray{sdkString}, "ref": sdkString, "entries?": sdkArray{schemaEntry()}}),
		"files/metadata": sdkPaged(sdkObject{"files": sdkArray{metadata}, "commits": sdkMapping{sdkObject{"author": sdkString, "date": sdkString, "message": sdkString}}, "ref": sdkString}),
		"branches":       sdkPaged(sdkObject{"branches": sdkArray{sdkObject{"cursor": sdkString, "name": sdkString, "head_sha": sdkString, "created_at": sdkString}}}),
		"branch":         {"branch": sdkObject{"name": sdkString, "head_sha": sdkString, "created_at": sdkString}},
		"tags":           sdkPaged(sdkObject{"tags": sdkArray{sdkObject{"cursor": sdkString, "name": sdkString, "sha": sdkString}}}),
		"tag":            {"tag": sdkObject{"name": sdkString, "sha": sdkString}},
		"commits":        sdkPaged(sdkObject{"commits": sdkArray{schemaCommit()}}),
		"commit":         {"commit": commit},
		"blame": {"ref": sdkString, "path": sdkString, "commit_sha": sdkString, "lines": sdkArray{sdkObject{
			"line_number": sdkNumber, "commit_sha": sdkString, "original_line_number": sdkNumber, "original_path": sdkString, "previous_commit_sha?": sdkString,
			"author_name": sdkString, "author_email": sdkString, "author_time": sdkString, "committer_name": sdkString, "committer_email": sdkString,
			"committer_time": sdkString, "summary": sdkString}}},
		"notes":         {"sha": sdkString, "note": sdkString, "ref_sha": sdkString},
		"notes/refs":    sdkPaged(sdkObject{"refs": sdkArray{sdkObject{"cursor": sdkString, "ref": sdkString, "sha": sdkString}}, "prefix": sdkString}),
		"branches/diff": schemaDiff(sdkObject{"branch": sdkString, "base": sdkString, "+head_sha": sdkString, "+base_sha": sdkString}),
		"diff":          schemaDiff(sdkObject{"sha": sdkString, "base_sha?": sdkString}),
		"merge/preview": {
			"status": sdkEnum{"clean", "conflicted"}, "result": sdkEnum{"merge_commit", "fast_forward", "no_op"}, "source_branch": sdkString, "+source_ref": sdkString,
			"target_branch": sdkString, "source_tip_sha": sdkString, "target_tip_sha": sdkString, "merge_base_sha?": sdkString, "conflict_paths?": sdkArray{sdkString},
			"conflicts?":          sdkArray{sdkObject{"path": sdkString, "result": blob, "base": blob, "ours": blob, "theirs": blob}},
			"filtered_conflicts?": sdkArray{sdkObject{"path": sdkString, "reason": sdkString}},
		},
		"grep": sdkPaged(sdkObject{
			"query": sdkObject{"pattern": sdkString, "case_sensitive": sdkBoolean}, "repo": sdkObject{"ref": sdkString, "commit": sdkString},
			"matches": sdkArray{sdkObject{"path": sdkString, "lines": sdkArray{sdkObject{"line_number": sdkNumber, "text": sdkString, "type": sdkEnum{"match", "context"}}}}},
		}),
		"error": {"error": sdkString, "status": sdkNumber, "title": sdkString, "type": sdkString, "detail": sdkString, "code": sdkString},
	}
}

// conform checks a decoded JSON value against a schema.
func conform(t *testing.T, schema, value any, at string) {
	t.Helper()
	fail := func(want string) { t.Errorf("%s: %v (%T) is not %s", at, value, value, want) }
	switch schema := schema.(type) {
	case string:
		got := map[bool]string{true: sdkNumber}[fmt.Sprintf("%T", value) == "float64"]
		switch value.(type) {
		case string:
			got = sdkString
		case bool:
			got = sdkBoolean
		}
		if got != schema {
			fail("a " + schema)
		}
	case sdkEnum:
		if word, ok := value.(string); !ok || !slices.Contains(schema, word) {
			fail("one of " + strings.Join(schema, ", "))
		}
	case sdkArray:
		list, ok := value.([]any)
		if !ok {
			fail("an array")
		}
		for i, item := range list {
			conform(t, schema.of, item, fmt.Sprintf("%s[%d]", at, i))
		}
	case sdkMapping:
		items, ok := value.(map[string]any)
		if !ok {
			fail("an object")
		}
		for key, item := range items {
			conform(t, schema.of, item, at+"."+key)
		}
	case sdkObject:
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
