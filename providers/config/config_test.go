package config

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

const planted = "planted-secret-4711"

// testCA is a self-signed certificate that expired long ago: it is parsed, not
// verified.
const testCA = `-----BEGIN CERTIFICATE-----
MIIBhTCCASugAwIBAgIQIRi6zePL6mKjOipn+dNuaTAKBggqhkjOPQQDAjASMRAw
DgYDVQQKEwdBY21lIENvMB4XDTE3MTAyMDE5NDMwNloXDTE4MTAyMDE5NDMwNlow
EjEQMA4GA1UEChMHQWNtZSBDbzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABD0d
7VNhbWvZLWPuj/RtHFjvtJBEwOkhbN/BnnE8rnZR8+sbwnc/KhCk3FhnpHZnQz7B
5aETbbIgmuvewdjvSBSjYzBhMA4GA1UdDwEB/wQEAwICpDATBgNVHSUEDDAKBggr
BgEFBQcDATAPBgNVHRMBAf8EBTADAQH/MCkGA1UdEQQiMCCCDmxvY2FsaG9zdDo1
NDUzgg4xMjcuMC4wLjE6NTQ1MzAKBggqhkjOPQQDAgNIADBFAiEA2zpJEPQyz6/l
Wf86aX6PepsntZv2GYlA5UpabfT2EZICICpJ5h/iI+i341gBmLiAFQOyTDT+/wQc
6MF9+Yw1Yy0t
-----END CERTIFICATE-----
`

func environment(name string) (string, bool) {
	value, ok := map[string]string{"TOKEN": planted, "EMPTY": "", "DIR": "secrets"}[name]
	return value, ok
}

// directory has the files that the cases name.
func directory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "secrets"), 0o700))
	for name, content := range map[string]string{
		"secrets/token": planted + "\r\n",
		"binary":        "\xff\xfe",
		"large":         strings.Repeat("x", MaxFileSize+1),
		"ca.pem":        testCA,
		"noca.pem":      "no certificate",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return dir
}

const sum = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func TestParse_valid(t *testing.T) {
	t.Parallel()
	dir := directory(t)
	src := `
# everything there is
provider "gitea" {
  host "127.0.0.1:3000" {
    scheme        = "http"
    allow_private = true
  }
}

provider "gitea" "forge" {
  command = "bin/provider-gitea"
  args    = ["--fast"]
  sha256  = "` + strings.ToUpper(sum) + `"

  host "Git.Example.Org." {
    allow_private   = true
    ca_file         = "ca.pem"
    api_url         = "https://api.example.org/v1"
    webhook_secret  = env("TOKEN")
    webhook_secrets = ["second", file("secrets/token")]
    max_concurrent  = 4
    base_path       = "/code/git/"
    proxy           = "http://egress:${env("TOKEN")}@proxy.example.org:3128"
  }
  host "[::1]:80" {}

  poll     = "10m"
  token    = file("${env("DIR")}/token")
  scopes   = ["read", "write"]
  limit    = 1.5
  pages    = 10
  enabled  = true
  nothing  = null
}
`
	c, err := Parse(filepath.Join(dir, "providers.hcl"), []byte(src), environment)
	require.NoError(t, err)
	want := []Provider{
		{
			Type: "gitea", Instance: "gitea", Attributes: json.RawMessage(`{}`),
			Hosts: []providers.HostPolicy{{Host: "127.0.0.1:3000", Scheme: "http", AllowPrivate: true}},
		},
		{
			Type: "gitea", Instance: "forge",
			Poll:    "10m",
			Command: filepath.Join(dir, "bin/provider-gitea"), Args: []string{"--fast"}, SHA256: c.Providers[1].SHA256,
			Hosts: []providers.HostPolicy{
				{
					Host: "git.example.org", Scheme: "https", AllowPrivate: true, CAFile: filepath.Join(dir, "ca.pem"),
					APIURL: "https://api.example.org/v1", MaxConcurrent: 4,
					BasePath: "/code/git", Proxy: "http://egress:" + planted + "@proxy.example.org:3128",
					WebhookSecrets: []providers.Secret{planted, "second", planted},
				},
				{Host: "[::1]:80", Scheme: "https"},
			},
			Attributes: json.RawMessage(`{"enabled":true,"limit":1.5,"pages":10,"scopes":["read","write"],"token":"` + planted + `"}`),
		},
	}
	// Secret prints as "[redacted]" in a difference.
	require.Empty(t, cmp.Diff(want, c.Providers, cmpopts.IgnoreFields(Provider{}, "Pos", "Secrets"), cmpopts.IgnoreUnexported(Provider{})))
	require.Len(t, c.Providers[1].SHA256, 32)
	require.Contains(t, c.Providers[1].Secrets, providers.Secret(planted))
	require.Equal(t, 3, c.Providers[0].Pos.Line)
	require.Equal(t, "forge", c.Instance("forge").Instance)
	require.Nil(t, c.Instance("other"))
	require.Nil(t, (*Config)(nil).Instance("other"))
}

