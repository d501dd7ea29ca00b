package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/client"
)

// page is what every template gets.
type page struct {
	Base     string
	Version  string
	Title    string
	Nav      string // which part of the console it belongs to
	Session  *session
	Now      time.Time
	Done     string // what a form has just done
	Error    string // what a form could not do
	ReadOnly string // why the server takes no writes; "" if it does
	Body     any
}

// doneWords are what a page says after a form. A code leads to them, so that no link can
// put words of its own on a page.
var doneWords = map[string]string{
	"sync":       "A sync was asked for; how it goes is shown here.",
	"settings":   "The settings are changed; a sync applies them now.",
	"restored":   "The old commits are back on the branch that is named below.",
	"approved":   "The rewrite is approved; a sync follows the upstream now.",
	"dismissed":  "The rewrite is dismissed; the ref stays where it is.",
	"delivery":   "The delivery is sent again.",
	"ping":       "A ping is on its way to the webhook.",
	"session":    "The session is ended.",
	"paused":     "The mirror is paused. Resume it here when its upstream is to be followed again.",
	"resumed":    "The mirror follows its upstream again.",
	"upstream":   "The upstream is linked; a sync makes this repository equal to it now.",
	"detached":   "The link is cut. The content stays, and later pushes stay here.",
	"credential": "The credential is stored.",
	"tried":      "The credential is stored, and a sync tries it now; how that goes is shown here.",
	"unassigned": "The repository does not use the shared credential any more.",
	"undeleted":  "The repository is back, with all that it had.",
	"removed":    "The repository is removed for good.",
	"shared":     "The shared credential is stored. Repositories use it once it is assigned to them.",
	"rotated":    "The host took the new secret, which counts from now on.",
	"checked":    "The host was asked; what it said is below.",
	"webhook":    "The webhook is registered at the host again, with a new secret.",
	"readonly":   "The server is read-only: reads go on, writes are refused.",
	"writes":     "The server takes writes again.",
	"limits":     "The limits are changed. Syncs that a smaller one had stopped are tried again.",
	"bulk":       "Done for every repository that was chosen.",
}

// functions of templates.
func functions() template.FuncMap {
	return template.FuncMap{
		"ago":      ago,
		"seconds":  seconds,
		"stamp":    func(t any) string { return instant(t).Format("2006-01-02 15:04:05 UTC") },
		"iso":      func(t any) string { return instant(t).Format(time.RFC3339) },
		"bytes":    core.ByteSize,
		"count":    func(n int, noun string) string { return core.Count(n, noun) },
		"short":    func(id any) string { s := fmt.Sprint(id); return s[:min(len(s), 10)] },
		"refname":  refName,
		"millis":   func(ms int64) string { return took(time.Duration(ms) * time.Millisecond) },
		"took":     took,
		"list":     func(l []string) string { return strings.Join(l, "\n") },
		"percent":  func(part, whole int64) int64 { return part * 100 / max(whole, 1) },
		"word":     func(s any) string { return strings.ReplaceAll(fmt.Sprint(s), "_", " ") },
		"zero":     func(id any) bool { return strings.Trim(fmt.Sprint(id), "0") == "" },
		"nextstep": func(class core.ErrorClass, text string) string { return class.NextStep(text) },
		"describe": func(class core.ErrorClass, text string) string { return class.Describe(text) },
		"pretty": func(raw json.RawMessage) string {
			var b bytes.Buffer
			if json.Indent(&b, raw, "", "  ") != nil {
				return string(raw)
			}
			return b.String()
		},
		"sub64": func(a, b int64) int64 { return a - b },
		// What is said of reads of a copy that is too old; "" is the default.
		"freshnesses": func() []string {
			return []string{"", string(core.FreshServe), string(core.FreshRevalidate), string(core.FreshFail)}
		},
		"needword":    needWord,
		"runrefs":     runRefs,
		"why":         why,
		"lfspolicies": func() []string { return []string{"", string(core.LFSFollow), string(core.LFSHold)} },
		"lfsmodes": func() []string {
			return []string{"", string(core.LFSOnDemand), string(core.LFSMirror), string(core.LFSOff)}
		},
		"add":  func(a, b int) int { return a + b },
		"dict": dict,
		// query is part of an address that is put together as a text, as [template] escapes
		// by itself what stands in a link.
		"query": func(name, value string) string { return url.Values{name: {value}}.Encode() },
	}
}

