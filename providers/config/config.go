// Package config reads providers.hcl: which provider instances there are, how
// their hosts may be spoken to, and which binary serves each of them.
//
// Every problem is reported with file and line, all problems of a file at
// once, and never with the value of an attribute, because any of them may be a
// secret.
//
//	provider "gitea" "forge" {
//	  command = "/usr/lib/headwater/provider-gitea" # omitted for built-ins
//	  sha256  = "9f86d081..."                       # mandatory with command
//
//	  host "git.example.org" {
//	    scheme         = "https"
//	    allow_private  = true
//	    ca_file        = "internal-ca.pem"
//	    webhook_secret = env("FORGE_WEBHOOK_SECRET")
//	    max_concurrent = 4
//	    base_path      = "/git"             # where the host is below a path
//	    proxy          = env("FORGE_PROXY") # forward proxy that leads there
//	  }
//
//	  poll  = "auto"              # or "off", or a duration like "30s"
//	  token = file("forge-token") # an attribute of the provider itself
//	}
//
// env("NAME") reads an environment variable that must be set, and file("PATH")
// a file, without the newline at its end. Paths are relative to the directory
// of the file that names them.
package config

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/headwater-git/headwater/providers"
)

// Config is a parsed providers.hcl.
type Config struct {
	Providers []Provider // in the order of the file
}

// Provider is one provider block: one instance.
type Provider struct {
	Type     string // first label: the name of the provider
	Instance string // second label, or Type
	Pos      Pos    // of the block

	// Command is the absolute path of an external plugin binary; "" is a
	// built-in. Args are its arguments, SHA256 its checksum (32 bytes).
	Command string
	Args    []string
	SHA256  []byte

	Hosts []providers.HostPolicy

	// Poll says when upstreams are looked at unasked: PollOff, PollAuto, a Go
	// duration of at least MinPoll, or "" for the default of the provider.
	Poll string

	// Attributes are the provider's own attributes, as one JSON object. They
	// may hold secrets in the clear: they are for Configure only.
	Attributes json.RawMessage

	// Secrets are the values that came from env() and file(), so that they
	// can be cut out of what a plugin logs.
	Secrets []providers.Secret

	attributes map[string]attribute
}

// Same reports whether another block says the same, wherever the two stand in their
// files. What env() and file() gave counts by its value.
func (p Provider) Same(other Provider) bool {
	if (p.Pos == Pos{}) != (other.Pos == Pos{}) {
		return false // one of the two is no block, but the default of a built-in provider
	}
	for _, b := range []*Provider{&p, &other} {
		b.Pos, b.attributes = Pos{}, nil // Attributes has their values
	}
	return reflect.DeepEqual(p, other)
}

// The words of the attribute poll, and the shortest duration it may be.
const (
	PollOff  = "off"
	PollAuto = "auto"
	MinPoll  = 5 * time.Second
)

// Instance returns the block of an instance, or nil.
func (c *Config) Instance(name string) *Provider {
	if c == nil {
		return nil
	}
	for i := range c.Providers {
		if c.Providers[i].Instance == name {
			return &c.Providers[i]
		}
	}
	return nil
}
