package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/server/middleware"
)

// surface is a stack whose log lines and answers are easy to compare. Lines are
// complete before the answer is, because the handler runs in the request.
type surface struct {
	log   bytes.Buffer
	lines []string
	stack middleware.Stack
}

func newSurface() *surface {
	s := &surface{}
	s.stack = middleware.Stack{
		IDs: middleware.RequestIDs{Now: time.Now},
		Log: middleware.AccessLog{Now: time.Now, Line: func(x *middleware.Exchange, r *http.Request, took time.Duration) {
			s.lines = append(s.lines, fmt.Sprint(r.Method, " ", x.Status(), " ", x.Bytes(), " ", x.Err, " aborted=", x.Aborted, " ", took >= 0))
		}},
		Recovery: middleware.Recovery{Logger: hclog.New(&hclog.LoggerOptions{Output: &s.log, JSONFormat: true})},
		Errors: middleware.Errors{Answer: func(x *middleware.Exchange, _ *http.Request, err error) {
			http.Error(x, "form of the surface: "+core.MessageOf(err), http.StatusTeapot)
		}},
	}
	return s
}

func (s *surface) get(serve middleware.Handler) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.stack.Serve(w, httptest.NewRequest(http.MethodGet, "/", nil), serve)
	return w
}

func TestStack_Serve_answersAndTells(t *testing.T) {
	t.Parallel()
	s := newSurface()
	var id string
	w := s.get(func(x *middleware.Exchange, _ *http.Request) error {
		id = x.ID
		require.False(t, x.Began())
		x.WriteHeader(http.StatusCreated)
		_, err := io.WriteString(x, "made")
		return err
	})
	require.Equal(t, "made", w.Body.String())
	require.True(t, strings.HasPrefix(id, "req_"), id)
	require.Equal(t, id, w.Header().Get("X-Request-Id"))

	w = s.get(func(*middleware.Exchange, *http.Request) error { return core.Errorf(core.KindInvalid, "no such thing") })
	require.Equal(t, http.StatusTeapot, w.Code)
	require.Equal(t, "form of the surface: no such thing\n", w.Body.String())
	require.NotEqual(t, id, w.Header().Get("X-Request-Id"))

	s.get(func(*middleware.Exchange, *http.Request) error { return nil })
	require.Equal(t, []string{
		"GET 201 4 <nil> aborted=false true",
		"GET 418 35 no such thing aborted=false true",
		"GET 0 0 <nil> aborted=false true",
	}, s.lines)
	require.Empty(t, s.log.String())
}

// TestExchange_Status_isTheFirstFinalOne has a 103 and a superfluous status beside it.
func TestExchange_Status_isTheFirstFinalOne(t *testing.T) {
	t.Parallel()
	x := &middleware.Exchange{ResponseWriter: httptest.NewRecorder()}
	x.WriteHeader(http.StatusEarlyHints)
	require.False(t, x.Began())
	require.Zero(t, x.Status())
	x.WriteHeader(http.StatusCreated)
	x.WriteHeader(http.StatusTeapot)
	require.True(t, x.Began())
	require.Equal(t, http.StatusCreated, x.Status())
}

func TestStack_Serve_panicsAreAnswersAndLogLines(t *testing.T) {
	t.Parallel()
	s := newSurface()
	w := s.get(func(*middleware.Exchange, *http.Request) error { panic("the roof is on fire") })
	require.Equal(t, http.StatusTeapot, w.Code)
	require.NotContains(t, w.Body.String(), "roof")
	require.Equal(t, []string{"GET 418 36 <nil> aborted=false true"}, s.lines)
	var logged map[string]any
	require.NoError(t, json.Unmarshal(s.log.Bytes(), &logged))
	require.Equal(t, "the roof is on fire", logged["panic"])
	require.Equal(t, w.Header().Get("X-Request-Id"), logged["request_id"])
	require.Contains(t, logged["stack"], "panicsAreAnswersAndLogLines")
}

