package explorer

import (
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// legacyTag is of operations that are there a second time, see the document.
const legacyTag = "legacy"

// maxDepth is how deep the fields of a body are shown.
const maxDepth = 5

// document is what the page shows of an OpenAPI document.
type document struct {
	Info struct {
		Title       string `json:"title"`
		Version     string `json:"version"`
		Description string `json:"description"`
	} `json:"info"`
	Tags []struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	} `json:"tags"`
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas    map[string]schema    `json:"schemas"`
		Parameters map[string]parameter `json:"parameters"`
		Responses  map[string]response  `json:"responses"`
	} `json:"components"`
}

type reference struct {
	Ref string `json:"$ref"`
}

// name returns the name of the component that is referred to.
func (r reference) name() string { return r.Ref[strings.LastIndexByte(r.Ref, '/')+1:] }

type parameter struct {
	reference
	Name        string `json:"name"`
	In          string `json:"in"`
	Description string `json:"description"`
	Required    bool   `json:"required"`
	Schema      schema `json:"schema"`
}

type response struct {
	reference
	Description string           `json:"description"`
	Content     map[string]media `json:"content"`
}

type media struct {
	Schema  schema          `json:"schema"`
	Example json.RawMessage `json:"example"`
}

type schema struct {
	reference
	Type                 any               `json:"type"` // a text, or several
	Format               string            `json:"format"`
	Description          string            `json:"description"`
	Enum                 []any             `json:"enum"`
	Default              any               `json:"default"`
	Required             []string          `json:"required"`
	Properties           map[string]schema `json:"properties"`
	Items                *schema           `json:"items"`
	AdditionalProperties json.RawMessage   `json:"additionalProperties"`
}

type operation struct {
	ID          string       `json:"operationId"`
	Summary     string       `json:"summary"`
	Description string       `json:"description"`
	Tags        []string     `json:"tags"`
	Parameters  []parameter  `json:"parameters"`
	Security    *[]any       `json:"security"`
	RequestBody *requestBody `json:"requestBody"`
	Responses   map[string]response
}

type requestBody struct {
	Required bool             `json:"required"`
	Content  map[string]media `json:"content"`
}

// page is what the template shows.
type page struct {
	Title, Version string
	Overview       string // Markdown
	Query          string
	Found, All     int
	Groups         []group
}

type group struct {
	Name, Title, Text string
	Operations        []view
}

// view is one operation.
type view struct {
	ID, Method, Path, Summary, Text string
	Open                            bool // needs no token
	Parameters                      []row
	Media                           string // of the body
	BodyRequired                    bool
	Body                            []row
	Example                         string
	Curl                            string
	Answers                         []answer
	Rendered                        template.HTML // all but its frame, see [page.render]
	search                          string
}

// row is a parameter or a field.
type row struct {
	Name, In, Type, Text string
	Depth                int
	Required             bool
}

type answer struct {
	Status, Title, Text, Media string
	Fields                     []row
}

// methods in the order in which they are shown.
var methods = []string{"get", "post", "put", "patch", "delete"}

// parse makes the page of a document.
func parse(text []byte) (page, error) {
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return page{}, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	p := page{Title: d.Info.Title, Version: d.Info.Version, Overview: d.Info.Description}
	byTag := map[string][]view{}
	for path, item := range d.Paths {
		var shared []parameter
		if raw, ok := item["parameters"]; ok {
			if err := json.Unmarshal(raw, &shared); err != nil {
				return page{}, fmt.Errorf("read the parameters of %s: %w", path, err)
			}
		}
		for _, method := range methods {
			raw, ok := item[method]
			if !ok {
				continue
			}
			var o operation
			if err := json.Unmarshal(raw, &o); err != nil {
				return page{}, fmt.Errorf("read %s %s: %w", method, path, err)
			}
			if len(o.Tags) == 0 || o.Tags[0] == legacyTag {
				continue
			}
			byTag[o.Tags[0]] = append(byTag[o.Tags[0]], d.view(method, path, shared, o))
			p.All++
		}
	}
	for _, tag := range d.Tags {
		operations := byTag[tag.Name]
		if len(operations) == 0 {
			continue
		}
		slices.SortFunc(operations, func(a, b view) int {
			return cmp.Or(cmp.Compare(a.Path, b.Path), slices.Index(methods, strings.ToLower(a.Method))-slices.Index(methods, strings.ToLower(b.Method)))
		})
		p.Groups = append(p.Groups, group{Name: strings.ReplaceAll(tag.Name, " ", "-"), Title: strings.ToUpper(tag.Name[:1]) + tag.Name[1:], Text: tag.Description, Operations: operations})
	}
	p.Found = p.All
	return p, nil
}

