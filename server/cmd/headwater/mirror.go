package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers"
	rest "github.com/headwater-git/headwater/server/client"
)

// upstreamOptions are the flags of commands that link a repository to an
// upstream.
type upstreamOptions struct {
	connectOptions
	username, passwordFile, provider, branch string
	tolerate                                 []string
}

func bindUpstream(cmd *cobra.Command, o *upstreamOptions) {
	bindConnect(cmd, &o.connectOptions)
	f := cmd.Flags()
	f.StringVar(&o.username, "username", "", "user name at the host, if it wants one beside the token")
	f.StringVar(&o.passwordFile, "password-file", "", "file with the password or token; - reads standard input")
	f.StringVar(&o.provider, "provider", "", "provider of the host, like gitea or github-public")
	f.StringVar(&o.branch, "default-branch", "", "default branch (default: the upstream's)")
	bindTolerate(f, &o.tolerate)
}

// prepare connects, takes the path that the host is below from the upstream's, and
// returns what to send of the upstream and its credential, whose secret is empty if
// none is given.
func (o *upstreamOptions) prepare(cmd *cobra.Command, up *upstreamRef) (c *client, base rest.BaseRepoRequest, secret providers.Secret, err error) {
	if o.username == "" {
		o.username = up.User
	}
	if secret, err = readSecret(cmd, o.passwordFile); err != nil {
		return nil, base, "", err
	}
	if c, err = o.connect(); err != nil {
		return nil, base, "", err
	}
	if *up, err = c.belowBasePath(cmd.Context(), *up); err != nil {
		return nil, base, "", err
	}
	base, err = upstreamRequest(cmd.Context(), c, *up, o.provider, o.passwordFile != "")
	return c, base, secret, err
}

// mirrorOptions are the flags of mirror.
type mirrorOptions struct {
	upstreamOptions
	allOptions
	id string
}

func newMirrorCommand() *cobra.Command {
	var o mirrorOptions
	cmd := &cobra.Command{
		Use:   "mirror URL",
		Short: "Mirror a repository from its host",
		Long: `Create a synced repository on a running server, store the credential of its
host if one is given, pull it for the first time and follow that pull. Said again
of the same upstream, it replaces the credential and brings the mirror up to date.

github.com, gitlab.com, bitbucket.org, codeberg.org and git.sr.ht are known by
name. For another host the server looks for a provider in providers.hcl that
names it; --provider says it outright. A password or token comes from a file,
or from standard input with --password-file -, and never from the command line.

With --all, URL is that of an organisation, a group with all groups below it, a
workspace or a user. What it has is listed and planned first; then the server makes
what is missing, named by the path below the owner. Said again, it goes on where it
was. With --follow the server looks again every 15 minutes; a repository that
vanishes at the host is never deleted here.`,
		Example: `  # A public repository
  headwater mirror https://github.com/octocat/Hello-World

  # A private one, with a token kept in a file
  headwater mirror https://gitlab.com/group/sub/app --password-file ~/.secrets/gitlab

  # Your own Gitea, under another name
  headwater mirror https://git.example.org/team/app --provider gitea --id app \
      --username river --password-file ./token

  # All of a group, with one credential for all of them, but for its sandbox
  headwater credential create acme https://gitlab.com/acme --password-file ./token
  headwater mirror --all https://gitlab.com/acme --credential acme --exclude 'sandbox/**' --follow`,
		Args: exactArgs("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.allOptions.check(cmd); err != nil {
				return err
			}
			if o.all {
				return mirrorAll(cmd, o, args[0])
			}
			return mirror(cmd, o, args[0])
		},
	}
	bindUpstream(cmd, &o.upstreamOptions)
	bindAll(cmd, &o.allOptions)
	cmd.Flags().StringVar(&o.id, "id", "", "name of the repository here (default: OWNER/NAME of the URL)")
	return cmd
}

