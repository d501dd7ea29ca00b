package plugintest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/providertest/fixture"
)

// plantedSecret is a token that must be seen nowhere. It has the form of no
// real one.
const plantedSecret = "planted-0dd5ecre7-must-not-be-seen"

// WebhookKeyAttribute is the attribute by which a provider of hosts that sign
// webhooks with a key of their own is given that key, in base64.
const WebhookKeyAttribute = "webhook_public_key"

// patience is how long a provider may take to notice that its caller is gone.
const patience = 10 * time.Second

// Fixture says what [Run] needs to know about a provider.
type Fixture struct {
	// HostKind is the host that the provider knows.
	HostKind forgetest.HostKind
	// Custom describes another host in the place of HostKind.
	Custom *fixture.Forge
	// Repo is the path of the repository that the suite makes; "" is
	// "acme/Widget-1.x". What else it makes has the same owner, or a name that
	// begins with it.
	Repo string
	// Names are locators that the provider must take; nil: those that all
	// known hosts take.
	Names map[string]Name
	// BadNames are locators that the provider must refuse, beside those that
	// every provider must.
	BadNames map[string]Name
	// Attributes returns the provider's attributes for a forge; nil means that
	// it needs none.
	Attributes func(f *forgetest.Forge) map[string]any
	// BadAttributes are objects that Configure must refuse, by the name of
	// the attribute that its message must hold.
	BadAttributes map[string]map[string]any
	// NestedOwners says that owners may hold slashes; else the provider must
	// refuse them.
	NestedOwners bool
	// KnownHosts says that hosts without a policy in the configuration must
	// be refused, unless it is the default host.
	KnownHosts bool
}

// Name is an owner and a name, and the path that they lead to.
type Name struct{ Owner, Name, Path string }

// suite is one run of the conformance suite.
type suite struct {
	Fixture
	new func() providers.Provider
}

// Run checks that a provider keeps the contract of package providers. It calls
// newProvider for every test; each call returns a provider of its own that has
// not been configured. A provider in another process may be returned as well:
// whoever launches it ends it, best with t.Cleanup of the outer test.
func Run(t *testing.T, newProvider func() providers.Provider, fixture Fixture) {
	s := &suite{Fixture: fixture, new: newProvider}
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"manifest", s.testManifest},
		{"configure", s.testConfigure},
		{"resolve without contact", s.testResolveOffline},
		{"resolve hosts", s.testResolveHosts},
		{"resolve names", s.testResolveNames},
		{"resolve refuses bad locators", s.testResolveBadLocators},
		{"resolve with contact", s.testResolveContact},
		{"resolve follows the stable id", s.testResolveStableID},
		{"private repositories", s.testPrivate},
		{"host limits requests", s.testRateLimited},
		{"host limits requests in its own words", s.testRateWords},
		{"host has another time", s.testClockSkew},
		{"host out of order", s.testUnavailable},
		{"redirects are not followed", s.testRedirect},
		{"private addresses are refused", s.testAddressPolicy},
		{"credential forms", s.testCredential},
		{"credential fresh", s.testCredentialFresh},
		{"capabilities", s.testCapabilities},
		{"webhooks unsupported", s.testWebhooksUnsupported},
		{"webhooks verified", s.testWebhookVerified},
		{"webhooks refused", s.testWebhookRefused},
		{"webhooks nonsense", s.testWebhookNonsense},
		{"webhooks of another repository", s.testWebhookRepository},
		{"webhooks refs", s.testWebhookRefs},
		{"webhooks kinds", s.testWebhookKinds},
		{"webhooks of installations", s.testWebhookInstallation},
		{"webhook registration", s.testRegistration},
		{"webhook registration corrects", s.testRegistrationCorrects},
		{"webhook registration refused", s.testRegistrationRefused},
		{"webhook replay", s.testReplay},
		{"listing", s.testListing},
		{"listing refused", s.testListingRefused},
		{"probe", s.testProbe},
		{"no secret in errors", s.testSecrets},
		{"cancelled context", s.testCancelled},
		{"concurrent calls", s.testConcurrent},
		{"git over http", func(t *testing.T) { s.testGit(t, false) }},
		{"git over https", func(t *testing.T) { s.testGit(t, true) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t)
		})
	}
}

