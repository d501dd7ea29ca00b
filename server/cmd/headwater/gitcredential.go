package main

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers/netguard"
)

// gitUser is the user name that goes with a token in Git's Basic auth.
const gitUser = "t"

func newGitCredentialCommand() *cobra.Command {
	var (
		o        connectOptions
		readOnly bool
		ttl      time.Duration
	)
	cmd := &cobra.Command{
		Use:   "git-credential get|store|erase",
		Short: "Give Git a fresh token for each operation (a Git credential helper)",
		Long: `Speak Git's credential helper protocol (gitcredentials(7)) on standard input and
output. For "get" it signs a token for the repository in the URL, if the URL is
one of this server; other servers get nothing. Git must be configured to pass
the path: credential.useHttpPath=true. So no token is ever in a URL, a command line
or a configuration file.`,
		Example: `  git clone -c credential.helper='!headwater git-credential --data /var/lib/headwater' \
      -c credential.useHttpPath=true http://127.0.0.1:8080/octocat/Hello-World.git`,
		Args: exactArgs("get, store or erase"),
		RunE: func(cmd *cobra.Command, args []string) error {
			// Nothing is kept, so there is nothing to store or erase; words of
			// later versions of Git must be ignored.
			if args[0] != "get" {
				return nil
			}
			return answerGit(cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o, readOnly, ttl)
		},
	}
	f := cmd.Flags()
	bindDataDir(f, &o.data)
	f.StringVar(&o.server, "server", "", "base URL of the server (default: the one that runs on --data)")
	f.StringVar(&o.org, "org", localOrg, "organisation that signs")
	f.StringVar(&o.key, "key", "", "PEM private key of --org (default: DIR/keys/local.pem)")
	f.BoolVar(&readOnly, "read-only", false, "sign tokens that cannot push")
	bindLife(f, &ttl, "ttl", time.Hour, "how long a token is valid; a push must have begun by then")
	return cmd
}

// answerGit answers one question of Git. A URL of another server is answered
// with nothing, which makes Git ask its next helper; the person reads why.
func answerGit(in io.Reader, out, messages io.Writer, o connectOptions, readOnly bool, ttl time.Duration) error {
	asked := map[string]string{}
	for lines := bufio.NewScanner(in); lines.Scan() && lines.Text() != ""; {
		name, value, _ := strings.Cut(lines.Text(), "=")
		asked[name] = value
	}
	base, err := o.base()
	if err != nil {
		return err
	}
	if !sameServer(base, asked["protocol"], asked["host"]) {
		fmt.Fprintf(messages, "headwater git-credential: no token for %s://%s: this helper is for %s; give --server if they are the same\n",
			printable(asked["protocol"]), printable(asked["host"]), base)
		return nil
	}
	repo := repoOfPath(asked["path"])
	if repo == "" {
		return failf("run: git config credential.useHttpPath true", "git did not say which repository it means")
	}
	s, err := o.signer()
	if err != nil {
		return err
	}
	scope := access.GitWrite // includes reading
	if readOnly {
		scope = access.GitRead
	}
	token, err := s.token(grant{repo: repo, scopes: []access.Scope{scope}, life: ttl, subject: "git"})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "username=%s\npassword=%s\n", gitUser, token)
	return err
}

// sameServer reports whether Git talks to the server at base. The names of the
// loopback interface are one: which of them a person types says nothing.
func sameServer(base *url.URL, protocol, host string) bool {
	asked := url.URL{Scheme: protocol, Host: host}
	if protocol != base.Scheme || portOf(asked) != portOf(*base) {
		return false
	}
	return strings.EqualFold(asked.Hostname(), base.Hostname()) || netguard.IsLoopback(asked.Hostname()) && netguard.IsLoopback(base.Hostname())
}

// portOf returns the port of a URL, that of its scheme if it names none.
func portOf(u url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// repoOfPath returns the repository that the path of a Git URL names, as git gives it:
// decoded, but for what is before a colon, which git takes for a scheme.
func repoOfPath(path string) string {
	path = strings.Trim(path, "/")
	if before, after, ok := strings.Cut(path, ":"); ok {
		if decoded, err := url.PathUnescape(before); err == nil {
			path = decoded + ":" + after
		}
	}
	for _, service := range []string{"/info/refs", "/git-upload-pack", "/git-receive-pack"} {
		path = strings.TrimSuffix(path, service)
	}
	path = strings.TrimSuffix(path, ".git")
	for _, suffix := range []string{"+ephemeral", "+import"} {
		if name, ok := strings.CutSuffix(path, suffix); ok {
			return name
		}
	}
	return path
}
