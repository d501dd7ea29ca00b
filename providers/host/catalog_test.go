package host

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/config"
)

func TestCatalog_Find(t *testing.T) {
	t.Parallel()
	broken := `provider "broken" {
		command = "/nonexistent/plugin"
		sha256 = "` + strings.Repeat("0", 64) + `"
		host "broken.example" {}
	}
	`
	named := `provider "loopback" "corp" {
		host "git.corp.example:8443" {}
		host "other.example" {}
	}
	`
	for name, c := range map[string]struct {
		hcl    string
		wire   string
		public bool
		host   string
		want   string
		refuse string
	}{
		"builtin":       {wire: "loopback", want: "loopback"},
		"anyCase":       {wire: "LoopBack", want: "loopback"},
		"otherName":     {wire: "loop", want: "loopback"},
		"public":        {wire: "loopback", public: true, want: "loopback-public"},
		"byHost":        {hcl: named, wire: "loopback", host: "git.corp.example:8443", want: "corp"},
		"byHostAnyCase": {hcl: named, wire: "loopback", host: "Other.Example", want: "corp"},
		"byOtherPort":   {hcl: named, wire: "loopback", host: "git.corp.example", want: "loopback"},
		"byNoHost":      {hcl: named, wire: "loopback", want: "loopback"},
		"byDefaultHost": {hcl: `provider "loopback" "corp" { 
			host "loop.example" {} 
		}`, wire: "loopback", want: "corp"},
		"overridden": {hcl: `provider "loopback" { 
			token = "t" 
		}`, wire: "loopback", want: "loopback"},
		"unknown":         {wire: "nope", refuse: `unknown provider "nope"; use one of loop, loopback`},
		"brokenElsewhere": {hcl: broken, wire: "loopback", want: "loopback"},
		"brokenMeant":     {hcl: broken, wire: "broken", refuse: "/nonexistent/plugin does not exist"},
		"brokenAnd":       {hcl: broken, wire: "nope", refuse: "/nonexistent/plugin does not exist"},
		"brokenHost":      {hcl: broken, wire: "loopback", host: "broken.example", want: "loopback"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, c.hcl, nil)
			i, err := b.Find(t.Context(), c.wire, c.public, c.host)
			if c.refuse != "" {
				require.ErrorContains(t, err, c.refuse)
				var typed *providers.Error
				require.ErrorAs(t, err, &typed)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, i.Name())
		})
	}
}

func TestCatalog_Find_external(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, `host "git.acme.example" {}`), nil)
	i, err := b.Find(t.Context(), "loopback", false, "")
	require.NoError(t, err)
	require.Equal(t, "loopback", i.Name())
	acme := b.instance(t, "acme")
	require.Zero(t, acme.Status().Generation, "it is not launched for others")

	_, err = b.Find(t.Context(), "acme", true, "")
	requireCode(t, err, providers.CodeInvalidArgument)
	require.ErrorContains(t, err, `provider "acme" has no public mode`)
	i, err = b.Find(t.Context(), "Acme", false, "git.acme.example")
	require.NoError(t, err)
	require.Equal(t, "acme", i.Name())
	m, err := i.Manifest(t.Context())
	require.NoError(t, err)
	require.Equal(t, "1.0.0", m.Version)
	require.Equal(t, 1, acme.Status().Generation)
}

func TestCatalog_New_errors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ hcl, want string }{
		"unknownType":   {`provider "nope" {}`, `p.hcl:1: provider "nope" is not built in (loopback, loopback-public)`},
		"builtinName":   {`provider "loopback" "loopback-public" {}`, `has the name of a built-in provider`},
		"attribute":     {"provider \"loopback\" {\n  tokem = 1\n}", `p.hcl:2: provider "loopback" has no attribute "tokem"; it has token`},
		"attributeType": {"provider \"loopback\" {\n  token = 1\n}", "p.hcl:2: token must be a string"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Parse("p.hcl", []byte(c.hcl), nil)
			require.NoError(t, err)
			_, err = New(Options{Config: cfg, Builtins: testBuiltins(), Self: selfArgvForTests})
			require.ErrorContains(t, err, c.want)
			requireCode(t, err, providers.CodeInvalidConfig)
		})
	}
	_, err := New(Options{Builtins: testBuiltins()})
	requireCode(t, err, providers.CodeInvalidConfig)
	empty, err := New(Options{})
	require.NoError(t, err)
	_, err = empty.Find(t.Context(), "gitea", false, "")
	requireCode(t, err, providers.CodeInvalidArgument)
	_, err = empty.Instance("gitea")
	requireCode(t, err, providers.CodeInvalidConfig)
	require.NoError(t, empty.Close(t.Context()))
}

func TestCatalog_instances(t *testing.T) {
	t.Parallel()
	b := setup(t, `provider "loopback" "corp" {}`, nil)
	var names []string
	for _, i := range b.Instances() {
		names = append(names, i.Name())
	}
	require.Equal(t, []string{"corp", "loopback", "loopback-public"}, names)
	require.Len(t, b.Status(), 3)
}

