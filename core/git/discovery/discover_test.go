package discovery

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
	"github.com/headwater-git/headwater/core/git/pktline"
)

var allPrefixes = []string{"HEAD", "refs/heads/", "refs/tags/"}

const (
	idA = "1111111111111111111111111111111111111111"
	idB = "2222222222222222222222222222222222222222"
)

// pkts returns the lines as packets; the packets without a payload stand as they are.
func pkts(lines ...string) string {
	var b []byte
	for _, l := range lines {
		if l == pktline.FlushPacket || l == pktline.DelimPacket {
			b = append(b, l...)
		} else {
			b = pktline.Appendf(b, "%s", l)
		}
	}
	return string(b)
}

func newTestDiscoverer(t *testing.T) *Discoverer {
	t.Helper()
	d := New("headwater/test")
	t.Cleanup(d.CloseIdle)
	return d
}

// forge is a repository with what a host has: branches, an annotated tag, pull
// request refs.
func forge(t *testing.T, flags ...string) (root string, refs map[string]core.ObjectID) {
	t.Helper()
	dir := gittest.NewBare(t, flags...)
	a := gittest.AddCommit(t, dir, "refs/heads/main", "one")
	b := gittest.AddCommit(t, dir, "refs/heads/main2", "two", a)
	gittest.AddCommit(t, dir, "refs/pull/1/head", "three", a)
	gittest.Run(t, dir, "tag", "-a", "-m", "tag", "v1", a)
	tag := gittest.Run(t, dir, "rev-parse", "refs/tags/v1")
	return filepath.Dir(dir), map[string]core.ObjectID{
		"HEAD": core.ObjectID(a), "refs/heads/main": core.ObjectID(a),
		"refs/heads/main2": core.ObjectID(b), "refs/tags/v1": core.ObjectID(tag),
	}
}

func TestDiscoverer_Refs_realGit(t *testing.T) {
	t.Parallel()
	root, refs := forge(t)
	root256, refs256 := forge(t, "--object-format=sha256")
	cases := []struct {
		name     string
		root     string
		version  string // highest protocol version the host allows
		prepare  string // of a repository of its own: "", "empty", "unborn", "detached"
		prefixes []string
		want     Advertisement
	}{
		{name: "version 2", root: root, version: "2", prefixes: allPrefixes, want: Advertisement{Refs: refs, HeadTarget: "refs/heads/main", ObjectFormat: "sha1", Protocol: 2}},
		{name: "version 1", root: root, version: "1", prefixes: allPrefixes, want: Advertisement{Refs: refs, HeadTarget: "refs/heads/main", ObjectFormat: "sha1", Protocol: 1}},
		{name: "version 0", root: root, version: "0", prefixes: allPrefixes, want: Advertisement{Refs: refs, HeadTarget: "refs/heads/main", ObjectFormat: "sha1", Protocol: 0}},
		{name: "sha256 version 2", root: root256, version: "2", prefixes: allPrefixes, want: Advertisement{Refs: refs256, HeadTarget: "refs/heads/main", ObjectFormat: "sha256", Protocol: 2}},
		{name: "sha256 version 0", root: root256, version: "0", prefixes: allPrefixes, want: Advertisement{Refs: refs256, HeadTarget: "refs/heads/main", ObjectFormat: "sha256", Protocol: 0}},
		{name: "an exact name", root: root, version: "2", prefixes: []string{"refs/heads/main"}, want: Advertisement{Refs: map[string]core.ObjectID{"refs/heads/main": refs["HEAD"]}, ObjectFormat: "sha1", Protocol: 2}},
		{name: "no prefix", root: root, version: "2", want: Advertisement{Refs: map[string]core.ObjectID{}, ObjectFormat: "sha1", Protocol: 2}},
		{name: "empty version 2", prepare: "empty", version: "2", prefixes: allPrefixes, want: Advertisement{Refs: map[string]core.ObjectID{}, HeadTarget: "refs/heads/main", HeadUnborn: true, ObjectFormat: "sha1", Protocol: 2}},
		{name: "empty version 0", prepare: "empty", version: "0", prefixes: allPrefixes, want: Advertisement{Refs: map[string]core.ObjectID{}, ObjectFormat: "sha1", Protocol: 0}},
		{name: "unborn", prepare: "unborn", version: "2", prefixes: []string{"HEAD"}, want: Advertisement{Refs: map[string]core.ObjectID{}, HeadTarget: "refs/heads/nowhere", HeadUnborn: true, ObjectFormat: "sha1", Protocol: 2}},
		{name: "detached version 2", prepare: "detached", version: "2", prefixes: []string{"HEAD"}, want: Advertisement{Refs: map[string]core.ObjectID{"HEAD": refs["HEAD"]}, ObjectFormat: "sha1", Protocol: 2}},
		{name: "detached version 0", prepare: "detached", version: "0", prefixes: []string{"HEAD"}, want: Advertisement{Refs: map[string]core.ObjectID{"HEAD": refs["HEAD"]}, ObjectFormat: "sha1", Protocol: 0}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.prepare != "" {
				dir := gittest.NewBare(t)
				c.root = filepath.Dir(dir)
				if c.prepare != "empty" {
					id := gittest.AddCommit(t, dir, "refs/heads/main", "one")
					if c.prepare == "detached" {
						gittest.Run(t, dir, "update-ref", "--no-deref", "HEAD", id)
					} else {
						gittest.Run(t, dir, "symbolic-ref", "HEAD", "refs/heads/nowhere")
					}
				}
			}
			base := gittest.HTTPBackend(t, c.root, "protocol.version="+c.version)
			if c.version == "0" || c.version == "1" {
				base = speakOnly(t, base, c.version)
			}
			got, err := newTestDiscoverer(t).Refs(t.Context(), git.Remote{URL: base + "/r.git"}, c.prefixes)
			require.NoError(t, err)
			if c.name != "empty version 0" { // git sends a flush packet and nothing else
				require.True(t, strings.HasPrefix(got.Agent, "git/"), got.Agent)
			}
			require.Positive(t, got.BytesRead)
			got.Agent, got.BytesRead = "", 0
			require.Empty(t, cmp.Diff(c.want, got))
		})
	}
}

