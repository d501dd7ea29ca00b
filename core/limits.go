package core

import (
	"context"
	"time"
)

// OrgLimits is what an organisation may use. 0 is no limit.
type OrgLimits struct {
	Repositories int   `json:"repositories,omitempty"`
	DiskBytes    int64 `json:"disk_bytes,omitempty"` // of the folders of all its repositories
	// Requests are those of all its tokens in a second, and TokenRequests those of one
	// token. As many may come at once.
	Requests      int `json:"requests_per_second,omitempty"`
	TokenRequests int `json:"token_requests_per_second,omitempty"`
	// NoPublicRead forbids that its repositories are read without a token.
	NoPublicRead bool `json:"no_public_read,omitempty"`
}

// Validate returns a KindInvalid error for limits that cannot be meant.
func (l OrgLimits) Validate() error {
	if l.Repositories < 0 || l.DiskBytes < 0 || l.Requests < 0 || l.TokenRequests < 0 {
		return Errorf(KindInvalid, "a limit must not be negative; 0 is none")
	}
	return nil
}

// OrgUsage is what an organisation uses.
type OrgUsage struct {
	Repositories int   // without those in the trash
	DiskBytes    int64 // as of the last measurements, with those in the trash
}

// LimitStore keeps what organisations may use. Methods are KindNotFound if there is no
// such organisation.
type LimitStore interface {
	OrgLimits(ctx context.Context, org string) (OrgLimits, error)
	SetOrgLimits(ctx context.Context, org string, l OrgLimits) error
	// OrgUsage of an organisation that does not exist is zero.
	OrgUsage(ctx context.Context, org string) (OrgUsage, error)
	// RetryTooLarge makes the syncs of an organisation due that failed because something
	// was too large, and returns of which repositories.
	RetryTooLarge(ctx context.Context, org string) ([]string, error)
}

// ReadOnlyMode is the state in which an operator has the server change nothing.
type ReadOnlyMode struct {
	Since  time.Time // zero: the server takes writes
	Reason string    // a sentence for people; may be ""
}

// On reports whether the server changes nothing.
func (m ReadOnlyMode) On() bool { return !m.Since.IsZero() }

// Sentence is the answer to whoever wants to write.
func (m ReadOnlyMode) Sentence() string {
	text := "the server is read-only for maintenance; reads go on, and writes are taken again when it is over"
	if m.Reason != "" {
		text += ": " + m.Reason
	}
	return text
}

// SwitchStore keeps what an operator has switched at run time.
type SwitchStore interface {
	ReadOnly(ctx context.Context) (ReadOnlyMode, error)
	// SetReadOnly switches; a zero Since ends it.
	SetReadOnly(ctx context.Context, m ReadOnlyMode) error
}