// scene is a forge with one repository and a provider configured for it.
type scene struct {
	forge    *forgetest.TestForge
	provider providers.Provider
	manifest providers.Manifest
	traits   forgetest.Traits
	repo     string
}

// options completes the options of a forge that is to look like the provider's host.
func (s *suite) options(o forgetest.ForgeOptions) forgetest.ForgeOptions {
	o.HostKind, o.Custom = s.HostKind, s.Custom
	return o
}

// stage starts a scene with a public repository.
func (s *suite) stage(t *testing.T, o forgetest.ForgeOptions) *scene {
	t.Helper()
	f := forgetest.StartForge(t, s.options(o))
	sc := &scene{forge: f, provider: s.new(), traits: f.Traits(), repo: s.Repo}
	if sc.repo == "" {
		sc.repo = sc.traits.OwnerPrefix + "acme/Widget-1.x"
	}
	sc.manifest = sc.provider.Manifest()
	f.CreateRepo(sc.repo, false)
	f.Seed(sc.repo, forgetest.SeedOptions{Commits: 3, PullRefs: 1})
	require.NoError(t, sc.provider.Configure(t.Context(), s.config(t, f.Forge, f.HostPolicy())))
	f.ForgetRequests()
	return sc
}

// config is the configuration for a forge.
func (s *suite) config(t *testing.T, f *forgetest.Forge, hosts ...providers.HostPolicy) providers.Config {
	t.Helper()
	c := providers.Config{Instance: "test", Hosts: hosts}
	attributes := map[string]any{}
	if s.Attributes != nil {
		attributes = s.Attributes(f)
	}
	if key := f.WebhookKey(); key != "" {
		attributes[WebhookKeyAttribute] = key
	}
	if len(attributes) > 0 {
		raw, err := json.Marshal(attributes)
		require.NoError(t, err)
		c.Attributes = raw
	}
	return c
}

// locator names the scene's repository.
func (sc *scene) locator() providers.Locator { return sc.at(sc.repo) }

// at names a repository of the forge.
func (sc *scene) at(path string) providers.Locator {
	i := strings.LastIndexByte(path, '/')
	return providers.Locator{Host: sc.forge.Host(), Owner: path[:i], Name: path[i+1:]}
}

// stored is what a user would have stored: something for generic providers only.
func (sc *scene) stored() *providers.StoredCredential {
	if sc.manifest.Mode != providers.ModeGeneric || !sc.manifest.Capabilities.PushHTTPS {
		return nil
	}
	return sc.forge.Stored()
}

// resolve resolves the scene's repository without contact.
func (sc *scene) resolve(t *testing.T) providers.Remote {
	t.Helper()
	remote, err := sc.provider.Resolve(t.Context(), providers.ResolveRequest{Locator: sc.locator()})
	require.NoError(t, err)
	return remote
}

// contact resolves the scene's repository by asking the host.
func (sc *scene) contact(ctx context.Context) (providers.Remote, error) {
	return sc.provider.Resolve(ctx, providers.ResolveRequest{Locator: sc.locator(), Contact: true, Stored: sc.stored()})
}

// requireCode checks that an error has one of the codes and a message that
// somebody can read.
func requireCode(t *testing.T, err error, codes ...providers.Code) {
	t.Helper()
	require.Error(t, err)
	require.Contains(t, codes, providers.CodeOf(err), "%v", err)
	var e *providers.Error
	require.True(t, errors.As(err, &e), "the error is no *providers.Error: %v", err)
	require.NotEmpty(t, e.Message)
	for _, r := range e.Message {
		require.False(t, r < ' ', "the message has control characters: %q", e.Message)
	}
}

// requireSecret checks that a secret is in none of the values, however they
// are printed.
func requireSecret(t *testing.T, secret string, values ...any) {
	t.Helper()
	for _, v := range values {
		for _, format := range []string{"%v", "%+v", "%#v"} {
			require.NotContains(t, fmt.Sprintf(format, v), secret)
		}
		if err, ok := v.(error); ok && err != nil {
			require.NotContains(t, err.Error(), secret)
		}
	}
}

