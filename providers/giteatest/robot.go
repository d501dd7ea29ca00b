package giteatest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Robot is an account without rights of its own, whose tokens a person can revoke, which
// Gitea lets only who knows the password.
type Robot struct {
	// Name is the account's.
	Name string

	server   *Server
	password string
}

// NewRobot makes an account.
func (s *Server) NewRobot(ctx context.Context, name string) (*Robot, error) {
	r := &Robot{Name: name, server: s, password: rand.Text()}
	status, answer, err := s.Call(ctx, http.MethodPost, "/admin/users",
		fmt.Sprintf(`{"username":%q,"email":%q,"password":%q,"must_change_password":false}`, name, name+"@example.test", r.password))
	if err != nil {
		return nil, err
	}
	if status != http.StatusCreated {
		return nil, fmt.Errorf("make an account: Gitea answers %d %s", status, answer)
	}
	return r, nil
}

// Mint makes a token that opens the repositories that the account may use.
func (r *Robot) Mint(ctx context.Context, name string) (string, error) {
	answer, err := r.tokens(ctx, http.MethodPost, "", fmt.Sprintf(`{"name":%q,"scopes":["write:repository","read:user"]}`, name))
	if err != nil {
		return "", err
	}
	var token struct {
		SHA1 string `json:"sha1"`
	}
	err = json.Unmarshal(answer, &token)
	return token.SHA1, err
}

// Revoke ends a token.
func (r *Robot) Revoke(ctx context.Context, name string) error {
	_, err := r.tokens(ctx, http.MethodDelete, "/"+url.PathEscape(name), "")
	return err
}

// tokens calls Gitea's API below the account's tokens, with its password.
func (r *Robot) tokens(ctx context.Context, method, path, body string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.server.URL()+"/api/v1/users/"+r.Name+"/tokens"+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.SetBasicAuth(r.Name, r.password)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s a token: Gitea answers %d %s", method, response.StatusCode, answer)
	}
	return answer, err
}
