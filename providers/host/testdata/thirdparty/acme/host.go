package acme

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/sdk"
)

// client returns the client for a host, which follows the operator's policy.
func (p *Provider) client(host string) *http.Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.clients[host]
	if !ok {
		c = sdk.HTTPClient(p.cfg.Host(host))
		p.clients[host] = c
	}
	return c
}

// answer is what the host says about a repository.
type answer struct {
	status     int
	retryAfter time.Duration
	latency    time.Duration
	skew       time.Duration // the host's clock minus ours; zero if it does not tell
}

// ask asks for the capabilities of a repository, the one thing that every git
// host answers. Protocol version 2 keeps it from listing the refs.
func (p *Provider) ask(ctx context.Context, remote providers.Remote, stored *providers.StoredCredential) (answer, error) {
	cfg, _ := p.configured()
	u := url.URL{Scheme: cfg.Host(remote.Host).Scheme, Host: remote.Host, Path: "/" + remote.Path + ".git/info/refs", RawQuery: "service=git-upload-pack"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return answer{}, providers.Errorf(providers.CodeInvalidArgument, "the remote is not one of acme")
	}
	req.Header.Set("Git-Protocol", "version=2")
	if stored != nil {
		credential, err := basic(*stored)
		if err != nil {
			return answer{}, err
		}
		req.SetBasicAuth(credential.Username, credential.Secret.Reveal())
	}
	begin := time.Now()
	resp, err := p.client(remote.Host).Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		// A proxy's login page is an answer too, and half an answer is none.
		_, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
		if err != nil || resp.Header.Get("Content-Type") != "application/x-git-upload-pack-advertisement" {
			return answer{}, providers.Errorf(providers.CodeUnavailable, "acme answers with something that is not of git")
		}
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	a := answer{status: resp.StatusCode, retryAfter: time.Duration(seconds) * time.Second, latency: time.Since(begin)}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.skew = date.Sub(begin)
	}
	return a, nil
}

// err returns nil if the repository can be read.
func (a answer) err() error {
	out := &providers.Error{HTTPStatus: a.status, RetryAfter: a.retryAfter}
	switch {
	case a.status == http.StatusOK:
		return nil
	case a.status == http.StatusUnauthorized:
		out.Code, out.Message = providers.CodeUnauthenticated, "acme wants another credential"
	case a.status == http.StatusForbidden:
		out.Code, out.Message = providers.CodePermissionDenied, "acme lets this credential not read the repository"
	case a.status == http.StatusNotFound:
		out.Code, out.Message = providers.CodeNotFound, "acme has no such repository"
	case a.status == http.StatusTooManyRequests:
		out.Code, out.Message = providers.CodeRateLimited, "acme limits the requests"
	default:
		out.Code, out.Message = providers.CodeUnavailable, "acme answers with status "+strconv.Itoa(a.status)
	}
	return out
}

// visibility finds out whether strangers can read a repository, and fails if the
// credential cannot either.
func (p *Provider) visibility(ctx context.Context, remote providers.Remote, stored *providers.StoredCredential) (string, error) {
	a, err := p.ask(ctx, remote, nil)
	if err != nil {
		return "", err
	}
	refused := a.status == http.StatusUnauthorized || a.status == http.StatusForbidden || a.status == http.StatusNotFound
	if !refused || stored == nil {
		return "public", a.err()
	}
	if a, err = p.ask(ctx, remote, stored); err != nil {
		return "", err
	}
	return "private", a.err()
}

// Probe implements the contract.
func (p *Provider) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	a, err := p.ask(ctx, r.Remote, r.Stored)
	if err != nil {
		return providers.ProbeResult{}, err
	}
	out := providers.ProbeResult{Reachable: true, Latency: a.latency, ClockSkew: a.skew, Message: "the repository can be read"}
	if err := a.err(); err != nil {
		out.Message = err.Error()
		return out, nil
	}
	out.CanPull, out.CanPush = true, r.Stored != nil
	return out, nil
}