// dict makes a map of pairs, for templates inside others.
func dict(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m
}

func instant(t any) time.Time {
	switch t := t.(type) {
	case time.Time:
		return t.UTC()
	case *time.Time:
		if t != nil {
			return t.UTC()
		}
	}
	return time.Time{}
}

// ago writes how long before now something was.
func ago(now time.Time, t any) string {
	at := instant(t)
	switch {
	case at.IsZero():
		return "never"
	case at.After(now):
		return "in " + core.Ago(at.Sub(now))
	}
	return core.Ago(now.Sub(at)) + " ago"
}

func seconds(d time.Duration) string { return core.Ago(d) }

func took(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return core.Ago(d)
}

// runRefs says what a run did to refs; "" for nothing.
func runRefs(run client.SyncRun) string {
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{run.RefsCreated, "new"}, {run.RefsUpdated - run.RefsForced, "moved"}, {run.RefsForced, "rewritten"}, {run.RefsDeleted, "deleted"}, {run.RefsHeld, "held"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	return strings.Join(parts, ", ")
}

// refName shortens the name of a ref as people say it.
func refName(name string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		if short, ok := strings.CutPrefix(name, prefix); ok {
			return short
		}
	}
	return name
}

// parseTemplates reads every page with the layout around it.
func parseTemplates() (map[string]*template.Template, error) {
	layout, err := template.New("layout.html").Funcs(functions()).ParseFS(files, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	all := map[string]*template.Template{}
	for _, name := range []string{"signin", "link", "error", "overview", "repositories", "repository", "settings", "compare", "upstream", "webhook", "credential", "credentials", "trash", "bulk", "hosts", "deliveries", "audit", "organisations"} {
		t, err := layout.Clone()
		if err != nil {
			return nil, err
		}
		if all[name], err = t.ParseFS(files, "templates/"+name+".html"); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// show writes a page.
func (c *Console) show(w http.ResponseWriter, r *http.Request, s *session, status int, name string, p page) error {
	p.Base, p.Session, p.Now = c.base, s, c.Clock.Now()
	p.Version = c.assets
	p.Done = cmp.Or(p.Done, doneWords[r.URL.Query().Get("done")])
	if s != nil {
		mode, err := c.Store.ReadOnly(r.Context())
		if err != nil {
			return err
		}
		if mode.On() {
			p.ReadOnly = mode.Sentence() + "; since " + mode.Since.UTC().Format("2006-01-02 15:04 UTC")
		}
	}
	var b bytes.Buffer
	if err := c.templates[name].ExecuteTemplate(&b, "layout.html", p); err != nil {
		return fmt.Errorf("write the page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // who asked has left
	return nil
}

// fail shows why there is no page.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, s *session, err error) {
	status := c.statusOf(err)
	text := refusal(err)
	if status >= http.StatusInternalServerError {
		c.Logger.Error("a page of the console failed", "path", r.Pattern, "error", err)
	}
	if err := c.show(w, r, s, status, "error", page{Title: http.StatusText(status), Body: text}); err != nil {
		c.Logger.Error("a page of the console failed", "error", err)
		http.Error(w, text, status)
	}
}

// done leads from a form to the page that shows what it did.
func (c *Console) done(w http.ResponseWriter, r *http.Request, path, code string) error {
	path, fragment, _ := strings.Cut(path, "#")
	mark := "?"
	if strings.Contains(path, "?") {
		mark = "&"
	}
	if fragment != "" {
		fragment = "#" + fragment
	}
	http.Redirect(w, r, c.base+path+mark+"done="+code+fragment, http.StatusSeeOther)
	return nil
}

// json answers with a plot.
func (c *Console) json(w http.ResponseWriter, body any) error {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // who asked has left
	return nil
}
