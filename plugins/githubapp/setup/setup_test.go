package setup_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/githubapp/setup"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// form is the form of the start page.
type form struct {
	action   string
	manifest string
}

var (
	actionPattern   = regexp.MustCompile(`<form action="([^"]*)" method="post">`)
	manifestPattern = regexp.MustCompile(`<input type="hidden" name="manifest" value="([^"]*)">`)
)

// readForm reads the form as a browser does.
func readForm(t *testing.T, page string) form {
	t.Helper()
	action, manifest := actionPattern.FindStringSubmatch(page), manifestPattern.FindStringSubmatch(page)
	require.NotNil(t, action, page)
	require.NotNil(t, manifest, page)
	return form{action: html.UnescapeString(action[1]), manifest: html.UnescapeString(manifest[1])}
}

// browse opens a page, sends its form off, and goes wherever that leads.
func browse(t *testing.T, address string) (status int, last string) {
	t.Helper()
	_, page := get(t, address)
	f := readForm(t, page)
	response, err := http.PostForm(f.action, url.Values{"manifest": {f.manifest}})
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func get(t *testing.T, address string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

func optionsFor(f *forgetest.TestForge) setup.Options {
	return setup.Options{
		Host: f.HostPolicy(), Organization: "acme", Name: "Headwater <b>test</b>", HomeURL: "https://git.example.com",
		WebhookURL: "https://git.example.com/webhooks/github-app",
	}
}

// served is a page that is being served.
type served struct {
	page *setup.Page
	flow *setup.Flow
	kept []setup.App // valid after wait
	wait func() (setup.App, error)
	stop context.CancelFunc
}

func serve(t *testing.T, o setup.Options, keep func(setup.App) error) *served {
	t.Helper()
	page, err := setup.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	o.RedirectURL = page.RedirectURL()
	flow, err := setup.New(o)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	s := &served{page: page, flow: flow, stop: stop}
	var app setup.App
	var ended error
	done := make(chan struct{})
	go func() {
		defer close(done)
		app, ended = page.Serve(ctx, flow, func(a setup.App) error {
			s.kept = append(s.kept, a)
			if keep != nil {
				return keep(a)
			}
			return nil
		})
	}()
	s.wait = func() (setup.App, error) {
		<-done
		return app, ended
	}
	t.Cleanup(func() {
		stop()
		<-done
		flow.Close()
	})
	return s
}

func TestPage_Serve_makesAnApp(t *testing.T) {
	t.Parallel()
	for name, owner := range map[string]string{"organisation": "acme", "own account": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := forgetest.StartForge(t, forgetest.ForgeOptions{})
			o := optionsFor(f)
			o.Organization = owner
			s := serve(t, o, nil)
			status, last := browse(t, s.page.URL())
			require.Equal(t, http.StatusOK, status, last)
			require.Contains(t, last, "/installations/new")
			require.Contains(t, last, "Headwater &lt;b&gt;test&lt;/b&gt; is made")

			app, err := s.wait()
			require.NoError(t, err)
			require.EqualValues(t, forgetest.AppID, app.ID)
			require.Equal(t, string(f.AppKey()), app.PrivateKey.Reveal())
			require.Len(t, s.kept, 1)

			made := f.CreatedApps()
			require.Len(t, made, 1)
			require.Equal(t, made[0].WebhookSecret, app.WebhookSecret.Reveal())
			require.NotContains(t, last, made[0].WebhookSecret)
			require.NotContains(t, last, "PRIVATE KEY")
			m := made[0].Manifest
			require.Equal(t, "https://git.example.com/webhooks/github-app", m.HookAttributes.URL)
			require.True(t, *m.HookAttributes.Active)
			require.False(t, m.Public)
			require.Empty(t, cmp.Diff(map[string]string{"contents": "write", "metadata": "read", "workflows": "write"}, m.DefaultPermissions))
			require.Empty(t, cmp.Diff([]string{"push", "create", "delete", "repository"}, m.DefaultEvents))
			if owner != "" {
				require.Equal(t, owner, made[0].Owner)
			}
		})
	}
}

