package forgetest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"
)

// sign makes an App JWT.
func sign(t *testing.T, f *TestForge, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: f.app.key}, nil)
	require.NoError(t, err)
	raw, err := jwt.Signed(signer).Claims(claims).Serialize()
	require.NoError(t, err)
	return raw
}

// call calls the API and returns the status and the answer.
func call(t *testing.T, f *TestForge, method, path, bearer string, body any) (int, map[string]any) {
	t.Helper()
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), method, f.URL()+path, bytes.NewReader(raw))
	require.NoError(t, err)
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var answer map[string]any
	require.NoError(t, json.Unmarshal(text, &answer), "%s", text)
	return response.StatusCode, answer
}

func TestForge_githubAPI_appJWT(t *testing.T) {
	t.Parallel()
	f := StartForge(t, ForgeOptions{})
	now := func(after int64) int64 { return time.Now().Unix() + after } // when a subtest runs, which can be late
	tests := map[string]struct {
		claims func() map[string]any
		status int
	}{
		"good":            {func() map[string]any { return map[string]any{"iss": "4242", "iat": now(-60), "exp": now(540)} }, http.StatusOK},
		"iss as a number": {func() map[string]any { return map[string]any{"iss": AppID, "iat": now(0), "exp": now(60)} }, http.StatusOK},
		"another App":     {func() map[string]any { return map[string]any{"iss": "1", "iat": now(0), "exp": now(60)} }, http.StatusUnauthorized},
		"no iss":          {func() map[string]any { return map[string]any{"iat": now(0), "exp": now(60)} }, http.StatusUnauthorized},
		"no iat":          {func() map[string]any { return map[string]any{"iss": "4242", "exp": now(60)} }, http.StatusUnauthorized},
		"no exp":          {func() map[string]any { return map[string]any{"iss": "4242", "iat": now(0)} }, http.StatusUnauthorized},
		"from the future": {func() map[string]any { return map[string]any{"iss": "4242", "iat": now(60), "exp": now(120)} }, http.StatusUnauthorized},
		"ended":           {func() map[string]any { return map[string]any{"iss": "4242", "iat": now(-120), "exp": now(-60)} }, http.StatusUnauthorized},
		"lives too long":  {func() map[string]any { return map[string]any{"iss": "4242", "iat": now(0), "exp": now(660)} }, http.StatusUnauthorized},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, answer := call(t, f, http.MethodGet, "/app", sign(t, f, test.claims()), nil)
			require.Equal(t, test.status, status, "%v", answer)
		})
	}
	t.Run("another key", func(t *testing.T) {
		t.Parallel()
		other := StartForge(t, ForgeOptions{})
		raw := sign(t, other, map[string]any{"iss": "4242", "iat": now(0), "exp": now(60)})
		status, _ := call(t, f, http.MethodGet, "/app", raw, nil)
		require.Equal(t, http.StatusUnauthorized, status)
	})
}

func TestForge_githubAPI_installationToken(t *testing.T) {
	t.Parallel()
	f := StartForge(t, ForgeOptions{TokenLife: time.Minute})
	f.CreateRepo("acme/a", true)
	f.CreateRepo("acme/b", true)
	f.CreateRepo("other/c", true)
	now := time.Now().Unix()
	app := sign(t, f, map[string]any{"iss": "4242", "iat": now, "exp": now + 60})
	status, installation := call(t, f, http.MethodGet, "/api/v3/repos/acme/a/installation", app, nil)
	require.Equal(t, http.StatusOK, status)
	path := "/app/installations/" + json.Number(jsonText(t, installation["id"])).String() + "/access_tokens"

	mint := func(ask map[string]any) (int, string) {
		status, answer := call(t, f, http.MethodPost, path, app, ask)
		secret, _ := answer["token"].(string)
		return status, secret
	}
	sees := func(secret, repo string) bool {
		status, _ := call(t, f, http.MethodGet, "/repos/"+repo, secret, nil)
		return status == http.StatusOK
	}
	status, one := mint(map[string]any{"repositories": []string{"a"}, "permissions": map[string]string{"contents": "read"}})
	require.Equal(t, http.StatusCreated, status)
	require.True(t, sees(one, "acme/a"))
	require.False(t, sees(one, "acme/b"))
	_, all := mint(map[string]any{})
	require.True(t, sees(all, "acme/b"))
	require.False(t, sees(all, "other/c"))
	status, _ = mint(map[string]any{"repositories": []string{"c"}})
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _ = mint(map[string]any{"permissions": map[string]string{"administration": "write"}})
	require.Equal(t, http.StatusUnprocessableEntity, status)

	f.SuspendInstallation("acme", true)
	status, _ = mint(map[string]any{})
	require.Equal(t, http.StatusForbidden, status)
	status, _ = call(t, f, http.MethodGet, "/repos/acme/a", one, nil)
	require.Equal(t, http.StatusUnauthorized, status, "tokens of a suspended installation are dead")
	f.Uninstall("acme")
	status, _ = mint(map[string]any{})
	require.Equal(t, http.StatusNotFound, status)
}

// jsonText returns a value as JSON.
func jsonText(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return string(raw)
}
