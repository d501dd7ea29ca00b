package forgetest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxNegotiation bounds what a fetch request may send; want and have lines of
// a repository with a million refs fit.
const maxNegotiation = 128 << 20

// configPair is one key and value of git's configuration.
type configPair struct{ key, value string }

var _ http.Handler = (*Forge)(nil)

// ServeHTTP serves git and the host's API.
func (f *Forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !f.admit() {
		panic(http.ErrAbortHandler)
	}
	defer f.running.Done()

	if f.clockSkewed() {
		w.Header().Set("Date", f.clock().UTC().Format(http.TimeFormat))
	}
	rec := &Request{
		Time:        time.Now(),
		Method:      r.Method,
		Path:        r.URL.Path,
		Query:       r.URL.RawQuery,
		User:        f.userOf(r),
		Credential:  r.Header.Get("Authorization") != "" || r.Header.Get("PRIVATE-TOKEN") != "",
		GitProtocol: r.Header.Get("Git-Protocol"),
	}
	reply := &replyWriter{ResponseWriter: w, sends: func(status int) {
		f.amend(func() { rec.Status = status })
	}}
	path, service, ok := splitGitPath(r)
	if !ok {
		f.serveOther(reply, r, rec)
		return
	}
	rec.Repo = strings.TrimSuffix(path, ".git")
	body, err := readRequest(r, service, rec)
	f.record(rec)
	if err != nil {
		f.refuse(reply, answer{http.StatusBadRequest, err.Error()})
		return
	}
	x := f.faultFor(rec.Kind, rec.Repo)
	if f.disturb(reply, r, x) {
		return
	}
	reply.hold = x.DropReply || x.HalfReply || rec.Kind == KindDiscover || rec.Kind == KindListRefs || rec.Kind == KindPushDiscover
	before := f.find(rec.Repo)
	f.serveGit(reply, r, body, service, x, rec)
	if rec.Kind == KindPush && before != nil {
		f.announcePush(before, rec.Updates)
	}
	if x.DropReply {
		cut(reply)
	}
	if x.HalfReply {
		reply.held.Truncate(reply.held.Len() / 2)
	}
	if reply.hold {
		if reply.status == http.StatusOK && rec.Kind != KindPushDiscover {
			names := listedRefs(reply.held.Bytes())
			f.amend(func() { rec.Listed = names })
		}
		reply.release()
	}
}

// serveOther serves what is not git.
func (f *Forge) serveOther(w *replyWriter, r *http.Request, rec *Request) {
	rec.Kind = KindOther
	if f.isAPI(r.URL.Path) {
		rec.Kind = KindAPI
	}
	f.record(rec)
	x := f.faultFor(rec.Kind, "")
	if f.disturb(w, r, x) {
		return
	}
	w.hold = x.DropReply
	switch {
	case rec.Kind == KindAPI && f.limited(w):
	case rec.Kind == KindAPI && (f.serveHooks(w, r) || f.rules.api(f, w, r)):
	default:
		f.refuse(w, answer{http.StatusNotFound, "404 page not found"})
	}
	if x.DropReply {
		cut(w)
	}
}

// splitGitPath finds the repository and the service of a smart HTTP request.
func splitGitPath(r *http.Request) (path, service string, ok bool) {
	full := strings.TrimPrefix(r.URL.Path, "/")
	if path, ok = strings.CutSuffix(full, "/info/refs"); ok && r.Method == http.MethodGet {
		service = r.URL.Query().Get("service")
		return path, service, service == "git-upload-pack" || service == "git-receive-pack"
	}
	for _, service = range []string{"git-upload-pack", "git-receive-pack"} {
		if path, ok = strings.CutSuffix(full, "/"+service); ok && r.Method == http.MethodPost {
			return path, service, true
		}
	}
	return "", "", false
}

// readRequest reads as much of a request's body as tells its kind, writes it
// into the record and returns the whole body again.
func readRequest(r *http.Request, service string, rec *Request) (io.Reader, error) {
	if r.Method == http.MethodGet {
		rec.Kind = KindDiscover
		if service == "git-receive-pack" {
			rec.Kind = KindPushDiscover
		}
		return http.NoBody, nil
	}
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, fmt.Errorf("read gzip body: %w", err)
		}
		body = unzipped
	}
	packets := &pktReader{r: body}
	if service == "git-receive-pack" {
		rec.Kind = KindPush
		err := readPush(packets, rec)
		return io.MultiReader(bytes.NewReader(packets.seen), body), err
	}
	rec.Kind = KindFetch
	all, err := io.ReadAll(io.LimitReader(body, maxNegotiation))
	if err != nil {
		return nil, fmt.Errorf("read fetch request: %w", err)
	}
	packets.r = bytes.NewReader(all)
	for {
		line, err := packets.next()
		if err != nil {
			break // the end, or something for git to judge
		}
		text := strings.TrimSuffix(string(line), "\n")
		if text == "command=ls-refs" {
			rec.Kind = KindListRefs
		}
		if prefix, ok := strings.CutPrefix(text, "ref-prefix "); ok {
			rec.RefPrefixes = append(rec.RefPrefixes, prefix)
		}
		if rec.Kind == KindFetch && strings.HasPrefix(text, "want ") {
			break // nothing to learn from a long negotiation
		}
	}
	return bytes.NewReader(all), nil
}