func TestPage_Serve_strangers(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{})
	s := serve(t, optionsFor(f), nil)
	root := strings.TrimSuffix(s.page.URL(), "/")
	root = root[:strings.LastIndex(root, "/")]
	for _, path := range []string{"/", "/created", "/favicon.ico", "/AAAA/created?code=x"} {
		status, _ := get(t, root+path)
		require.Equal(t, http.StatusNotFound, status, path)
	}
	// The right address with an App of somebody else.
	for _, query := range []string{"", "?code=abc", "?code=abc&state=", "?code=abc&state=wrong"} {
		status, text := get(t, s.page.RedirectURL()+query)
		require.Equal(t, http.StatusBadRequest, status, query)
		require.Contains(t, text, "state does not fit")
	}
	require.Zero(t, f.Count(), "a code without the state must not be exchanged")
	response, err := http.Post(s.page.URL(), "text/plain", nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "origin", "X-Content-Type-Options": "nosniff",
	} {
		require.Equal(t, want, response.Header.Get(name))
	}
	require.Contains(t, response.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'")

	s.stop()
	_, err = s.wait()
	require.ErrorIs(t, err, context.Canceled)
}

// TestPage_Serve_triesAgain holds that a host which fails does not cost the
// App: the code is still good.
func TestPage_Serve_triesAgain(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{})
	s := serve(t, optionsFor(f), nil)
	_, page := get(t, s.page.URL())
	posted := readForm(t, page)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.PostForm(posted.action, url.Values{"manifest": {posted.manifest}})
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	back := response.Header.Get("Location")
	require.Contains(t, back, "code=")

	f.FailNext(1, http.StatusBadGateway)
	status, text := get(t, back)
	require.Equal(t, http.StatusBadGateway, status)
	require.Contains(t, text, "Reload this page")
	status, _ = get(t, back)
	require.Equal(t, http.StatusOK, status)
	app, err := s.wait()
	require.NoError(t, err)
	require.EqualValues(t, forgetest.AppID, app.ID)
}

func TestPage_Serve_codeOfNoUse(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{})
	s := serve(t, optionsFor(f), nil)
	_, page := get(t, s.page.URL())
	action, err := url.Parse(readForm(t, page).action)
	require.NoError(t, err)
	status, _ := get(t, s.page.RedirectURL()+"?code=used&state="+action.Query().Get("state"))
	require.Equal(t, http.StatusBadGateway, status)
	_, err = s.wait()
	require.Equal(t, providers.CodeNotFound, providers.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "works once")
}

func TestPage_Serve_notKept(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{})
	full := errors.New("the disk is full")
	s := serve(t, optionsFor(f), func(setup.App) error { return full })
	status, text := browse(t, s.page.URL())
	require.Equal(t, http.StatusBadGateway, status)
	require.Contains(t, text, "the disk is full")
	_, err := s.wait()
	require.ErrorIs(t, err, full)
}

func TestListen_loopbackOnly(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:0", "127.0.0.1"} {
		_, err := setup.Listen(t.Context(), address)
		require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err), address)
	}
}

