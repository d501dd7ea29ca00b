package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/config"
)

// Catalog holds the provider instances: those of providers.hcl and one for
// every built-in. It is safe for concurrent use. [Catalog.Reload] replaces them.
type Catalog struct {
	o    Options
	self []string
	set  atomic.Pointer[set]

	mu      sync.Mutex  // one Reload or Close at a time
	closed  bool        // no Reload changes anything any more
	retired []*Instance // no longer in the set and not closed yet
	tasks   sync.WaitGroup
	stop    chan struct{} // closed by Close
}

// set is what one providers.hcl comes to.
type set struct {
	config    *config.Config
	instances []*Instance // sorted by name
	order     []*Instance // blocks of providers.hcl in their order, then built-ins
}

// instance returns the instance of that name, or nil.
func (s *set) instance(name string) *Instance {
	for _, i := range s.instances {
		if i.name == name {
			return i
		}
	}
	return nil
}

// New makes a catalog. It starts no process. Errors are
// [providers.CodeInvalidConfig]: a block of an unknown provider, a name taken
// twice, or attributes that a built-in does not have.
func New(o Options) (*Catalog, error) {
	o = o.withDefaults()
	if err := providers.CheckProxy(o.Proxy); err != nil {
		return nil, err
	}
	self, err := selfArgv(o)
	if err != nil {
		return nil, err
	}
	c := &Catalog{o: o, self: self, stop: make(chan struct{})}
	first, err := c.build(o.Config, nil)
	if err != nil {
		return nil, err
	}
	c.set.Store(first)
	return c, nil
}

// build makes the instances of a configuration. Those of the former set whose blocks
// did not change stay as they are. It starts no process.
func (c *Catalog) build(cfg *config.Config, former *set) (*set, error) {
	s := &set{config: cfg}
	var problems []error
	add := func(block config.Provider) {
		if former != nil {
			if i := former.instance(block.Instance); i != nil && i.unchanged(block) {
				s.order = append(s.order, i)
				return
			}
		}
		i, err := newInstance(c.o, c.self, block)
		if err != nil {
			problems = append(problems, err)
			return
		}
		s.order = append(s.order, i)
	}
	for _, block := range cfg.Providers {
		if _, builtin := c.o.Builtins[block.Instance]; builtin && block.Type != block.Instance {
			problems = append(problems, providers.Errorf(providers.CodeInvalidConfig,
				"%s: provider instance %q has the name of a built-in provider; give it another one", block.Pos, block.Instance))
			continue
		}
		add(block)
	}
	for _, name := range slices.Sorted(maps.Keys(c.o.Builtins)) {
		if cfg.Instance(name) == nil {
			add(config.Provider{Type: name, Instance: name, Attributes: []byte("{}")})
		}
	}
	if len(problems) > 0 {
		return nil, &providers.Error{Code: providers.CodeInvalidConfig, Message: errors.Join(problems...).Error()}
	}
	s.instances = slices.Clone(s.order)
	slices.SortFunc(s.instances, func(a, b *Instance) int { return strings.Compare(a.name, b.name) })
	return s, nil
}

// selfArgv returns the argv of this executable, with an absolute path: a
// plugin runs in another directory.
func selfArgv(o Options) ([]string, error) {
	if len(o.Builtins) == 0 {
		return nil, nil
	}
	var argv []string
	if o.Self != nil {
		argv = slices.Clone(o.Self())
	}
	if len(argv) == 0 {
		return nil, providers.Errorf(providers.CodeInvalidConfig, "the catalog has built-in providers and no way to execute them")
	}
	path, err := filepath.Abs(argv[0])
	if err != nil {
		return nil, providers.Errorf(providers.CodeInvalidConfig, "the path of this executable cannot be made absolute: %v", err)
	}
	argv[0] = path
	return argv, nil
}

func newInstance(o Options, self []string, block config.Provider) (*Instance, error) {
	redact := &redactor{}
	redact.add(block.Secrets...)
	for _, h := range block.Hosts {
		redact.add(h.WebhookSecrets...)
		redact.add(h.ProxySecrets()...)
	}
	redact.add(providers.HostPolicy{Proxy: o.Proxy}.ProxySecrets()...)
	i := &Instance{
		name:  block.Instance,
		typ:   block.Type,
		block: block,
		ca:    authorities(block),
		proxy: o.Proxy,
		log:   o.Logger.Named("provider").With("provider", block.Instance),
		tail:  &tail{redact: redact},
	}
	if block.Command != "" {
		i.recipe = recipe{argv: append([]string{block.Command}, block.Args...), sha256: block.SHA256}
	} else {
		construct, ok := o.Builtins[block.Type]
		if !ok {
			return nil, providers.Errorf(providers.CodeInvalidConfig, "%s: provider %q is not built in (%s); an external one needs command and sha256",
				block.Pos, block.Type, strings.Join(slices.Sorted(maps.Keys(o.Builtins)), ", "))
		}
		i.builtin = true
		i.recipe = recipe{argv: append(slices.Clone(self), block.Type)}
		m := construct().Manifest()
		if err := i.checkManifest(m); err != nil {
			return nil, err
		}
		// A missing attribute is not refused here: a provider without its
		// configuration exists, and says what it lacks when it is used.
		if err := i.block.CheckAttributes(withoutRequired(m)); err != nil {
			return nil, err
		}
		i.manifest.Store(&m)
		redact.add(i.block.SecretAttributes(m)...)
	}
	o.Logger = i.log
	i.super = newSupervisor(i.name, o, i.launch)
	i.credentials = newCredentialCache(o.StartTimeout+2*o.CallTimeout, o.CredentialLooked)
	return i, nil
}

