package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// upstream serves git's smart HTTP protocol, for reading, in this process. What
// it says comes from git upload-pack and is remembered, so that it does not take
// the cores of what is measured: thousands of names are one small repository
// that never changes. Other names have folders of their own, and git is asked
// each time.
type upstream struct {
	host    string // 127.0.0.1:PORT
	git     client
	still   string            // folder of every other name
	folders map[string]string // by name; nobody may change it
	server  *http.Server
	ended   chan struct{}

	mu     sync.Mutex
	said   map[string][]byte // answers about still, by what was asked
	listed map[string]time.Time
	count  int
}

// startUpstream serves the folders under http://HOST/open/NAME.git.
func (b *bench) startUpstream(still string, folders map[string]string) (*upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{
		host: l.Addr().String(), git: b.git, still: still, folders: folders, ended: make(chan struct{}),
		said: map[string][]byte{}, listed: map[string]time.Time{},
	}
	u.server = &http.Server{Handler: u, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(u.ended)
		_ = u.server.Serve(l) // ends by stop
	}()
	return u, nil
}

func (u *upstream) stop() {
	_ = u.server.Close()
	<-u.ended
}

func (u *upstream) url(name string) string { return "http://" + u.host + "/open/" + name + ".git" }

// forget starts the count of listings anew.
func (u *upstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.listed, u.count = map[string]time.Time{}, 0
}

// listings returns how many lists of refs were asked for since, and when the
// first of each name had been answered.
func (u *upstream) listings() (count int, first map[string]time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	first = make(map[string]time.Time, len(u.listed))
	for name, at := range u.listed {
		first[name] = at
	}
	return u.count, first
}

// ServeHTTP serves one request of git's. There is no API.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, isRepo := strings.CutPrefix(r.URL.Path, "/open/")
	name, service, ok := strings.Cut(path, ".git/")
	if !isRepo || !ok {
		http.NotFound(w, r)
		return
	}
	var body []byte
	var kind string
	switch {
	case r.Method == http.MethodGet && service == "info/refs" && r.URL.Query().Get("service") == "git-upload-pack":
		kind = "advertisement"
	case r.Method == http.MethodPost && service == "git-upload-pack":
		kind = "result"
		var err error
		if body, err = requestBody(r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	default:
		http.NotFound(w, r)
		return
	}
	answer, err := u.answer(r.Context(), name, kind, r.Header.Get("Git-Protocol"), body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-"+kind)
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(answer)
	if bytes.Contains(body, []byte("command=ls-refs")) {
		u.note(name)
	}
}

func (u *upstream) note(name string) {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.count++
	if _, ok := u.listed[name]; !ok {
		u.listed[name] = now
	}
}

// requestBody reads what git may have compressed.
func requestBody(r *http.Request) ([]byte, error) {
	if r.Header.Get("Content-Encoding") != "gzip" {
		return io.ReadAll(r.Body)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// answer returns what git says, now or earlier.
func (u *upstream) answer(ctx context.Context, name, kind, protocol string, body []byte) ([]byte, error) {
	if dir, ok := u.folders[name]; ok {
		return u.ask(ctx, dir, kind, protocol, body)
	}
	key := fmt.Sprintf("%s %s %x", kind, protocol, sha256.Sum256(body))
	u.mu.Lock()
	said, ok := u.said[key]
	u.mu.Unlock()
	if ok {
		return said, nil
	}
	said, err := u.ask(ctx, u.still, kind, protocol, body)
	if err == nil {
		u.mu.Lock()
		u.said[key] = said
		u.mu.Unlock()
	}
	return said, err
}

// ask runs git upload-pack as git http-backend does.
func (u *upstream) ask(ctx context.Context, dir, kind, protocol string, body []byte) ([]byte, error) {
	args := []string{"upload-pack", "--stateless-rpc"}
	var answer bytes.Buffer
	if kind == "advertisement" {
		args = append(args, "--http-backend-info-refs")
		if !strings.Contains(protocol, "version=2") {
			answer.WriteString("001e# service=git-upload-pack\n0000")
		}
	}
	cmd := exec.CommandContext(ctx, "git", append(args, dir)...)
	cmd.Env = append(u.git.env(), "GIT_PROTOCOL="+protocol)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(body), &answer, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("git upload-pack: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	return answer.Bytes(), nil
}

// listRemote runs git ls-remote as a program that polls would, and returns the
// wall and CPU time of its processes.
func (b *bench) listRemote(ctx context.Context, url string) (wall, cpu time.Duration, err error) {
	cmd := exec.CommandContext(ctx, "git", "ls-remote", "--heads", "--tags", url)
	cmd.Env = b.git.env()
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return 0, 0, fmt.Errorf("git ls-remote: %w", err)
	}
	return time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// writtenBy returns the bytes that a process has written to files so far, and
// in how many calls.
func writtenBy(pid int) (written, calls int64, err error) {
	raw, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "io"))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(raw)) {
		var n int64
		if _, err := fmt.Sscanf(line, "write_bytes: %d", &n); err == nil {
			written = n
		} else if _, err := fmt.Sscanf(line, "syscw: %d", &n); err == nil {
			calls = n
		}
	}
	if calls == 0 {
		return 0, 0, errors.New("the kernel does not tell what the server writes")
	}
	return written, calls, nil
}