func TestInstance_start_once(t *testing.T) {
	t.Parallel()
	b := setup(t, "", nil)
	loop := b.instance(t, "loopback")
	var wg sync.WaitGroup
	errs := make([]error, 50)
	for n := range errs {
		wg.Go(func() { _, errs[n] = loop.Resolve(t.Context(), locate("o", fmt.Sprint("n", n))) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, 1, loop.Status().Generation)
}

func TestInstance_Credential_cached(t *testing.T) {
	t.Parallel()
	b := setup(t, "", nil)
	loop := b.instance(t, "loopback")
	ask := func(change func(*providers.CredentialRequest)) string {
		r := providers.CredentialRequest{Remote: providers.Remote{URL: "https://loop.example/o/n.git"}, Operation: providers.OpFetch}
		if change != nil {
			change(&r)
		}
		c, err := loop.Credential(t.Context(), r)
		require.NoError(t, err)
		return c.Secret.Reveal()
	}
	first := ask(nil)
	require.Equal(t, first, ask(nil))
	require.NotEqual(t, first, ask(func(r *providers.CredentialRequest) { r.Operation = providers.OpPush }))
	require.NotEqual(t, first, ask(func(r *providers.CredentialRequest) { r.Remote.URL += "x" }))
	require.NotEqual(t, first, ask(func(r *providers.CredentialRequest) { r.Stored = &providers.StoredCredential{Secret: "s"} }))
	require.Equal(t, first, ask(nil))
	fresh := ask(func(r *providers.CredentialRequest) { r.Fresh = true })
	require.NotEqual(t, first, fresh)
	require.Equal(t, fresh, ask(nil), "a fresh answer replaces the cached one")
	other := b.instance(t, "loopback-public")
	c, err := other.Credential(t.Context(), providers.CredentialRequest{Remote: providers.Remote{URL: "https://loop.example/o/n.git"}, Operation: providers.OpFetch})
	require.NoError(t, err)
	require.Equal(t, "secret-1", c.Secret.Reveal(), "another instance has its own cache")
}

func TestInstance_socket_isRemoved(t *testing.T) {
	t.Parallel()
	b := setup(t, "", nil)
	loop := b.instance(t, "loopback")
	requireWorks(t, loop)
	log := b.log.String()
	_, rest, ok := strings.Cut(log, "created temporary directory for unix sockets")
	require.True(t, ok)
	_, dir, ok := strings.Cut(strings.SplitN(rest, "\n", 2)[0], "dir=")
	require.True(t, ok)
	require.DirExists(t, dir)
	sockets, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, sockets, 1)
	require.NoError(t, b.Close(t.Context()))
	require.NoDirExists(t, dir)
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	var got []time.Duration
	for n := 1; n <= 9; n++ {
		got = append(got, backoff(n, time.Second, 2*time.Minute))
	}
	s := time.Second
	require.Equal(t, []time.Duration{s, 2 * s, 4 * s, 8 * s, 16 * s, 32 * s, 64 * s, 120 * s, 120 * s}, got)
	require.Equal(t, 2*time.Minute, backoff(1_000_000, time.Second, 2*time.Minute))
}

func TestInstance_health_resetsBackoff(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, ""), func(o *Options) {
		o.BackoffMin, o.BackoffMax, o.HealthyAfter = 50*time.Millisecond, time.Hour, time.Nanosecond
	})
	acme := b.instance(t, "acme")
	for range 3 {
		require.Eventually(t, func() bool {
			_, err := acme.Resolve(t.Context(), locate("o", "n"))
			return err == nil
		}, time.Minute, 20*time.Millisecond)
		_, err := acme.Resolve(t.Context(), locate("crash", "n"))
		e := requireCode(t, err, providers.CodeUnavailable)
		require.LessOrEqual(t, e.RetryAfter, 50*time.Millisecond)
	}
	require.Equal(t, 6, acme.Status().Crashes)
}

func TestCatalog_Webhook_prefersWhatIsConfigured(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hcl, address, want, refuse string
	}{
		"builtin without a block": {address: "loopback", want: "loopback"},
		"its block":               {hcl: `provider "loopback" {}`, address: "loopback", want: "loopback"},
		"the only block of it":    {hcl: `provider "loopback" "corp" {}`, address: "loopback", want: "corp"},
		"by its own name":         {hcl: `provider "loopback" "corp" {}`, address: "corp", want: "corp"},
		"its block goes before":   {hcl: "provider \"loopback\" {}\nprovider \"loopback\" \"corp\" {}", address: "loopback", want: "loopback"},
		"one of two":              {hcl: "provider \"loopback\" \"a\" {}\nprovider \"loopback\" \"b\" {}", address: "loopback", refuse: "name one of them"},
		"unknown":                 {address: "nope", refuse: `no provider "nope"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i, err := setup(t, c.hcl, nil).Webhook(c.address)
			if c.refuse != "" {
				require.ErrorContains(t, err, c.refuse)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, i.Name())
		})
	}
}