// TestStack_Serve_cutsOff serves real connections, which show the difference
// between an answer that ends and one that is cut off.
func TestStack_Serve_cutsOff(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]any{"panic": "the roof is on fire", "abort": http.ErrAbortHandler} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSurface()
			ended := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				s.stack.Serve(w, r, func(x *middleware.Exchange, _ *http.Request) error {
					if _, err := io.WriteString(x, "half of "); err != nil {
						return err
					}
					if err := http.NewResponseController(x).Flush(); err != nil {
						return err
					}
					panic(cause)
				})
			}))
			defer server.Close()
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
			require.NoError(t, err)
			response, err := server.Client().Do(request)
			require.NoError(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.Equal(t, "half of ", string(body))
			<-ended
			aborted := cause == http.ErrAbortHandler
			require.Equal(t, []string{fmt.Sprint("GET 200 8 <nil> aborted=", aborted, " true")}, s.lines)
			require.Equal(t, !aborted, strings.Contains(s.log.String(), "the roof is on fire"))
		})
	}
}

// keys holds the public key of acme.
type keys struct{ key core.Key }

func (k keys) Keys(_ context.Context, org string) ([]core.Key, error) {
	if org != k.key.Org {
		return nil, nil
	}
	return []core.Key{k.key}, nil
}

// shelf is acme's repositories.
type shelf []core.Repository

func (s shelf) Repository(_ context.Context, org, nameOrID string) (core.Repository, error) {
	for _, r := range s {
		if r.Org == org && (r.Name == nameOrID || r.ID == nameOrID) {
			return r, nil
		}
	}
	return core.Repository{}, core.Errorf(core.KindNotFound, "there is none")
}

// newAccess returns an access to the repositories one and two of acme, and a
// function that signs tokens for them.
func newAccess(t *testing.T) (*middleware.Access, func(repo string, scopes ...access.Scope) string) {
	t.Helper()
	private, public, err := access.GenerateES256()
	require.NoError(t, err)
	signer, err := access.ParsePrivateKey(private)
	require.NoError(t, err)
	a := &middleware.Access{
		Verifier:     access.NewVerifier(keys{core.Key{ID: "key_a", Org: "acme", Algorithm: "ES256", PublicPEM: string(public)}}, core.SystemClock{}),
		Repositories: shelf{{ID: "repo_1", Org: "acme", Name: "one"}, {ID: "repo_2", Org: "acme", Name: "two"}},
		Token: func(r *http.Request) (string, error) {
			if token := middleware.BearerToken(r); token != "" {
				return token, nil
			}
			return "", core.Errorf(core.KindUnauthenticated, "bring a token")
		},
		LacksScope: "not without %s", OtherRepository: "not yours",
	}
	return a, func(repo string, scopes ...access.Scope) string {
		token, err := access.Sign(signer, access.Claims{
			Issuer: "acme", Subject: "tester", Repo: repo, Scopes: scopes, IssuedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
		})
		require.NoError(t, err)
		return token
	}
}

func TestAccess_Serve(t *testing.T) {
	t.Parallel()
	a, sign := newAccess(t)
	token := sign("one", access.GitRead)
	for header, want := range map[string]string{
		"":                       "bring a token",
		"Basic " + token:         "bring a token",
		"Bearer":                 "bring a token",
		"Bearer " + token + "x":  "the token",
		"bearer " + token:        "",
		"Bearer " + sign("none"): "",
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		r.RemoteAddr = "192.0.2.7:1"
		x := &middleware.Exchange{ResponseWriter: httptest.NewRecorder()}
		served := false
		err := a.Serve(x, r, func(_ *middleware.Exchange, r *http.Request) error {
			served = true
			require.Equal(t, "tester", x.Actor(r).Subject)
			require.Equal(t, "192.0.2.7", x.Actor(r).RemoteAddr)
			return nil
		})
		require.Equal(t, want == "", served, header)
		if want == "" {
			require.NoError(t, err)
			require.Equal(t, "acme", x.Identity.Org)
			continue
		}
		require.Equal(t, core.KindUnauthenticated, core.KindOf(err), header)
		require.Contains(t, core.MessageOf(err), want)
		require.Empty(t, x.Identity.Org)
	}
}

