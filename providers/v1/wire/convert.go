package wire

import (
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
	providerv1 "github.com/headwater-git/headwater/providers/v1"
)

// Enums travel as numbers. A value that one side does not know becomes the zero
// value on the other, which every receiver has to treat as unknown.

var modes = map[providers.Mode]providerv1.Mode{
	providers.ModeApp:     providerv1.Mode_MODE_APP,
	providers.ModePublic:  providerv1.Mode_MODE_PUBLIC,
	providers.ModeGeneric: providerv1.Mode_MODE_GENERIC,
}

var operations = map[providers.Operation]providerv1.Operation{
	providers.OpFetch: providerv1.Operation_OPERATION_FETCH,
	providers.OpPush:  providerv1.Operation_OPERATION_PUSH,
	providers.OpAPI:   providerv1.Operation_OPERATION_API,

	providers.OpLFS:      providerv1.Operation_OPERATION_LFS,
	providers.OpLFSWrite: providerv1.Operation_OPERATION_LFS_WRITE,
}

// reverse looks up the Go value of a wire value.
func reverse[K, V comparable](m map[K]V, wire V) K {
	for k, v := range m {
		if v == wire {
			return k
		}
	}
	var zero K
	return zero
}

// text makes a string fit for protobuf, which refuses to send one that is not
// UTF-8: a byte that a host sent must not make the whole answer unsendable.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func texts(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = text(s)
	}
	return out
}

func toTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func fromTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func toSecrets(list []providers.Secret) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = s.Reveal()
	}
	return out
}

func fromSecrets(list []string) []providers.Secret {
	if len(list) == 0 {
		return nil
	}
	out := make([]providers.Secret, len(list))
	for i, s := range list {
		out[i] = providers.Secret(s)
	}
	return out
}

func toManifest(m providers.Manifest) *providerv1.Manifest {
	out := &providerv1.Manifest{
		Name:            m.Name,
		Version:         m.Version,
		ContractVersion: int32(m.ContractVersion),
		Description:     text(m.Description),
		WireNames:       m.WireNames,
		Mode:            modes[m.Mode],
		DefaultHost:     m.DefaultHost,
		Capabilities: &providerv1.Capabilities{
			PushHttps:       m.Capabilities.PushHTTPS,
			PushUnsupported: m.Capabilities.PushUnsupported,
			AtomicPush:      m.Capabilities.AtomicPush,
			PushOptions:     m.Capabilities.PushOptions,
			Webhooks:        m.Capabilities.Webhooks,
			AnonymousFetch:  m.Capabilities.AnonymousFetch,
			StableIds:       m.Capabilities.StableIDs,

			WebhookRegistration: m.Capabilities.WebhookRegistration,
			Replay:              m.Capabilities.Replay,
			Agit:                m.Capabilities.AGit,
			Listing:             m.Capabilities.Listing,
			Lfs:                 m.Capabilities.LFS,
		},
		WebhookHeaders:      m.WebhookHeaders,
		ExcludedRefPrefixes: m.ExcludedRefPrefixes,
	}
	for _, a := range m.Attributes {
		out.Attributes = append(out.Attributes, &providerv1.Attribute{
			Name: a.Name, Type: a.Type, Required: a.Required, Sensitive: a.Sensitive, Doc: a.Doc,
		})
	}
	return out
}

func fromManifest(m *providerv1.Manifest) providers.Manifest {
	c := m.GetCapabilities()
	out := providers.Manifest{
		Name:            m.GetName(),
		Version:         m.GetVersion(),
		ContractVersion: int(m.GetContractVersion()),
		Description:     m.GetDescription(),
		WireNames:       m.GetWireNames(),
		Mode:            reverse(modes, m.GetMode()),
		DefaultHost:     m.GetDefaultHost(),
		Capabilities: providers.Capabilities{
			PushHTTPS:       c.GetPushHttps(),
			PushUnsupported: c.GetPushUnsupported(),
			AtomicPush:      c.GetAtomicPush(),
			PushOptions:     c.GetPushOptions(),
			Webhooks:        c.GetWebhooks(),
			AnonymousFetch:  c.GetAnonymousFetch(),
			StableIDs:       c.GetStableIds(),

			WebhookRegistration: c.GetWebhookRegistration(),
			Replay:              c.GetReplay(),
			AGit:                c.GetAgit(),
			Listing:             c.GetListing(),
			LFS:                 c.GetLfs(),
		},
		WebhookHeaders:      m.GetWebhookHeaders(),
		ExcludedRefPrefixes: m.GetExcludedRefPrefixes(),
	}
	for _, a := range m.GetAttributes() {
		out.Attributes = append(out.Attributes, providers.Attribute{
			Name: a.GetName(), Type: a.GetType(), Required: a.GetRequired(), Sensitive: a.GetSensitive(), Doc: a.GetDoc(),
		})
	}
	return out
}

