package remote_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/remote"
	"github.com/headwater-git/headwater/providers"
)

// The credential of a batch does for its objects for a while; later, and where the host
// refuses it, the provider is asked anew.
func TestGet_credential(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	h := newHost(t)
	c, b := h.client(t, func(o *remote.Options) { o.Clock = clock })
	type asked struct {
		operation providers.Operation
		fresh     bool
	}
	var credentials []asked
	valid := "token-1"
	b.plugin.CredentialFunc = func(_ context.Context, r providers.CredentialRequest) (providers.Credential, error) {
		credentials = append(credentials, asked{r.Operation, r.Fresh})
		token := "token-1"
		if r.Fresh {
			token = "token-2"
		}
		return providers.Credential{Kind: providers.CredentialHeader, Header: "Authorization", Secret: providers.Secret("Bearer " + token)}, nil
	}
	h.mux.HandleFunc("GET /x", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+valid {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, "good")
	})
	h.actions(map[string]action{"download": {"href": h.URL + "/x"}})
	transfers, err := c.Batch(t.Context(), lfs.Download, "", []lfs.Pointer{pointer("good")})
	require.NoError(t, err)
	ask := func() error {
		credentials = nil
		_, err := get(t.Context(), c, transfers[0], 0)
		return err
	}
	require.NoError(t, ask())
	require.Empty(t, credentials)
	clock.Advance(2 * time.Minute)
	require.NoError(t, ask())
	require.Equal(t, []asked{{providers.OpLFS, false}}, credentials)
	valid = "token-2"
	require.NoError(t, ask())
	require.Contains(t, credentials, asked{providers.OpLFS, true})
	valid = "none"
	requireClass(t, core.ClassAuth, ask())

	// Uploads and locks need more than reading.
	credentials = nil
	_, err = c.Batch(t.Context(), lfs.Upload, "", []lfs.Pointer{pointer("good")})
	require.NoError(t, err)
	_, err = c.Lock(t.Context(), "a", "")
	require.ErrorIs(t, err, lfs.ErrUnsupported)
	_, err = c.Unlock(t.Context(), "1", "", false)
	require.ErrorIs(t, err, lfs.ErrUnsupported)
	for _, a := range credentials {
		require.Equal(t, providers.OpLFSWrite, a.operation)
	}
	credentials = nil
	_, _, err = c.Locks(t.Context(), lfs.LockQuery{})
	require.ErrorIs(t, err, lfs.ErrUnsupported)
	require.Equal(t, asked{providers.OpLFS, false}, credentials[0])
}
