package push_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// named returns an update for each of n branches.
func named(n int, prefix string, before, after core.ObjectID) []core.RefUpdate {
	updates := make([]core.RefUpdate, n)
	for i := range updates {
		updates[i] = core.RefUpdate{Name: fmt.Sprintf("refs/heads/%s/%d", prefix, i), Old: before, New: after}
	}
	return updates
}

// total returns how many processes there were.
func total(processes map[string]int) (n int) {
	for _, of := range processes {
		n += of
	}
	return n
}

// No process is started per ref: those of 250 are as many as those of 200.
func TestService_Write_manyRefsStartFewProcesses(t *testing.T) {
	t.Parallel()
	var processes coretest.Processes
	b := newBench(t, coretest.Options{Logger: processes.Logger()}, push.Options{})
	synced, local := b.Synced("a"), b.Local("b")
	clone, id := b.seed(synced, "refs/heads/main")
	b.install(local, clone, "refs/heads/main", id)
	next := coretest.Commit(t, clone, "next", id)
	for _, r := range []core.Repository{synced, local} {
		coretest.Install(t, clone, b.Path(r), map[string]core.ObjectID{"refs/notes/next": next})
	}
	for _, r := range []core.Repository{local, synced} {
		var before map[string]int
		for _, n := range []int{200, 250} {
			prefix := fmt.Sprintf("n%d", n)
			processes.Take()
			pushes := b.Forge.Count(forgetest.KindPush)
			for _, updates := range [][]core.RefUpdate{
				named(n, prefix, "", id), named(n, prefix, id, next), named(n, prefix, next, id), named(n, prefix, id, ""), // the third is forced
			} {
				for _, res := range b.write(r, true, updates...) {
					require.Empty(t, res.Reason)
				}
				if r.Upstream != nil {
					b.inSync(r)
				}
			}
			now := processes.Take()
			require.Zero(t, now["push"])
			if r.Upstream != nil {
				require.Equal(t, 4, now["send-pack"])
				require.Equal(t, pushes+4, b.Forge.Count(forgetest.KindPush))
				now["for-each-ref"] = 0 // the test's own
			}
			if before != nil {
				require.Equal(t, before, now)
			}
			before = now
		}
		require.Len(t, b.Refs(r), 1)
	}
}

// What a push of many refs promises is what one of few promises, whoever sends it.
func TestService_Write_manyRefsKeepTheSameTruths(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{ManyRefs: 2})
	for name, tc := range map[string]struct {
		fault  forgetest.Fault
		atomic bool
		reason string // substring of every update's; "" is done
	}{
		"the reply is lost":         {fault: forgetest.Fault{DropReply: true}},
		"the request is lost":       {fault: forgetest.Fault{Drop: true}, reason: "outcome unknown"},
		"the host fails":            {fault: forgetest.Fault{Status: 502}, atomic: true, reason: "outcome unknown"},
		"the host says no":          {fault: forgetest.Fault{Status: 403, Body: "you may not"}, reason: "upstream refused the credential"},
		"the credential is no more": {fault: forgetest.Fault{Status: 401, Header: http.Header{"Www-Authenticate": {"Basic realm=x"}}}, reason: "upstream refused the credential"},
		"it has moved":              {fault: forgetest.Fault{Status: 302, Header: http.Header{"Location": {"http://elsewhere.example/r.git"}}}, reason: "moved"},
		"half of the reply is lost": {fault: forgetest.Fault{HalfReply: true}},
		"the host is in haste":      {fault: forgetest.Fault{Status: 429, Body: "rate limit exceeded"}, reason: "upstream says slow down"},
	} {
		r := b.Synced(strings.ReplaceAll(name, " ", "-"))
		_, id := b.seed(r, "refs/heads/main")
		tc.fault.Kinds = []forgetest.Kind{forgetest.KindPush}
		remove := b.Forge.Inject(tc.fault)
		for _, res := range b.write(r, tc.atomic, named(3, "x", "", id)...) {
			if tc.reason == "" {
				require.Empty(t, res.Reason, name)
			} else {
				require.Contains(t, res.Reason, tc.reason, name)
			}
		}
		remove()
		b.settle()
		b.inSync(r)
	}

	// One ref is elsewhere at the host, one is there already, one has gone.
	r := b.Synced("leases")
	clone, id := b.seed(r, "refs/heads/a", "refs/heads/b", "refs/heads/c", "refs/heads/d")
	next := coretest.Commit(t, clone, "next", id)
	other := coretest.Commit(t, clone, "other", id)
	coretest.Install(t, clone, b.Path(r), map[string]core.ObjectID{"refs/notes/n": next})
	dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(t, err)
	coretest.Install(t, clone, dir, map[string]core.ObjectID{"refs/heads/a": other, "refs/heads/b": next})
	b.ForgeGit(r, "update-ref", "-d", "refs/heads/c")
	updates := []core.RefUpdate{
		{Name: "refs/heads/a", Old: id, New: next}, {Name: "refs/heads/b", Old: id, New: next},
		{Name: "refs/heads/c", Old: id}, {Name: "refs/heads/d", Old: id, New: next},
	}
	require.Equal(t, []string{"upstream has changed, fetch first", "", "upstream has changed, fetch first", "atomic push failed"},
		reasons(b.write(r, true, updates...)))
	require.Equal(t, id, b.Refs(r)["refs/heads/d"])
	updates = slices.Delete(updates, 1, 2)
	require.Equal(t, []string{"upstream has changed, fetch first", "upstream has changed, fetch first", ""}, reasons(b.write(r, false, updates...)))
	require.Equal(t, string(next), b.ForgeGit(r, "rev-parse", "refs/heads/d"))
	require.Equal(t, next, b.Refs(r)["refs/heads/b"])

	// The host refuses one in words of its own, and has something to say.
	b.Forge.Protect(coretest.ForgePath(r), "refs/heads/d")
	var said []string
	session := b.session(r)
	session.Notify = func(line string) { said = append(said, line) }
	session.Updates = []core.RefUpdate{{Name: "refs/heads/d", Old: next, New: id}, {Name: "refs/heads/e", New: id}}
	results, err := b.push.Write(t.Context(), session)
	require.NoError(t, err)
	require.Equal(t, []string{"protected branch hook declined", ""}, reasons(results))
	require.NotEmpty(t, said)
}
