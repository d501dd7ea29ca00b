package events

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestPolicy_parseURL(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		url    string
		policy Policy
		want   string // part of the message; "" is good
	}{
		"https":          {url: "https://hooks.example.com/headwater?team=1"},
		"port":           {url: "https://hooks.example.com:8443/"},
		"http refused":   {url: "http://hooks.example.com/", want: "https://"},
		"http allowed":   {url: "http://hooks.example.com/", policy: Policy{AllowHTTP: true}},
		"relative":       {url: "/hooks", want: "absolute"},
		"no scheme":      {url: "hooks.example.com/a", want: "absolute"},
		"other scheme":   {url: "ftp://hooks.example.com/", want: "https://"},
		"opaque":         {url: "https:hooks.example.com", want: "absolute"},
		"user":           {url: "https://ada:secret@hooks.example.com/", want: "no user"},
		"fragment":       {url: "https://hooks.example.com/#a", want: "fragment"},
		"empty fragment": {url: "https://hooks.example.com/#", want: "fragment"},
		"odd IPv4":       {url: "https://2130706433/", want: "host"},
		"odd name":       {url: "https://hooks_example..com/", want: "host"},
		"empty":          {url: "", want: "absolute"},
		"control":        {url: "https://hooks.example.com/\n", want: "absolute"},
		"long":           {url: "https://hooks.example.com/" + string(make([]byte, maxURL)), want: "longer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := test.policy.parseURL(test.url)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

func TestInvariant19_hostsInsideAreNamedAtOnce(t *testing.T) {
	t.Parallel()
	dns := &resolver{}
	dns.set("public.example.com", "203.0.113.7", "93.184.216.34")
	dns.set("inside.example.com", "10.0.0.8", "fd00::8")
	dns.set("both.example.com", "10.0.0.8", "93.184.216.34")
	dns.set("mapped.example.com", "::ffff:127.0.0.1")
	dns.set("metadata.example.com", "169.254.169.254")
	lab := Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for name, test := range map[string]struct {
		host   string
		policy Policy
		want   string
	}{
		"public":               {host: "public.example.com"},
		"private":              {host: "inside.example.com", want: "private address"},
		"some of them private": {host: "both.example.com"},
		"mapped loopback":      {host: "mapped.example.com", want: "loopback"},
		"metadata":             {host: "metadata.example.com", want: "metadata"},
		"metadata, all open":   {host: "metadata.example.com", policy: open, want: "metadata"},
		"allowed network":      {host: "inside.example.com", policy: lab},
		"other network":        {host: "mapped.example.com", policy: lab, want: "loopback"},
		"all open":             {host: "inside.example.com", policy: open},
		"literal":              {host: "127.0.0.1", want: "loopback"},
		"literal v6":           {host: "::1", want: "loopback"},
		"literal, allowed":     {host: "10.1.2.3", policy: lab},
		"unknown":              {host: "nowhere.example.com", want: "does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.policy.checkHost(t.Context(), dns, test.host)
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, core.KindInvalid, core.KindOf(err))
			require.ErrorContains(t, err, test.want)
			if test.want != "does not exist" {
				// Who reads of a way out must be able to take it.
				require.Equal(t, test.want != "metadata", strings.Contains(err.Error(), "--webhooks-allow-private"), err.Error())
			}
		})
	}
}

func TestSign_vector(t *testing.T) {
	t.Parallel()
	// printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'a shared secret'
	require.Equal(t, "t=1700000000,sha256=ef23e49b675f867e011b03c7b15d2eea3779f42e414e32f844cdfbc0b5a8cb49",
		Sign("a shared secret", time.Unix(1700000000, 5), []byte(`{"a":1}`)))
}

func TestNextAttempt_schedule(t *testing.T) {
	t.Parallel()
	for name, marked := range map[string]bool{"usual": false, "marked": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			created := time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)
			now, attempts := created, 0
			for {
				attempts++
				next := nextAttempt(created, now, attempts, marked)
				if next.IsZero() {
					break
				}
				require.Less(t, attempts, 100)
				delay := next.Sub(now)
				require.LessOrEqual(t, delay, maxDelay*11/10)
				if !next.Equal(created.Add(giveUpAfter)) {
					require.GreaterOrEqual(t, delay, firstDelay*9/10)
				}
				if marked && attempts == 1 {
					require.Greater(t, delay, maxDelay/2)
				}
				now = next
			}
			require.Equal(t, created.Add(giveUpAfter), now, "the last try is at the end of the day")
			require.Greater(t, attempts, 20)
		})
	}
}
