package config

import (
	"crypto/x509"
	"errors"
	"io/fs"
	"net/url"

	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

// maxConcurrentLimit bounds max_concurrent: more operations at one host at once
// are a mistake.
const maxConcurrentLimit = 1000

// host parses one host block. It reports false if the block has no usable
// label; other problems are added to the diagnostics.
func (p *parser) host(block *hclsyntax.Block, v *values) (providers.HostPolicy, bool) {
	if len(block.Labels) != 1 {
		p.ds.add(block.DefRange(), "a host block has one label: host \"git.example.org\" { ... }")
		return providers.HostPolicy{}, false
	}
	host, err := netguard.ParseHost(block.Labels[0])
	if err != nil {
		p.ds.add(block.LabelRanges[0], "%v", err)
		return providers.HostPolicy{}, false
	}
	policy := providers.HostPolicy{Host: host, Scheme: "https"}
	for _, b := range block.Body.Blocks {
		p.ds.add(b.TypeRange, "block %q is not expected in host %q", b.Type, host)
	}
	var api *hclsyntax.Attribute
	for _, attr := range sortedAttributes(block.Body) {
		switch attr.Name {
		case "scheme":
			if scheme, ok := v.string(attr); ok && scheme != "https" && scheme != "http" {
				p.ds.add(attr.SrcRange, "scheme must be \"https\" or \"http\"")
			} else if ok {
				policy.Scheme = scheme
			}
		case "allow_private":
			policy.AllowPrivate = v.bool(attr)
		case "ca_file":
			if path, ok := v.string(attr); ok {
				policy.CAFile = p.path(path)
				p.checkCA(attr, policy.CAFile)
			}
		case "api_url":
			policy.APIURL, _ = v.string(attr)
			api = attr
		case "webhook_secret":
			if secret, ok := v.string(attr); ok {
				policy.WebhookSecrets = append(policy.WebhookSecrets, providers.Secret(secret))
			}
		case "webhook_secrets":
			list := v.strings(attr)
			for _, secret := range list {
				policy.WebhookSecrets = append(policy.WebhookSecrets, providers.Secret(secret))
			}
		case "max_concurrent":
			policy.MaxConcurrent = v.int(attr, 1, maxConcurrentLimit)
		default:
			p.ds.add(attr.NameRange, "host %q has no attribute %q; it has allow_private, api_url, ca_file, max_concurrent, scheme, webhook_secret, webhook_secrets",
				host, attr.Name)
		}
	}
	if policy.APIURL != "" {
		p.checkAPI(api, policy)
	}
	return policy, true
}

// checkCA looks at the bundle now, because a missing one would otherwise show
// up as a TLS failure of the first sync.
func (p *parser) checkCA(attr *hclsyntax.Attribute, path string) {
	pem, err := readFile(path)
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err // without the path, which may come from env()
		}
		p.ds.add(attr.SrcRange, "ca_file cannot be read: %v", err)
		return
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		p.ds.add(attr.SrcRange, "ca_file holds no PEM certificate")
	}
}

func (p *parser) checkAPI(attr *hclsyntax.Attribute, policy providers.HostPolicy) {
	u, err := url.Parse(policy.APIURL)
	switch {
	case err != nil, u.Host == "", u.Scheme != "https" && u.Scheme != "http":
		p.ds.add(attr.SrcRange, "api_url must be an absolute https URL")
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		p.ds.add(attr.SrcRange, "api_url must have no user, query or fragment")
	case u.Scheme == "http" && policy.Scheme != "http":
		p.ds.add(attr.SrcRange, "api_url is http, but the scheme of host %q is https; set scheme = \"http\" if tokens may travel in the clear", policy.Host)
	default:
		if _, err := netguard.ParseHost(u.Host); err != nil {
			p.ds.add(attr.SrcRange, "api_url must name a valid host")
		}
	}
}