// speakOnly is a host that knows no newer version of the protocol than this.
func speakOnly(t *testing.T, base, version string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		up, err := http.NewRequestWithContext(req.Context(), req.Method, base+req.URL.RequestURI(), nil)
		if err != nil {
			t.Error(err)
			return
		}
		if version != "0" {
			up.Header.Set("Git-Protocol", "version="+version)
		}
		resp, err := http.DefaultClient.Do(up)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

const smartType = "application/x-git-upload-pack-advertisement"

// serve is a host that answers every request with f.
func serve(t *testing.T, f http.HandlerFunc) git.Remote {
	t.Helper()
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return git.Remote{URL: srv.URL + "/a/b.git"}
}

func TestDiscoverer_Refs_requestHeaders(t *testing.T) {
	t.Parallel()
	r := serve(t, func(w http.ResponseWriter, req *http.Request) {
		user, password, _ := req.BasicAuth()
		if req.URL.RequestURI() != "/a/b.git/info/refs?service=git-upload-pack" || user != "u" || password != "p:q" ||
			!strings.HasPrefix(req.UserAgent(), "git/2.") || !strings.Contains(req.UserAgent(), "headwater/test") ||
			req.Header.Get("Git-Protocol") != "version=2" || req.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("request %s %v", req.URL, req.Header)
		}
		w.Header().Set("Content-Type", smartType)
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, pkts("# service=git-upload-pack\n", pktline.FlushPacket, idA+" refs/heads/a\x00agent=x", pktline.FlushPacket))
		_ = z.Close()
	})
	r.Username, r.Password = "u", "p:q"
	got, err := newTestDiscoverer(t).Refs(t.Context(), r, allPrefixes)
	require.NoError(t, err)
	require.Equal(t, map[string]core.ObjectID{"refs/heads/a": idA}, got.Refs)
}

