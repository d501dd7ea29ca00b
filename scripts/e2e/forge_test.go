package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/headwater-git/headwater/providers/forgetest"
)

// providersFile is the configuration that forge start and forge block write,
// and startserver takes.
const providersFile = "providers.hcl"

// forge is an upstream host of a script.
type forge struct {
	*forgetest.Forge
	user string
}

// forgeVerbs are what scripts can do to a forge. "forge -as NAME" means another
// one than the first.
//
//	start HOST [-tls]                sets $FORGE_HOST, $FORGE_URL, $FORGE_USER
//	block PROVIDER [LINE...]         allows the host in providers.hcl, with more attributes
//	create REPO [private]
//	seed REPO [commits=N] [branches=N] [tags=N] [pulls=N] [filesize=N]
//	secret NAME [readonly]           mints a token and keeps it as a secret
//	wrong NAME                       a token that the host does not take
//	revoke                           forgets every token
//	protect REPO PATTERN             refuses pushes in the host's words
//	refuse REPO PATTERN REASON MESSAGE...
//	unprotect REPO
//	archive REPO
//	visibility REPO private|public
//	rename REPO TO
//	redirect REPO URL
//	suspend OWNER [off]              of the GitHub App
//	fault KIND[,KIND] WHAT [times=N] [body=TEXT] [latency=MS]
//	                                 WHAT: a status, drop, dropreply, stall, empty, echo, slow
//	nofault
//	ref REPO REF                     prints the object id, nothing if absent
//	refs REPO                        prints all refs
//	git REPO ARG...                  runs git in the repository, past all rules
//	requests [KIND...]               prints the record of requests
//	forget                           empties the record
//	listed PREFIX                    prints the refs that were listed to anybody
func forgeVerbs() map[string]func(w *world, ts *testscript.TestScript, f *forge, args []string) {
	check := func(do func(f *forge, args []string) error) func(*world, *testscript.TestScript, *forge, []string) {
		return func(_ *world, ts *testscript.TestScript, f *forge, args []string) { ts.Check(do(f, args)) }
	}
	return map[string]func(w *world, ts *testscript.TestScript, f *forge, args []string){
		"block":  (*world).forgeBlock,
		"secret": (*world).forgeSecret,
		"wrong": func(w *world, ts *testscript.TestScript, f *forge, args []string) {
			secret := f.Token()
			f.RevokeToken(secret)
			w.keep(ts, args[0], secret, f.user)
		},
		"create": check(func(f *forge, args []string) error {
			return f.CreateRepo(args[0], len(args) > 1 && args[1] == "private")
		}),
		"seed": check(seed),
		"revoke": check(func(f *forge, _ []string) error {
			f.RevokeTokens()
			return nil
		}),
		"protect": check(func(f *forge, args []string) error { return f.Protect(args[0], args[1]) }),
		"refuse": check(func(f *forge, args []string) error {
			return f.Refuse(args[0], forgetest.Refusal{Pattern: args[1], Reason: args[2], Message: args[3:]})
		}),
		"unprotect": check(func(f *forge, args []string) error { return f.Unprotect(args[0]) }),
		"archive":   check(func(f *forge, args []string) error { return f.SetArchived(args[0], true) }),
		"visibility": check(func(f *forge, args []string) error {
			return f.SetPrivate(args[0], args[1] == "private")
		}),
		"rename": check(func(f *forge, args []string) error { return f.RenameRepo(args[0], args[1]) }),
		"redirect": check(func(f *forge, args []string) error {
			f.RedirectRepo(args[0], args[1])
			return nil
		}),
		"suspend": check(func(f *forge, args []string) error {
			f.SuspendInstallation(args[0], len(args) == 1)
			return nil
		}),
		"fault": check(inject),
		"nofault": check(func(f *forge, _ []string) error {
			f.ClearFaults()
			return nil
		}),
		"forget": check(func(f *forge, _ []string) error {
			f.ForgetRequests()
			return nil
		}),
		"ref": func(_ *world, ts *testscript.TestScript, f *forge, args []string) {
			id, err := f.Ref(args[0], args[1])
			ts.Check(err)
			fmt.Fprintln(ts.Stdout(), id)
		},
		"refs": func(_ *world, ts *testscript.TestScript, f *forge, args []string) {
			out, err := f.Git(args[0], "for-each-ref", "--format=%(objectname) %(refname)")
			ts.Check(err)
			fmt.Fprintln(ts.Stdout(), out)
		},
		"git": func(_ *world, ts *testscript.TestScript, f *forge, args []string) {
			out, err := f.Git(args[0], args[1:]...)
			ts.Check(err)
			fmt.Fprintln(ts.Stdout(), out)
		},
		"requests": func(_ *world, ts *testscript.TestScript, f *forge, args []string) {
			for _, r := range f.Requests() {
				if len(args) == 0 || slices.Contains(args, string(r.Kind)) {
					fmt.Fprintln(ts.Stdout(), describe(r))
				}
			}
		},
		"listed": func(_ *world, ts *testscript.TestScript, f *forge, args []string) {
			fmt.Fprintln(ts.Stdout(), strings.Join(f.Listed(args[0]), "\n"))
		},
	}
}

