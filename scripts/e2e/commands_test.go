package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/rogpeppe/go-internal/testscript"
)

const (
	syncTimeout  = 60 * time.Second // of waitsync
	untilTimeout = 10 * time.Second // of curl -until
)

// commonCommands are the commands of every script; see the package comment.
func commonCommands() map[string]commandFunc {
	return map[string]commandFunc{
		"startserver": (*world).startServer,
		"stopserver":  (*world).stopServer,
		"killserver":  (*world).killServer,
		"headwater":   (*world).headwater,
		"git":         (*world).git,
		"curl":        (*world).curl,
		"token":       (*world).token,
		"waitsync":    (*world).waitSync,
		"forge":       (*world).forge,
		"egress":      (*world).egressCommand,
		"same":        (*world).same,
		"plant":       (*world).plant,
		"mode":        (*world).mode,
		"secretscan":  (*world).secretScan,
	}
}

func (w *world) headwater(ts *testscript.TestScript, neg bool, args []string) {
	w.exec(ts, neg, "headwater", args...)
}

// git runs git. With -t it gets a token by that name instead of asking the
// helper of headwater.
func (w *world) git(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) > 1 && args[0] == "-t" {
		before := ts.Getenv("GIT_CONFIG_VALUE_0")
		ts.Setenv("GIT_CONFIG_VALUE_0", helperCommand("f() { cat '"+w.secretFile(args[1]+".git")+"'; }; f"))
		defer ts.Setenv("GIT_CONFIG_VALUE_0", before)
		args = args[2:]
	}
	w.exec(ts, neg, "git", args...)
}

// curl calls the server:
//
//	curl [-t TOKEN] [-password SECRET] [-H HEADER]... [-until TEXT] METHOD PATH [BODY]
//
// -password adds the field "password" to the body. -until calls again until the
// answer holds a text, for at most some seconds. Everything travels in a
// configuration file, nothing in curl's command line. Whatever the server
// answers is a success; only an answer that never comes is none.
func (w *world) curl(ts *testscript.TestScript, neg bool, args []string) {
	var headers []string
	password, until := "", ""
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-t":
			headers = append(headers, "Authorization: Bearer "+w.reveal(ts, args[1]))
		case "-password":
			password = w.reveal(ts, args[1])
		case "-H":
			headers = append(headers, args[1])
		case "-until":
			until = args[1]
		default:
			ts.Fatalf("unknown flag %s", args[0])
		}
		args = args[2:]
	}
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: curl [-t TOKEN] [-password SECRET] [-H HEADER] METHOD PATH [BODY]")
	}
	target := args[1]
	if strings.HasPrefix(target, "/") {
		target = ts.Getenv("URL") + target
	}
	var config strings.Builder
	option := func(name, value string) {
		fmt.Fprintf(&config, "%s = \"%s\"\n", name, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value))
	}
	option("url", target)
	option("request", args[0])
	for _, header := range append(headers, "Content-Type: application/json") {
		option("header", header)
	}
	if len(args) == 3 || password != "" {
		body := map[string]any{}
		raw := strings.Join(args[2:], "")
		if password != "" {
			ts.Check(json.Unmarshal([]byte(raw), &body))
			body["password"] = password
			encoded, err := json.Marshal(body)
			ts.Check(err)
			raw = string(encoded)
		}
		option("data-binary", raw)
	}
	if ca := filepath.Join(w.data, "tls", "ca.pem"); exists(ca) {
		option("cacert", ca)
	}
	option("write-out", `\nHTTP %{http_code}\n`)
	file := w.secretFile("curl.conf")
	ts.Check(os.WriteFile(file, []byte(config.String()), 0o600))
	flags := []string{"--silent", "--show-error", "--max-time", "60", "--config", file}
	if args[0] == http.MethodHead {
		flags = append(flags, "--head")
	}
	for deadline := time.Now().Add(untilTimeout); ; time.Sleep(100 * time.Millisecond) {
		w.exec(ts, neg, "curl", flags...)
		if strings.Contains(ts.ReadFile("stdout"), until) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no answer held %q", until)
		}
	}
}

// token signs a token and keeps it:
//
//	token [-key FILE] [-org ORG] NAME REPO SCOPES [CLAIMS]
//
// SCOPES are separated by commas, - is none. CLAIMS are JSON and win; a small
// number for exp or iat is seconds from now, null leaves a claim out.
func (w *world) token(ts *testscript.TestScript, _ bool, args []string) {
	key, org := filepath.Join(ts.Getenv("HEADWATER_DATA"), "keys", "local.pem"), "local"
	for len(args) > 1 && strings.HasPrefix(args[0], "-") && args[0] != "-" {
		switch args[0] {
		case "-key":
			key = args[1]
		case "-org":
			org = args[1]
		default:
			ts.Fatalf("unknown flag %s", args[0])
		}
		args = args[2:]
	}
	if len(args) < 3 || len(args) > 4 {
		ts.Fatalf("usage: token [-key FILE] [-org ORG] NAME REPO SCOPES [CLAIMS]")
	}
	now := time.Now().Unix()
	claims := map[string]any{"iss": org, "sub": "script", "repo": args[1], "iat": now, "exp": now + 3600}
	if args[2] != "-" {
		claims["scopes"] = strings.Split(args[2], ",")
	}
	if len(args) == 4 {
		var more map[string]any
		ts.Check(json.Unmarshal([]byte(args[3]), &more))
		for name, value := range more {
			number, isNumber := value.(float64)
			switch {
			case value == nil:
				delete(claims, name)
			case isNumber && (name == "exp" || name == "iat"):
				claims[name] = now + int64(number)
			default:
				claims[name] = value
			}
		}
	}
	text, err := signClaims([]byte(ts.ReadFile(key)), claims)
	ts.Check(err)
	w.keep(ts, args[0], text, "t")
	helper := w.secretFile(args[0] + ".git")
	ts.Check(os.WriteFile(helper, []byte("username=t\npassword="+text+"\n"), 0o600))
}