// view makes what is shown of one operation.
func (d *document) view(method, path string, shared []parameter, o operation) view {
	v := view{
		ID: o.ID, Method: strings.ToUpper(method), Path: path, Summary: o.Summary, Text: o.Description,
		Open: o.Security != nil && len(*o.Security) == 0,
	}
	for _, p := range slices.Concat(shared, o.Parameters) {
		if p.Ref != "" {
			p = d.Components.Parameters[p.name()]
		}
		v.Parameters = append(v.Parameters, row{Name: p.Name, In: p.In, Type: d.kind(p.Schema), Text: about(p.Description, p.Schema), Required: p.Required})
	}
	if o.RequestBody != nil {
		v.BodyRequired = o.RequestBody.Required
		for name, m := range o.RequestBody.Content {
			v.Media, v.Body = name, d.fields(m.Schema, "", 0)
			v.Example = indented(m.Example)
		}
	}
	for status, r := range o.Responses {
		if r.Ref != "" {
			r = d.Components.Responses[r.name()]
		}
		a := answer{Status: status}
		if code, err := strconv.Atoi(status); err == nil {
			a.Title = http.StatusText(code)
		}
		a.Text = strings.TrimPrefix(r.Description, a.Title+". ")
		for name, m := range r.Content {
			a.Media = name
			if strings.HasPrefix(status, "2") {
				a.Fields = d.fields(m.Schema, "", 0)
			}
		}
		v.Answers = append(v.Answers, a)
	}
	slices.SortFunc(v.Answers, func(a, b answer) int { return cmp.Compare(a.Status, b.Status) })
	v.Curl = curl(v)
	v.search = strings.ToLower(strings.Join([]string{v.ID, v.Method, v.Path, v.Summary, v.Text}, "\n"))
	return v
}

// fields lists the fields of a schema, those of objects in it below them.
func (d *document) fields(s schema, prefix string, depth int) []row {
	s = d.resolve(s)
	if s.Items != nil {
		return d.fields(*s.Items, prefix, depth)
	}
	if depth >= maxDepth {
		return nil
	}
	names := make([]string, 0, len(s.Properties))
	for name := range s.Properties {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		first := func(name string) int {
			if slices.Contains(s.Required, name) {
				return 0
			}
			return 1
		}
		return cmp.Or(first(a)-first(b), cmp.Compare(a, b))
	})
	var rows []row
	for _, name := range names {
		property := s.Properties[name]
		text := about(cmp.Or(property.Description, d.resolve(property).Description), d.resolve(property))
		if strings.HasPrefix(text, "Older name of ") {
			continue
		}
		rows = append(rows, row{Name: prefix + name, Type: d.kind(property), Text: text, Depth: depth, Required: slices.Contains(s.Required, name)})
		rows = append(rows, d.fields(property, prefix+name+".", depth+1)...)
	}
	return rows
}

// resolve follows a reference; one that leads nowhere is an empty schema.
func (d *document) resolve(s schema) schema {
	for range maxDepth {
		if s.Ref == "" {
			return s
		}
		s = d.Components.Schemas[s.name()]
	}
	return schema{}
}

// kind says the type of a schema.
func (d *document) kind(s schema) string {
	s = d.resolve(s)
	text := fmt.Sprint(s.Type)
	if several, ok := s.Type.([]any); ok {
		words := make([]string, len(several))
		for i, one := range several {
			words[i] = fmt.Sprint(one)
		}
		text = strings.Join(words, " or ")
	}
	switch {
	case s.Type == nil:
		return "any"
	case s.Items != nil:
		return "array of " + d.kind(*s.Items)
	case s.Format != "":
		return text + " (" + s.Format + ")"
	}
	return text
}

// about is what is said of a parameter or field.
func about(text string, s schema) string {
	parts := []string{text}
	if len(s.Enum) > 0 {
		words := make([]string, len(s.Enum))
		for i, word := range s.Enum {
			words[i] = fmt.Sprintf("`%v`", word)
			if word == "" {
				words[i] = "empty"
			}
		}
		parts = append(parts, "One of "+strings.Join(words, ", ")+".")
	}
	if s.Default != nil {
		parts = append(parts, fmt.Sprintf("Default: `%v`.", s.Default))
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// indented writes an example for a reader: JSON with its lines, and text as it is.
func indented(example json.RawMessage) string {
	if len(example) == 0 {
		return ""
	}
	var value any
	if err := json.Unmarshal(example, &value); err != nil {
		return ""
	}
	if text, ok := value.(string); ok {
		return text
	}
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return ""
	}
	return string(text)
}

// curl is a command line that calls the operation.
func curl(v view) string {
	var line strings.Builder
	line.WriteString("curl")
	if v.Method != http.MethodGet {
		line.WriteString(" -X " + v.Method)
	}
	address := strings.NewReplacer("{name}", "team%2Fapp", "{", "", "}", "").Replace(v.Path)
	var query []string
	for _, p := range v.Parameters {
		if p.In == "query" && p.Required {
			query = append(query, p.Name+"="+strings.ToUpper(p.Name))
		}
	}
	if len(query) > 0 {
		address += "?" + strings.Join(query, "&")
	}
	line.WriteString(" \"$HEADWATER" + address + "\"")
	if !v.Open {
		line.WriteString(" \\\n  -H \"Authorization: Bearer $TOKEN\"")
	}
	if v.Media != "" {
		line.WriteString(" \\\n  -H 'Content-Type: " + v.Media + "' --data-binary @body.json")
	}
	return line.String()
}
