package giteatest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// nginxSettings puts Gitea below a path as Gitea's documentation has it ("Reverse
// Proxies", nginx with a sub-path); there is nothing beside it. The time limits are for
// machines that are busy: a Gitea has taken more than nginx's minute for a push.
const nginxSettings = `daemon off;
pid {dir}/pid;
error_log stderr;
events {}
http {
access_log off;
client_body_temp_path {dir}/body;
proxy_temp_path {dir}/proxy;
fastcgi_temp_path {dir}/fastcgi;
uwsgi_temp_path {dir}/uwsgi;
scgi_temp_path {dir}/scgi;
server {
listen {host};
location / { return 404; }
location {path}/ {
client_max_body_size 512M;
rewrite ^ $request_uri;
rewrite ^{path}(/.*) $1 break;
proxy_pass http://{gitea}$uri;
proxy_read_timeout 600s;
proxy_send_timeout 600s;
proxy_set_header Connection $http_connection;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Host $http_host;
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Proto $scheme;
}
}
}
`

// nginx starts an nginx at [Server.Host], with Gitea below its path. stop ends it.
func (s *Server) nginx(t testing.TB) (stop func()) {
	t.Helper()
	dir := t.TempDir()
	text := strings.NewReplacer("{dir}", dir, "{host}", s.Host, "{path}", s.Path, "{gitea}", s.listen).Replace(nginxSettings)
	if os.Getuid() == 0 {
		text = "user root;\n" + text // its temporary folders are ours
	}
	settings := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(settings, []byte(text), 0o600))
	binary, err := exec.LookPath("nginx")
	if err != nil {
		binary = "/usr/sbin/nginx" // is not in the path of everybody
	}
	require.FileExists(t, binary, "nginx is missing; scripts/test installs it")
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary, "-p", dir, "-e", "stderr", "-c", settings)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = log.Close()
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("nginx says:\n%s", said)
		}
	}
	t.Cleanup(stop)
	return stop
}

// freeAddress returns an address that was free a moment ago.
func freeAddress(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
