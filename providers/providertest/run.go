package providertest

import (
	"testing"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/plugintest"
)

// Fixture says what [Run] needs to know about a provider.
type Fixture struct {
	// Forge is the host that the provider knows.
	Forge Forge
	// Repository is the path of the repository that the suite makes; "" is
	// "acme/Widget-1.x". The others have the same owner, or a path that begins
	// with it.
	Repository string
	// Names are owners and names that the provider must take; nil is a table
	// of what most hosts take: dots, dashes, underscores, both cases, and a
	// pasted ".git", which is cut off.
	Names map[string]Name
	// BadNames are owners and names that the provider must refuse, beside
	// those that every provider must refuse because they would not stay within
	// a path: empty, "..", a slash at either end, control characters, "?".
	BadNames map[string]Name
	// NestedOwners says that owners may hold slashes; else the provider must
	// refuse them.
	NestedOwners bool
	// KnownHosts says that hosts without a block in the configuration must be
	// refused, unless it is the default host.
	KnownHosts bool
	// Attributes returns the provider's attributes for a host at a URL; nil
	// means that it needs none.
	Attributes func(url string) map[string]any
	// BadAttributes are attributes that Configure must refuse, by the name of
	// the attribute that its message must hold.
	BadAttributes map[string]map[string]any
}

// Name is an owner and a name, and the path that they lead to.
type Name struct{ Owner, Name, Path string }

// Run checks that a provider keeps the contract of package providers. It calls
// newProvider for every test; each call returns a provider of its own that has
// not been configured. A provider in another process may be returned as well:
// whoever launches it ends it, best with t.Cleanup of the outer test.
func Run(t *testing.T, newProvider func() providers.Provider, f Fixture) {
	inner := plugintest.Fixture{
		Custom: &f.Forge, Repo: f.Repository, NestedOwners: f.NestedOwners,
		KnownHosts: f.KnownHosts, BadAttributes: f.BadAttributes,
		Names: names(f.Names), BadNames: names(f.BadNames),
	}
	if f.Attributes != nil {
		inner.Attributes = func(forge *forgetest.Forge) map[string]any { return f.Attributes(forge.URL()) }
	}
	plugintest.Run(t, newProvider, inner)
}

func names(in map[string]Name) map[string]plugintest.Name {
	if in == nil {
		return nil
	}
	out := map[string]plugintest.Name{}
	for label, name := range in {
		out[label] = plugintest.Name(name)
	}
	return out
}
