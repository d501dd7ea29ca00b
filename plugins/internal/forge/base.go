package forge

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/headwater-git/headwater/providers"
)

// ClientFactory makes the HTTP client for one host. It must enforce the
// policy: only allowed addresses, no redirects, the CA file.
type ClientFactory func(providers.HostPolicy) *http.Client

// Base is the part of a provider that does not depend on its host. It is
// embedded by pointer-receiver types; its methods may be called concurrently.
type Base struct {
	manifest   providers.Manifest
	httpClient ClientFactory

	mu      sync.Mutex
	config  *providers.Config       // nil before Configure
	clients map[string]*http.Client // by host; reset by Configure
}

// NewBase makes the base of a provider.
func NewBase(m providers.Manifest, c ClientFactory) *Base {
	return &Base{manifest: m, httpClient: c, clients: map[string]*http.Client{}}
}

// Manifest returns a copy of the manifest.
func (b *Base) Manifest() providers.Manifest {
	m := b.manifest
	m.WireNames = slices.Clone(m.WireNames)
	m.Attributes = slices.Clone(m.Attributes)
	m.WebhookHeaders = slices.Clone(m.WebhookHeaders)
	m.ExcludedRefPrefixes = slices.Clone(m.ExcludedRefPrefixes)
	return m
}

// Configure takes the configuration of a provider that has no attributes of
// its own. Errors: [providers.CodeInvalidConfig].
func (b *Base) Configure(ctx context.Context, c providers.Config) error {
	return b.ConfigureInto(ctx, c, &struct{}{})
}

// ConfigureInto is Configure for a provider that reads its attributes into a
// struct. An attribute that the manifest does not have is refused.
func (b *Base) ConfigureInto(ctx context.Context, c providers.Config, attributes any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.decode(c.Attributes, attributes); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c.Hosts = slices.Clone(c.Hosts)
	b.config = &c
	for _, client := range b.clients {
		client.CloseIdleConnections()
	}
	clear(b.clients)
	return nil
}

func (b *Base) decode(raw json.RawMessage, attributes any) error {
	if len(raw) == 0 {
		return nil
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(raw, &given); err != nil {
		return providers.Errorf(providers.CodeInvalidConfig, "the attributes of provider %q are not a JSON object", b.manifest.Name)
	}
	for name := range given {
		known := func(a providers.Attribute) bool { return a.Name == name }
		if !slices.ContainsFunc(b.manifest.Attributes, known) {
			return providers.Errorf(providers.CodeInvalidConfig, "provider %q has no attribute %q", b.manifest.Name, name)
		}
	}
	for _, a := range b.manifest.Attributes {
		value, ok := given[a.Name]
		if !ok {
			continue
		}
		// One at a time, so that the message can name the culprit without
		// quoting its value, which may be a secret.
		one, err := json.Marshal(map[string]json.RawMessage{a.Name: value})
		if err == nil {
			err = json.Unmarshal(one, attributes)
		}
		if err != nil {
			return providers.Errorf(providers.CodeInvalidConfig, "attribute %q of provider %q must be a %s", a.Name, b.manifest.Name, a.Type)
		}
	}
	return nil
}

// Config returns the configuration.
// Errors: [providers.CodeInvalidConfig] before Configure.
func (b *Base) Config() (providers.Config, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.config == nil {
		return providers.Config{}, providers.Errorf(providers.CodeInvalidConfig, "provider %q has not been configured", b.manifest.Name)
	}
	return *b.config, nil
}

// ParseWebhook refuses: webhooks are not among the capabilities yet.
func (b *Base) ParseWebhook(context.Context, providers.WebhookRequest) (providers.WebhookResult, error) {
	return providers.WebhookResult{}, providers.Errorf(providers.CodeUnsupported, "provider %q does not read inbound webhooks", b.manifest.Name)
}

// HTTPClient returns the one HTTP client for a host.
func (b *Base) HTTPClient(policy providers.HostPolicy) *http.Client {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := strings.ToLower(policy.Host)
	client := b.clients[key]
	if client == nil {
		client = b.httpClient(policy)
		b.clients[key] = client
	}
	return client
}

// CheckPush returns the refusal of pushes if the hosts take none.
func (b *Base) CheckPush(op providers.Operation) error {
	if op.Writes() && !b.manifest.Capabilities.PushHTTPS {
		return providers.Errorf(providers.CodeUnsupported, "%s", b.manifest.Capabilities.PushUnsupported)
	}
	return nil
}

// CheckOperation refuses operations that the contract does not have.
func CheckOperation(op providers.Operation) error {
	switch op {
	case providers.OpFetch, providers.OpPush, providers.OpAPI, providers.OpLFS, providers.OpLFSWrite:
		return nil
	}
	return invalid("%q is not an operation", printable(string(op)))
}

// CheckStored refuses a stored credential that Basic authentication cannot
// carry. Errors: [providers.CodeInvalidArgument], which tell no secret.
func CheckStored(s *providers.StoredCredential) error {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	switch {
	case s == nil:
		return nil
	case s.Secret == "":
		return invalid("the stored credential has no password")
	case strings.ContainsFunc(s.Secret.Reveal(), control):
		return invalid("the stored password has a control character in it, perhaps a line break at its end")
	case strings.ContainsFunc(s.Username, control), strings.Contains(s.Username, ":"):
		return invalid("the stored user name has a colon or a control character in it")
	}
	return nil
}
