package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/config"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// appFlags returns a providers.hcl that allows the forge, and the flags of an
// App at it with its files in one folder.
func appFlags(t *testing.T, f *forgetest.TestForge) (dir string, args []string) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, "providers.hcl")
	block := "provider \"github-app\" {\n  host \"" + f.Host() + "\" {\n    scheme = \"http\"\n    allow_private = true\n  }\n}\n"
	require.NoError(t, os.WriteFile(file, []byte(block), 0o600))
	return dir, []string{
		"github-app", "create", "--config", file, "--host", f.Host(), "--owner", "acme",
		"--public-url", "https://git.example.com/base/", "--name", "Test",
		"--key-file", filepath.Join(dir, "app.pem"), "--secret-file", filepath.Join(dir, "app.secret"),
	}
}

// interactive is a command that a test talks to while it runs.
type interactive struct {
	in     io.WriteCloser
	lines  *bufio.Scanner // of standard output
	output strings.Builder
	stop   context.CancelFunc
	wait   func() error
}

func startCLI(t *testing.T, args ...string) *interactive {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	input, in := io.Pipe()
	out, output := io.Pipe()
	cmd := newRoot(noEnv)
	cmd.SetArgs(args)
	cmd.SetIn(input)
	cmd.SetOut(output)
	cmd.SetErr(io.Discard)
	ended := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		_ = output.Close()
		ended <- err
	}()
	c := &interactive{in: in, lines: bufio.NewScanner(out), stop: stop, wait: sync.OnceValue(func() error { return <-ended })}
	t.Cleanup(func() {
		stop()
		_ = in.Close()
		_ = out.Close()
		_ = c.wait()
	})
	return c
}

// until reads lines until one contains text, and returns that line.
func (c *interactive) until(t *testing.T, text string) string {
	t.Helper()
	for c.lines.Scan() {
		c.output.WriteString(c.lines.Text() + "\n")
		if strings.Contains(c.lines.Text(), text) {
			return strings.TrimSpace(c.lines.Text())
		}
	}
	require.Fail(t, "the output ended", "no %q in %s", text, c.output.String())
	return ""
}

// rest reads what is left and returns everything.
func (c *interactive) rest() string {
	for c.lines.Scan() {
		c.output.WriteString(c.lines.Text() + "\n")
	}
	return c.output.String()
}

// submit posts the form of a page, as the browser of the operator does, and
// returns where the host sends it.
func submit(t *testing.T, page string) string {
	t.Helper()
	action := regexp.MustCompile(`<form action="([^"]*)"`).FindStringSubmatch(page)
	manifest := regexp.MustCompile(`name="manifest" value="([^"]*)"`).FindStringSubmatch(page)
	require.NotNil(t, action, page)
	require.NotNil(t, manifest, page)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.PostForm(html.UnescapeString(action[1]), url.Values{"manifest": {html.UnescapeString(manifest[1])}})
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusFound, answer.StatusCode)
	return answer.Header.Get("Location")
}

func read(t *testing.T, address string) string {
	t.Helper()
	answer, err := http.Get(address)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(body)
}

// checkApp checks the files and the printed block: the server reads the block
// and finds the App's secrets through it.
func checkApp(t *testing.T, f *forgetest.TestForge, dir, output string) {
	t.Helper()
	made := f.CreatedApps()
	require.Len(t, made, 1)
	require.Equal(t, "acme", made[0].Owner)
	require.Equal(t, "https://git.example.com/base/webhooks/github-app", made[0].Manifest.HookAttributes.URL)
	require.NotContains(t, output, made[0].WebhookSecret)
	require.NotContains(t, output, "PRIVATE KEY")
	require.Contains(t, output, "/apps/test/installations/new")
	for _, name := range []string{"app.pem", "app.secret"} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
	key, err := os.ReadFile(filepath.Join(dir, "app.pem"))
	require.NoError(t, err)
	require.Equal(t, string(f.AppKey()), string(key))

	block := regexp.MustCompile(`(?s)     provider "github-app" \{.*?\n     \}\n`).FindString(output)
	require.NotEmpty(t, block, output)
	file := filepath.Join(dir, "printed.hcl")
	require.NoError(t, os.WriteFile(file, []byte(block), 0o600))
	cfg, err := config.Load(file, noEnv)
	require.NoError(t, err)
	require.Len(t, cfg.Providers, 1)
	require.JSONEq(t, `{"app_id": `+strconv.Itoa(forgetest.AppID)+`, "private_key_file": "`+filepath.Join(dir, "app.pem")+`"}`,
		string(cfg.Providers[0].Attributes))
	host := cfg.Providers[0].Hosts[0]
	require.Equal(t, f.Host(), host.Host)
	require.Len(t, host.WebhookSecrets, 1)
	require.Equal(t, made[0].WebhookSecret, host.WebhookSecrets[0].Reveal())
}