func TestDiscoverer_Refs_httpErrors(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	cases := []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   hosterror.Error
	}{
		{"401", 401, map[string]string{"WWW-Authenticate": `Basic realm="GitHub"`, "Content-Type": "text/html"}, "<html>", hosterror.Error{Class: core.ClassAuth, Status: 401, HostText: "the host answered 401 Unauthorized"}},
		{"403", 403, map[string]string{"Content-Type": "text/plain"}, "Write access to repository not granted.", hosterror.Error{Class: core.ClassAuth, Status: 403, HostText: "Write access to repository not granted."}},
		{"403 rate limit", 403, map[string]string{"Content-Type": "text/plain; charset=utf-8"}, "API rate limit exceeded", hosterror.Error{Class: core.ClassRateLimited, Status: 403, HostText: "API rate limit exceeded"}},
		{"403 allow list", 403, map[string]string{"Content-Type": "text/plain"}, "the org has an IP allow list enabled", hosterror.Error{Class: core.ClassRefused, Status: 403, HostText: "the org has an IP allow list enabled"}},
		{"404", 404, map[string]string{"Content-Type": "text/plain"}, "Repository\nnot  found. \x1b[1m", hosterror.Error{Class: core.ClassNotFound, Status: 404, HostText: "Repository not found."}},
		{"404 echo", 404, map[string]string{"Content-Type": "text/plain"}, "no user for " + secret, hosterror.Error{Class: core.ClassNotFound, Status: 404, HostText: "no user for [redacted]"}},
		{"413", 413, nil, "", hosterror.Error{Class: core.ClassTooLarge, Status: 413, HostText: "the host answered 413 Request Entity Too Large"}},
		{"429 seconds", 429, map[string]string{"Retry-After": "120"}, "", hosterror.Error{Class: core.ClassRateLimited, Status: 429, HostText: "the host answered 429 Too Many Requests", RetryAfter: 2 * time.Minute}},
		{"429 date", 429, map[string]string{"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT", "Date": "Wed, 21 Oct 2015 07:27:30 GMT"}, "", hosterror.Error{Class: core.ClassRateLimited, Status: 429, HostText: "the host answered 429 Too Many Requests", RetryAfter: 30 * time.Second}},
		{"429 for ever", 429, map[string]string{"Retry-After": "99999999"}, "", hosterror.Error{Class: core.ClassRateLimited, Status: 429, HostText: "the host answered 429 Too Many Requests", RetryAfter: 24 * time.Hour}},
		{"451", 451, nil, "", hosterror.Error{Class: core.ClassRefused, Status: 451, HostText: "the host answered 451 Unavailable For Legal Reasons"}},
		{"500", 500, nil, "", hosterror.Error{Class: core.ClassUnavailable, Status: 500, HostText: "the host answered 500 Internal Server Error"}},
		{"503", 503, map[string]string{"Content-Type": "text/plain", "Retry-After": "5"}, strings.Repeat("busy ", 2000), hosterror.Error{Class: core.ClassUnavailable, Status: 503, HostText: strings.Repeat("busy ", 99) + "bu...", RetryAfter: 5 * time.Second}},
		{"301", 301, map[string]string{"Location": "https://u:p@other.example/c/d.git/info/refs?token=abc"}, "", hosterror.Error{Class: core.ClassMoved, Status: 301, HostText: "the repository has moved to other.example/c/d.git"}},
		{"302 nowhere", 302, nil, "", hosterror.Error{Class: core.ClassMoved, Status: 302, HostText: "the repository has moved"}},
		{"400", 400, nil, "", hosterror.Error{Class: core.ClassRefused, Status: 400, HostText: "the host answered 400 Bad Request"}},
		{"dumb", 200, map[string]string{"Content-Type": "text/plain"}, idA + "\trefs/heads/a\n", hosterror.Error{Class: core.ClassNotFound, HostText: `there is no git repository at the upstream's address, or its server has only the old "dumb" HTTP protocol`}},
		{"ERR", 200, map[string]string{"Content-Type": smartType}, pkts("ERR your plan has no\tgit access\n"), hosterror.Error{Class: core.ClassRefused, HostText: "your plan has no git access"}},
		{"ERR behind the announcement", 200, map[string]string{"Content-Type": smartType}, pkts("# service=git-upload-pack\n", pktline.FlushPacket, "ERR Repository not found."), hosterror.Error{Class: core.ClassNotFound, HostText: "Repository not found."}},
		{"ERR echo", 200, map[string]string{"Content-Type": smartType}, pkts("ERR quota exceeded for " + secret), hosterror.Error{Class: core.ClassTooLarge, HostText: "quota exceeded for [redacted]"}},
		{"no pkt-line", 200, map[string]string{"Content-Type": smartType}, "hello world", hosterror.Error{Class: core.ClassProtocol, HostText: "the host's answer is not git's protocol"}},
		{"wrong service", 200, map[string]string{"Content-Type": smartType}, pkts("# service=git-receive-pack\n", pktline.FlushPacket), hosterror.Error{Class: core.ClassProtocol, HostText: "the host's answer is not git's protocol"}},
		{"bad id", 200, map[string]string{"Content-Type": smartType}, pkts("123 refs/heads/a\x00", pktline.FlushPacket), hosterror.Error{Class: core.ClassProtocol, HostText: "the host's answer is not git's protocol"}},
		{"bad id echo", 200, map[string]string{"Content-Type": smartType}, pkts(secret+" refs/heads/a\x00", pktline.FlushPacket), hosterror.Error{Class: core.ClassProtocol, HostText: "the host's answer is not git's protocol"}},
		{"id of another format", 200, map[string]string{"Content-Type": smartType}, pkts(idA+" refs/heads/a\x00object-format=sha256", pktline.FlushPacket), hosterror.Error{Class: core.ClassProtocol, HostText: "the host's answer is not git's protocol"}},
		{"no end", 200, map[string]string{"Content-Type": smartType}, pkts(idA + " refs/heads/a\x00"), hosterror.Error{Class: core.ClassNetwork, HostText: "the host ended the connection early"}},
		{"no ls-refs", 200, map[string]string{"Content-Type": smartType}, pkts("version 2\n", "agent=x", pktline.FlushPacket), hosterror.Error{Class: core.ClassProtocol, HostText: "the host's answer is not git's protocol"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			r := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			r.Username, r.Password = "x", secret
			_, err := newTestDiscoverer(t).Refs(t.Context(), r, allPrefixes)
			var got *hosterror.Error
			require.ErrorAs(t, err, &got)
			require.Equal(t, int32(1), asked.Load(), "a redirect was followed or a failure tried again")
			require.NotContains(t, err.Error(), secret)
			require.NotContains(t, fmt.Sprint(got.Err), secret)
			c.want.Err, got.Err = nil, nil
			require.Equal(t, c.want, *got)
		})
	}
}

