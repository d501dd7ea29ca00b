package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/plugins/builtin"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/config"
	"github.com/headwater-git/headwater/providers/host"

	"github.com/headwater-git/headwater/core"
)

// closeTimeout bounds the end of the plugins that a check started.
const closeTimeout = 10 * time.Second

func newProviderCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "provider",
		Short: "List, check and catch up with the providers of Git hosts",
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(newProviderListCommand(), newProviderCheckCommand(), newProviderReplayCommand())
	return cmd
}

func newProviderListCommand() *cobra.Command {
	var configFile string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the provider instances of a configuration",
		Long: `List the instances that a server with this configuration has: one of each
built-in provider, and those of providers.hcl. No server is asked.`,
		Example: `  headwater provider list
  headwater provider list --config providers.hcl`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadProviders(configFile)
			if err != nil {
				return err
			}
			return withCatalog(cmd, cfg, func(ctx context.Context, catalog *host.Catalog) error {
				list := listing[providerView]{header: "INSTANCE\tPROVIDER\tMODE\tDEFAULT HOST\tPUSH", none: "No providers.", row: func(t io.Writer, p providerView) {
					if p.Error != "" {
						fmt.Fprintf(t, "%s\t%s\t-\t-\tfailed: %s\n", p.Instance, p.Type, p.Error)
						return
					}
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", p.Instance, p.Type, p.Mode, orDash(p.DefaultHost), yesNo(p.Push))
				}}
				return list.print(cmd, wantsJSON(cmd), func(each func(providerView) error) error {
					return eachOf(catalog.Instances(), func(i *host.Instance) error { return each(viewOfProvider(ctx, i)) })
				})
			})
		},
	}
	cmd.Flags().StringVar(&configFile, "config", "", "providers.hcl (default: built-in providers only)")
	return cmd
}

// providerView is a provider instance in JSON.
type providerView struct {
	Instance    string `json:"instance"`
	Type        string `json:"type"`
	Mode        string `json:"mode,omitempty"`
	DefaultHost string `json:"default_host,omitempty"`
	Push        bool   `json:"push"`
	Error       string `json:"error,omitempty"` // why it could not be asked
}

func viewOfProvider(ctx context.Context, i *host.Instance) providerView {
	v := providerView{Instance: i.Name(), Type: i.Type()}
	m, err := i.Manifest(ctx)
	if err != nil {
		v.Error = err.Error()
		return v
	}
	v.Mode, v.DefaultHost, v.Push = string(m.Mode), m.DefaultHost, canPush(m)
	return v
}

// checkOptions are the flags of provider check.
type checkOptions struct {
	config, repo, username, passwordFile string
}

func newProviderCheckCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check [NAME|PATH]",
		Short: "Start a provider and see that it works",
		Long: `Start providers as the server does and report what they say: manifest,
configuration and, with --repo URL, where the repository is and how its host is
doing. NAME is an instance of the configuration, PATH the binary of a plugin;
without either, every instance is checked. No server is asked.`,
		Example: `  headwater provider check --config providers.hcl
  headwater provider check ./provider-example
  headwater provider check gitlab --repo https://gitlab.com/group/app`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("see: headwater provider check --help", "check takes one name or path")
			}
			target := ""
			if len(args) == 1 {
				target = args[0]
			}
			return checkProviders(cmd, o, target)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", "providers.hcl (default: built-in providers only)")
	f.StringVar(&o.repo, "repo", "", "address of a repository to find and probe")
	f.StringVar(&o.username, "username", "", "user name for --repo")
	f.StringVar(&o.passwordFile, "password-file", "", "file with the password or token for --repo; - reads standard input")
	return cmd
}

// checkProviders checks one instance, one binary, or everything.
func checkProviders(cmd *cobra.Command, o checkOptions, target string) error {
	cfg, err := loadProviders(o.config)
	if err != nil {
		return err
	}
	if isPath(target) {
		if target, err = addBinary(cfg, target); err != nil {
			return err
		}
	}
	look, err := o.repository(cmd)
	if err != nil {
		return err
	}
	if look != nil && target == "" {
		return usagef("name the instance or the binary that should find it", "--repo needs one provider to ask")
	}
	return withCatalog(cmd, cfg, func(ctx context.Context, catalog *host.Catalog) error {
		instances := catalog.Instances()
		if target != "" {
			one, err := catalog.Instance(target)
			if err != nil {
				return wrapf(err, "see: headwater provider list", "cannot check %q", target)
			}
			instances = []*host.Instance{one}
		}
		failed := 0
		for _, i := range instances {
			said := &strings.Builder{}
			err := checkInstance(ctx, said, i, look)
			result := struct {
				Instance string `json:"instance"`
				OK       bool   `json:"ok"`
				Report   string `json:"report"`
				Error    string `json:"error,omitempty"`
			}{i.Name(), err == nil, said.String(), ""}
			if err != nil {
				failed++
				result.Error = err.Error()
				fmt.Fprintf(said, "  FAILED: %v\n", err)
			}
			if err := answer(cmd, result, "%s", strings.TrimSuffix(said.String(), "\n")); err != nil {
				return err
			}
		}
		if failed > 0 {
			return failf("correct providers.hcl or the plugin; the lines above say what failed", "%d of %s failed", failed, core.Count(len(instances), "provider"))
		}
		return nil
	})
}

