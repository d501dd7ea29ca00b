package host

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

func TestCredentialCache_expiry(t *testing.T) {
	t.Parallel()
	c := newCredentialCache(time.Minute, nil)
	asked := 0
	get := func(minValidity, lives time.Duration) {
		_, err := c.get(t.Context(), providers.CredentialRequest{MinValidity: minValidity}, func(context.Context) (providers.Credential, error) {
			asked++
			return providers.Credential{ExpiresAt: time.Now().Add(lives)}, nil
		})
		require.NoError(t, err)
	}
	get(0, time.Hour)
	get(time.Minute, time.Hour)
	require.Equal(t, 1, asked, "valid for longer than asked for")
	get(2*time.Hour, 3*time.Hour)
	require.Equal(t, 2, asked, "not valid for as long as asked for")
	get(2*time.Hour, time.Hour)
	require.Equal(t, 2, asked)

	short := newCredentialCache(time.Minute, nil)
	c, asked = short, 0
	get(0, 10*time.Second)
	get(0, 10*time.Second)
	require.Equal(t, 2, asked, "too short to be worth keeping")
}

func TestCredentialCache_age(t *testing.T) {
	t.Parallel()
	require.True(t, credentialEntry{stored: time.Now()}.good(time.Hour), "no expiry")
	require.False(t, credentialEntry{stored: time.Now().Add(-maxCredentialAge)}.good(0))
}

func TestCredentialCache_errors_areNotKept(t *testing.T) {
	t.Parallel()
	c := newCredentialCache(time.Minute, nil)
	_, err := c.get(t.Context(), providers.CredentialRequest{}, func(context.Context) (providers.Credential, error) {
		return providers.Credential{}, providers.Errorf(providers.CodeRevoked, "gone")
	})
	require.Equal(t, providers.CodeRevoked, providers.CodeOf(err))
	got, err := c.get(t.Context(), providers.CredentialRequest{}, func(context.Context) (providers.Credential, error) {
		return providers.Credential{Username: "u"}, nil
	})
	require.NoError(t, err)
	require.Equal(t, "u", got.Username)
}

func TestCredentialCache_singleFlight(t *testing.T) {
	t.Parallel()
	c := newCredentialCache(time.Minute, nil)
	var asked atomic.Int32
	entered, release := make(chan struct{}), make(chan struct{})
	ask := func(ctx context.Context) (providers.Credential, error) {
		if asked.Add(1) == 1 {
			close(entered)
		}
		<-release
		return providers.Credential{Username: "u"}, ctx.Err()
	}
	// The first caller gives up; the others still get the answer.
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := c.get(ctx, providers.CredentialRequest{}, ask)
		first <- err
	}()
	<-entered
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	var wg sync.WaitGroup
	errs := make([]error, 20)
	for n := range errs {
		wg.Go(func() { _, errs[n] = c.get(t.Context(), providers.CredentialRequest{}, ask) })
	}
	close(release)
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, int32(1), asked.Load())
}

func TestCredentialCache_lateAnswer_doesNotReplaceFresh(t *testing.T) {
	t.Parallel()
	c := newCredentialCache(time.Minute, nil)
	before := time.Now().Add(-time.Second)
	c.save("k", providers.Credential{Username: "fresh"}, time.Now())
	c.save("k", providers.Credential{Username: "stale"}, before)
	got, ok := c.load("k", 0)
	require.True(t, ok)
	require.Equal(t, "fresh", got.Username)
}

func TestCredentialCache_bounded(t *testing.T) {
	t.Parallel()
	c := newCredentialCache(time.Minute, nil)
	for n := range maxCredentials + 10 {
		c.save(strings.Repeat("k", n%7)+string(rune(n)), providers.Credential{}, time.Now())
	}
	require.LessOrEqual(t, len(c.entries), maxCredentials)
}

func TestCredentialCache_key_holdsNoSecret(t *testing.T) {
	t.Parallel()
	c := newCredentialCache(time.Minute, nil)
	r := providers.CredentialRequest{Stored: &providers.StoredCredential{Username: "user", Secret: "planted-secret"}}
	require.NotContains(t, c.keyOf(r), "planted")
	require.NotEqual(t, newCredentialCache(time.Minute, nil).keyOf(r), c.keyOf(r))
	moved := providers.CredentialRequest{Stored: &providers.StoredCredential{Username: "userplanted", Secret: "-secret"}}
	require.NotEqual(t, c.keyOf(r), c.keyOf(moved))
}