func TestDiscoverer_Refs_hostileNamesAreLeftOut(t *testing.T) {
	t.Parallel()
	r := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", smartType)
		_, _ = io.WriteString(w, pkts("# service=git-upload-pack\n", pktline.FlushPacket,
			idA+" HEAD\x00symref=HEAD:refs/heads/../../config agent=x",
			idA+" refs/heads/../x", idA+" refs/heads/a.lock", idA+" refs/heads/a b", idA+" refs/heads/\x01",
			idA+" refs/heads/ok", idB+" refs/tags/v1", idA+" refs/tags/v1^{}", idA+" refs/pull/1/head", "shallow "+idB, pktline.FlushPacket))
	})
	got, err := newTestDiscoverer(t).Refs(t.Context(), r, allPrefixes)
	require.NoError(t, err)
	require.Equal(t, map[string]core.ObjectID{"HEAD": idA, "refs/heads/ok": idA, "refs/tags/v1": idB}, got.Refs)
	require.Empty(t, got.HeadTarget)
}

func TestDiscoverer_Refs_noConnection(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.NotFoundHandler())
	closed := srv.URL
	srv.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	tlsServer := httptest.NewUnstartedServer(http.NotFoundHandler())
	tlsServer.Config.ErrorLog = gittest.DiscardLog()
	tlsServer.StartTLS()
	t.Cleanup(tlsServer.Close)
	cut := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	cases := []struct {
		name   string
		remote git.Remote
		class  core.ErrorClass
		text   string
	}{
		{"refused", git.Remote{URL: closed + "/r"}, core.ClassNetwork, "the host refused the connection"},
		{"no such name", git.Remote{URL: "http://no-such-name.invalid/r"}, core.ClassNetwork, "the host's name could not be resolved"},
		{"certificate", git.Remote{URL: tlsServer.URL + "/r"}, core.ClassNetwork, "the host's certificate is not trusted: x509: certificate signed by unknown authority"},
		{"no TLS", git.Remote{URL: strings.Replace(plain.URL, "http:", "https:", 1) + "/r"}, core.ClassNetwork, "the secure connection to the host could not be set up"},
		{"cut", cut, core.ClassNetwork, "the host ended the connection early"},
		{"no URL", git.Remote{URL: "http://[::1"}, core.ClassRefused, "the upstream's address is no URL"},
		{"other scheme", git.Remote{URL: "file:///etc"}, core.ClassRefused, "the upstream's address is not an http or https URL"},
		{"no CA file", git.Remote{URL: tlsServer.URL, CAFile: "/nonexistent/ca.pem"}, core.ClassInternal, "the file of trusted certificates cannot be used"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := newTestDiscoverer(t).Refs(t.Context(), c.remote, allPrefixes)
			var got *hosterror.Error
			require.ErrorAs(t, err, &got)
			require.Equal(t, c.class, got.Class, "%v", got.Err)
			require.Equal(t, c.text, got.HostText, "%v", got.Err)
		})
	}
}

