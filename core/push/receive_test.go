package push_test

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the trailer of a pack
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/pktline"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// emptyPack is a pack without objects.
func emptyPack() []byte {
	head := []byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00")
	sum := sha1.Sum(head) //nolint:gosec // as above
	return append(head, sum[:]...)
}

// objects counts the object files of a repository, quarantines included.
func objects(t *testing.T, dir string) int {
	t.Helper()
	n := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "objects"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	}))
	return n
}

func TestService_ReceivePack_gitClient(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	b.Forge.CreateRepo("acme/a", true)
	for _, r := range []core.Repository{b.Local("local"), b.Synced("a")} {
		clone, one := b.seed(r, "refs/heads/main")
		two := coretest.Commit(t, clone, "two", one)
		coretest.Run(t, clone, "update-ref", "refs/heads/main", string(two))
		coretest.Run(t, clone, "tag", "-a", "-m", "v1", "v1", string(two))
		out, err := b.client(clone, r, "--atomic", "-o", "refs/heads/main", "refs/tags/v1")
		require.Error(t, err, "-o without a value: %s", out)
		out, err = b.client(clone, r, "--atomic", "--push-option=ci.skip", "refs/heads/main", "refs/tags/v1", "main:refs/notes/n")
		require.NoError(t, err, out)
		require.Equal(t, two, b.Refs(r)["refs/heads/main"])
		require.Len(t, b.Refs(r), 2)
		require.Len(t, b.Events(r), 3)
		out, err = b.client(clone, r, "+"+string(one)+":refs/heads/main", ":refs/tags/v1")
		require.NoError(t, err, out)
		require.Equal(t, map[string]core.ObjectID{"refs/heads/main": one}, b.Refs(r))
		require.Len(t, b.Events(r), 5)
		if r.Upstream == nil {
			continue
		}
		b.inSync(r)
		for _, req := range b.Forge.Requests() {
			if req.Kind == forgetest.KindPush && len(req.PushOptions) > 0 {
				require.Equal(t, []string{"ci.skip"}, req.PushOptions)
				require.True(t, req.Atomic)
			}
		}
	}
	require.Empty(t, b.received())
}

func TestInvariant12_refsOfTheHostAreNotPushed(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	clone, id := b.seed(r, "refs/heads/main")
	coretest.Run(t, clone, "update-ref", "refs/pull/1/head", string(id))
	out, err := b.client(clone, r, "refs/pull/1/head")
	require.Error(t, err)
	require.Contains(t, out, "refs/pull belongs to the upstream and is not mirrored")
	require.Zero(t, b.Forge.Count(forgetest.KindPush))
}

func TestInvariant20_ephemeralRefsStayHereAndApart(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	clone, id := b.seed(r, "refs/heads/main")
	b.setNamespace(core.Ephemeral)
	out, err := b.client(clone, r, "main:refs/heads/scratch", "main:refs/heads/main", "main:refs/tags/v1")
	require.Error(t, err)
	require.Contains(t, out, "only branches can be pushed to the ephemeral remote")
	require.Zero(t, b.Forge.Count(forgetest.KindPush))
	require.Equal(t, map[string]core.ObjectID{
		core.EphemeralPrefix + "refs/heads/scratch": id, core.EphemeralPrefix + "refs/heads/main": id,
	}, b.Refs(r, "refs/namespaces/"))
	require.Empty(t, b.Events(r))
	var adv bytes.Buffer
	require.NoError(t, b.push.Advertise(t.Context(), r, core.Default, &adv))
	require.NotContains(t, adv.String(), "scratch")
	require.NotContains(t, adv.String(), "internal")
	adv.Reset()
	require.NoError(t, b.push.Advertise(t.Context(), r, core.Ephemeral, &adv))
	require.Contains(t, adv.String(), " refs/heads/scratch")
	require.NotContains(t, adv.String(), "internal")
}