// readPush reads the commands and push options that precede the pack.
func readPush(packets *pktReader, rec *Request) error {
	capabilities := ""
	for first := true; ; first = false {
		line, err := packets.next()
		if errors.Is(err, io.EOF) || (err == nil && line == nil) {
			break
		}
		if err != nil {
			return fmt.Errorf("read push commands: %w", err)
		}
		text := strings.TrimSuffix(string(line), "\n")
		if first {
			text, capabilities, _ = strings.Cut(text, "\x00")
		}
		fields := strings.SplitN(text, " ", 3)
		if len(fields) == 3 {
			rec.Updates = append(rec.Updates, RefUpdate{Old: fields[0], New: fields[1], Name: fields[2]})
		}
	}
	asked := strings.Fields(capabilities)
	rec.Atomic = slices.Contains(asked, "atomic")
	if !slices.Contains(asked, "push-options") || len(rec.Updates) == 0 {
		return nil
	}
	for {
		line, err := packets.next()
		if err != nil {
			return fmt.Errorf("read push options: %w", err)
		}
		if line == nil {
			return nil
		}
		rec.PushOptions = append(rec.PushOptions, strings.TrimSuffix(string(line), "\n"))
	}
}

// serveGit answers a smart HTTP request.
func (f *Forge) serveGit(w *replyWriter, r *http.Request, body io.Reader, service string, x Fault, rec *Request) {
	if f.redirect(w, r, rec.Repo) {
		return
	}
	repo := f.find(rec.Repo)
	if !f.authorize(w, r, repo, service == "git-receive-pack") {
		return
	}
	if x.EmptyListing && f.listNothing(w, r, rec.Kind, service) {
		return
	}
	config := []configPair{
		{"http.receivepack", "true"},
		{"http.getanyfile", "false"}, // hosts have no dumb HTTP
		{"safe.directory", "*"},
		{"core.hooksPath", os.DevNull}, // a process less than a hook that lets everything pass
		{"receive.autogc", "false"},
		{"receive.advertisePushOptions", strconv.FormatBool(f.rules.pushOptions)},
		{"uploadpack.allowFilter", "true"},
		{"uploadpack.allowAnySHA1InWant", "true"},
	}
	if f.rules.hiddenRefs != "" {
		config = append(config, configPair{"receive.hideRefs", f.rules.hiddenRefs})
	}
	env := f.env
	if rec.Kind == KindPush {
		folder, err := os.MkdirTemp(f.dir, "decision-")
		if err != nil {
			f.refuse(w, answer{http.StatusInternalServerError, err.Error()})
			return
		}
		defer os.RemoveAll(folder)
		rules, err := decide(append(repo.refusals, f.rules.always), rec.Updates).write(folder, f.hooks, rec.Updates)
		if err != nil {
			f.refuse(w, answer{http.StatusInternalServerError, err.Error()})
			return
		}
		config = append(config, rules...)
		env = append(slices.Clip(env), "FORGE_DECISION="+folder)
	}
	if rec.Kind != KindDiscover && rec.Kind != KindListRefs {
		f.runBackend(w, r, body, repo, service, config, env)
		return
	}
	asked, err := io.ReadAll(body) // readRequest has bounded it
	if err != nil {
		f.refuse(w, answer{http.StatusBadRequest, err.Error()})
		return
	}
	request := strings.Join([]string{r.Method, r.URL.RawQuery, r.Header.Get("Git-Protocol"), string(asked)}, "\x00")
	f.listings.serve(w, filepath.Join(f.root, f.replicaOf(repo)), request, func(w http.ResponseWriter) {
		f.runBackend(w, r, bytes.NewReader(asked), repo, service, config, env)
	})
}

// redirect answers for a repository that has moved.
func (f *Forge) redirect(w http.ResponseWriter, r *http.Request, path string) bool {
	f.mu.Lock()
	to, moved := f.moved[f.key(path)]
	_, taken := f.repos[f.key(path)]
	f.mu.Unlock()
	outside := strings.Contains(to, "://")
	if !moved || (taken && !outside) {
		return false
	}
	status := http.StatusFound
	if !outside {
		to, status = f.CloneURL(to), http.StatusMovedPermanently
	}
	rest := strings.TrimPrefix(r.URL.RequestURI(), "/"+path)
	rest = strings.TrimPrefix(rest, ".git")
	w.Header().Set("Location", to+rest)
	w.WriteHeader(status)
	return true
}

// listNothing lists no refs to a request that asks for a listing.
func (f *Forge) listNothing(w http.ResponseWriter, r *http.Request, kind Kind, service string) bool {
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	switch {
	case kind == KindListRefs:
		header.Set("Content-Type", "application/x-git-upload-pack-result")
		_, _ = io.WriteString(w, "0000")
	case kind == KindDiscover && !strings.Contains(r.Header.Get("Git-Protocol"), "version=2"), kind == KindPushDiscover:
		header.Set("Content-Type", "application/x-"+service+"-advertisement")
		zero := strings.Repeat("0", 40)
		_, _ = io.WriteString(w, pktLine("# service="+service+"\n")+"0000"+
			pktLine(zero+" capabilities^{}\x00report-status delete-refs side-band-64k ofs-delta\n")+"0000")
	default:
		return false
	}
	return true
}

// replyWriter reports the status of an answer before the client can see it,
// and holds the answer back if the test wants so.
type replyWriter struct {
	http.ResponseWriter
	sends  func(status int)
	hold   bool
	status int
	held   bytes.Buffer
}

func (w *replyWriter) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if !w.hold {
		w.sends(status)
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *replyWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.hold {
		return w.held.Write(p)
	}
	n, err := w.ResponseWriter.Write(p)
	if err == nil {
		// Progress must arrive while it is news.
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
	return n, err
}

// release sends what was held.
func (w *replyWriter) release() {
	if w.status == 0 {
		return
	}
	w.sends(w.status)
	w.ResponseWriter.WriteHeader(w.status)
	_, _ = w.ResponseWriter.Write(w.held.Bytes())
}
