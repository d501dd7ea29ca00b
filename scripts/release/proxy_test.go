//go:build peers

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxied is a server behind a proxy.
type proxied struct {
	headwater, data string
	url             string // of the proxy, with the path
	cert            string // that the proxy has
	client          *http.Client
}

// TestReverseProxy runs the blocks of docs/reverse-proxy.md: only addresses, names and
// certificates are this machine's.
func TestReverseProxy(t *testing.T) {
	t.Parallel()
	headwater := build(t, "../..", "./server/cmd/headwater", "headwater")
	for _, proxy := range []struct {
		name  string
		start func(t *testing.T, conf string, port int, cert, key string)
	}{{"nginx", startNginx}, {"caddyfile", startCaddy}} {
		for n, path := range []string{"", "/git"} {
			t.Run(proxy.name+path, func(t *testing.T) {
				t.Parallel()
				port, backend := freePort(t), freePort(t)
				cert, key, roots := keyPair(t)
				p := proxied{
					headwater: headwater, data: filepath.Join(t.TempDir(), "data"), cert: cert,
					url:    fmt.Sprintf("https://127.0.0.1:%d%s", port, path),
					client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
				}
				daemon(t, nil, headwater, "serve", "--data", p.data, "--listen", "127.0.0.1:"+strconv.Itoa(backend),
					"--public-url", p.url, "--trusted-proxy", "127.0.0.1/32")
				conf := strings.ReplaceAll(block(t, proxy.name, n), "127.0.0.1:8080", "127.0.0.1:"+strconv.Itoa(backend))
				proxy.start(t, conf, port, cert, key)
				p.check(t)
			})
		}
	}
}

// startNginx runs nginx with a block of the page.
func startNginx(t *testing.T, conf string, port int, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	conf = strings.NewReplacer("listen 443 ssl", fmt.Sprintf("listen 127.0.0.1:%d ssl", port), "git.example.com", "127.0.0.1",
		"/etc/nginx/tls/fullchain.pem", cert, "/etc/nginx/tls/key.pem", key).Replace(conf)
	if !strings.HasPrefix(conf, "server") { // a location
		conf = fmt.Sprintf("server {\nlisten 127.0.0.1:%d ssl;\nssl_certificate %s;\nssl_certificate_key %s;\n%s}\n", port, cert, key, conf)
	}
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n"
	}
	text := user + "daemon off;\npid " + dir + "/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	name := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(name, []byte(text+conf+"}\n"), 0o600))
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary = "/usr/sbin/nginx"
	}
	daemon(t, nil, binary, "-p", dir, "-e", "stderr", "-c", name)
}

// startCaddy runs Caddy with a block of the page, with a certificate of this test in
// place of one by ACME.
func startCaddy(t *testing.T, conf string, port int, cert, key string) {
	t.Helper()
	name, brace, _ := strings.Cut(conf, " {\n")
	require.Contains(t, []string{"git.example.com", "example.com"}, name)
	text := fmt.Sprintf("{\nadmin off\nauto_https disable_redirects\nstorage file_system %s\n}\nhttps://127.0.0.1:%d {\ntls %s %s\n%s",
		t.TempDir(), port, cert, key, brace)
	file := filepath.Join(t.TempDir(), "Caddyfile")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	binary, err := exec.LookPath("caddy")
	require.NoError(t, err)
	daemon(t, nil, binary, "run", "--adapter", "caddyfile", "--config", file)
}

// run runs a command of ours through the proxy.
func (p proxied) run(t *testing.T, args ...string) string {
	t.Helper()
	return command(t, []string{"HEADWATER_DATA=" + p.data, "HEADWATER_SERVER=" + p.url, "HEADWATER_CA_FILE=" + p.cert}, p.headwater, args...)
}

// check does what a proxy can break: paths, large bodies in both directions, events.
func (p proxied) check(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		resp, err := p.client.Get(p.url + "/readyz")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	}, patience, 100*time.Millisecond)
	p.run(t, "repo", "create", "team/app") // its address in the API holds %2F
	require.Contains(t, p.run(t, "repo", "show", "team/app"), p.url+"/team/app.git", "what is shown begins with the public URL")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	follow := exec.CommandContext(ctx, p.headwater, "events", "--follow", "--json", "--server", p.url, "--data", p.data, "--ca-file", p.cert)
	out, err := follow.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, follow.Start())
	seen := make(chan string, 100)
	go func() {
		defer close(seen)
		for s := bufio.NewScanner(out); s.Scan(); {
			seen <- s.Text()
		}
	}()

	git := func(args ...string) {
		command(t, []string{"GIT_SSL_CAINFO=" + p.cert, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0"}, "git", args...)
	}
	work := filepath.Join(t.TempDir(), "work")
	git("init", "--quiet", "--initial-branch=main", work)
	content := make([]byte, 5<<20) // nginx's own limit is 1 MiB
	_, err = rand.Read(content)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(work, "large"), content, 0o600))
	git("-C", work, "add", "large")
	git("-C", work, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=Large")
	token := strings.TrimSpace(p.run(t, "token", "--repo", "team/app", "--scope", "git:write", "--ttl", "1h"))
	remote := strings.Replace(p.url, "https://", "https://t:"+token+"@", 1) + "/team/app.git"
	git("-C", work, "push", "--quiet", remote, "main")

	deadline := time.After(patience)
	for found := false; !found; {
		select {
		case line, ok := <-seen:
			require.True(t, ok, "the stream ended")
			found = strings.Contains(line, `"push"`)
		case <-deadline:
			t.Fatal("the event of the push did not come through while the stream was open")
		}
	}
	cancel()
	_ = follow.Wait()

	clone := filepath.Join(t.TempDir(), "clone")
	git("clone", "--quiet", remote, clone)
	got, err := os.ReadFile(filepath.Join(clone, "large"))
	require.NoError(t, err)
	require.Equal(t, len(content), len(got))
}
