package access

import (
	"encoding/json"
	"math"
	"time"

	"github.com/headwater-git/headwater/core"
)

// maxUnixTime is the end of the year 9999. A time above it is a mistake,
// mostly milliseconds for seconds, and would make a token that never expires.
const maxUnixTime = 253402300799

// rawClaims is the verified payload of a token. The claims are read one by
// one, so that the text of an error can name the one at fault.
type rawClaims map[string]json.RawMessage

// claim reads one claim; absent and null leave dest as it is.
func (c rawClaims) claim(name, form string, dest any) error {
	raw, ok := c[name]
	if !ok {
		return nil
	}
	if json.Unmarshal(raw, dest) != nil {
		return refuse("the claim %q of the token must be %s", name, form)
	}
	return nil
}

// instant reads a claim in Unix seconds; the zero time if it is absent.
func (c rawClaims) instant(name string) (time.Time, error) {
	var seconds *float64
	if err := c.claim(name, "a number of seconds since 1970", &seconds); err != nil || seconds == nil {
		return time.Time{}, err
	}
	if *seconds < 0 || *seconds > maxUnixTime {
		return time.Time{}, refuse("the claim %q of the token is out of range; it is in seconds since 1970, not milliseconds", name)
	}
	whole, fraction := math.Modf(*seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC(), nil
}

// identity checks the times and reads everything else.
func (c rawClaims) identity(now time.Time) (Identity, error) {
	var id Identity
	if err := c.checkTimes(now, &id); err != nil {
		return Identity{}, err
	}
	var ops []string
	for _, field := range []struct {
		name, form string
		dest       any
	}{
		{"iss", "a string", &id.Org},
		{"sub", "a string", &id.Subject},
		{"repo", "a string", &id.Repo},
		{"scopes", "an array of strings", &id.Scopes},
		{"ops", "an array of strings", &ops},
	} {
		if err := c.claim(field.name, field.form, field.dest); err != nil {
			return Identity{}, err
		}
	}
	policy, err := ParsePolicy(c["refs"], ops)
	if err != nil {
		return Identity{}, refuse("%s", core.MessageOf(err))
	}
	id.Policy = policy
	c.tokenID(&id)
	if err := c.freshness(&id); err != nil {
		return Identity{}, err
	}
	return id, nil
}

// tokenID reads the claim "jti". One that is not a string has no meaning here, as ever:
// such a token is revoked by its hash.
func (c rawClaims) tokenID(id *Identity) {
	var text *string
	if json.Unmarshal(c["jti"], &text) == nil && text != nil {
		id.TokenID = *text
	}
}

// issued reads what only tokens that the server issued say, and holds them to what
// the server issues: the operations that they are for, at most a day, an id. Only with
// them does the claim "operations" mean anything.
func (c rawClaims) issued(id *Identity) error {
	var operations []*string
	if err := c.claim("operations", "an array of strings", &operations); err != nil {
		return err
	}
	id.issued = true
	id.operations = make(map[string]bool, len(operations))
	for _, name := range operations {
		if name == nil {
			return refuse(`the claim "operations" of the token must be an array of strings`)
		}
		id.operations[*name] = true
	}
	if err := c.claim("issued_by", "a string", &id.IssuedBy); err != nil {
		return err
	}
	switch {
	case len(id.operations) == 0:
		return refuse(`the token names no operations that it is for`)
	case id.TokenID == "" || id.IssuedBy == "":
		return refuse(`the token lacks the claim "jti" or "issued_by"`)
	case id.IssuedAt.IsZero() || id.ExpiresAt.Sub(id.IssuedAt) > MaxIssuedLife:
		return refuse("the token is valid for longer than the server issues any")
	}
	return nil
}

// freshness reads how fresh a copy the token demands.
func (c rawClaims) freshness(id *Identity) error {
	var text, policy string
	if err := c.claim("max_staleness", `a duration, like "5s"`, &text); err != nil {
		return err
	}
	if err := c.claim("freshness", `"serve", "revalidate" or "fail"`, &policy); err != nil {
		return err
	}
	demand, err := core.ParseDemand(text, policy)
	if err != nil {
		return refuse("a claim of the token is wrong: %s", core.MessageOf(err))
	}
	id.Demand = demand
	return nil
}

// checkTimes demands "exp" and allows [clockSkew] at each end.
func (c rawClaims) checkTimes(now time.Time, id *Identity) error {
	var err error
	if id.ExpiresAt, err = c.instant("exp"); err != nil {
		return err
	}
	if id.IssuedAt, err = c.instant("iat"); err != nil {
		return err
	}
	notBefore, err := c.instant("nbf")
	if err != nil {
		return err
	}
	switch {
	case id.ExpiresAt.IsZero():
		return refuse(`the token has no claim "exp"; a token must expire`)
	case now.After(id.ExpiresAt.Add(clockSkew)):
		return refuse("the token expired at %s", id.ExpiresAt.Format(time.RFC3339))
	case id.IssuedAt.After(now.Add(clockSkew)):
		return refuse("the token was issued in the future, at %s; check the clock of the signer", id.IssuedAt.Format(time.RFC3339))
	case notBefore.After(now.Add(clockSkew)):
		return refuse("the token is not valid before %s", notBefore.Format(time.RFC3339))
	}
	return nil
}