func toConfig(c providers.Config) *providerv1.ConfigureRequest {
	out := &providerv1.ConfigureRequest{Instance: c.Instance, AttributesJson: c.Attributes, Proxy: c.Proxy.Reveal()}
	for _, h := range c.Hosts {
		out.Hosts = append(out.Hosts, &providerv1.HostPolicy{
			Host:           h.Host,
			Scheme:         h.Scheme,
			AllowPrivate:   h.AllowPrivate,
			CaFile:         h.CAFile,
			ApiUrl:         h.APIURL,
			WebhookSecrets: toSecrets(h.WebhookSecrets),
			MaxConcurrent:  int32(h.MaxConcurrent),
			BasePath:       h.BasePath,
			Proxy:          h.Proxy.Reveal(),
		})
	}
	return out
}

func fromConfig(c *providerv1.ConfigureRequest) providers.Config {
	out := providers.Config{Instance: c.GetInstance(), Attributes: c.GetAttributesJson(), Proxy: providers.Secret(c.GetProxy())}
	for _, h := range c.GetHosts() {
		out.Hosts = append(out.Hosts, providers.HostPolicy{
			Host:           h.GetHost(),
			Scheme:         h.GetScheme(),
			AllowPrivate:   h.GetAllowPrivate(),
			CAFile:         h.GetCaFile(),
			APIURL:         h.GetApiUrl(),
			WebhookSecrets: fromSecrets(h.GetWebhookSecrets()),
			MaxConcurrent:  int(h.GetMaxConcurrent()),
			BasePath:       h.GetBasePath(),
			Proxy:          providers.Secret(h.GetProxy()),
		})
	}
	return out
}

func toRemote(r providers.Remote) *providerv1.Remote {
	return &providerv1.Remote{
		Url:           text(r.URL),
		WebUrl:        text(r.WebURL),
		Host:          text(r.Host),
		Path:          text(r.Path),
		UpstreamId:    text(r.UpstreamID),
		DefaultBranch: text(r.DefaultBranch),
		Visibility:    r.Visibility,
		Archived:      r.Archived,
		SizeHint:      r.SizeHint,
		PushSupported: r.PushSupported,
		LfsUrl:        text(r.LFSURL),
	}
}

func fromRemote(r *providerv1.Remote) providers.Remote {
	return providers.Remote{
		URL:           r.GetUrl(),
		WebURL:        r.GetWebUrl(),
		Host:          r.GetHost(),
		Path:          r.GetPath(),
		UpstreamID:    r.GetUpstreamId(),
		DefaultBranch: r.GetDefaultBranch(),
		Visibility:    r.GetVisibility(),
		Archived:      r.GetArchived(),
		SizeHint:      r.GetSizeHint(),
		PushSupported: r.GetPushSupported(),
		LFSURL:        r.GetLfsUrl(),
	}
}

func toStored(s *providers.StoredCredential) *providerv1.StoredCredential {
	if s == nil {
		return nil
	}
	return &providerv1.StoredCredential{Username: s.Username, Secret: s.Secret.Reveal()}
}

func fromStored(s *providerv1.StoredCredential) *providers.StoredCredential {
	if s == nil {
		return nil
	}
	return &providers.StoredCredential{Username: s.GetUsername(), Secret: providers.Secret(s.GetSecret())}
}

func toResolveRequest(r providers.ResolveRequest) *providerv1.ResolveRequest {
	return &providerv1.ResolveRequest{
		Locator: &providerv1.Locator{Host: r.Locator.Host, Owner: r.Locator.Owner, Name: r.Locator.Name, Id: r.Locator.ID},
		Contact: r.Contact,
		Stored:  toStored(r.Stored),
	}
}

func fromResolveRequest(r *providerv1.ResolveRequest) providers.ResolveRequest {
	l := r.GetLocator()
	return providers.ResolveRequest{
		Locator: providers.Locator{Host: l.GetHost(), Owner: l.GetOwner(), Name: l.GetName(), ID: l.GetId()},
		Contact: r.GetContact(),
		Stored:  fromStored(r.GetStored()),
	}
}

func toCredentialRequest(r providers.CredentialRequest) *providerv1.CredentialRequest {
	return &providerv1.CredentialRequest{
		Remote:      toRemote(r.Remote),
		Operation:   operations[r.Operation],
		Stored:      toStored(r.Stored),
		MinValidity: durationpb.New(r.MinValidity),
		Fresh:       r.Fresh,
	}
}

