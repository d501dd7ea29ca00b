package push_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// agit is a proc-receive hook as hosts with AGit have it: the ref becomes
// another one, and the push options reach the host.
const agit = `#!/bin/sh
pkt() { printf '%04x%s' $((${#1} + 4)) "$1"; }
# The version, the commands and the options come as sections of packets.
read_pkt() {
	len=$(dd bs=1 count=4 2>/dev/null)
	if [ "$len" = 0000 ]; then line=; return 1; fi
	line=$(dd bs=1 count=$((0x$len - 4)) 2>/dev/null | tr '\000' ' ')
}
while read_pkt; do :; done
printf '%04x' 26; printf 'version=1\000push-options'; printf 0000
while read_pkt; do set -- $line; old=$1 new=$2 ref=$3; done
while read_pkt; do echo "$line" >>agit-options; done
echo "$ref" >>agit-refs
pkt "ok $ref"
pkt "option refname refs/pull/7/head"
pkt "option old-oid $old"
pkt "option new-oid $new"
printf 0000
`

// agitBench is a bench whose upstream does AGit.
func agitBench(t *testing.T, o coretest.Options) (b *bench, r core.Repository, clone, upstream string) {
	t.Helper()
	b = newBench(t, o, push.Options{})
	r = b.Synced("a")
	clone, _ = b.seed(r, "refs/heads/main")
	upstream, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(t, err)
	coretest.Run(t, upstream, "config", "receive.procReceiveRefs", "refs/for")
	coretest.Run(t, upstream, "config", "receive.advertisePushOptions", "true")
	root, _, found := strings.Cut(upstream, "/repos/")
	require.True(t, found)
	require.NoError(t, os.WriteFile(filepath.Join(root, "hooks", "proc-receive"), []byte(agit), 0o700)) //nolint:gosec // git must execute it
	return b, r, clone, upstream
}

func TestService_ReceivePack_reviewIsPassedOn(t *testing.T) {
	t.Parallel()
	b, r, clone, upstream := agitBench(t, coretest.Options{})
	id := coretest.Commit(t, clone, "for review", core.ObjectID(coretest.Run(t, clone, "rev-parse", "refs/heads/main")))
	before := b.Refs(r, "refs/")
	out, err := b.client(clone, r, "--push-option=topic=fix", string(id)+":refs/for/main", string(id)+":refs/heads/x")
	require.NoError(t, err, out)
	require.Contains(t, out, ":refs/pull/7/head\t[new reference]", "the name that the host gave it")
	options, err := os.ReadFile(filepath.Join(upstream, "agit-options"))
	require.NoError(t, err)
	require.Equal(t, "topic=fix\n", string(options))
	refs, err := os.ReadFile(filepath.Join(upstream, "agit-refs"))
	require.NoError(t, err)
	require.Equal(t, "refs/for/main\n", string(refs))
	after := b.Refs(r, "refs/")
	before["refs/heads/x"], before[core.TrackingRef("refs/heads/x")] = id, id
	require.Equal(t, before, after, "it is never stored here")
	require.Equal(t, []string{"refs/heads/x"}, b.Events(r))
	results := b.write(r, false, core.RefUpdate{Name: "refs/for/main", New: id})
	require.True(t, results[0].OK(), results[0].Reason)
	require.Equal(t, [][]string{{"refname refs/pull/7/head", "old-oid " + string(core.ZeroSHA1), "new-oid " + string(id)}}, results[0].Became)

	results = b.write(r, true, core.RefUpdate{Name: "refs/for/main", New: id}, core.RefUpdate{Name: "refs/heads/y", New: id})
	require.Contains(t, results[0].Reason, "push it by itself")
	require.False(t, results[1].OK())
	results = b.write(r, false, core.RefUpdate{Name: "refs/for/main", Old: id})
	require.Contains(t, results[0].Reason, "close it at the host")
}

func TestInvariant03_reviewWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	b, r, clone, _ := agitBench(t, coretest.Options{Stall: 3 * time.Second})
	id := core.ObjectID(coretest.Run(t, clone, "rev-parse", "refs/heads/main"))
	b.Forge.Inject(forgetest.Fault{Kinds: onPush, HalfReply: true})
	results := b.write(r, false, core.RefUpdate{Name: "refs/for/main", New: id})
	require.Equal(t, core.KindUpstreamTimeout, results[0].Kind)
	require.Contains(t, results[0].Reason, "outcome unknown")
	require.Empty(t, b.push.Unsettled(r.ID), "there is no ref to ask about")
	require.Empty(t, b.Journal(r))
	require.Len(t, b.audit(r), 1)
}