func TestParse_errors(t *testing.T) {
	t.Parallel()
	dir := directory(t)
	in := func(body string) string { return "provider \"gitea\" {\n" + body + "\n}\n" }
	host := func(body string) string { return in("host \"h.example\" {\n" + body + "\n}") }
	for name, c := range map[string]struct {
		src  string
		line string
		want string
	}{
		"syntax":               {"provider \"gitea\" {", ":1: ", "Unclosed"},
		"topAttribute":         {"x = 1", ":1: ", `attribute "x" is not expected here`},
		"topBlock":             {"server {}", ":1: ", `block "server" is not expected here`},
		"noLabel":              {"provider {}", ":1: ", "one or two labels"},
		"threeLabels":          {`provider "a" "b" "c" {}`, ":1: ", "one or two labels"},
		"badLabel":             {`provider "Git Ea" {}`, ":1: ", "is not valid"},
		"badInstance":          {`provider "gitea" "../x" {}`, ":1: ", "is not valid"},
		"duplicate":            {"provider \"gitea\" {}\nprovider \"gitlab\" \"gitea\" {}", ":2: ", `instance "gitea" is already declared at ` + filepath.Join(dir, "providers.hcl") + ":1"},
		"otherBlock":           {in("limits {}"), ":2: ", `block "limits" is not expected in provider "gitea"`},
		"commandNoSum":         {in(`command = "/bin/x"`), ":2: ", "names a command without its sha256"},
		"sumNoCommand":         {in(`sha256 = "` + sum + `"`), ":2: ", "sha256 without a command"},
		"argsNoCommand":        {in(`args = ["x"]`), ":2: ", "args without a command"},
		"commandEmpty":         {in("command = \"\"\nsha256 = \"" + sum + "\""), ":2: ", "command must not be empty"},
		"commandNumber":        {in("command = 5\nsha256 = \"" + sum + "\""), ":2: ", "command must be a string"},
		"argsNumber":           {in("command = \"x\"\nargs = [1]\nsha256 = \"" + sum + "\""), ":3: ", "args must be a list of strings"},
		"sumShort":             {in("command = \"x\"\nsha256 = \"abc\""), ":3: ", "64 hexadecimal digits"},
		"sumNotHex":            {in("command = \"x\"\nsha256 = \"" + strings.Repeat("g", 64) + "\""), ":3: ", "64 hexadecimal digits"},
		"hostNoLabel":          {in("host {}"), ":2: ", "a host block has one label"},
		"hostURL":              {in(`host "https://h.example" {}`), ":2: ", "is not a host"},
		"hostDuplicate":        {in("host \"h.example\" {}\nhost \"H.example.\" {}"), ":3: ", `host "h.example" is already declared`},
		"hostUnknownAttribute": {host(`shceme = "http"`), ":3: ", `host "h.example" has no attribute "shceme"; it has allow_private,`},
		"hostBlock":            {host("tls {}"), ":3: ", `block "tls" is not expected in host`},
		"scheme":               {host(`scheme = "ssh"`), ":3: ", `scheme must be "https" or "http"`},
		"allowString":          {host(`allow_private = "true"`), ":3: ", "allow_private must be true or false"},
		"allowNull":            {host(`allow_private = null`), ":3: ", "allow_private must be true or false"},
		"pollShort":            {in(`poll = "4s"`), ":2: ", `poll must be "off", "auto" or a duration of at least 5s`},
		"pollWord":             {in(`poll = "sometimes"`), ":2: ", "poll must be"},
		"pollUnit":             {in(`poll = "30"`), ":2: ", "poll must be"},
		"pollNegative":         {in(`poll = "-1h"`), ":2: ", "poll must be"},
		"pollNumber":           {in(`poll = 30`), ":2: ", "poll must be a string"},
		"pollEmpty":            {in(`poll = ""`), ":2: ", "poll must not be empty"},
		"pollSecret":           {in(`poll = env("TOKEN")`), ":2: ", "poll must be"},
		"pollOfHost":           {host(`poll = "off"`), ":3: ", `has no attribute "poll"`},
		"basePathRelative":     {host(`base_path = "git"`), ":3: ", "a path like"},
		"basePathUp":           {host(`base_path = "/a/../b"`), ":3: ", "a path like"},
		"basePathEmpty":        {host(`base_path = "/"`), ":3: ", "a path like"},
		"proxyNoPort":          {host(`proxy = "http://u:planted-proxy@proxy"`), ":3: ", "with its port"},
		"proxyNoURL":           {host(`proxy = "proxy:3128"`), ":3: ", "with its port"},
		"maxZero":              {host(`max_concurrent = 0`), ":3: ", "a whole number from 1 to 1000"},
		"maxFraction":          {host(`max_concurrent = 1.5`), ":3: ", "a whole number"},
		"maxString":            {host(`max_concurrent = "4"`), ":3: ", "must be a number"},
		"caMissing":            {host(`ca_file = "missing.pem"`), ":3: ", "ca_file cannot be read: no such file"},
		"caEmpty":              {host(`ca_file = "noca.pem"`), ":3: ", "holds no PEM certificate"},
		"apiRelative":          {host(`api_url = "/api"`), ":3: ", "absolute https URL"},
		"apiUser":              {host(`api_url = "https://u:` + planted + `@h.example/"`), ":3: ", "no user, query or fragment"},
		"apiPlain":             {host(`api_url = "http://h.example/"`), ":3: ", "the scheme of host"},
		"apiHost":              {host(`api_url = "https://0x7f.1/"`), ":3: ", "must name a valid host"},
		"secretEmpty":          {host(`webhook_secret = env("EMPTY")`), ":3: ", "webhook_secret must not be empty"},
		"secretsEmpty":         {host(`webhook_secrets = ["a", ""]`), ":3: ", "must not hold an empty string"},
		"secretsNotList":       {host(`webhook_secrets = env("TOKEN")`), ":3: ", "must be a list of strings"},
		"envMissing":           {in(`token = env("NO_SUCH")`), ":2: ", `environment variable "NO_SUCH" is not set`},
		"envNested":            {in(`token = env(env("TOKEN"))`), ":2: ", "must be written out"},
		"fileMissing":          {in(`token = file("no-such")`), ":2: ", `file "no-such" cannot be read: no such file`},
		"fileSecretPath":       {in(`token = file(env("TOKEN"))`), ":2: ", "the file cannot be read: no such file"},
		"fileDirectory":        {in(`token = file("secrets")`), ":2: ", "cannot be read"},
		"fileBinary":           {in(`token = file("binary")`), ":2: ", "not UTF-8"},
		"fileLarge":            {in(`token = file("large")`), ":2: ", "larger than 1 MiB"},
		"unknownFunction":      {in(`token = vault("x")`), ":2: ", "no function named"},
		"unknownVariable":      {in(`token = other.x`), ":2: ", "Variables not allowed"},
		"secretIndexed":        {in(`token = { a = 1 }[env("TOKEN")]`), ":2: ", ""},
		"secretAsNumber":       {in(`token = 1 + env("TOKEN")`), ":2: ", ""},
		"secretAsBool":         {host(`allow_private = env("TOKEN")`), ":3: ", "must be true or false"},
		"secretAsScheme":       {host(`scheme = env("TOKEN")`), ":3: ", "scheme must be"},
		"secretAsAPI":          {host(`api_url = env("TOKEN")`), ":3: ", "api_url must be"},
		"secretAsCA":           {host(`ca_file = env("TOKEN")`), ":3: ", "ca_file cannot be read"},
		"hugeNumber":           {in(`limit = "${1e999999999}"`), ":2: ", "out of range"},
		"largeNumber":          {in(`limit = 1e999`), ":2: ", "out of range"},
		"nul":                  {in("token = \"a\x00b\""), ": ", "NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(dir, "providers.hcl")
			got, err := Parse(file, []byte(c.src), environment)
			require.Nil(t, got)
			var ds Diagnostics
			require.ErrorAs(t, err, &ds)
			require.Contains(t, err.Error(), file+c.line)
			require.Contains(t, err.Error(), c.want)
			require.NotContains(t, err.Error(), planted)
			for _, d := range ds {
				require.NotContains(t, d.Message, "\n")
			}
		})
	}
}