func TestFlow_Pasted(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{})
	o := optionsFor(f)
	o.RedirectURL = "http://127.0.0.1:9/headwater"
	flow, err := setup.New(o)
	require.NoError(t, err)
	t.Cleanup(flow.Close)
	address, err := flow.DataURL()
	require.NoError(t, err)
	encoded, ok := strings.CutPrefix(address, "data:text/html;charset=utf-8;base64,")
	require.True(t, ok)
	page, err := base64.StdEncoding.DecodeString(encoded)
	require.NoError(t, err)
	posted := readForm(t, string(page))
	var manifest forgetest.AppManifest
	require.NoError(t, json.Unmarshal([]byte(posted.manifest), &manifest))
	require.Equal(t, o.RedirectURL, manifest.RedirectURL)
	action, err := url.Parse(posted.action)
	require.NoError(t, err)
	state := action.Query().Get("state")

	for name, test := range map[string]struct {
		pasted, code string
		want         providers.Code
	}{
		"address":      {" http://127.0.0.1:9/headwater?code=abc123&state=" + state + "\r\n", "abc123", ""},
		"code":         {"abc123\n", "abc123", ""},
		"other state":  {"http://127.0.0.1:9/headwater?code=abc123&state=x", "", providers.CodePermissionDenied},
		"no code":      {"http://127.0.0.1:9/headwater?state=" + state, "", providers.CodeInvalidArgument},
		"nothing":      {"", "", providers.CodeInvalidArgument},
		"other path":   {"../installations", "", providers.CodeInvalidArgument},
		"long":         {strings.Repeat("a", 500), "", providers.CodeInvalidArgument},
		"no URL":       {"http://[::1?code=a", "", providers.CodeInvalidArgument},
		"code of path": {"http://x/?code=a%2Fb&state=" + state, "", providers.CodeInvalidArgument},
	} {
		code, err := flow.Pasted(test.pasted)
		require.Equal(t, test.want, providers.CodeOf(err), name)
		require.Equal(t, test.code, code, name)
	}
}

func TestFlow_HTML_escapes(t *testing.T) {
	t.Parallel()
	flow, err := setup.New(setup.Options{
		Host: providers.HostPolicy{Host: "github.com", Scheme: "https"},
		Name: `"><script>alert(1)</script>`, HomeURL: "https://git.example.com/?a=<i>&b='",
		WebhookURL: "https://git.example.com/webhooks/<x>", RedirectURL: "http://127.0.0.1:1/",
	})
	require.NoError(t, err)
	page, err := flow.HTML()
	require.NoError(t, err)
	require.NotContains(t, string(page), "<script")
	require.NotContains(t, string(page), "<x>")
	posted := readForm(t, string(page))
	require.True(t, strings.HasPrefix(posted.action, "https://github.com/settings/apps/new?state="), posted.action)
	var manifest forgetest.AppManifest
	require.NoError(t, json.Unmarshal([]byte(posted.manifest), &manifest))
	require.Equal(t, `"><script>alert(1)</script>`, manifest.Name)
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	good := setup.Options{
		Host: providers.HostPolicy{Host: "github.com", Scheme: "https"}, Name: "Headwater",
		HomeURL: "https://git.example.com", WebhookURL: "https://git.example.com/webhooks/github-app", RedirectURL: "http://127.0.0.1:1/",
	}
	_, err := setup.New(good)
	require.NoError(t, err)
	for name, edit := range map[string]func(*setup.Options){
		"no name":           func(o *setup.Options) { o.Name = " " },
		"long name":         func(o *setup.Options) { o.Name = strings.Repeat("a", 35) },
		"owner with slash":  func(o *setup.Options) { o.Organization = "a/b" },
		"webhook of a path": func(o *setup.Options) { o.WebhookURL = "/webhooks" },
		"home with a user":  func(o *setup.Options) { o.HomeURL = "https://me@git.example.com" },
		"redirect to ftp":   func(o *setup.Options) { o.RedirectURL = "ftp://127.0.0.1/" },
	} {
		o := good
		edit(&o)
		_, err := setup.New(o)
		require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err), name)
	}
}

// TestFlow_enterprise makes an App at a host with a certificate of its own.
func TestFlow_enterprise(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{TLS: true})
	o := optionsFor(f)
	o.Host.APIURL = "" // https://HOST/api/v3 is the rule
	o.RedirectURL = "http://127.0.0.1:9/headwater"
	flow, err := setup.New(o)
	require.NoError(t, err)
	t.Cleanup(flow.Close)
	_, err = flow.Convert(t.Context(), "unknown")
	require.Equal(t, providers.CodeNotFound, providers.CodeOf(err), "%v", err)
	requests := f.Requests()
	require.Equal(t, "/api/v3/app-manifests/unknown/conversions", requests[len(requests)-1].Path)
}
