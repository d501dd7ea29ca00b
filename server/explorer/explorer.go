package explorer

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"

	"github.com/headwater-git/headwater/docs"
)

//go:embed page.html page.css docs.html
var files embed.FS

const (
	pagePath  = "/api"
	stylePath = "/api/explorer.css"
	listPath  = "/llms.txt"
	docsPath  = "/docs/"
	// maxQuery is how much of a search is looked for, in bytes.
	maxQuery = 200
)

// policy lets a page load the style of this server and nothing else.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// Match reports whether a request is for what this package serves.
func Match(r *http.Request) bool {
	switch r.URL.Path {
	case pagePath, pagePath + "/", stylePath, listPath, strings.TrimSuffix(docsPath, "/"):
		return true
	}
	return strings.HasPrefix(r.URL.Path, docsPath)
}

// New returns the handler of everything that [Match] matches. document returns the
// OpenAPI document; it is called once, when the page is first asked for.
func New(document func() []byte) http.Handler {
	// Anybody may ask for the page, as often as they like, and to make it takes a
	// processor for a tenth of a second.
	once := sync.OnceValues(func() (made, error) { return makePage(document()) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			header.Set("Allow", "GET, HEAD")
			http.Error(w, "this page is only read", http.StatusMethodNotAllowed)
			return
		}
		switch r.URL.Path {
		case pagePath + "/":
			header.Set("Location", "../api")
			w.WriteHeader(http.StatusPermanentRedirect)
		case pagePath:
			m, err := once()
			if err != nil {
				http.Error(w, "the document of the API cannot be read", http.StatusInternalServerError)
				return
			}
			m.serve(w, r)
		case strings.TrimSuffix(docsPath, "/"):
			header.Set("Location", "docs/") // relative, since a proxy may have the server below a path
			w.WriteHeader(http.StatusPermanentRedirect)
		case docsPath:
			page, err := index()
			if err != nil {
				http.Error(w, "the list of the documents cannot be read", http.StatusInternalServerError)
				return
			}
			serve(w, r, "text/html; charset=utf-8", page)
		case stylePath:
			serveFile(w, r, files, "page.css", "text/css; charset=utf-8")
		case listPath:
			serveFile(w, r, docs.Files, "llms.txt", "text/plain; charset=utf-8")
		default:
			name := strings.TrimPrefix(r.URL.Path, docsPath)
			if path.Ext(name) != ".md" {
				http.NotFound(w, r)
				return
			}
			serveFile(w, r, docs.Files, name, "text/markdown; charset=utf-8")
		}
	})
}

// made is the page as it is served.
type made struct {
	page  page
	whole []byte // the page without a search
}

// makePage makes the page of a document.
func makePage(document []byte) (made, error) {
	p, err := parse(document)
	if err != nil {
		return made{}, err
	}
	if err := p.render(); err != nil {
		return made{}, err
	}
	var whole bytes.Buffer
	err = templates().Execute(&whole, p)
	return made{p, whole.Bytes()}, err
}

// serve answers with the page, or with what a search leaves of it.
func (m made) serve(w http.ResponseWriter, r *http.Request) {
	const media = "text/html; charset=utf-8"
	found := m.page.search(r.URL.Query().Get("q"))
	if found.Query == "" {
		serve(w, r, media, m.whole)
		return
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Cache-Control", "no-cache")
	// Without a copy of its own: a search may find everything, and its reader be slow.
	// What fails is the connection, since the template was executed before.
	_ = templates().Execute(w, found)
}

// render makes the HTML of each operation.
func (p page) render() error {
	for _, g := range p.Groups {
		for i := range g.Operations {
			var text bytes.Buffer
			if err := templates().ExecuteTemplate(&text, "operation", g.Operations[i]); err != nil {
				return err
			}
			g.Operations[i].Rendered = template.HTML(text.String()) //nolint:gosec // made by the template
		}
	}
	return nil
}

// serveFile answers with an embedded file.
func serveFile(w http.ResponseWriter, r *http.Request, files fs.FS, name, media string) {
	text, err := fs.ReadFile(files, name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	serve(w, r, media, text)
}

// serve answers with a text that stays the same while the program does.
func serve(w http.ResponseWriter, r *http.Request, media string, text []byte) {
	sum := sha256.Sum256(text)
	header := w.Header()
	header.Set("Content-Type", media)
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
}

// search leaves the operations that have every word of a query.
func (p page) search(query string) page {
	p.Query = strings.TrimSpace(query[:min(len(query), maxQuery)])
	words := strings.Fields(strings.ToLower(p.Query))
	if len(words) == 0 {
		return p
	}
	groups := p.Groups
	p.Groups, p.Found = nil, 0
	for _, g := range groups {
		var found []view
		for _, v := range g.Operations {
			fits := true
			for _, word := range words {
				fits = fits && strings.Contains(v.search, word)
			}
			if fits {
				found = append(found, v)
			}
		}
		if len(found) > 0 {
			g.Operations = found
			p.Groups, p.Found = append(p.Groups, g), p.Found+len(found)
		}
	}
	return p
}

// render writes Markdown as HTML; what it has of HTML is left out by goldmark.
var render = sync.OnceValue(func() func(text string) (template.HTML, error) {
	markdown := goldmark.New(goldmark.WithExtensions(extension.Table))
	return func(text string) (template.HTML, error) {
		var out bytes.Buffer
		err := markdown.Convert([]byte(text), &out)
		return template.HTML(out.String()), err //nolint:gosec // made of the documents of this program, without the HTML in them
	}
})

// templates returns the templates of the pages.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page.html").Funcs(template.FuncMap{
		"markdown": render(),
		"lower":    strings.ToLower,
	}).ParseFS(files, "page.html", "docs.html"))
})