func withoutRequired(m providers.Manifest) providers.Manifest {
	m.Attributes = slices.Clone(m.Attributes)
	for n := range m.Attributes {
		m.Attributes[n].Required = false
	}
	return m
}

// Find returns the instance for a base_repo.provider value, which is compared
// without regard to case. public asks for a provider of the public mode, which
// shares its wire name with the others. upstreamHost is the host of the
// repository, or "" for the provider's default.
//
// Among several it prefers the one with a block for the host, then the one that
// is named like its provider, then the first in providers.hcl. An external
// plugin that never ran is launched to learn its wire names, but only if no
// other answers; one that cannot be launched does not harm the others.
//
// Errors: [providers.CodeInvalidArgument] naming the providers there are, also
// for a provider without a public mode, and the failure of an external plugin
// that may have been meant.
func (c *Catalog) Find(ctx context.Context, wireName string, public bool, upstreamHost string) (*Instance, error) {
	var fits []*Instance
	var unknown []*Instance
	for _, i := range c.set.Load().order {
		m := i.manifest.Load()
		switch {
		case m == nil:
			unknown = append(unknown, i)
		case answersTo(*m, wireName) && public == (m.Mode == providers.ModePublic):
			fits = append(fits, i)
		}
	}
	var failures []error
	for _, i := range unknown {
		// With a block for the host it may be the one that is meant, whatever
		// others answer to the wire name.
		meant := upstreamHost != "" && i.has(upstreamHost)
		if len(fits) > 0 && !meant {
			continue
		}
		m, err := i.Manifest(ctx)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && strings.EqualFold(i.typ, wireName):
			return nil, err
		case err != nil:
			failures = append(failures, err)
		case answersTo(m, wireName) && public == (m.Mode == providers.ModePublic):
			fits = append(fits, i)
		}
	}
	if len(fits) == 0 {
		return nil, c.notFound(wireName, public, failures)
	}
	return prefer(fits, upstreamHost), nil
}

// prefer picks one of several instances for a host.
func prefer(fits []*Instance, upstreamHost string) *Instance {
	for _, i := range fits {
		host := upstreamHost
		if host == "" {
			host = i.manifest.Load().DefaultHost
		}
		if host != "" && i.has(host) {
			return i
		}
	}
	for _, i := range fits {
		if i.name == i.typ {
			return i
		}
	}
	return fits[0]
}

// notFound explains why no instance answers to a wire name.
func (c *Catalog) notFound(wireName string, public bool, failures []error) error {
	known := map[string]bool{}
	other := false
	for _, i := range c.set.Load().order {
		m := i.manifest.Load()
		if m == nil {
			continue
		}
		other = other || answersTo(*m, wireName)
		for _, name := range m.WireNames {
			if public == (m.Mode == providers.ModePublic) {
				known[strings.ToLower(name)] = true
			}
		}
	}
	message := fmt.Sprintf("unknown provider %q; use one of %s", wireName, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	switch {
	case other && public:
		message = fmt.Sprintf("provider %q has no public mode", wireName)
	case other:
		message = fmt.Sprintf("provider %q is there in public mode only", wireName)
	}
	for _, err := range failures {
		message += "; " + err.Error()
	}
	return &providers.Error{Code: providers.CodeInvalidArgument, Message: message}
}

// Instance returns the instance of that name. Errors:
// [providers.CodeInvalidConfig], because a name that is stored with a repository
// and no longer there has been taken out of providers.hcl.
func (c *Catalog) Instance(name string) (*Instance, error) {
	if i := c.set.Load().instance(name); i != nil {
		return i, nil
	}
	return nil, providers.Errorf(providers.CodeInvalidConfig, "there is no provider instance %q; put its block back into providers.hcl", name)
}

// Webhook returns the instance that the address of an inbound webhook names: by
// its own name, else by that of its provider if one instance of it has a block
// in providers.hcl. A built-in provider without a block is the last choice: it
// has no secret that could verify anything. Errors: [providers.CodeNotFound].
func (c *Catalog) Webhook(name string) (*Instance, error) {
	var bare *Instance
	var found []*Instance
	for _, i := range c.set.Load().instances {
		switch {
		case i.name == name && !i.configured():
			bare = i
		case i.name == name:
			return i, nil
		case i.typ == name:
			found = append(found, i)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0 && bare != nil:
		return bare, nil
	case len(found) == 0:
		return nil, providers.Errorf(providers.CodeNotFound, "there is no provider %q", name)
	}
	// Guessing would verify with the secrets of the wrong one.
	return nil, providers.Errorf(providers.CodeNotFound, "there are several instances of provider %q; name one of them", name)
}

// Instances returns all instances, sorted by name.
func (c *Catalog) Instances() []*Instance { return slices.Clone(c.set.Load().instances) }

// Config returns the configuration that the instances are made from.
func (c *Catalog) Config() *config.Config { return c.set.Load().config }

// Close refuses new calls, waits for those in flight until ctx ends, and stops
// all plugins, those with calls in flight by force. When it returns no process
// and no goroutine of the catalog is left. It is safe to call more than once.
// Its error is that of the context, if that ended first.
func (c *Catalog) Close(ctx context.Context) error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.stop)
	}
	all := slices.Concat(c.set.Load().instances, c.retired)
	c.mu.Unlock()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for n, i := range all {
		wg.Go(func() { errs[n] = i.super.close(ctx) })
	}
	wg.Wait()
	c.tasks.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("stop plugins: %w", err)
		}
	}
	return nil
}