func TestAccess_Authorise(t *testing.T) {
	t.Parallel()
	a, _ := newAccess(t)
	id := access.Identity{Scopes: []access.Scope{access.GitRead}}
	for _, op := range []access.Operation{{Name: "read", Scope: access.GitRead}, {Name: "any"}, {Name: "signed", SignedOnly: true}} {
		require.NoError(t, a.Authorise(id, op))
	}
	err := a.Authorise(id, access.Operation{Name: "write", Scope: access.GitWrite})
	require.Equal(t, core.KindPermission, core.KindOf(err))
	require.Equal(t, "not without "+string(access.GitWrite), core.MessageOf(err))
}

// TestAccess_Repository wants that a token learns of no other repository whether
// it exists.
func TestAccess_Repository(t *testing.T) {
	t.Parallel()
	a, _ := newAccess(t)
	for _, c := range []struct {
		claim, name string
		kind        core.Kind
		found       string // id of what is returned
	}{
		{"one", "one", "", "repo_1"},
		{"repo_1", "one", "", "repo_1"},
		{"one", "repo_1", "", "repo_1"},
		{"one", "two", core.KindPermission, "repo_2"},
		{"one", "three", core.KindPermission, ""},
		{"three", "three", core.KindNotFound, ""},
		{"org", "one", core.KindPermission, "repo_1"},
		{"", "one", core.KindPermission, "repo_1"},
	} {
		repo, err := a.Repository(t.Context(), access.Identity{Org: "acme", Repo: c.claim}, c.name)
		require.Equal(t, c.kind, core.KindOf(err), c)
		require.Equal(t, c.found, repo.ID, c)
		if c.kind == core.KindPermission {
			require.Equal(t, "not yours", core.MessageOf(err))
		}
	}
	_, err := a.Repository(t.Context(), access.Identity{Org: "other", Repo: "one"}, "one")
	require.Equal(t, core.KindNotFound, core.KindOf(err))

	id := access.Identity{Org: "acme", Repo: "one"}
	require.Equal(t, "repo_2", a.Wanted(t.Context(), id, "two").ID)
	require.Equal(t, core.Repository{Org: "acme", Name: "three"}, a.Wanted(t.Context(), id, "three"))
}

// stillClock stands still.
type stillClock struct{ core.SystemClock }

func (stillClock) Now() time.Time { return time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC) }

// TestRates_strangersByAddress counts those without a token by their address, and not for
// the organisation whose repository they read.
func TestRates_strangersByAddress(t *testing.T) {
	t.Parallel()
	limits := func(context.Context, string) (core.OrgLimits, error) { return core.OrgLimits{Requests: 1}, nil }
	rates := middleware.NewRates(limits, stillClock{})
	repo := core.Repository{ID: "repo_1", Org: "acme"}
	header := http.Header{}
	for range middleware.StrangerRequests {
		require.NoError(t, rates.Take(t.Context(), header, access.Anonymous(repo, "192.0.2.1")))
	}
	require.Equal(t, fmt.Sprintf(`"address";q=%d;w=1`, middleware.StrangerRequests), header.Get("RateLimit-Policy"))
	err := rates.Take(t.Context(), header, access.Anonymous(repo, "192.0.2.1"))
	require.Equal(t, core.KindRateLimited, core.KindOf(err))
	require.ErrorContains(t, err, "an address without a token may send")
	require.NoError(t, rates.Take(t.Context(), header, access.Anonymous(repo, "192.0.2.2")), "another address")
	token := access.Identity{Org: "acme"}
	require.NoError(t, rates.Take(t.Context(), header, token), "strangers use nothing of the organisation up")
	require.Error(t, rates.Take(t.Context(), header, token))
	stranger := access.Anonymous(repo, "192.0.2.1")
	require.Empty(t, stranger.Caller().Organisation)
	require.False(t, stranger.Can(access.GitWrite))
	require.False(t, stranger.Can(access.RepoWrite))
}