func TestGitHubAppCreate_browser(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{})
	dir, args := appFlags(t, f)
	c := startCLI(t, args...)
	page := c.until(t, "http://127.0.0.1:")
	require.Contains(t, read(t, submit(t, read(t, page))), "Test is made")
	output := c.rest()
	require.NoError(t, c.wait())
	checkApp(t, f, dir, output)
}

func TestGitHubAppCreate_paste(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{})
	dir, args := appFlags(t, f)
	c := startCLI(t, append(args, "--paste")...)
	address, ok := strings.CutPrefix(c.until(t, "data:text/html"), "data:text/html;charset=utf-8;base64,")
	require.True(t, ok)
	page, err := base64.StdEncoding.DecodeString(address)
	require.NoError(t, err)
	back := submit(t, string(page))
	require.True(t, strings.HasPrefix(back, pastedRedirect+"?"), back)
	c.until(t, "copy its address")
	_, err = io.WriteString(c.in, "https://github.com/settings/apps\n")
	require.NoError(t, err)
	c.until(t, "no code of GitHub in it")
	_, err = io.WriteString(c.in, back+"\n")
	require.NoError(t, err)
	output := c.rest()
	require.NoError(t, c.wait())
	checkApp(t, f, dir, output)
}

// TestGitHubAppCreate_givenUp holds that Ctrl-C leaves nothing behind.
func TestGitHubAppCreate_givenUp(t *testing.T) {
	t.Parallel()
	for _, extra := range [][]string{nil, {"--paste"}} {
		f := forgetest.StartForge(t, forgetest.ForgeOptions{})
		dir, args := appFlags(t, f)
		c := startCLI(t, append(args, extra...)...)
		c.until(t, "signed in to "+f.Host())
		c.stop()
		c.rest()
		require.ErrorContains(t, c.wait(), "given up")
		for _, name := range []string{"app.pem", "app.secret"} {
			require.NoFileExists(t, filepath.Join(dir, name))
		}
	}
}

func TestGitHubAppCreate_endOfInput(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{})
	dir, args := appFlags(t, f)
	_, _, err := runCLI(t, noEnv, append(args, "--paste")...)
	require.ErrorContains(t, err, "read the address")
	require.NoFileExists(t, filepath.Join(dir, "app.pem"))
}

func TestGitHubAppCreate_refuses(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{})
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no public URL":       {[]string{"--public-url", ""}, "--public-url is missing"},
		"public URL's scheme": {[]string{"--public-url", "git.example.com"}, "http or https URL with a host"},
		"public URL's user":   {[]string{"--public-url", "https://me:hunter2@git.example.com"}, "http or https URL with a host"},
		"host":                {[]string{"--host", "https://github.com"}, "--host"},
		"long name":           {[]string{"--name", strings.Repeat("a", 35)}, "1 to 34 characters"},
		"owner":               {[]string{"--owner", "a/b"}, "not the name of an organisation"},
		"page for everybody":  {[]string{"--page-listen", "0.0.0.0:0"}, "loopback"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, args := appFlags(t, f)
			_, _, err := runCLI(t, noEnv, append(args, test.args...)...)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "hunter2")
			var step *stepError
			require.ErrorAs(t, err, &step)
			require.True(t, step.usage)
			require.NoFileExists(t, filepath.Join(dir, "app.pem"))
		})
	}
	require.Zero(t, f.Count())
}

func TestGitHubAppCreate_overwritesNothing(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{})
	for _, name := range []string{"app.pem", "app.secret"} {
		dir, args := appFlags(t, f)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("precious"), 0o600))
		_, _, err := runCLI(t, noEnv, args...)
		require.ErrorContains(t, err, name+" exists and is not overwritten")
		kept, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, "precious", string(kept))
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, left, 2, "only providers.hcl and the file that was there")
	}
}