// lookup is what a check asks about one repository.
type lookup struct {
	locator providers.Locator
	stored  *providers.StoredCredential
}

// repository reads --repo and its credential; nil if there is none.
func (o checkOptions) repository(cmd *cobra.Command) (*lookup, error) {
	if o.repo == "" {
		return nil, nil
	}
	up, err := parseUpstream(o.repo)
	if err != nil {
		return nil, err
	}
	secret, err := readSecret(cmd, o.passwordFile)
	if err != nil {
		return nil, err
	}
	look := &lookup{locator: providers.Locator{Host: up.Host, Owner: up.Owner, Name: up.Name}}
	if secret != "" {
		look.stored = &providers.StoredCredential{Username: o.username, Secret: secret}
	}
	return look, nil
}

// checkInstance starts an instance and asks it everything that is harmless.
func checkInstance(ctx context.Context, out io.Writer, i *host.Instance, look *lookup) error {
	fmt.Fprintf(out, "%s (%s)\n", i.Name(), i.Type())
	m, err := i.Manifest(ctx)
	if err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	if err := i.CheckBlock(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "  manifest    %s %s, contract %d, mode %s, push %s\n", m.Name, m.Version, m.ContractVersion, m.Mode, yesNo(canPush(m)))
	if !canPush(m) && m.Capabilities.PushUnsupported != "" {
		fmt.Fprintf(out, "              %s\n", m.Capabilities.PushUnsupported)
	}
	request := providers.ResolveRequest{Locator: providers.Locator{Host: m.DefaultHost, Owner: "owner", Name: "name"}}
	if m.DefaultHost == "" {
		request.Locator.Host = "git.example.org"
	}
	if look != nil {
		request = providers.ResolveRequest{Locator: look.locator, Contact: true, Stored: look.stored}
	}
	// The first call starts the process and configures it.
	remote, err := i.Resolve(ctx, request)
	switch {
	case err != nil && look == nil && providers.CodeOf(err) == providers.CodeInvalidConfig:
		fmt.Fprintf(out, "  configure   not configured: %v\n", err)
		return nil
	case err != nil && look == nil:
		return fmt.Errorf("configure: %w", err)
	case err != nil:
		return fmt.Errorf("resolve: %w", err)
	}
	fmt.Fprintln(out, "  configure   ok")
	if look == nil {
		return nil
	}
	fmt.Fprintf(out, "  resolve     %s, default branch %s, push %s\n", remote.URL, orDash(remote.DefaultBranch), yesNo(remote.PushSupported))
	probe, err := i.Probe(ctx, providers.ProbeRequest{Remote: remote, Stored: look.stored})
	if err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	fmt.Fprintf(out, "  probe       reachable %s, pull %s, push %s, latency %s\n",
		yesNo(probe.Reachable), yesNo(probe.CanPull), yesNo(probe.CanPush), probe.Latency.Round(time.Millisecond))
	if probe.Message != "" {
		fmt.Fprintf(out, "              %s\n", probe.Message)
	}
	return nil
}

// loadProviders reads a providers.hcl; no file is an empty one.
func loadProviders(file string) (*config.Config, error) {
	if file == "" {
		return &config.Config{}, nil
	}
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return nil, wrapf(err, "correct the file; docs/configuration.md explains every attribute", "read %s", file)
	}
	return cfg, nil
}

// withCatalog runs f on the instances of a configuration, and stops every
// plugin that f started.
func withCatalog(cmd *cobra.Command, cfg *config.Config, f func(context.Context, *host.Catalog) error) (err error) {
	catalog, err := host.New(host.Options{
		Config:      cfg,
		Builtins:    builtin.All(),
		Self:        builtin.Command,
		Logger:      hclog.New(&hclog.LoggerOptions{Name: "headwater", Level: hclog.Warn, Output: cmd.ErrOrStderr()}),
		HostVersion: version(),
	})
	if err != nil {
		return wrapf(err, "correct the configuration", "set up the providers")
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), closeTimeout)
		defer cancel()
		err = errors.Join(err, catalog.Close(ctx))
	}()
	return f(cmd.Context(), catalog)
}

// isPath tells a path from the name of an instance.
func isPath(s string) bool {
	return strings.ContainsRune(s, filepath.Separator)
}

// addBinary returns the instance that runs a plugin binary: the one whose block
// names it, else a new one with no settings. The checksum of a new one is that
// of the file: the person who names it here trusts it.
func addBinary(cfg *config.Config, path string) (instance string, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	for _, p := range cfg.Providers {
		if p.Command == abs {
			return p.Instance, nil
		}
	}
	f, err := os.Open(abs)
	if err != nil {
		return "", wrapf(err, "give the path of a plugin binary", "cannot check the plugin")
	}
	defer func() { _ = f.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	name := strings.TrimPrefix(filepath.Base(abs), "provider-")
	cfg.Providers = append(cfg.Providers, config.Provider{
		Type: name, Instance: name, Command: abs, SHA256: sum.Sum(nil), Attributes: []byte("{}"),
	})
	return name, nil
}

func canPush(m providers.Manifest) bool {
	return m.Capabilities.PushHTTPS && m.Mode != providers.ModePublic
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