func TestDiscoverer_Refs_stalledHost(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	for _, sendsHeader := range []bool{false, true} {
		t.Run(fmt.Sprintf("header %v", sendsHeader), func(t *testing.T) {
			t.Parallel()
			r := serve(t, func(w http.ResponseWriter, req *http.Request) {
				if sendsHeader {
					w.Header().Set("Content-Type", smartType)
					_, _ = io.WriteString(w, pkts(idA+" refs/heads/a\x00"))
					_ = http.NewResponseController(w).Flush()
				}
				select {
				case <-release:
				case <-req.Context().Done():
				}
			})
			d := newTestDiscoverer(t)
			d.stall = 50 * time.Millisecond
			_, err := d.Refs(t.Context(), r, allPrefixes)
			var got *hosterror.Error
			require.ErrorAs(t, err, &got)
			require.Equal(t, core.ClassTimeout, got.Class)
		})
	}
	t.Run("the caller's own end is no upstream failure", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		r := serve(t, func(_ http.ResponseWriter, req *http.Request) {
			cancel()
			<-req.Context().Done()
		})
		_, err := newTestDiscoverer(t).Refs(ctx, r, allPrefixes)
		require.ErrorIs(t, err, context.Canceled)
		_, isRemote := errors.AsType[*hosterror.Error](err)
		require.False(t, isRemote)
	})
	t.Cleanup(func() { close(release) })
}

