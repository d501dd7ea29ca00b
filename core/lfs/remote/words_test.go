package remote

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/hosterror"
)

// TestSaid_decode: a host that repeats in its words what it was sent is not passed on.
func TestSaid_decode(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-hunter2"
	say := func(body string) said {
		return said{answer: answer{status: http.StatusOK, header: http.Header{"Content-Type": {"application/json"}}, body: []byte(body)}, remote: git.Remote{Username: "x", Password: secret}}
	}
	var one oneLock
	require.NoError(t, say(`{"message":"no quota for `+secret+`","lock":{"owner":{"name":"`+secret+`"}}}`).decode("", &one))
	require.Equal(t, "no quota for [redacted]", one.Message)
	require.Equal(t, "[redacted]", one.Lock.lock().Owner)
	var many lockList
	require.NoError(t, say(`{"message":"`+secret+`","ours":[{"owner":{"name":"`+secret+`"}}],"theirs":[{"owner":{"name":"a `+secret+`"}}],"locks":[{"owner":{"name":"ann"}}]}`).decode("", &many))
	require.Equal(t, "[redacted]", many.Message)
	require.Equal(t, "[redacted]", many.Ours[0].lock().Owner)
	require.Equal(t, "a [redacted]", many.Theirs[0].lock().Owner)
	require.Equal(t, "ann", many.Locks[0].lock().Owner)
	var batch batchAnswer
	require.NoError(t, say(`{"objects":[{"error":{"code":422,"message":"bad token `+secret+`"}},{"oid":"1"}]}`).decode("", &batch))
	require.Equal(t, "bad token [redacted]", batch.Objects[0].Error.Message)
	require.NoError(t, say(`{"transfer":"`+secret+`"}`).decode("", &batch))
	require.Equal(t, "[redacted]", batch.Transfer)

	secrets := git.Remote{Username: "x", Password: secret}.Secrets()
	b := &objectBody{secrets: secrets}
	require.NotContains(t, b.wrong("the coding %.40q", secret).Error(), secret)
	c := &client{}
	for _, err := range []error{
		&hosterror.Error{HostText: "no " + secret, Err: errors.New("malformed HTTP response " + secret)},
		fmt.Errorf("malformed HTTP response %q", secret),
	} {
		failed, ok := errors.AsType[*hosterror.Error](c.connectionError(t.Context(), err, secrets))
		require.True(t, ok)
		require.NotContains(t, fmt.Sprint(failed.HostText, failed.Err), secret)
	}
}