func TestParse_poll(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"off", "auto", "5s", "1h30m"} {
		c, err := Parse("providers.hcl", []byte("provider \"a\" {\n  poll = \""+want+"\"\n}\n"), nil)
		require.NoError(t, err)
		require.Equal(t, want, c.Providers[0].Poll)
		require.JSONEq(t, "{}", string(c.Providers[0].Attributes), "it is not the plugin's business")
	}
}

func TestParse_errors_allAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Parse("providers.hcl", []byte("provider \"a\" {\n  command = \"x\"\n  host \"h.example\" {\n    scheme = \"ftp\"\n  }\n}\nx = 1\n"), nil)
	var ds Diagnostics
	require.True(t, errors.As(err, &ds))
	require.Len(t, ds, 3)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := directory(t)
	_, err := Load(filepath.Join(dir, "missing.hcl"), environment)
	require.ErrorContains(t, err, "no such file")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "p.hcl"), []byte("provider \"gitea\" {\n  token = file(\"secrets/token\")\n}\n"), 0o600))
	c, err := Load(filepath.Join(dir, "p.hcl"), environment)
	require.NoError(t, err)
	require.JSONEq(t, `{"token":"`+planted+`"}`, string(c.Providers[0].Attributes))
}

func TestProvider_CheckAttributes(t *testing.T) {
	t.Parallel()
	m := providers.Manifest{Attributes: []providers.Attribute{
		{Name: "token", Type: "string", Required: true, Sensitive: true, Doc: "API token."},
		{Name: "limit", Type: "number"},
		{Name: "fast", Type: "bool"},
		{Name: "scopes", Type: "list", Sensitive: true},
		{Name: "future", Type: "tree"},
	}}
	for name, c := range map[string]struct{ body, want string }{
		"all":       {`token = "t"` + "\nlimit = 5\nfast = true\nscopes = [\"a\"]\nfuture = { a = 1 }", ""},
		"nulls":     {`token = "t"` + "\nlimit = null", ""},
		"missing":   {"", `p.hcl:1: provider "x" needs the attribute "token": API token.`},
		"null":      {"token = null", "p.hcl:2: token must not be null"},
		"unknown":   {"token = \"t\"\ntokem = 1", `p.hcl:3: provider "x" has no attribute "tokem"; it has fast, future, limit, scopes, token`},
		"type":      {"token = 5", "p.hcl:2: token must be a string"},
		"number":    {"token = \"t\"\nlimit = \"5\"", "p.hcl:3: limit must be a number"},
		"bool":      {"token = \"t\"\nfast = \"true\"", "p.hcl:3: fast must be a bool"},
		"list":      {"token = \"t\"\nscopes = \"a\"", "p.hcl:3: scopes must be a list"},
		"listOther": {"token = \"t\"\nscopes = [1]", "p.hcl:3: scopes must be a list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := Parse("p.hcl", []byte("provider \"x\" {\n"+c.body+"\n}"), nil)
			require.NoError(t, err)
			err = cfg.Providers[0].CheckAttributes(m)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
		})
	}
	cfg, err := Parse("p.hcl", []byte("provider \"x\" {\ntoken = \"t\"\nscopes = [\"a\", \"b\"]\nlimit = 1\n}"), nil)
	require.NoError(t, err)
	require.Equal(t, []providers.Secret{"t", "a", "b"}, cfg.Providers[0].SecretAttributes(m))
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"provider \"gitea\" \"forge\" {\n  command = \"x\"\n  sha256 = \"" + sum + "\"\n  host \"h.example:80\" {\n    scheme = \"http\"\n    allow_private = true\n    webhook_secrets = [env(\"TOKEN\")]\n  }\n  a = { b = [1, \"${env(\"TOKEN\")}\", null] }\n}",
		"provider {}", "x = 1", "provider \"a\" {\n  t = env(\"NO\")\n}", "provider \"a\" { host \"::1\" {} }",
		"provider \"a\" {\n  t = [for x in [1,2] : x * 1e300 if x > 1]\n}", "/*", "<<EOT\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		// No file(): a fuzzer that reads what it finds proves nothing.
		if strings.Contains(src, "file") {
			return
		}
		c, err := Parse("/nonexistent/providers.hcl", []byte(src), environment)
		if err != nil {
			var ds Diagnostics
			if !errors.As(err, &ds) || len(ds) == 0 {
				t.Fatalf("untyped error %v", err)
			}
			if strings.Contains(err.Error(), planted) && !strings.Contains(src, planted) {
				t.Fatalf("the error repeats a secret: %v", err)
			}
			return
		}
		for _, p := range c.Providers {
			if !json.Valid(p.Attributes) || (p.Command != "") != (len(p.SHA256) == 32) {
				t.Fatalf("unsound provider %+v", p)
			}
		}
	})
}