func TestDiscoverer_Refs_pinsAndReusesConnections(t *testing.T) {
	t.Parallel()
	var conns atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodGet {
			w.Header().Set("Content-Type", smartType)
			_, _ = io.WriteString(w, pkts("version 2\n", "ls-refs=unborn\n", "object-format=sha1\n", pktline.FlushPacket))
			return
		}
		body, _ := io.ReadAll(req.Body)
		want := pkts("command=ls-refs\n", "object-format=sha1\n", pktline.DelimPacket, "symrefs\n", "unborn\n", "ref-prefix HEAD\n", "ref-prefix refs/heads/\n", pktline.FlushPacket)
		if string(body) != want {
			t.Errorf("body %q", body)
		}
		w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
		_, _ = io.WriteString(w, pkts(idA+" HEAD symref-target:refs/heads/a", idA+" refs/heads/a", pktline.FlushPacket))
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Config.ErrorLog = gittest.DiscardLog()
	srv.StartTLS()
	t.Cleanup(srv.Close)
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600))
	at := netip.MustParseAddrPort(srv.Listener.Addr().String())
	// The name exists nowhere; the test certificate is made out to it.
	remote := git.Remote{URL: fmt.Sprintf("https://example.com:%d/r", at.Port()), CAFile: caFile}
	d := oneConnection(t, &conns, func(d *Discoverer) {
		for i := range 6 {
			remote.Addrs = []netip.Addr{at.Addr(), netip.MustParseAddr("127.0.0.2")}
			if i%2 == 1 {
				slices.Reverse(remote.Addrs)
			}
			got, err := d.Refs(t.Context(), remote, []string{"HEAD", "refs/heads/"})
			require.NoError(t, err)
			require.Equal(t, "refs/heads/a", got.HeadTarget)
		}
	})

	t.Run("nothing but the checked addresses is dialled", func(t *testing.T) {
		t.Parallel()
		remote := remote
		remote.URL = srv.URL
		remote.Addrs = []netip.Addr{netip.MustParseAddr("127.0.0.3")}
		_, err := d.Refs(t.Context(), remote, allPrefixes)
		var got *hosterror.Error
		require.ErrorAs(t, err, &got)
		require.Equal(t, "the host refused the connection", got.HostText)
	})
}

func TestDiscoverer_Refs_tooLarge(t *testing.T) {
	t.Parallel()
	line := strings.NewReader(pkts(idA + " refs/heads/a"))
	w := &answerReader{limit: 20, stall: newStallTimer(time.Hour, stallBytes, func() {}), body: line}
	defer w.stall.stop()
	err := newAdvertParser(uploadPack, allPrefixes).parseAnswer(pktline.NewReader(w))
	var got *hosterror.Error
	require.ErrorAs(t, remoteError(t.Context(), err, git.Remote{}), &got)
	require.Equal(t, core.ClassTooLarge, got.Class)
}

func TestAdvertisement_Digest_coversBranchesTagsAndHead(t *testing.T) {
	t.Parallel()
	base := func() Advertisement {
		return Advertisement{
			Refs:       map[string]core.ObjectID{"HEAD": idA, "refs/heads/a": idA, "refs/tags/v": idB},
			HeadTarget: "refs/heads/a",
		}
	}
	cases := []struct {
		name   string
		change func(*Advertisement)
		same   bool
	}{
		{"nothing", func(*Advertisement) {}, true},
		{"pull request", func(a *Advertisement) { a.Refs["refs/pull/1/head"] = idA }, true},
		{"protocol", func(a *Advertisement) { a.Protocol, a.Agent, a.BytesRead = 2, "x", 7 }, true},
		{"branch moved", func(a *Advertisement) { a.Refs["refs/heads/a"] = idB }, false},
		{"branch renamed", func(a *Advertisement) { delete(a.Refs, "refs/heads/a"); a.Refs["refs/heads/b"] = idA }, false},
		{"tag gone", func(a *Advertisement) { delete(a.Refs, "refs/tags/v") }, false},
		{"head", func(a *Advertisement) { a.HeadTarget = "refs/heads/b" }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := base()
			c.change(&a)
			require.Equal(t, c.same, a.Digest() == base().Digest())
		})
	}
}

func BenchmarkAdvertisement_50000refs(b *testing.B) {
	in := pktline.Appendf(nil, "%s HEAD\x00agent=x\n", idA)
	for i := range 50000 {
		in = pktline.Appendf(in, "%040x refs/heads/feature/%06d\n", i+1, i)
	}
	in = append(in, pktline.FlushPacket...)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		p := newAdvertParser(uploadPack, allPrefixes)
		if err := p.parseAnswer(pktline.NewReader(bytes.NewReader(in))); err != nil {
			b.Fatal(err)
		}
		_ = p.Digest()
	}
}

