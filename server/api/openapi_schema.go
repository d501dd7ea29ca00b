package api

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/content"
	"github.com/headwater-git/headwater/providers"
)

// schemaSet makes component schemas of Go types, by their json tags: what a
// handler encodes is what the document says.
type schemaSet struct {
	components node
	types      map[string]reflect.Type // by component
	noted      map[string]bool         // fields that were found, of fieldNotes and required
	problems   []string
}

func newSchemaSet() *schemaSet {
	return &schemaSet{components: node{}, types: map[string]reflect.Type{}, noted: map[string]bool{}}
}

// direction says whether a type is decoded or encoded: a decoder demands
// nothing, while an encoder leaves out no field but those with omitempty.
type direction bool

const (
	decoded direction = false
	encoded direction = true
)

// request returns the schema of a body that is decoded into the type of value.
func (s *schemaSet) request(value any) node { return s.of(reflect.TypeOf(value), decoded, "") }

// answer returns the schema of a value that is encoded.
func (s *schemaSet) answer(value any) node { return s.of(reflect.TypeOf(value), encoded, "") }

// componentNames are the names of types that have a better one than their own.
var componentNames = map[reflect.Type]string{
	reflect.TypeFor[core.ObjectID]():        "ObjectID",
	reflect.TypeFor[core.Kind]():            "ErrorCode",
	reflect.TypeFor[core.ErrorClass]():      "SyncErrorClass",
	reflect.TypeFor[syncStateWord]():        "SyncState",
	reflect.TypeFor[commit.Strategy]():      "MergeStrategy",
	reflect.TypeFor[commit.Outcome]():       "MergeOutcome",
	reflect.TypeFor[commit.Conflict]():      "MergeConflictType",
	reflect.TypeFor[core.Progress]():        "SyncProgress",
	reflect.TypeFor[runView]():              "SyncRun",
	reflect.TypeFor[auditView]():            "AuditEntry",
	reflect.TypeFor[actorView]():            "AuditActor",
	reflect.TypeFor[refMovedView]():         "AuditUpdate",
	reflect.TypeFor[core.Outcome]():         "AuditOutcome",
	reflect.TypeFor[errorBody]():            "Problem",
	reflect.TypeFor[baseRepo]():             "BaseRepoRequest",
	reflect.TypeFor[linkBody]():             "LinkRepositoryRequest",
	reflect.TypeFor[linkedAnswer]():         "LinkedRepository",
	reflect.TypeFor[createBody]():           "CreateRepositoryRequest",
	reflect.TypeFor[personBody]():           "Person",
	reflect.TypeFor[fileBody]():             "FileChange",
	reflect.TypeFor[chunkBody]():            "BlobChunk",
	reflect.TypeFor[content.MergeResult]():  "MergePreviewResult",
	reflect.TypeFor[madeView]():             "MadeCommit",
	reflect.TypeFor[statsView]():            "DiffStats",
	reflect.TypeFor[filteredFileView]():     "FilteredDiffFile",
	reflect.TypeFor[entryView]():            "TreeEntry",
	reflect.TypeFor[grepFileView]():         "GrepMatch",
	reflect.TypeFor[grepBody]():             "GrepRequest",
	reflect.TypeFor[conflictView]():         "MergeConflict",
	reflect.TypeFor[content.EntryType]():    "EntryType",
	reflect.TypeFor[core.FreshnessPolicy](): "FreshnessPolicy",
	reflect.TypeFor[core.RefAction]():       "RefAction",
	reflect.TypeFor[upstreamWord]():         "UpstreamState",
	reflect.TypeFor[identityView]():         "UpstreamIdentity",
	reflect.TypeFor[identityWord]():         "UpstreamIdentityState",
	reflect.TypeFor[core.DeliveryState]():   "DeliveryState",
	reflect.TypeFor[webhookState]():         "WebhookState",
}

// enums are the types that have a few words only.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[core.Kind](): wordsOf(core.Kinds()...),
	reflect.TypeFor[core.ErrorClass](): wordsOf(core.ClassAuth, core.ClassRevoked, core.ClassNotFound, core.ClassMoved, core.ClassProtocol, core.ClassRateLimited,
		core.ClassNetwork, core.ClassTimeout, core.ClassTooLarge, core.ClassRefused, core.ClassDiverged, core.ClassCorrupt, core.ClassUnavailable, core.ClassResource, core.ClassInternal),
	reflect.TypeFor[core.FreshnessPolicy](): wordsOf(core.FreshUnset, core.FreshServe, core.FreshRevalidate, core.FreshFail),
	reflect.TypeFor[core.RefAction]():       wordsOf(core.RefFollow, core.RefFollowRetain, core.RefHold, core.RefFreeze),
	reflect.TypeFor[upstreamWord]():         wordsOf(upstreamActive, upstreamArchived, upstreamPrivate, upstreamRevoked, upstreamSuspended, upstreamDeleted, upstreamReplaced),
	reflect.TypeFor[identityWord]():         wordsOf(identityConfirmed, identityUnchecked, identityUnconfirmed, identityUnavailable),
	reflect.TypeFor[core.DeliveryState]():   wordsOf(core.DeliveryPending, core.DeliveryDelivered, core.DeliveryFailed, core.DeliveryCancelled),
	reflect.TypeFor[webhookState]():         wordsOf(webhookActive, webhookFailing, webhookInactive),
	reflect.TypeFor[core.InboundState]():    wordsOf(core.InboundNone, core.InboundActive, core.InboundFailing),
	reflect.TypeFor[core.Outcome]():         wordsOf(core.OutcomeOK, core.OutcomePartial, core.OutcomeRefused, core.OutcomeFailed),
	reflect.TypeFor[syncStateWord]():        wordsOf(syncPending, syncSyncing, syncReady, syncFailing, syncHeld, syncUnconfirmed),
	reflect.TypeFor[content.EntryType]():    wordsOf(content.TypeBlob, content.TypeTree, content.TypeSymlink, content.TypeSubmodule),
	reflect.TypeFor[content.MergeResult]():  wordsOf(content.MergeCommit, content.FastForward, content.NoOp),
	reflect.TypeFor[commit.Strategy]():      wordsOf(commit.StrategyMerge, commit.StrategyFastForwardOnly, commit.StrategyPreferFastForward),
	reflect.TypeFor[commit.Outcome]():       wordsOf(commit.OutcomeMergeCommit, commit.OutcomeFastForward, commit.OutcomeNothing, commit.OutcomeSquash),
	reflect.TypeFor[commit.Conflict]():      wordsOf(commit.ConflictContent, commit.ConflictMoved),
}