// mirror creates, authorises, pulls and follows.
func mirror(cmd *cobra.Command, o mirrorOptions, address string) error {
	ctx, out := cmd.Context(), forPeople(cmd)
	up, err := parseUpstream(address)
	if err != nil {
		return err
	}
	if err := checkName(o.name(up)); err != nil {
		return err
	}
	c, base, secret, err := o.prepare(cmd, &up)
	if err != nil {
		return err
	}
	name := o.name(up)
	fmt.Fprintf(out, "Mirroring %s as %s\n", up, name)
	request := rest.CreateRepositoryRequest{DefaultBranch: optional(o.branch), BaseRepo: &base}
	_, err = c.CreateRepository(ctx, nil, request, c.as(name, access.RepoWrite))
	if o.provider == "" && *base.Provider == "github" && isStatus(err, http.StatusPreconditionFailed) {
		fmt.Fprintln(out, "  no GitHub App is configured: mirroring it as a public, read-only repository")
		readPublicly(&base)
		_, err = c.CreateRepository(ctx, nil, request, c.as(name, access.RepoWrite))
	}
	if isStatus(err, http.StatusConflict) {
		same, err := c.follows(ctx, name, up)
		if err != nil {
			return err
		}
		if !same {
			return failf("choose another name with --id, or have it follow this upstream: headwater repo repoint "+core.ShellArg(name)+" "+address,
				"the repository %s exists already, and does not follow %s", name, up)
		}
		fmt.Fprintln(out, "  it is mirrored already: bringing it up to date")
	} else if err != nil {
		return c.explain(err, "create the repository "+name)
	}
	if err := c.tolerate(ctx, name, o.tolerate); err != nil {
		return err
	}
	if o.passwordFile != "" {
		if err := c.setCredential(ctx, name, o.username, o.username != "", secret); err != nil {
			return c.explain(err, "store the credential of "+name)
		}
		fmt.Fprintln(out, "  credential stored, encrypted")
	}
	pull, err := c.PullUpstream(ctx, name, rest.PullUpstreamRequest{}, c.as(name, access.GitWrite))
	if err != nil {
		return c.explain(err, "start the first sync of "+name)
	}
	synced, err := follow(ctx, c, name, pull.Wanted, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	clone := c.cloneURL(name, synced.HTTPURL)
	if err := answer(cmd, synced, "Done. %s is at %s", name, clone); err != nil || wantsJSON(cmd) {
		return err
	}
	return printCloneHint(cmd, o.connectOptions, clone)
}

// name returns the name that the mirror of an upstream gets.
func (o mirrorOptions) name(up upstreamRef) string {
	if o.id != "" {
		return o.id
	}
	return up.DefaultID()
}

func checkName(name string) error {
	if err := core.ValidateRepositoryName(name); err != nil {
		return wrapf(err, "choose a name with --id NAME", "cannot name the repository %q", name)
	}
	return nil
}

// follows reports whether a repository has the upstream.
func (c *client) follows(ctx context.Context, name string, up upstreamRef) (bool, error) {
	r, err := c.GetRepository(ctx, name, c.as(name, access.GitRead))
	if err != nil {
		return false, c.explain(err, "look at the repository "+name)
	}
	b := r.BaseRepo
	if b == nil {
		return false, nil
	}
	return strings.EqualFold(b.UpstreamHost, up.Host) && strings.EqualFold(b.Owner+"/"+b.Name, up.Owner+"/"+up.Name), nil
}

// cloneURL returns the address to clone a repository from: the one of the server's
// answer or, since a server without a public URL may answer with none, one made of
// the address that the command itself uses.
func (c *client) cloneURL(name, answered string) string {
	if answered != "" {
		return answered
	}
	return c.base.JoinPath(core.RemotePath(name)).String()
}

// upstreamRequest chooses the provider of an upstream.
func upstreamRequest(ctx context.Context, c *client, up upstreamRef, provider string, hasCredential bool) (rest.BaseRepoRequest, error) {
	base := rest.BaseRepoRequest{Owner: &up.Owner, Name: up.Name}
	var kind string
	public := false
	switch known, ok := knownHosts()[up.Host]; {
	case provider != "":
		kind, public = wireName(provider)
		if !ok || known != kind {
			base.UpstreamHost = &up.Host
		}
	case ok:
		kind = known
		if known == "github" && hasCredential {
			return base, usagef("configure a GitHub App in providers.hcl for private repositories, or leave the credential out for a public one",
				"github.com takes no stored password here")
		}
	default:
		instance, err := c.providerForHost(ctx, up.Host)
		if err != nil {
			return base, err
		}
		kind, public = wireName(instance)
		base.UpstreamHost = &up.Host
	}
	base.Provider = &kind
	if public {
		readPublicly(&base)
	}
	return base, nil
}

// readPublicly chooses the mode without a credential.
func readPublicly(base *rest.BaseRepoRequest) {
	base.Auth = &rest.BaseRepoAuth{AuthType: new("public")}
}

// belowBasePath takes the path away that a host of the server's configuration is
// below, as "git" of https://example.org/git/team/app: it is no owner.
func (c *client) belowBasePath(ctx context.Context, up upstreamRef) (upstreamRef, error) {
	if _, known := knownHosts()[up.Host]; known || !strings.Contains(up.Owner, "/") {
		return up, nil
	}
	all, err := c.ListProviders(ctx, c.as(orgClaim, access.OrgRead))
	if err != nil {
		return up, c.explain(err, "ask the server for its providers")
	}
	for _, p := range all.Providers {
		if p.BasePaths == nil {
			continue
		}
		if base := (*p.BasePaths)[up.Host]; base != "" {
			up.Owner = strings.TrimPrefix(up.Owner, strings.TrimPrefix(base, "/")+"/")
			return up, nil
		}
	}
	return up, nil
}

// providerForHost returns the type of the provider whose configuration names
// the host.
func (c *client) providerForHost(ctx context.Context, host string) (string, error) {
	all, err := c.ListProviders(ctx, c.as(orgClaim, access.OrgRead))
	if err != nil {
		return "", c.explain(err, "ask the server for its providers")
	}
	for _, p := range all.Providers {
		if slices.ContainsFunc(p.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
			return p.Type, nil
		}
	}
	return "", usagef("say what kind of host it is, like --provider gitea (also gitlab, bitbucket, forgejo, sourcehut)",
		"no provider of the server names the host %q", host)
}

// printCloneHint shows how to clone without a token in a command line: git
// asks this program for one each time.
func printCloneHint(cmd *cobra.Command, o connectOptions, clone string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	helper := "!" + core.ShellWord(self) + " git-credential"
	dir, err := o.dir()
	if err != nil {
		return err
	}
	helper += " --data " + core.ShellWord(string(dir))
	for _, f := range []struct{ name, value, standard string }{
		{"server", o.server, ""}, {"org", o.org, localOrg}, {"key", o.key, ""},
	} {
		if f.value != f.standard {
			helper += " --" + f.name + " " + core.ShellWord(f.value)
		}
	}
	settings := []string{"credential.helper=" + helper, "credential.useHttpPath=true"}
	if dir := dir.caFile(); strings.HasPrefix(clone, "https:") {
		if _, err := os.Stat(dir); err == nil {
			settings = append(settings, "http.sslCAInfo="+dir)
		}
	}
	line := "git clone"
	for _, s := range settings {
		line += " -c " + core.ShellWord(s)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Clone it:\n  %s %s\n", line, clone)
	return nil
}