func FuzzAdvertisement(f *testing.F) {
	f.Add([]byte(pkts("# service=git-upload-pack\n", pktline.FlushPacket, idA+" HEAD\x00symref=HEAD:refs/heads/a object-format=sha1", idA+" refs/heads/a", pktline.FlushPacket)), false)
	f.Add([]byte(pkts("version 1\n", string(core.ZeroSHA1)+" capabilities^{}\x00agent=x", pktline.FlushPacket)), false)
	f.Add([]byte(pkts("version 2\n", "ls-refs=unborn", "object-format=sha256", pktline.FlushPacket)), false)
	f.Add([]byte(pkts("unborn HEAD symref-target:refs/heads/a", idA+" refs/tags/v peeled:"+idB, pktline.FlushPacket)), true)
	f.Add([]byte(pkts("ERR no")), false)
	f.Fuzz(func(t *testing.T, in []byte, lsRefs bool) {
		p := newAdvertParser(uploadPack, allPrefixes)
		parse := p.parseAnswer
		if lsRefs {
			parse = p.parseLsRefs
		}
		if err := parse(pktline.NewReader(bytes.NewReader(in))); err != nil {
			var e *hosterror.Error
			if !errors.As(remoteError(t.Context(), err, git.Remote{}), &e) || e.HostText == "" && !errors.Is(err, errErrorPacket) || len(e.HostText) > hosterror.MaxText {
				t.Fatalf("error %v", err)
			}
			return
		}
		for name, id := range p.Refs {
			if !id.Valid() || !validRefName(name) || !p.filter.match([]byte(name)) {
				t.Fatalf("ref %q %q", name, id)
			}
		}
		_ = p.Digest()
		_ = p.lsRefsRequest("x", allPrefixes)
	})
}

// TestListingLimit: a machine with a gigabyte survives what a host sends.
func TestListingLimit(t *testing.T) {
	t.Parallel()
	for memory, want := range map[int64]int64{0: 64 << 20, 1 << 30: 64 << 20, 4 << 30: 256 << 20, 64 << 30: 512 << 20} {
		require.Equal(t, want, listingLimit(memory))
	}
	d := newTestDiscoverer(t)
	d.limit = 1 << 20
	var sent atomic.Int64
	r := serve(t, func(w http.ResponseWriter, req *http.Request) { // without end
		w.Header().Set("Content-Type", smartType)
		for line := pkts(idA + " refs/heads/a\x00"); req.Context().Err() == nil && sent.Load() < 16<<20; line = pkts(fmt.Sprintf("%s refs/heads/%030d", idA, sent.Load())) {
			n, err := io.WriteString(w, line)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	})
	_, err := d.Refs(t.Context(), r, allPrefixes)
	var got *hosterror.Error
	require.ErrorAs(t, err, &got)
	require.Equal(t, core.ClassTooLarge, got.Class)
	require.Equal(t, "the host's list of refs has more than the 1.0 MiB that this server reads of one", got.HostText)
	require.Less(t, sent.Load(), int64(16<<20))
}

// TestDiscoverer_Refs_oneLargeList: a second list waits before it is large, and whoever
// waits can leave.
func TestDiscoverer_Refs_oneLargeList(t *testing.T) {
	t.Parallel()
	d := newTestDiscoverer(t)
	lines := strings.Repeat(pkts(idA+" refs/hidden/"+strings.Repeat("x", 1000)), largeListing/1000+1000)
	release := make(chan struct{})
	r := serve(t, func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", smartType)
		_, _ = io.WriteString(w, pkts(idA+" refs/heads/a\x00")+lines)
		_ = http.NewResponseController(w).Flush()
		if req.Header.Get("Authorization") != "" {
			select {
			case <-release:
			case <-req.Context().Done():
			}
		}
		_, _ = io.WriteString(w, pktline.FlushPacket)
	})
	first := r
	first.Username, first.Password = "first", "password"
	done := make(chan error, 2)
	go func() {
		_, err := d.Refs(t.Context(), first, allPrefixes)
		done <- err
	}()
	require.Eventually(t, func() bool { return len(d.large) == 1 }, time.Minute, 5*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := d.Refs(ctx, r, allPrefixes)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	go func() {
		_, err := d.Refs(t.Context(), r, allPrefixes)
		done <- err
	}()
	close(release)
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	require.Empty(t, d.large)
}
