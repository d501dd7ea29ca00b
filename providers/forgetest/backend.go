package forgetest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// backendGrace is how long a git of the forge may stay after its client has left.
const backendGrace = 10 * time.Second

// runBackend answers a smart HTTP request as git http-backend does (http-backend.c),
// which costs a process more for every one of them: it starts git upload-pack or git
// receive-pack itself, over the real repository.
func (f *Forge) runBackend(w http.ResponseWriter, r *http.Request, body io.Reader, repo *forgeRepo, service string, config []configPair, env []string) {
	folder := repo.folder
	if service == "git-upload-pack" {
		folder = f.replicaOf(repo)
	}
	dir := filepath.Join(f.root, folder)
	format, err := os.ReadFile(filepath.Join(dir, "config"))
	if err != nil {
		f.refuse(w, answer{http.StatusNotFound, "Not a git repository: '" + folder + "'"})
		return
	}
	protocol := r.Header.Get("Git-Protocol")
	env = append(withConfig(env, config), "PATH="+os.Getenv("PATH"), "GIT_PROTOCOL="+protocol)
	short := strings.TrimPrefix(service, "git-")
	header := w.Header()
	for name, value := range map[string]string{ // hdr_nocache
		"Expires": "Fri, 01 Jan 1980 00:00:00 GMT", "Pragma": "no-cache", "Cache-Control": "no-cache, max-age=0, must-revalidate",
	} {
		header.Set(name, value)
	}
	if r.Method != http.MethodGet {
		if r.Header.Get("Content-Type") != "application/x-"+service+"-request" {
			f.refuse(w, answer{http.StatusUnsupportedMediaType, "Unsupported content type"})
			return
		}
		header.Set("Content-Type", "application/x-"+service+"-result")
		// --stateless-rpc: one request and one answer, without the listing before.
		f.stream(w, r, body, env, short, "--stateless-rpc", dir)
		return
	}
	header.Set("Content-Type", "application/x-"+service+"-advertisement")
	second := strings.Contains(protocol, "version=2") && service == "git-upload-pack"
	if !second {
		_, _ = io.WriteString(w, pktLine("# service="+service+"\n")+"0000")
	}
	// --http-backend-info-refs: the answer to GET info/refs alone.
	list := func(w io.Writer) { f.stream(w, r, http.NoBody, env, short, "--http-backend-info-refs", dir) }
	if second {
		capabilities.answer(w, os.Getenv("PATH")+"\x00"+protocol+"\x00"+string(format)+"\x00"+strings.Join(withConfig(nil, config), "\x00"), list)
		return
	}
	list(w)
}

// withConfig adds configuration of git's to an environment.
func withConfig(env []string, config []configPair) []string {
	env = append(append([]string(nil), env...), "GIT_CONFIG_COUNT="+strconv.Itoa(len(config)))
	for i, pair := range config {
		n := strconv.Itoa(i)
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+pair.key, "GIT_CONFIG_VALUE_"+n+"="+pair.value)
	}
	return env
}

// stream runs a git with a body, and writes what it prints as it comes. The git ends
// with its client, or with the forge.
func (f *Forge) stream(w io.Writer, r *http.Request, body io.Reader, env []string, args ...string) {
	cmd := exec.CommandContext(r.Context(), "git", args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = f.root, env, backendGrace
	if body != http.NoBody {
		cmd.Stdin = body
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return
	}
	if err := cmd.Start(); err != nil {
		return
	}
	if _, err := io.Copy(w, out); err != nil {
		_ = cmd.Process.Kill()
	}
	_ = cmd.Wait() // its answer says how it went
}

// capabilities are the answers to GET info/refs in protocol version 2, which name no
// ref: they depend on git and on configuration alone.
var capabilities advertisements

// advertisements are answers by what they depend on.
type advertisements struct {
	mu    sync.Mutex
	known map[string][]byte
}

// answer writes the answer of a key, which make makes once.
func (a *advertisements) answer(w io.Writer, key string, produce func(io.Writer)) {
	a.mu.Lock()
	text, ok := a.known[key]
	a.mu.Unlock()
	if !ok {
		var made bytes.Buffer
		produce(&made)
		text = made.Bytes()
		if bytes.HasSuffix(text, []byte("0000")) { // nobody left in the middle
			a.mu.Lock()
			if a.known == nil {
				a.known = map[string][]byte{}
			}
			a.known[key] = text
			a.mu.Unlock()
		}
	}
	_, _ = w.Write(text)
}

// emptyFiles are the files of an empty bare repository with the default branch main,
// as this process's git makes them: the first one costs a process, and no other.
var emptyFiles struct {
	mu    sync.Mutex
	known map[string][]byte
}

// initRepository makes an empty bare repository.
func (f *Forge) initRepository(folder string) error {
	emptyFiles.mu.Lock()
	defer emptyFiles.mu.Unlock()
	if emptyFiles.known == nil {
		// --template=: an empty one; no sample hooks, no info/exclude.
		if _, err := f.git(f.root, nil, "init", "--quiet", "--bare", "--initial-branch=main", "--template=", folder); err != nil {
			return err
		}
		known := map[string][]byte{}
		for _, name := range []string{"HEAD", "config"} {
			content, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil {
				return err
			}
			known[name] = content
		}
		if _, err := os.Stat(filepath.Join(folder, "reftable")); err != nil { // which has more files
			emptyFiles.known = known
		}
		return nil
	}
	for _, sub := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := os.MkdirAll(filepath.Join(folder, sub), 0o755); err != nil {
			return err
		}
	}
	var errs []error
	for name, content := range emptyFiles.known {
		errs = append(errs, os.WriteFile(filepath.Join(folder, name), content, 0o644)) //nolint:gosec // as git does
	}
	return errors.Join(errs...)
}
