package providertest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/sdk"
)

// kiln is a plugin as a stranger would write it from docs/providers.md, for a
// forge that is like none of ours: git and its API take a bearer token in a
// header and no basic authentication, and webhooks carry a seal of its own over
// the delivery's id and body.
type kiln struct {
	mu      sync.Mutex
	config  providers.Config
	clients map[string]*http.Client
}

func newKiln() providers.Provider { return &kiln{clients: map[string]*http.Client{}} }

func (*kiln) Manifest() providers.Manifest {
	return providers.Manifest{
		Name: "kiln", Version: "1.0.0", ContractVersion: providers.ContractVersion, Description: "Repositories at a Kiln",
		WireNames: []string{"kiln"}, Mode: providers.ModeGeneric,
		Capabilities: providers.Capabilities{
			PushHTTPS: true, AtomicPush: true, AnonymousFetch: true, StableIDs: true, Webhooks: true, WebhookRegistration: true,
		},
		Attributes:     []providers.Attribute{{Name: "region", Type: "string", Doc: "Which of Kiln's regions to ask."}},
		WebhookHeaders: []string{"X-Kiln-Event", "X-Kiln-Delivery", "X-Kiln-Seal"},
	}
}

func (k *kiln) Configure(_ context.Context, c providers.Config) error {
	var attributes struct {
		Region string `json:"region"`
	}
	if len(c.Attributes) > 0 {
		d := json.NewDecoder(bytes.NewReader(c.Attributes))
		d.DisallowUnknownFields()
		if err := d.Decode(&attributes); err != nil {
			return providers.Errorf(providers.CodeInvalidConfig, "attributes: %v", err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.config = c
	return nil
}

func (k *kiln) at(host string) (providers.HostPolicy, *http.Client) {
	k.mu.Lock()
	defer k.mu.Unlock()
	policy := k.config.Host(host)
	if k.clients[host] == nil {
		k.clients[host] = sdk.HTTPClient(policy)
	}
	return policy, k.clients[host]
}

var kilnName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,99}$`)

type kilnRepository struct {
	ID         string `json:"id"`
	Slug       string `json:"slug"`
	Branch     string `json:"branch"`
	Restricted bool   `json:"restricted"`
	Frozen     bool   `json:"frozen"`
	MayPush    bool   `json:"may_push"`
	Clone      string `json:"clone"`
	Page       string `json:"page"`
}

func (k *kiln) Resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	if r.Locator.Host == "" {
		return providers.Remote{}, providers.Errorf(providers.CodeInvalidArgument, "upstream_host is required: Kiln has no public instance")
	}
	host, err := sdk.ParseHost(r.Locator.Host)
	if err != nil {
		return providers.Remote{}, err
	}
	name := strings.TrimSuffix(r.Locator.Name, ".git")
	if !kilnName.MatchString(r.Locator.Owner) || !kilnName.MatchString(name) {
		return providers.Remote{}, providers.Errorf(providers.CodeInvalidArgument, "owners and names at Kiln are letters, digits and dashes")
	}
	remote := k.remote(host, r.Locator.Owner+"/"+name)
	remote.UpstreamID = r.Locator.ID
	if !r.Contact {
		return remote, nil
	}
	path := "/repositories/" + remote.Path
	if r.Locator.ID != "" {
		path = "/repository-ids/" + r.Locator.ID
	}
	var found kilnRepository
	if _, err := k.call(ctx, host, http.MethodGet, path, r.Stored, nil, &found); err != nil {
		return providers.Remote{}, err
	}
	remote = k.remote(host, found.Slug)
	remote.URL, remote.WebURL = found.Clone, found.Page
	remote.UpstreamID, remote.DefaultBranch, remote.Archived = found.ID, found.Branch, found.Frozen
	remote.Visibility = map[bool]string{true: "private", false: "public"}[found.Restricted]
	return remote, nil
}

func (k *kiln) remote(host, path string) providers.Remote {
	policy, _ := k.at(host)
	web := policy.Scheme + "://" + host + "/" + path
	return providers.Remote{URL: web + ".git", WebURL: web, Host: host, Path: path, PushSupported: true}
}

// call asks the API.
func (k *kiln) call(ctx context.Context, host, method, path string, stored *providers.StoredCredential, in, out any) (*http.Response, error) {
	policy, client := k.at(host)
	body, _ := json.Marshal(in)
	base := policy.APIURL
	if base == "" {
		base = policy.Scheme + "://" + host + "/rest/v2"
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return nil, providers.Errorf(providers.CodeInvalidArgument, "Kiln has no such address")
	}
	if stored != nil {
		c, err := bearer(stored)
		if err != nil {
			return nil, err
		}
		req.Header.Set(c.Header, c.Secret.Reveal())
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	e := &providers.Error{HTTPStatus: resp.StatusCode, Code: providers.CodeUnavailable, Message: "Kiln answers with something that is not of its API"}
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNoContent:
		if err != nil || out != nil && json.Unmarshal(raw, out) != nil {
			return resp, e
		}
		return resp, nil
	case http.StatusUnauthorized:
		e.Code, e.Message = providers.CodeUnauthenticated, "Kiln refuses the token; store another one"
	case http.StatusForbidden:
		e.Code, e.Message = providers.CodePermissionDenied, "Kiln does not let this token do that; it needs the role keeper"
	case http.StatusNotFound:
		e.Code, e.Message = providers.CodeNotFound, "Kiln has no such repository, or does not show it to this token"
	case http.StatusUnprocessableEntity:
		e.Code, e.Message = providers.CodeInvalidArgument, "Kiln does not deliver to this address"
	case http.StatusTooManyRequests:
		e.Code, e.Message = providers.CodeRateLimited, "Kiln wants fewer requests"
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		e.RetryAfter = time.Duration(seconds) * time.Second
	default:
		e.Message = "Kiln is out of order"
	}
	return resp, e
}

// bearer turns a stored token into the header that Kiln wants.
func bearer(stored *providers.StoredCredential) (providers.Credential, error) {
	bad := func(r rune) bool { return r <= ' ' || r > '~' }
	if stored.Secret == "" || strings.ContainsFunc(stored.Secret.Reveal(), bad) || strings.ContainsFunc(stored.Username, bad) || strings.Contains(stored.Username, ":") {
		return providers.Credential{}, providers.Errorf(providers.CodeInvalidArgument, "this is not a token of Kiln")
	}
	return providers.Credential{Kind: providers.CredentialHeader, Header: "Authorization", Secret: "Bearer " + stored.Secret}, nil
}

func (*kiln) Credential(ctx context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	if err := ctx.Err(); err != nil {
		return providers.Credential{}, err
	}
	switch r.Operation {
	case providers.OpFetch, providers.OpPush, providers.OpAPI:
	default:
		return providers.Credential{}, providers.Errorf(providers.CodeInvalidArgument, "Kiln has no such operation")
	}
	if r.Stored != nil {
		return bearer(r.Stored)
	}
	if r.Operation == providers.OpPush {
		return providers.Credential{}, providers.Errorf(providers.CodeUnauthenticated, "Kiln takes no push without a token: store one")
	}
	return providers.Credential{Kind: providers.CredentialNone}, nil
}

func (k *kiln) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	var found kilnRepository
	begin := time.Now()
	resp, err := k.call(ctx, r.Remote.Host, http.MethodGet, "/repositories/"+r.Remote.Path, r.Stored, nil, &found)
	if resp == nil {
		return providers.ProbeResult{}, err
	}
	p := providers.ProbeResult{Reachable: true, Latency: time.Since(begin), Message: "The repository can be fetched."}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		p.ClockSkew = date.Sub(begin)
	}
	if err != nil {
		p.Message = err.Error()
		return p, nil
	}
	p.CanPull, p.CanPush = true, found.MayPush
	return p, nil
}

// seal is Kiln's signature: it covers the id of the delivery, too.
func seal(secret, id string, body []byte) string {
	mac := hmac.New(sha512.New, []byte(secret))
	_, _ = mac.Write([]byte(id + "\n"))
	_, _ = mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (*kiln) ParseWebhook(_ context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	id, verified := r.Header.Get("X-Kiln-Delivery"), false
	for _, secret := range r.Secrets {
		want := seal(secret.Reveal(), id, r.Body)
		verified = verified || secret != "" && hmac.Equal([]byte(want), []byte(r.Header.Get("X-Kiln-Seal")))
	}
	if !verified {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeSignatureInvalid, "the webhook has no seal of a known secret")
	}
	var body struct {
		Repository struct{ ID, Slug string }
		Moves      []struct{ Ref, From, To string }
	}
	if err := json.Unmarshal(r.Body, &body); err != nil || body.Repository.ID == "" {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeInvalidArgument, "the webhook is not one of Kiln")
	}
	if r.Repository != nil && (r.Repository.UpstreamID != "" && r.Repository.UpstreamID != body.Repository.ID ||
		r.Repository.UpstreamID == "" && r.Repository.Path != body.Repository.Slug) {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeInvalidArgument, "the webhook is about another repository")
	}
	out := providers.WebhookResult{
		Verified: true, DeliveryID: id, Kind: providers.WebhookIgnored, RepositoryID: body.Repository.ID, RepositoryPath: body.Repository.Slug,
	}
	switch r.Header.Get("X-Kiln-Event") {
	case "moved":
		out.Kind = providers.WebhookPush
		for _, m := range body.Moves {
			out.Refs = append(out.Refs, providers.RefHint{Name: m.Ref, Old: m.From, New: m.To})
		}
	case "branch":
		out.Kind = providers.WebhookDefaultBranch
	case "relabelled":
		out.Kind = providers.WebhookRenamed
	case "smashed":
		out.Kind = providers.WebhookDeleted
	case "knock":
		out.Kind = providers.WebhookPing
	}
	return out, nil
}

type kilnReceiver struct {
	ID     string   `json:"id,omitempty"`
	URL    string   `json:"url"`
	Secret string   `json:"secret,omitempty"`
	Events []string `json:"events"`
	On     bool     `json:"on"`
}

// receivers lists the webhooks of a repository.
func (k *kiln) receivers(ctx context.Context, remote providers.Remote, stored *providers.StoredCredential) (string, []kilnReceiver, error) {
	if stored == nil {
		return "", nil, providers.Errorf(providers.CodeUnauthenticated, "webhooks at Kiln need a token: store one")
	}
	base := "/repositories/" + remote.Path + "/receivers"
	var list []kilnReceiver
	_, err := k.call(ctx, remote.Host, http.MethodGet, base, stored, nil, &list)
	return base, list, err
}

func (k *kiln) EnsureWebhook(ctx context.Context, r providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error) {
	if r.Secret == "" {
		return providers.RegisteredWebhook{}, providers.Errorf(providers.CodeInvalidArgument, "a webhook needs a secret")
	}
	base, list, err := k.receivers(ctx, r.Remote, r.Stored)
	if err != nil {
		return providers.RegisteredWebhook{}, err
	}
	keep := ""
	for _, at := range list {
		if at.ID == r.HookID || keep == "" && at.URL == r.URL {
			keep = at.ID
		}
	}
	for _, at := range list {
		if at.ID != keep && at.URL == r.URL {
			if _, err := k.call(ctx, r.Remote.Host, http.MethodDelete, base+"/"+at.ID, r.Stored, nil, nil); err != nil {
				return providers.RegisteredWebhook{}, err
			}
		}
	}
	want := kilnReceiver{URL: r.URL, Secret: r.Secret.Reveal(), On: true} // no events: all
	method, path := http.MethodPost, base
	if keep != "" { // Kiln shows no secret: write it anew
		method, path = http.MethodPut, base+"/"+keep
	}
	var made kilnReceiver
	_, err = k.call(ctx, r.Remote.Host, method, path, r.Stored, want, &made)
	return providers.RegisteredWebhook{HookID: made.ID, Changed: true}, err
}

func (k *kiln) RemoveWebhook(ctx context.Context, r providers.RemoveWebhookRequest) error {
	base, list, err := k.receivers(ctx, r.Remote, r.Stored)
	for _, at := range list {
		if err == nil && (at.ID == r.HookID || at.URL == r.URL) {
			_, err = k.call(ctx, r.Remote.Host, http.MethodDelete, base+"/"+at.ID, r.Stored, nil, nil)
		}
	}
	var e *providers.Error
	if errors.As(err, &e) && e.Code == providers.CodeNotFound {
		return nil // it is removed already
	}
	return err
}
