package hosterror

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

// Each fixture is a header (source, class, text), a blank line, and stderr as git
// printed it. The source is the git, the host or the public place where the
// sentence comes from: file and repository, issue, or documentation.
func TestClassify_fixtures(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/classify/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			header, stderr, ok := strings.Cut(string(raw), "\n\n")
			require.True(t, ok)
			want := map[string]string{}
			for line := range strings.SplitSeq(header, "\n") {
				k, v, _ := strings.Cut(line, ": ")
				want[k] = v
			}
			require.Regexp(t, fixtureSource, want["source"], "say where the words come from; none from memory")
			class, text := Classify(stderr, 128)
			require.Equal(t, want["class"], string(class))
			require.Equal(t, want["text"], text)
			require.LessOrEqual(t, len(text), MaxText)
		})
	}
}

// fixtureSource is what names a source: a version of git or of a host that was
// run, a file of a public repository, an issue there, or a page.
var fixtureSource = regexp.MustCompile(`^(?:git \d+\.\d+|Gitea \d+\.\d+\.\d+ \(captured\)|(?:issue |pull request )?[\w.-]+/[\w./-]+(?:#\d+| [\w./-]+\.(?:go|rb))|https://|made up$)`)

// An answer to the listing of refs says no more than its status and its words.
func TestClassOfStatus_words(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]core.ErrorClass{
		"": core.ClassAuth, "Forbidden": core.ClassAuth,
		"This repo is archived. You can view files and clone it, but cannot push or open issues/pull-requests.": core.ClassRefused,
		"To access this repository, an admin must whitelist your IP.":                                           core.ClassRefused,
		"The repository is temporarily read-only. Please try again later.":                                      core.ClassUnavailable,
		"The requested repository either does not exist or you do not have access.":                             core.ClassNotFound,
	} {
		require.Equal(t, want, ClassOfStatus(http.StatusForbidden, text), text)
	}
	require.Equal(t, core.ClassAuth, ClassOfStatus(http.StatusUnauthorized, "Failed to authenticate user"))
}

func TestIsArchived(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"github", "gitlab", "gitea"} {
		raw, err := os.ReadFile("testdata/classify/refused_" + host + "_archived.txt")
		require.NoError(t, err)
		require.True(t, IsArchived(string(raw)), host)
	}
	require.False(t, IsArchived("mirror repository is read-only"))
	require.False(t, IsArchived("the branch archive is protected"))
}

func TestClassify_edges(t *testing.T) {
	t.Parallel()
	class, text := Classify("warning: redirecting", 0)
	require.Equal(t, core.ErrorClass(""), class)
	require.Empty(t, text)

	class, text = Classify("", 141)
	require.Equal(t, core.ClassInternal, class)
	require.Equal(t, "git failed with exit status 141", text)

	_, text = Classify("remote: "+strings.Repeat("long ", 1000)+"\n", 1)
	require.Len(t, text, MaxText)

	_, text = Classify("fatal: unable to access 'https://u:pw@host.example/a/': Could not resolve host: x\n", 128)
	require.NotContains(t, text, "pw")
}

func TestIsUnsupported_realWords(t *testing.T) {
	t.Parallel()
	up := gittest.NewBare(t)
	gittest.Run(t, up, "config", "receive.advertiseAtomic", "false")
	gittest.Run(t, up, "config", "receive.advertisePushOptions", "false")
	src := gittest.NewBare(t)
	a := gittest.AddCommit(t, src, "refs/heads/main", "a")
	r := gittest.Try(t, src, "", "push", "--porcelain", "--atomic", up, a+":refs/heads/x")
	require.True(t, IsAtomicUnsupported(r.Stderr), r.Stderr)
	require.False(t, IsPushOptionsUnsupported(r.Stderr))
	r = gittest.Try(t, src, "", "push", "--porcelain", "--push-option=x", up, a+":refs/heads/x")
	require.True(t, IsPushOptionsUnsupported(r.Stderr), r.Stderr)
	require.False(t, IsAtomicUnsupported(r.Stderr))
}