func wordsOf[T ~string](list ...T) []string {
	out := make([]string, len(list))
	for i, word := range list {
		out[i] = string(word)
	}
	return out
}

// of returns the schema of a type. Where names an inline node, for notes.
func (s *schemaSet) of(t reflect.Type, d direction, where string) node {
	switch t {
	case reflect.TypeFor[time.Time]():
		s.problems = append(s.problems, "a bare time.Time at "+where+": clients cannot read its nine digits, use core.Timestamp")
		return node{}
	case reflect.TypeFor[core.Timestamp]():
		return node{"type": "string", "format": "date-time"}
	case reflect.TypeFor[duration]():
		return node{"type": "string", "description": "A duration with its unit, like `5s` or `720h`; empty is the default."}
	case reflect.TypeFor[json.RawMessage]():
		return node{"type": "object"}
	case reflect.TypeFor[providers.Secret]():
		return node{"type": "string", "format": "password"}
	case reflect.TypeFor[core.ObjectID]():
		return s.component(t, func() node {
			return node{"type": "string", "pattern": "^([0-9a-f]{40}|[0-9a-f]{64})?$",
				"description": "The id of a Git object in full; zeros or \"\" where there is none."}
		})
	}
	if list, ok := enums[t]; ok {
		return s.component(t, func() node { return node{"type": "string", "enum": list} })
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem(), d, where)
	case reflect.Interface:
		return node{}
	case reflect.String:
		return node{"type": "string"}
	case reflect.Bool:
		return node{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return node{"type": "integer"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return node{"type": "string", "contentEncoding": "base64"}
		}
		return node{"type": "array", "items": s.of(t.Elem(), d, where)}
	case reflect.Map:
		return node{"type": "object", "additionalProperties": s.of(t.Elem(), d, where)}
	case reflect.Struct:
		if t.Name() == "" {
			return s.structure(t, d, where)
		}
		return s.component(t, func() node { return s.structure(t, d, nameOf(t)) })
	}
	s.problems = append(s.problems, "no schema for the type "+t.String())
	return node{}
}

// component returns a reference to the schema of a named type.
func (s *schemaSet) component(t reflect.Type, build func() node) node {
	name := nameOf(t)
	if other, ok := s.types[name]; !ok {
		s.types[name] = t
		s.components[name] = build()
	} else if other != t {
		s.problems = append(s.problems, "two types have the name "+name)
	}
	return reference("schemas", name)
}

// nameOf returns the name of the component of a type.
func nameOf(t reflect.Type) string {
	if name, ok := componentNames[t]; ok {
		return name
	}
	name := strings.TrimSuffix(t.Name(), "View")
	if bare, ok := strings.CutSuffix(name, "Body"); ok {
		name = bare + "Request"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}

// structure is the schema of a struct; embedded structs are part of it. Notes
// on a field are found under the name of the struct that declares it.
func (s *schemaSet) structure(t reflect.Type, d direction, where string) node {
	properties, demanded := node{}, []string{}
	var walk func(t reflect.Type, declared string)
	walk = func(t reflect.Type, declared string) {
		for field := range t.Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			if field.Anonymous && name == "" {
				walk(field.Type, nameOf(field.Type))
				continue
			}
			schema := s.of(field.Type, d, declared+"."+name)
			absent := strings.Contains(options, "omitempty")
			if d == encoded && field.Type.Kind() == reflect.Pointer && !absent {
				schema = node{"type": "null"} // the only such fields are always null
			}
			properties[name] = s.note(declared+"."+name, schema)
			if d == encoded && !absent {
				demanded = append(demanded, name)
			}
		}
	}
	walk(t, where)
	for _, name := range requiredFields[where] {
		s.noted[where] = true
		if properties[name] == nil {
			s.problems = append(s.problems, "required field "+where+"."+name+" does not exist")
		}
		demanded = append(demanded, name)
	}
	o := node{"type": "object", "properties": properties}
	if len(demanded) > 0 {
		o["required"] = demanded
	}
	return o
}

// note adds what the tables say about a field.
func (s *schemaSet) note(field string, schema node) node {
	if newer, ok := olderNames[field]; ok {
		s.noted[field] = true
		schema["description"] = "Older name of `" + newer + "`, which wins."
	}
	if n, ok := fieldNotes[field]; ok {
		s.noted[field] = true
		if n.text != "" {
			schema["description"] = n.text
		}
		if n.words != nil {
			schema["enum"] = n.words
		}
	}
	return schema
}
