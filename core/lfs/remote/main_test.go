package remote_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/remote"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// bed is a client and the provider that opens upstreams for it.
type bed struct {
	testing.TB
	plugin  *coretest.Plugin
	service *remote.Service
	clock   core.Clock
}

// newBed makes one for a host that speaks http on loopback; stored is what opens it.
func newBed(t testing.TB, host string, stored *providers.StoredCredential, edit ...func(*remote.Options)) *bed {
	t.Helper()
	b := &bed{TB: t, clock: core.SystemClock{}}
	b.plugin = coretest.NewPlugin(providers.HostPolicy{Host: host, Scheme: "http", AllowPrivate: true})
	o := remote.Options{
		Upstreams: upstream.New(b.plugin, nil, nil, nil).With(stored), Clock: b.clock, Agent: "headwater-test",
	}
	for _, e := range edit {
		e(&o)
	}
	b.service = remote.New(o)
	t.Cleanup(b.service.CloseIdle)
	return b
}

// client returns the LFS server of a repository at the host.
func (b *bed) client(owner, name string) lfs.Upstream {
	policy := providers.HostPolicy{}
	b.plugin.Edit(func(_ *providers.Manifest, p *providers.HostPolicy) { policy = *p })
	return b.service.For(core.Repository{ID: "repo_1", Upstream: &core.Upstream{
		Provider: "loopback", Instance: b.plugin.Name(), Mode: providers.ModeGeneric, Host: policy.Host, Owner: owner, Name: name,
	}})
}

// pointer returns the pointer of an object.
func pointer(content string) lfs.Pointer {
	return lfs.Pointer{OID: lfs.OIDOf(sha256.Sum256([]byte(content))), Size: int64(len(content))}
}

// put uploads an object.
func put(ctx context.Context, c lfs.Upstream, content string) error {
	transfers, err := c.Batch(ctx, lfs.Upload, "refs/heads/main", []lfs.Pointer{pointer(content)})
	if err != nil {
		return err
	}
	return c.Put(ctx, transfers[0], strings.NewReader(content))
}

// get fetches an object from an offset on.
func get(ctx context.Context, c lfs.Upstream, t lfs.Transfer, offset int64) (string, error) {
	body, err := c.Get(ctx, t, offset)
	if err != nil {
		return "", err
	}
	defer body.Close()
	content, err := io.ReadAll(body)
	return string(content), err
}

// requireClass wants a failure of the class, and returns its sentence.
func requireClass(t testing.TB, class core.ErrorClass, err error) string {
	t.Helper()
	require.Error(t, err)
	got, text := upstream.Classify(err)
	require.Equal(t, class, got, "%v", err)
	return text
}

// sprint prints a value in each of the ways in which it may end up in a log.
func sprint(v any) string {
	out, _ := json.Marshal(v)
	return fmt.Sprintf("%v %+v %#v %s %s", v, v, v, v, out)
}

func isUnsupported(err error) bool { return errors.Is(err, lfs.ErrUnsupported) }

// setConcurrent is the operator's limit for the host.
func (b *bed) setConcurrent(n int) {
	b.plugin.Edit(func(_ *providers.Manifest, p *providers.HostPolicy) { p.MaxConcurrent = n })
}