// The words of the git that is installed, whichever it is.
func TestClassify_realGit(t *testing.T) {
	t.Parallel()
	answer := func(status int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html") // git shows plain text only
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "The host's own words\n")
		}
	}
	plain := []string{"Content-Type", "text/plain"}
	cases := []struct {
		name    string
		handler http.HandlerFunc
		class   core.ErrorClass
		text    string // part of it
	}{
		{"401", answer(401, "WWW-Authenticate", `Basic realm="x"`), core.ClassAuth, "the host does not accept the credential"},
		{"403", answer(403, plain...), core.ClassAuth, "The host's own words"},
		{"404", answer(404, plain...), core.ClassNotFound, "The host's own words"},
		{"410", answer(410), core.ClassNotFound, "410"},
		{"413", answer(413), core.ClassTooLarge, "413"},
		{"429", answer(429), core.ClassRateLimited, "429"},
		{"451", answer(451), core.ClassRefused, "451"},
		{"500", answer(500), core.ClassUnavailable, "500"},
		{"502", answer(502, plain...), core.ClassUnavailable, "The host's own words"},
		{"301", answer(301, "Location", "/elsewhere"), core.ClassMoved, "a redirect"},
		{"HTML", answer(200), core.ClassProtocol, "not git's protocol"},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close()
			}
		}, core.ClassNetwork, "ended the connection early"},
		{"cut packet", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = io.WriteString(w, "001e# service=git-upload-pack\n0000000eversion 2\n00")
		}, core.ClassNetwork, ""},
		{"ERR", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			_, _ = io.WriteString(w, "001e# service=git-upload-pack\n00000013ERR not for you")
		}, core.ClassRefused, "not for you"},
	}
	fetch := []string{"-c", "http.followRedirects=false", "fetch"}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(c.handler)
			t.Cleanup(srv.Close)
			r := gittest.Try(t, gittest.NewBare(t), "", append(fetch, srv.URL+"/a.git", "refs/heads/*:refs/heads/*")...)
			class, text := Classify(r.Stderr, r.Code)
			require.Equal(t, c.class, class, r.Stderr)
			require.Contains(t, text, c.text, r.Stderr)
		})
	}

	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, url := range map[string]string{"refused": closed.URL, "no such name": "http://no-such-name.invalid"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := gittest.Try(t, gittest.NewBare(t), "", append(fetch, url+"/a.git", "refs/heads/*:refs/heads/*")...)
			class, _ := Classify(r.Stderr, r.Code)
			require.Equal(t, core.ClassNetwork, class, r.Stderr)
		})
	}

	t.Run("untrusted certificate", func(t *testing.T) {
		t.Parallel()
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.Config.ErrorLog = gittest.DiscardLog()
		srv.StartTLS()
		t.Cleanup(srv.Close)
		r := gittest.Try(t, gittest.NewBare(t), "", append(fetch, srv.URL+"/a.git", "refs/heads/*:refs/heads/*")...)
		class, _ := Classify(r.Stderr, r.Code)
		require.Equal(t, core.ClassNetwork, class, r.Stderr)
	})
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }))
		t.Cleanup(srv.Close)
		slow := []string{"-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=1"}
		r := gittest.Try(t, gittest.NewBare(t), "", append(append(slow, fetch...), srv.URL+"/a.git", "refs/heads/*:refs/heads/*")...)
		class, _ := Classify(r.Stderr, r.Code)
		require.Equal(t, core.ClassTimeout, class, r.Stderr)
	})
	t.Run("no such branch", func(t *testing.T) {
		t.Parallel()
		up := gittest.NewBare(t)
		gittest.AddCommit(t, up, "refs/heads/main", "a")
		r := gittest.Try(t, gittest.NewBare(t), "", append(fetch, up, "refs/heads/x:refs/heads/x")...)
		class, _ := Classify(r.Stderr, r.Code)
		require.Equal(t, core.ClassNotFound, class, r.Stderr)
	})
	t.Run("bad object", func(t *testing.T) {
		t.Parallel()
		up := gittest.NewBare(t)
		tree := strings.TrimSpace(gittest.Try(t, up, "", "mktree").Stdout)
		commit := fmt.Sprintf("tree %s\nauthor A <a@example.com>1700000000 +0000\ncommitter A <a@example.com> 1700000000 +0000\n\nbad\n", tree)
		id := strings.TrimSpace(gittest.Try(t, up, commit, "hash-object", "-t", "commit", "-w", "--literally", "--stdin").Stdout)
		gittest.Run(t, up, "update-ref", "refs/heads/main", id)
		r := gittest.Try(t, gittest.NewBare(t), "", "-c", "transfer.fsckObjects=true", "fetch", gittest.HTTPBackend(t, filepath.Dir(up))+"/r.git", "refs/heads/*:refs/heads/*")
		class, text := Classify(r.Stderr, r.Code)
		require.Equal(t, core.ClassCorrupt, class, r.Stderr)
		require.Contains(t, text, "missingSpaceBeforeDate", r.Stderr)
	})
	t.Run("the host's size limit", func(t *testing.T) {
		t.Parallel()
		up := gittest.NewBare(t)
		gittest.Run(t, up, "config", "receive.maxInputSize", "10")
		src := gittest.NewBare(t)
		a := gittest.AddCommit(t, src, "refs/heads/main", "a")
		r := gittest.Try(t, src, "", "push", "--porcelain", up, a+":refs/heads/x")
		class, _ := Classify(r.Stderr, r.Code)
		require.Equal(t, core.ClassTooLarge, class, r.Stderr)
	})
}
