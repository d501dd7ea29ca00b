package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/plugins/githubapp/setup"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

const (
	// githubAppProvider is the provider that the App is for.
	githubAppProvider = "github-app"
	githubHost        = "github.com"
	// pastedRedirect is where GitHub sends a browser that cannot come back to
	// the command: nothing listens there, and the address stays in the bar.
	pastedRedirect = "http://127.0.0.1:9/headwater"
	// maxPasted bounds the line that a person pastes, in bytes.
	maxPasted = 8 << 10
	// maxPastes bounds how often a wrong line is asked for again.
	maxPastes = 10
)

func newGitHubAppCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "github-app",
		Short: "Make the GitHub App that opens repositories at GitHub",
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(newGitHubAppCreateCommand())
	return cmd
}

// githubAppOptions are the flags of github-app create.
type githubAppOptions struct {
	publicURL, name, owner, host, config, instance string
	keyFile, secretFile, pageListen                string
	paste                                          bool
}

func newGitHubAppCreateCommand() *cobra.Command {
	var o githubAppOptions
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Walk through the making of a GitHub App",
		Long: `Make a GitHub App for this server: with the permissions contents (write),
metadata (read) and workflows (write), and with webhooks to the server.

The command prints the address of a page on this machine. Open it in a browser
that is signed in to GitHub, and confirm there; GitHub sends the browser back.
The private key and the webhook secret are written to files that only you can
read, and the block for providers.hcl is printed. No server is asked.

When the browser is on another machine, use --paste: it prints an address that
holds the whole page, and asks for the address that GitHub sends the browser to.
(Or forward a port: --page-listen 127.0.0.1:8901 and ssh -L 8901:127.0.0.1:8901.)

For GitHub Enterprise give --host, and --config when that host has a block in
providers.hcl.`,
		Example: `  headwater github-app create --public-url https://git.example.com --owner acme
  headwater github-app create --public-url https://git.example.com --paste
  headwater github-app create --public-url https://git.example.com --host github.example.org --config providers.hcl`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return createGitHubApp(cmd, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.publicURL, "public-url", "", "base URL of the server, as GitHub reaches it")
	f.StringVar(&o.name, "name", "", "name of the App, unique at the host (default: Headwater and the host of --public-url)")
	f.StringVar(&o.owner, "owner", "", "organisation at GitHub that will own the App (default: your own account)")
	f.StringVar(&o.host, "host", githubHost, "host of the App: GitHub, or a GitHub Enterprise server")
	f.StringVar(&o.config, "config", "", "providers.hcl with the block of --host (default: built-in providers only)")
	f.StringVar(&o.instance, "instance", githubAppProvider, "name of the provider instance that the App is for")
	f.StringVar(&o.keyFile, "key-file", "github-app.pem", "file for the private key; it must not exist")
	f.StringVar(&o.secretFile, "secret-file", "github-app.webhook-secret", "file for the webhook secret; it must not exist")
	f.StringVar(&o.pageListen, "page-listen", "127.0.0.1:0", "loopback address of the local page; port 0 takes a free one")
	f.BoolVar(&o.paste, "paste", false, "serve no page; take the address that GitHub sends the browser to from standard input")
	return cmd
}

// createGitHubApp makes an App and says what to do with it.
func createGitHubApp(cmd *cobra.Command, o githubAppOptions) (err error) {
	wanted, err := o.app()
	if err != nil {
		return err
	}
	files, err := reserveAppFiles(o.keyFile, o.secretFile)
	if err != nil {
		return err
	}
	// What was not filled goes: an empty key would stop the next attempt.
	defer func() { err = errors.Join(err, files.discard()) }()

	ctx, cancel := context.WithTimeout(cmd.Context(), setup.TimeLimit)
	defer cancel()
	var app setup.App
	if o.paste {
		app, err = pasteGitHubApp(ctx, cmd, wanted, files.keep)
	} else {
		app, err = browseGitHubApp(ctx, cmd, wanted, o.pageListen, files.keep)
	}
	switch {
	case err == nil:
	case errors.Is(err, context.DeadlineExceeded):
		return failf("run it again", "no App was made within %s", setup.TimeLimit)
	case errors.Is(err, context.Canceled):
		return failf("run it again; an App that GitHub has made already can be deleted there", "given up before an App was made")
	case providers.CodeOf(err) == providers.CodeInvalidArgument:
		return usagef("see: headwater github-app create --help", "%v", err)
	default:
		return wrapf(err, "run it again; an App that GitHub has made already can be deleted there", "make the App")
	}
	return o.report(cmd.OutOrStdout(), app, wanted.Host, files)
}

// app checks the flags and says what App is wanted.
func (o githubAppOptions) app() (setup.Options, error) {
	if o.publicURL == "" {
		return setup.Options{}, usagef("give the address that GitHub can reach the server at, like --public-url https://git.example.com", "--public-url is missing")
	}
	public, err := parsePublicURL(o.publicURL)
	if err != nil {
		return setup.Options{}, err
	}
	host, err := netguard.ParseHost(o.host)
	if err != nil {
		return setup.Options{}, usagef("give a host like github.example.org", "--host: %v", err)
	}
	policy, err := o.policy(host)
	if err != nil {
		return setup.Options{}, err
	}
	name := o.name
	if name == "" {
		name = "Headwater " + public.Hostname()
		name = name[:min(len(name), setup.MaxName)]
	}
	base := strings.TrimSuffix(public.String(), "/")
	return setup.Options{
		Host: policy, Organization: o.owner, Name: name, HomeURL: base,
		WebhookURL: base + "/webhooks/" + url.PathEscape(o.instance),
	}, nil
}