func TestService_ReceivePack_refusedByNameStoresNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	clone, one := b.seed(r, "refs/heads/main")
	b.setPolicy(`[["closed/*", ["no-push"]]]`)
	two := coretest.Commit(t, clone, "two", one)
	before := objects(t, b.Path(r))
	for name, args := range map[string][]string{
		"all":    {string(two) + ":refs/heads/closed/a", string(two) + ":refs/internal/b"},
		"atomic": {"--atomic", string(two) + ":refs/heads/open", string(two) + ":refs/heads/closed/a"},
	} {
		out, err := b.client(clone, r, args...)
		require.Error(t, err)
		require.Contains(t, out, "refs/heads/closed/a\t[remote rejected] (denied by policy)", name)
		require.NotContains(t, out, "remote failed to report", name)
		require.Equal(t, before, objects(t, b.Path(r)), name)
	}
	out, err := b.client(clone, r, string(two)+":refs/heads/open", string(two)+":refs/heads/closed/a")
	require.Error(t, err)
	require.Contains(t, out, "refs/heads/closed/a\t[remote rejected] (denied by policy)")
	require.Equal(t, two, b.Refs(r)["refs/heads/open"])
	require.Empty(t, b.received())
}

func TestService_ReceivePack_signedIsRefusedUnchecked(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	b.setPolicy(`[["*", ["no-push"]]]`)
	var body []byte
	for _, line := range []string{
		"push-cert\x00report-status side-band-64k", "certificate version 0.1\n", "pusher x\n", "nonce x\n", "\n",
		string(core.ZeroSHA1) + " " + string(id) + " refs/heads/x\n", "-----BEGIN PGP SIGNATURE-----\n", "push-cert-end\n",
	} {
		body = pktline.Appendf(body, "%s", line)
	}
	body = append(append(body, pktline.FlushPacket...), emptyPack()...)
	out, err := b.receive(t.Context(), r, body)
	require.NoError(t, err)
	require.Contains(t, out, "unpack signed pushes are not supported; push without --signed")
	require.NotContains(t, b.Refs(r), "refs/heads/x")
	require.Empty(t, b.Journal(r))
}

func TestService_ReceivePack_atomicWithARefThatGitRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	missing := core.ObjectID(strings.Repeat("1", 40))
	updates := []core.RefUpdate{{Name: "refs/heads/x", New: id}, {Name: "refs/heads/y", New: missing}}
	out, err := b.receive(t.Context(), r, request("report-status atomic", emptyPack(), updates...))
	require.NoError(t, err)
	require.Contains(t, out, "ng refs/heads/x ")
	require.Contains(t, out, "ng refs/heads/y missing necessary objects")
	b.inSync(r)
	require.NotContains(t, b.Refs(r), "refs/heads/x")

	out, err = b.receive(t.Context(), r, request("report-status", emptyPack(), updates...))
	require.NoError(t, err)
	require.Contains(t, out, "ok refs/heads/x")
	b.inSync(r)
}

func TestService_ReceivePack_badRequests(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{MaxInputSize: 1000})
	r := b.Local("a")
	_, id := b.seed(r, "refs/heads/main")
	x := core.RefUpdate{Name: "refs/heads/x", New: id}
	corrupt := emptyPack()
	corrupt[len(corrupt)-1] ^= 1
	big := append(append(emptyPack()[:8], 0, 0, 0, 9), bytes.Repeat([]byte("x"), 5000)...)
	for name, body := range map[string][]byte{
		"corrupt pack":   request("report-status", corrupt, x),
		"cut pack":       request("report-status", emptyPack()[:7], x),
		"no pack":        request("report-status", nil, x),
		"too large":      request("report-status", big, x),
		"garbage pack":   request("report-status", []byte("this is no pack at all, not even a bit"), x),
		"garbage":        []byte("this is no packet line"),
		"cut head":       request("report-status", nil, x)[:60],
		"empty":          nil,
		"object format":  request("report-status object-format=sha256", emptyPack(), x),
		"long ids":       request("report-status", emptyPack(), core.RefUpdate{Name: "refs/heads/x", Old: core.ObjectID(strings.Repeat("0", 64)), New: core.ObjectID(strings.Repeat("1", 64))}),
		"unknown object": request("report-status", emptyPack(), core.RefUpdate{Name: "refs/heads/x", New: core.ObjectID(strings.Repeat("1", 40))}),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		out, err := b.receive(ctx, r, body)
		require.NoError(t, ctx.Err(), "%s hangs", name)
		cancel()
		require.True(t, err != nil || strings.Contains(out, "ng refs/heads/x "), "%s: %q %v", name, out, err)
		require.NotEqual(t, core.KindInternal, core.KindOf(err), "%s: %v", name, err)
		require.Equal(t, map[string]core.ObjectID{"refs/heads/main": id}, b.Refs(r), name)
	}
	out, err := b.receive(t.Context(), r, []byte(pktline.FlushPacket))
	require.NoError(t, err, "git's probe")
	require.Empty(t, out)
	require.Empty(t, b.Journal(r))
	leftovers, err := filepath.Glob(filepath.Join(b.Path(r), "objects", "tmp_objdir-*"))
	require.NoError(t, err)
	require.Empty(t, leftovers)
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(fds)
}