// signClaims signs with an ES256 key, by other code than the product's own.
func signClaims(pemText []byte, claims map[string]any) (string, error) {
	block, _ := pem.Decode(pemText)
	if block == nil {
		return "", fmt.Errorf("the key is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return "", err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// syncedRepo is what waitsync looks at.
type syncedRepo struct {
	Sync struct {
		State string `json:"state"`
		Tried int64  `json:"tried"`
	} `json:"sync"`
}

// waitSync waits until the first sync of a repository has finished, or with
// -pull asks for one and waits for that.
func (w *world) waitSync(ts *testscript.TestScript, neg bool, args []string) {
	pull, ref := false, ""
	for len(args) > 1 {
		switch args[0] {
		case "-pull":
			pull, args = true, args[1:]
		case "-ref":
			ref, args = args[1], args[2:]
		default:
			ts.Fatalf("usage: waitsync [-pull] [-ref REF] REPO")
		}
	}
	name := args[0]
	w.token(ts, false, []string{"waitsync", name, "git:write"})
	bearer := w.reveal(ts, "waitsync")
	client := w.client(ts)
	path := ts.Getenv("URL") + "/api/repos/" + url.PathEscape(name)
	wanted := int64(1)
	if pull {
		body, err := json.Marshal(map[string]string{"ref": ref})
		ts.Check(err)
		status, answer := w.call(ts, client, http.MethodPost, path+"/pull-upstream", bearer, string(body))
		if status != http.StatusAccepted {
			ts.Fatalf("pull-upstream: %d %s", status, answer)
		}
		var asked struct {
			Wanted int64 `json:"wanted"`
		}
		ts.Check(json.Unmarshal([]byte(answer), &asked))
		wanted = asked.Wanted
	}
	for deadline := time.Now().Add(syncTimeout); ; time.Sleep(50 * time.Millisecond) {
		repo, text := w.show(ts, client, path, bearer)
		if repo.Sync.Tried >= wanted && repo.Sync.State != "syncing" {
			fmt.Fprintln(ts.Stdout(), text)
			w.capture(text)
			if good := repo.Sync.State == "ready"; good == neg {
				ts.Fatalf("the sync ended as %s", repo.Sync.State)
			}
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the sync did not end: %s", text)
		}
	}
}

func (w *world) show(ts *testscript.TestScript, client *http.Client, path, bearer string) (syncedRepo, string) {
	status, text := w.call(ts, client, http.MethodGet, path, bearer, "")
	if status != http.StatusOK {
		ts.Fatalf("GET %s: %d %s", path, status, text)
	}
	var repo syncedRepo
	ts.Check(json.Unmarshal([]byte(text), &repo))
	return repo, text
}

// client speaks to the script's server.
func (w *world) client(ts *testscript.TestScript) *http.Client {
	transport := &http.Transport{DisableKeepAlives: true}
	if ca := filepath.Join(w.data, "tls", "ca.pem"); exists(ca) {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(ts.ReadFile(ca)))
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

func (w *world) call(ts *testscript.TestScript, client *http.Client, method, target, bearer, body string) (int, string) {
	request, err := http.NewRequest(method, target, strings.NewReader(body))
	ts.Check(err)
	request.Header.Set("Authorization", "Bearer "+bearer)
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	ts.Check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ts.Check(err)
	return answer.StatusCode, strings.TrimSpace(string(text))
}

// same compares what two files or streams hold, white space at the ends left
// out.
func (w *world) same(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: same FILE FILE")
	}
	a, b := strings.TrimSpace(ts.ReadFile(args[0])), strings.TrimSpace(ts.ReadFile(args[1]))
	if (a == b) == neg {
		ts.Fatalf("%s is %q, %s is %q", args[0], a, args[1], b)
	}
}

// plant keeps the content of a file as a secret that is searched for.
func (w *world) plant(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: plant NAME FILE")
	}
	w.keep(ts, args[0], ts.ReadFile(args[1]))
}

// mode checks the permissions of a file.
func (w *world) mode(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: mode FILE 0600")
	}
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); (got == args[1]) == neg {
		ts.Fatalf("%s has mode %s", args[0], got)
	}
}

// secretScan searches a file, or all that the script has so far.
func (w *world) secretScan(ts *testscript.TestScript, neg bool, args []string) {
	var hits []string
	for _, file := range args {
		hits = append(hits, w.vault.search(file, []byte(ts.ReadFile(file)))...)
	}
	if len(args) == 0 {
		hits = append(w.vault.searchTree(w.work), w.vault.searchTree(w.logs)...)
	}
	if (len(hits) > 0) != neg {
		ts.Fatalf("secrets: %q", hits)
	}
}