func fromCredentialRequest(r *providerv1.CredentialRequest) providers.CredentialRequest {
	return providers.CredentialRequest{
		Remote:      fromRemote(r.GetRemote()),
		Operation:   reverse(operations, r.GetOperation()),
		Stored:      fromStored(r.GetStored()),
		MinValidity: r.GetMinValidity().AsDuration(),
		Fresh:       r.GetFresh(),
	}
}

func toCredential(c providers.Credential) (*providerv1.CredentialResponse, error) {
	out := &providerv1.CredentialResponse{ExpiresAt: toTime(c.ExpiresAt)}
	switch c.Kind {
	case providers.CredentialNone:
		out.Kind = &providerv1.CredentialResponse_None{None: &providerv1.NoCredential{}}
	case providers.CredentialBasic:
		out.Kind = &providerv1.CredentialResponse_Basic{Basic: &providerv1.BasicCredential{Username: c.Username, Secret: c.Secret.Reveal()}}
	case providers.CredentialHeader:
		out.Kind = &providerv1.CredentialResponse_Header{Header: &providerv1.HeaderCredential{Name: c.Header, Value: c.Secret.Reveal()}}
	default:
		return nil, providers.Errorf(providers.CodeUnsupported, "the plugin answered with a credential of unknown kind %q", c.Kind)
	}
	return out, nil
}

func fromCredential(c *providerv1.CredentialResponse) (providers.Credential, error) {
	out := providers.Credential{ExpiresAt: fromTime(c.GetExpiresAt())}
	switch kind := c.GetKind().(type) {
	case *providerv1.CredentialResponse_None:
		out.Kind = providers.CredentialNone
	case *providerv1.CredentialResponse_Basic:
		out.Kind = providers.CredentialBasic
		out.Username = kind.Basic.GetUsername()
		out.Secret = providers.Secret(kind.Basic.GetSecret())
	case *providerv1.CredentialResponse_Header:
		out.Kind = providers.CredentialHeader
		out.Header = kind.Header.GetName()
		out.Secret = providers.Secret(kind.Header.GetValue())
		if !sendable(out.Header, kind.Header.GetValue()) {
			return providers.Credential{}, providers.Errorf(providers.CodeUnavailable, "the plugin answered with a header that cannot be sent: %q", out.Header)
		}
	default:
		// A form of a newer contract. Going on without it would contact the
		// host anonymously, which is not what the plugin meant.
		return providers.Credential{}, providers.Errorf(providers.CodeUnsupported, "the plugin answered with a kind of credential that this server does not know")
	}
	return out, nil
}

// sendable reports whether a header can be added to a request of git: a value
// with a line break would add others, and some names would change what the
// request is.
func sendable(name, value string) bool {
	if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) || value == "" {
		return false
	}
	switch http.CanonicalHeaderKey(name) {
	case "Host", "Content-Length", "Transfer-Encoding", "Connection", "Content-Encoding", "Content-Type", "Expect", "Te", "Trailer", "Upgrade":
		return false
	}
	return strings.IndexFunc(value, func(r rune) bool { return r > '~' }) < 0
}

func toProbeRequest(r providers.ProbeRequest) *providerv1.ProbeRequest {
	return &providerv1.ProbeRequest{Remote: toRemote(r.Remote), Stored: toStored(r.Stored)}
}

func fromProbeRequest(r *providerv1.ProbeRequest) providers.ProbeRequest {
	return providers.ProbeRequest{Remote: fromRemote(r.GetRemote()), Stored: fromStored(r.GetStored())}
}

func toProbeResult(r providers.ProbeResult) *providerv1.ProbeResponse {
	return &providerv1.ProbeResponse{
		Reachable:     r.Reachable,
		CanPull:       r.CanPull,
		CanPush:       r.CanPush,
		RateLimit:     int32(r.RateLimit),
		RateRemaining: int32(r.RateRemaining),
		RateResetAt:   toTime(r.RateResetAt),
		Latency:       durationpb.New(r.Latency),
		ClockSkew:     durationpb.New(r.ClockSkew),
		Message:       text(r.Message),
	}
}

func fromProbeResult(r *providerv1.ProbeResponse) providers.ProbeResult {
	return providers.ProbeResult{
		Reachable:     r.GetReachable(),
		CanPull:       r.GetCanPull(),
		CanPush:       r.GetCanPush(),
		RateLimit:     int(r.GetRateLimit()),
		RateRemaining: int(r.GetRateRemaining()),
		RateResetAt:   fromTime(r.GetRateResetAt()),
		Latency:       r.GetLatency().AsDuration(),
		ClockSkew:     r.GetClockSkew().AsDuration(),
		Message:       netguard.PlainText(r.GetMessage()),
	}
}