func (s *suite) testManifest(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	fresh := s.new()
	m := fresh.Manifest()
	require.Equal(t, m, fresh.Manifest(), "the manifest must not change")
	require.Equal(t, m, sc.manifest, "every process must have the same manifest")
	require.Equal(t, m, sc.provider.Manifest(), "Configure must not change the manifest")
	require.Zero(t, sc.forge.Count(), "the manifest must be known offline")

	require.Regexp(t, `^[a-z][a-z0-9-]*$`, m.Name)
	require.NotEmpty(t, m.Version)
	require.Equal(t, providers.ContractVersion, m.ContractVersion)
	require.Regexp(t, `^[^\n]+$`, m.Description)
	require.NotEmpty(t, m.WireNames)
	for _, name := range m.WireNames {
		require.Regexp(t, `^[a-z][a-z0-9.-]*$`, name)
	}
	require.Contains(t, []providers.Mode{providers.ModeApp, providers.ModePublic, providers.ModeGeneric}, m.Mode)
	require.Equal(t, m.Capabilities.PushHTTPS, m.Capabilities.PushUnsupported == "",
		"a reason is due exactly when pushes are not taken")
	names := map[string]bool{}
	for _, a := range m.Attributes {
		require.Regexp(t, `^[a-z][a-z0-9_]*$`, a.Name)
		require.Contains(t, []string{"string", "number", "bool", "list"}, a.Type)
		require.NotEmpty(t, a.Doc, "attribute %q", a.Name)
		require.False(t, names[a.Name], "attribute %q appears twice", a.Name)
		names[a.Name] = true
	}
	for _, name := range m.WebhookHeaders {
		require.Regexp(t, `^[A-Za-z0-9-]+$`, name)
	}
	for _, prefix := range m.ExcludedRefPrefixes {
		require.Regexp(t, `^refs/.+/$`, prefix)
		require.NotContains(t, []string{"refs/heads/", "refs/tags/"}, prefix)
	}
	for i := range m.WireNames {
		m.WireNames[i] = "changed"
	}
	require.NotEqual(t, m.WireNames, fresh.Manifest().WireNames, "the caller's changes must not come back")
}

func (s *suite) testConfigure(t *testing.T) {
	f := forgetest.StartForge(t, s.options(forgetest.ForgeOptions{}))
	good := s.config(t, f.Forge, f.HostPolicy())
	for _, empty := range []string{"", "{}"} {
		// A provider that cannot work without attributes says so later.
		if err := s.new().Configure(t.Context(), providers.Config{Instance: "test", Attributes: json.RawMessage(empty)}); err != nil {
			requireCode(t, err, providers.CodeInvalidConfig)
		}
	}
	with := func(extra map[string]any) providers.Config {
		all := map[string]any{}
		if len(good.Attributes) > 0 {
			require.NoError(t, json.Unmarshal(good.Attributes, &all))
		}
		for name, value := range extra {
			all[name] = value
		}
		raw, err := json.Marshal(all)
		require.NoError(t, err)
		c := good
		c.Attributes = raw
		return c
	}
	err := s.new().Configure(t.Context(), with(map[string]any{"no_such_attribute": plantedSecret}))
	requireCode(t, err, providers.CodeInvalidConfig)
	require.Contains(t, err.Error(), "no_such_attribute")
	requireSecret(t, plantedSecret, err)

	for _, raw := range []string{`[1]`, `{`, `"x"`} {
		c := good
		c.Attributes = json.RawMessage(raw)
		requireCode(t, s.new().Configure(t.Context(), c), providers.CodeInvalidConfig)
	}
	for _, a := range s.new().Manifest().Attributes {
		if a.Type == "list" {
			continue
		}
		err := s.new().Configure(t.Context(), with(map[string]any{a.Name: []string{plantedSecret}}))
		requireCode(t, err, providers.CodeInvalidConfig)
		require.Contains(t, err.Error(), a.Name)
		requireSecret(t, plantedSecret, err)
	}
	for name, attributes := range s.BadAttributes {
		raw, err := json.Marshal(attributes)
		require.NoError(t, err)
		err = s.new().Configure(t.Context(), providers.Config{Instance: "test", Attributes: raw})
		requireCode(t, err, providers.CodeInvalidConfig)
		require.Contains(t, err.Error(), name)
		requireSecret(t, plantedSecret, err)
	}
	require.Zero(t, f.Count(), "Configure must not contact the host")
}