func TestRedactor(t *testing.T) {
	t.Parallel()
	r := &redactor{}
	r.add("abcd", "abcd-and-more", "xyz", `quo"ted`, "-----BEGIN KEY-----\nMIIBhTCCASugAwIBAgIQ\n-----END KEY-----\n")
	r.see("user", "stored-secret")
	for in, want := range map[string]string{
		"nothing here":                      "nothing here",
		"abcd-and-more":                     "[redacted]",
		"abcd abcd":                         "[redacted] [redacted]",
		"xyz is too short":                  "xyz is too short",
		`{"m":"quo\"ted"}`:                  `{"m":"[redacted]"}`,
		"MIIBhTCCASugAwIBAgIQ":              "[redacted]",
		"stored-secret":                     "[redacted]",
		"Basic dXNlcjpzdG9yZWQtc2VjcmV0":    "Basic [redacted]",
		"-----BEGIN KEY----- is no secret ": "-----BEGIN KEY----- is no secret ",
	} {
		require.Equal(t, want, r.clean(in))
	}
	headers := &redactor{}
	headers.seeCredential(providers.Credential{Kind: providers.CredentialHeader, Header: "Authorization", Secret: "Bearer minted-token"})
	require.Equal(t, "the host says [redacted] is bad; sent [redacted]", headers.clean("the host says minted-token is bad; sent Bearer minted-token"))
	r = &redactor{}
	r.see("user", "stored-secret")
	for range 10 * maxRecent {
		r.see("user", "stored-secret")
	}
	require.Len(t, r.recent, 2)
	for n := range 2 * maxRecent {
		r.see("user", providers.Secret(strings.Repeat("s", 5+n)))
	}
	require.Len(t, r.recent, maxRecent)
}

func TestHandshakeReader(t *testing.T) {
	t.Parallel()
	const line = "1|1|unix|/tmp/plugin1|grpc|cert"
	for name, c := range map[string]struct{ in, out, line, first string }{
		"alone":       {line + "\n", line + "\n", line, ""},
		"noNewline":   {line, line, line, ""},
		"after":       {line + "\nmore\n", line + "\nmore\n", line, ""},
		"linesBefore": {"a\nb\n" + line + "\n", line + "\n", line, "a"},
		"textBefore":  {"loading... " + line + "\n", line + "\n", line, ""},
		"none":        {"hello\nworld", "", "", "hello"},
		"nothing":     {"", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHandshakeReader(io.NopCloser(iotest.OneByteReader(strings.NewReader(c.in))))
			out, err := io.ReadAll(h)
			require.NoError(t, err)
			require.Equal(t, c.out, string(out))
			got, first := h.handshake()
			require.Equal(t, c.line, got)
			require.Equal(t, c.first, first)
		})
	}
	for _, junk := range []string{"y\n", strings.Repeat("y", maxLine)} {
		h := newHandshakeReader(io.NopCloser(strings.NewReader(strings.Repeat(junk, 2*maxJunk/len(junk)))))
		out, err := io.ReadAll(h)
		require.Error(t, err)
		require.Empty(t, out)
	}
}

func TestStderrReader(t *testing.T) {
	t.Parallel()
	redact := &redactor{}
	redact.add("planted-secret")
	last := &tail{redact: redact}
	in := strings.Repeat("line\n", 30) + "\nthe planted-secret\n" + strings.Repeat("x", maxLine+10) + "\nend"
	out, err := io.ReadAll(newStderrReader(io.NopCloser(strings.NewReader(in)), last))
	require.NoError(t, err)
	require.NotContains(t, string(out), "planted-secret")
	require.True(t, strings.HasSuffix(string(out), "\nend\n"))
	lines := last.last()
	require.Len(t, lines, keptLines)
	require.Equal(t, "the [redacted]", lines[keptLines-4])
	require.Len(t, lines[keptLines-3], keptLineLen)
	require.Equal(t, "end", lines[keptLines-1])
}

func TestLineLogger(t *testing.T) {
	t.Parallel()
	log := &testLog{}
	last := &tail{redact: &redactor{}}
	l := &lineLogger{log: hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Debug}), tail: last, stream: "stdout"}
	for _, piece := range []string{"he", "llo\nwor", "ld\n\n", strings.Repeat("x", maxLine+5)} {
		n, err := l.Write([]byte(piece))
		require.NoError(t, err)
		require.Equal(t, len(piece), n)
	}
	lines := last.last()
	require.Equal(t, []string{"hello", "world", ""}, lines[:3])
	require.Contains(t, log.String(), "stream=stdout line=hello")
}

// underWay reports whether the current process has a call.
func (s *supervisor) underWay() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current != nil && s.current.calls.Load() > 0
}
