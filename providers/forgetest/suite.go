package forgetest

// What follows is how the conformance suite looks behind a forge.

// Traits is what the suite must know about a kind of host.
type Traits struct {
	// HostKey: webhooks are signed with a key of the host, not with a secret of
	// the receiver.
	HostKey bool
	// OpenBody: the secret of a webhook does not cover its body.
	OpenBody bool
	// Apps: grants are installations of a GitHub App.
	Apps bool
	// RateWords: refusals because of a used-up budget have a form of the host's own.
	RateWords bool
	// Registers: the API registers webhooks.
	Registers bool
	// OwnerPrefix is what every owner begins with: "~" at SourceHut.
	OwnerPrefix string
	// EventHeader is the header that names the event of a webhook; "" if the
	// body does.
	EventHeader string
	// NoArchive: the host has no archived repositories.
	NoArchive bool
}

// Traits returns what the suite must know about the forge's host.
func (f *Forge) Traits() Traits {
	r := f.rules
	t := Traits{
		HostKey: r.hostKey, OpenBody: r.openBody, Apps: f.app != nil, RateWords: r.api != nil && r.custom == nil,
		Registers: r.hooks != nil || r.custom != nil, EventHeader: r.eventHeader,
		NoArchive: f.options.HostKind == HostBitbucket,
	}
	if f.options.HostKind == HostSourceHut {
		t.OwnerPrefix = "~"
	}
	return t
}

// DeliveriesTo returns the requests that the host makes of an event to one
// webhook of a repository: none if the webhook does not subscribe to it. They
// are signed and not sent.
func (f *Forge) DeliveriesTo(repo string, e Event, w Webhook) ([]Delivery, error) {
	found, err := f.change(repo, func(*forgeRepo) {})
	if err != nil {
		return nil, err
	}
	var out []Delivery
	for _, p := range f.rules.payloads(f, found, e, false) {
		if w.wants(p) {
			out = append(out, f.sealed(found, p, w, false))
		}
	}
	return out, nil
}

// Resign returns a delivery with another body, signed with a secret as the host
// would sign it.
func (f *Forge) Resign(d Delivery, secret string, body []byte) Delivery {
	d.Body, d.Header = body, d.Header.Clone()
	f.rules.sign(f, &d, Webhook{URL: f.URL(), Secret: secret, ContentType: "json"})
	return d
}

// RemoveWebhook removes a webhook, as a person does in the host's settings. It
// reports whether there was such a webhook.
func (f *Forge) RemoveWebhook(repo, id string) bool {
	found := f.find(repo)
	return found != nil && f.removeWebhook(found.id, id)
}