// Not parallel: it counts what the whole process has open.
func TestService_ReceivePack_leaksNoFiles(t *testing.T) {
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Local("a")
	_, id := b.seed(r, "refs/heads/main")
	corrupt := emptyPack()
	corrupt[len(corrupt)-1] ^= 1
	run := func(n int) {
		x := core.RefUpdate{Name: fmt.Sprint("refs/heads/x", n), New: id}
		pack := emptyPack()
		if n%4 == 3 {
			pack = corrupt
		}
		_, err := b.receive(t.Context(), r, request("report-status", pack, x))
		require.NoError(t, err)
	}
	for n := range 8 {
		run(n)
	}
	before := openFiles(t)
	for n := range 40 { // ten refused ones: more than what may differ
		run(8 + n)
	}
	require.InDelta(t, before, openFiles(t), 4)
	require.Len(t, b.Refs(r), 1+8*3/4+40*3/4)
}

func TestService_ReceivePack_manyRefsThroughTheHook(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Local("a")
	_, id := b.seed(r, "refs/heads/main")
	updates := make([]core.RefUpdate, 500) // more than the pipes hold
	for i := range updates {
		updates[i] = core.RefUpdate{Name: fmt.Sprintf("refs/tags/%sv%d", strings.Repeat(strings.Repeat("x", 240)+"/", 2), i), New: id}
	}
	out, err := b.receive(t.Context(), r, request("report-status side-band-64k", emptyPack(), updates...))
	require.NoError(t, err)
	require.NotContains(t, out, "ng ")
	require.Len(t, b.Refs(r), 501)
}

// A client that hangs up before the point of no return has pushed nothing;
// behind it, the push goes through without the client.
func TestService_ReceivePack_clientHangsUp(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"objects-received", "journal-sent", "upstream-accepted"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			ctx, hangUp := context.WithCancel(t.Context())
			b := newBench(t, coretest.Options{Failpoint: func(name string) {
				if name == at {
					hangUp()
				}
			}}, push.Options{})
			r := b.Synced("a")
			_, id := b.seed(r, "refs/heads/main")
			// Whether git still wrote its report is a matter of luck; nobody reads it.
			_, _ = b.receive(ctx, r, request("report-status", emptyPack(), core.RefUpdate{Name: "refs/heads/x", New: id}))
			b.inSync(r)
			if at == "objects-received" {
				require.NotContains(t, b.Refs(r), "refs/heads/x")
				require.Empty(t, b.Journal(r))
			} else {
				require.Contains(t, b.Refs(r), "refs/heads/x")
				require.Equal(t, []core.JournalState{core.JournalApplied}, b.Journal(r))
				require.Len(t, b.Events(r), 1)
			}
			require.False(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/x"))
		})
	}
}

func TestInvariant15_noCredentialReachesTheClient(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Synced("a")
	clone, _ := b.seed(r, "refs/heads/main")
	c, err := b.Store.CredentialByRepo(t.Context(), r.ID)
	require.NoError(t, err)
	secret := c.Secret.Reveal()
	b.Forge.Refuse(coretest.ForgePath(r), forgetest.Refusal{
		Pattern: "refs/heads/x", Reason: "no " + secret, Message: []string{"your token is " + secret, "Authorization: Basic " + secret},
	})
	out, err := b.client(clone, r, "main:refs/heads/x")
	require.Error(t, err)
	require.Contains(t, out, "remote: your token is [redacted]")
	require.NotContains(t, out, secret)
	b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPushDiscover}, Status: 500, Echo: true})
	out, err = b.client(clone, r, "main:refs/heads/y")
	require.Error(t, err)
	require.NotEmpty(t, b.Forge.Echoed())
	require.NotContains(t, out, secret)
}