// forge runs a verb.
func (w *world) forge(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("forge cannot be negated")
	}
	_ = ts.Stdout() // of this command, even if it prints nothing
	name := ""
	if len(args) > 2 && args[0] == "-as" {
		name, args = args[1], args[2:]
	}
	if len(args) == 0 {
		ts.Fatalf("usage: forge [-as NAME] VERB ARG...")
	}
	if args[0] == "start" {
		w.startForge(ts, name, args[1:])
		return
	}
	f := w.forges[name]
	if f == nil {
		ts.Fatalf("no forge %q is running", name)
	}
	verb := forgeVerbs()[args[0]]
	if verb == nil {
		ts.Fatalf("unknown verb %q", args[0])
	}
	verb(w, ts, f, args[1:])
}

func (w *world) startForge(ts *testscript.TestScript, name string, args []string) {
	o := forgetest.ForgeOptions{HostKind: forgetest.HostKind(args[0]), TLS: slices.Contains(args, "-tls")}
	made, err := forgetest.NewForge(filepath.Join(w.work, "forge"+name), o)
	ts.Check(err)
	f := &forge{Forge: made}
	w.forges[name] = f
	user, secret := f.Credential()
	f.user = user
	f.RevokeToken(secret)
	suffix := ""
	if name != "" {
		suffix = "_" + strings.ToUpper(name)
	}
	ts.Setenv("FORGE_HOST"+suffix, f.Host())
	ts.Setenv("FORGE_URL"+suffix, f.URL())
	ts.Setenv("FORGE_USER"+suffix, user)
	if key := f.AppKey(); key != nil {
		w.keepPEM("key of the GitHub App", string(key))
		ts.Check(os.WriteFile(w.secretFile("app.pem"), key, 0o600))
	}
}

// forgeBlock appends a provider block with a host block for the forge.
func (w *world) forgeBlock(ts *testscript.TestScript, f *forge, args []string) {
	policy := f.HostPolicy()
	var text strings.Builder
	fmt.Fprintf(&text, "provider %q {\n", args[0])
	if args[0] == "github-app" {
		fmt.Fprintf(&text, "  app_id = %d\n  private_key_file = %q\n", forgetest.AppID, w.secretFile("app.pem"))
	}
	fmt.Fprintf(&text, "  host %q {\n    scheme = %q\n    api_url = %q\n", policy.Host, policy.Scheme, policy.APIURL)
	if !slices.Contains(args[1:], "public-only") {
		text.WriteString("    allow_private = true\n")
	}
	if policy.CAFile != "" {
		fmt.Fprintf(&text, "    ca_file = %q\n", policy.CAFile)
	}
	text.WriteString("  }\n}\n")
	file, err := os.OpenFile(filepath.Join(w.work, providersFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	ts.Check(err)
	_, err = file.WriteString(text.String())
	ts.Check(err)
	ts.Check(file.Close())
}

func (w *world) forgeSecret(ts *testscript.TestScript, f *forge, args []string) {
	o := forgetest.TokenOptions{ReadOnly: slices.Contains(args[1:], "readonly"), AppPassword: slices.Contains(args[1:], "apppassword")}
	w.keep(ts, args[0], f.MintToken(o), f.user)
}

func seed(f *forge, args []string) error {
	var o forgetest.SeedOptions
	fields := map[string]*int{
		"commits": &o.Commits, "branches": &o.Branches, "tags": &o.Tags, "pulls": &o.PullRefs, "filesize": &o.FileSize,
	}
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		if fields[name] == nil {
			return fmt.Errorf("seed has no %q", name)
		}
		var err error
		if *fields[name], err = strconv.Atoi(value); err != nil {
			return err
		}
	}
	return f.Seed(args[0], o)
}

func inject(f *forge, args []string) error {
	var x forgetest.Fault
	for kind := range strings.SplitSeq(args[0], ",") {
		x.Kinds = append(x.Kinds, forgetest.Kind(kind))
	}
	switch what := args[1]; what {
	case "drop":
		x.Drop = true
	case "dropreply":
		x.DropReply = true
	case "stall":
		x.Stall = true
	case "empty":
		x.EmptyListing = true
	case "slow": // with latency=MILLISECONDS
	case "echo":
		x.Status, x.Echo = 401, true
	default:
		status, err := strconv.Atoi(what)
		if err != nil {
			return err
		}
		x.Status = status
	}
	for _, arg := range args[2:] {
		name, value, _ := strings.Cut(arg, "=")
		number, _ := strconv.Atoi(value)
		switch name {
		case "times":
			x.Times = number
		case "body":
			x.Body = value
		case "latency":
			x.Latency = time.Duration(number) * time.Millisecond
		default:
			return fmt.Errorf("fault has no %q", name)
		}
	}
	f.Inject(x)
	return nil
}

// describe is a recorded request in one line.
func describe(r forgetest.Request) string {
	line := fmt.Sprintf("%s %s %s status=%d user=%s credential=%t", r.Kind, r.Method, r.Path, r.Status, r.User, r.Credential)
	if r.GitProtocol != "" {
		line += " protocol=" + r.GitProtocol
	}
	if len(r.RefPrefixes) > 0 {
		line += " prefixes=" + strings.Join(r.RefPrefixes, ",")
	}
	for _, u := range r.Updates {
		line += " update=" + u.Name
	}
	for _, o := range r.PushOptions {
		line += " option=" + o
	}
	if r.Atomic {
		line += " atomic"
	}
	return line
}
