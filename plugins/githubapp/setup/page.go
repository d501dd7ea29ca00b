package setup

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

const (
	// partingTime is how long the last answer may take to reach the browser.
	partingTime = 3 * time.Second
	// maxPageHeader bounds the head of a request, in bytes; codes are short.
	maxPageHeader = 16 << 10
)

// Page is a website on this machine, for one browser and one [Flow].
//
// Its address holds a random part: another user of this machine who could open
// the page would learn the flow's state, and could slip in an App of theirs.
type Page struct {
	listener net.Listener
	path     string // "/<random>/"
}

// Listen opens the socket of a page on a loopback address, like "127.0.0.1:0".
// Whoever calls it calls [Page.Serve] or [Page.Close].
// Errors: [providers.CodeInvalidArgument] for an address that others can reach.
func Listen(ctx context.Context, address string) (*Page, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, providers.Errorf(providers.CodeInvalidArgument, "%q is not an address like 127.0.0.1:0", address)
	}
	if !netguard.IsLoopback(host) {
		return nil, providers.Errorf(providers.CodeInvalidArgument, "the page may only listen on a loopback address like 127.0.0.1, not on %q", host)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("open the local page: %w", err)
	}
	return &Page{listener: listener, path: "/" + rand.Text() + "/"}, nil
}

// Close closes the socket of a page that is not served.
func (p *Page) Close() error { return p.listener.Close() }

// URL returns the address of the page.
func (p *Page) URL() string { return "http://" + p.listener.Addr().String() + p.path }

// RedirectURL returns where GitHub shall send the browser.
func (p *Page) RedirectURL() string { return p.URL() + "created" }

// visit is the serving of a page.
type visit struct {
	page *Page
	flow *Flow
	keep func(App) error
	ctx  context.Context // of the serving: an exchange outlives the browser's patience

	mu   sync.Mutex // one exchange at a time
	made *App       // nil until it is kept
	done chan error // its one value ends the serving
}

// Serve serves the page until an App is made and keep has taken it, or ctx
// ends; it closes the page. What can be tried again is said to the browser and
// does not end it. Errors: of keep and ctx, and [providers.CodeNotFound] when
// GitHub does not take its code.
func (p *Page) Serve(ctx context.Context, f *Flow, keep func(App) error) (App, error) {
	v := &visit{page: p, flow: f, keep: keep, ctx: ctx, done: make(chan error, 1)}
	server := &http.Server{
		Handler:           v,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		MaxHeaderBytes:    maxPageHeader,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(p.listener) }()
	var err error
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case err = <-v.done:
	case err = <-served:
		return App{}, fmt.Errorf("serve the local page: %w", err)
	}
	parting, cancel := context.WithTimeout(context.WithoutCancel(ctx), partingTime)
	defer cancel()
	if server.Shutdown(parting) != nil {
		_ = server.Close() // a browser that does not take its answer
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.made == nil {
		return App{}, err
	}
	return *v.made, nil // also when ctx ended at that moment: it is kept
}

// ServeHTTP serves the two pages there are.
func (v *visit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ours := strings.CutPrefix(r.URL.Path, v.page.path)
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	// The address holds secrets; GitHub gets the origin and nothing else.
	header.Set("Referrer-Policy", "origin")
	// No form-action: an Enterprise server may send the form on to its sign-in.
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	switch {
	case !ours || rest != "" && rest != "created":
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "this page can only be read", http.StatusMethodNotAllowed)
	case rest == "":
		page, err := v.flow.HTML()
		v.answer(w, http.StatusOK, page, err)
	case r.Method == http.MethodHead:
		w.WriteHeader(http.StatusNoContent) // it must not use up the code
	default:
		v.created(w, r)
	}
}

// created is the page that GitHub sends the browser to.
func (v *visit) created(w http.ResponseWriter, r *http.Request) {
	code, err := v.flow.Code(r.URL.Query())
	if err != nil {
		v.failed(w, http.StatusBadRequest, err, false)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.made == nil {
		app, err := v.flow.Convert(v.ctx, code)
		again := providers.CodeOf(err) != providers.CodeNotFound
		if err == nil {
			err, again = v.keep(app), false
		}
		if err != nil {
			v.failed(w, http.StatusBadGateway, err, again)
			if !again {
				v.end(err)
			}
			return
		}
		v.made = &app
	}
	var out bytes.Buffer
	err = donePage.Execute(&out, v.made)
	v.answer(w, http.StatusOK, out.Bytes(), err)
	v.end(nil)
}

// end ends the serving, the first time it is called.
func (v *visit) end(err error) {
	select {
	case v.done <- err:
	default:
	}
}

// failed says what went wrong, and whether to reload.
func (v *visit) failed(w http.ResponseWriter, status int, err error, again bool) {
	var out bytes.Buffer
	broken := failedPage.Execute(&out, map[string]any{"Message": err.Error(), "Again": again, "Start": v.page.path})
	v.answer(w, status, out.Bytes(), broken)
}

func (v *visit) answer(w http.ResponseWriter, status int, page []byte, err error) {
	if err != nil {
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page) // the browser has gone
}