// policy returns how the host may be spoken to.
func (o githubAppOptions) policy(host string) (providers.HostPolicy, error) {
	cfg, err := loadProviders(o.config)
	if err != nil {
		return providers.HostPolicy{}, err
	}
	for _, p := range cfg.Providers {
		if p.Instance == o.instance {
			return providers.FindHost(p.Hosts, host), nil
		}
	}
	return providers.FindHost(nil, host), nil
}

// browseGitHubApp lets a browser on this machine go through the flow.
func browseGitHubApp(ctx context.Context, cmd *cobra.Command, wanted setup.Options, listen string, keep func(setup.App) error) (setup.App, error) {
	page, err := setup.Listen(ctx, listen)
	if err != nil {
		return setup.App{}, err
	}
	wanted.RedirectURL = page.RedirectURL()
	flow, err := setup.New(wanted)
	if err != nil {
		return setup.App{}, errors.Join(err, page.Close())
	}
	defer flow.Close()
	fmt.Fprintf(cmd.OutOrStdout(), `Open this page in a browser of this machine that is signed in to %s:

  %s

It is there until the App is made, for an hour at most. Ctrl-C gives up.
`, wanted.Host.Host, page.URL())
	return page.Serve(ctx, flow, keep)
}

// pasteGitHubApp lets a browser elsewhere go through the flow.
func pasteGitHubApp(ctx context.Context, cmd *cobra.Command, wanted setup.Options, keep func(setup.App) error) (setup.App, error) {
	wanted.RedirectURL = pastedRedirect
	flow, err := setup.New(wanted)
	if err != nil {
		return setup.App{}, err
	}
	defer flow.Close()
	address, err := flow.DataURL()
	if err != nil {
		return setup.App{}, err
	}
	fmt.Fprintf(cmd.OutOrStdout(), `Copy this line into the address bar of a browser that is signed in to %s:

%s

Confirm there. The browser ends at a page that cannot be reached, which is right:
copy its address, which begins with %s, and paste it here.
`, wanted.Host.Host, address, pastedRedirect)
	lines := readLines(ctx, cmd.InOrStdin())
	for range maxPastes {
		fmt.Fprint(cmd.OutOrStdout(), "Address: ")
		var line pastedLine
		select {
		case <-ctx.Done():
			return setup.App{}, ctx.Err()
		case line = <-lines:
		}
		if line.err != nil {
			return setup.App{}, fmt.Errorf("read the address: %w", line.err)
		}
		code, err := flow.Pasted(line.text)
		if err != nil {
			fmt.Fprintf(cmd.OutOrStdout(), "%v.\n", err)
			continue
		}
		app, err := flow.Convert(ctx, code)
		switch providers.CodeOf(err) {
		case "":
			return app, keep(app)
		case providers.CodeUnavailable, providers.CodeRateLimited:
			if ctx.Err() != nil {
				return setup.App{}, ctx.Err()
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%v. Paste it again after a while.\n", err)
		default:
			return setup.App{}, err
		}
	}
	return setup.App{}, errors.New("no line was the address that GitHub sends the browser to")
}

// pastedLine is a line of the input, or why there is no more.
type pastedLine struct {
	text string
	err  error
}

// readLines reads lines until the input or ctx ends. A read of a terminal
// cannot be interrupted: at Ctrl-C it ends with the process.
func readLines(ctx context.Context, in io.Reader) <-chan pastedLine {
	lines := make(chan pastedLine)
	send := func(l pastedLine) bool {
		select {
		case lines <- l:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, maxPasted)
		for scanner.Scan() {
			if !send(pastedLine{text: scanner.Text()}) {
				return
			}
		}
		err := scanner.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		send(pastedLine{err: err})
	}()
	return lines
}

// report prints what was made and what comes next.
func (o githubAppOptions) report(out io.Writer, app setup.App, policy providers.HostPolicy, files *appFiles) error {
	block, err := githubAppBlock(o.instance, app, policy, files)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nMade the GitHub App %q, id %d, on %s.\n\n  private key     %s\n", app.Name, app.ID, time.Now().Format(time.DateOnly), files.key.path)
	if app.WebhookSecret != "" {
		fmt.Fprintf(out, "  webhook secret  %s\n", files.secret.path)
	} else {
		fmt.Fprintf(out, "  webhook secret  none: set one on the App's settings page, and webhook_secret in providers.hcl\n")
	}
	install := app.InstallURL()
	if install == "" {
		install = "the App's page at " + policy.Host
	}
	fmt.Fprintf(out, `
Next:
  1. Put this into providers.hcl; a block of the host that is there already
     gets the line webhook_secret only.

%s
  2. Restart the server: headwater serve --config providers.hcl
  3. Install the App on the owners of your repositories:
     %s
  4. See that it works:
     headwater provider check %s --config providers.hcl --repo %s://%s/OWNER/REPO
`, indent(block, "     "), install, o.instance, policy.Scheme, policy.Host)
	return nil
}

// indent puts a prefix before each line that is not empty.
func indent(text, prefix string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line != "\n" {
			b.WriteString(prefix)
		}
		b.WriteString(line)
	}
	return b.String()
}
