package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/lfstest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// lfsUpstream is a repository with LFS at the server with which git-lfs tests its client.
type lfsUpstream struct {
	t      *testing.T
	host   string
	blocks []string
	bare   string
	git    *servertest.Client // with a working tree of it
	closed atomic.Bool        // batches are answered 503
	lfs    lfsRemote
}

func newLFSUpstream(t *testing.T) *lfsUpstream {
	t.Helper()
	behind := lfstest.Start(t)
	u := &lfsUpstream{t: t, bare: filepath.Join(behind.Folder, "large.git")}
	proxy := asGitea(t, behind.URL)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u.closed.Load() && strings.HasSuffix(r.URL.Path, "/objects/batch") {
			http.Error(w, "come back later", http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	u.host = front.Listener.Addr().String()
	for _, host := range []string{behind.Host, u.host} {
		u.blocks = append(u.blocks, fmt.Sprintf("  host %q {\n    scheme = \"http\"\n    allow_private = true\n  }\n", host))
	}
	u.lfs = lfsRemote{"http://" + u.host + "/acme/large.git/info/lfs", lfstest.User, lfstest.Password}
	return u
}

// commit makes a commit of files and pushes it to main, past LFS.
func (u *lfsUpstream) commit(files map[string]string) (id string) {
	u.t.Helper()
	for name, content := range files {
		require.NoError(u.t, os.WriteFile(filepath.Join(u.git.Dir, name), []byte(content), 0o600))
	}
	u.git.Git("add", ".")
	u.git.Git("commit", "--quiet", "-m", "change")
	u.git.Git("push", "--quiet", u.bare, "HEAD:refs/heads/main")
	return u.git.Head()
}

// pointers are files of LFS that hold these.
func pointers(contents map[string][]byte) map[string]string {
	files := map[string]string{".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"}
	for name, content := range contents {
		files[name] = string(lfs.Pointer{OID: lfs.OID(oidOf(content)), Size: int64(len(content))}.Encode())
	}
	return files
}

// follow makes a mirror of it with the settings.
func (u *lfsUpstream) follow(c servertest.Caller, change client.SettingsRequest) {
	u.t.Helper()
	u.git = c.ClientWith(u.t, "")
	u.git.Git("init", "--quiet", "--bare", "--initial-branch=main", u.bare)
	u.git.Clone("")
	u.commit(map[string]string{"README": "small\n"})
	followLFS(u.t, c, local, u.host, "acme/large")
	c.PullAndWait(u.t, local)
	c.SetSettings(u.t, local, change)
}

// mainOf returns where main of the mirror is for a client.
func mainOf(t *testing.T, c servertest.Caller) string {
	t.Helper()
	return c.Client(t, local).LsRemote(c.Remote(local))["refs/heads/main"]
}

// TestLFS_mirror has objects fetched that a sync brought the pointers of, and shows the
// one that the host does not have.
func TestLFS_mirror(t *testing.T) {
	t.Parallel()
	u := newLFSUpstream(t)
	s := servertest.Start(t, servertest.Options{Hosts: u.blocks})
	mode := client.LFSMode(core.LFSMirror)
	u.follow(s.Caller, client.SettingsRequest{LFS: &mode})
	content, lost := someBytes(91, 300<<10), someBytes(92, 1000)
	u.lfs.upload(t, content)
	id := u.commit(pointers(map[string][]byte{"here.bin": content, "lost.bin": lost}))
	s.PullAndWait(t, local)
	require.Equal(t, id, mainOf(t, s.Caller))
	require.Eventually(t, func() bool {
		state := s.Repository(t, local).Sync.LFS
		return state != nil && state.ScannedAt != nil && state.Objects == 0 && state.Missing == 1 && state.Round == nil
	}, 2*time.Minute, 50*time.Millisecond)
	usage, err := s.Engine().Services().LFS.Usage(t.Context(), s.Repo(t, local).ID)
	require.NoError(t, err)
	require.Equal(t, core.LFSUsage{Objects: 1, Bytes: int64(len(content))}, usage)
	list, err := s.REST(t, local).ListPendingLFS(t.Context(), local, &client.ListPendingLFSParams{})
	require.NoError(t, err)
	require.Len(t, list.Objects, 1)
	require.Equal(t, oidOf(lost), list.Objects[0].Oid)
	require.Equal(t, "lost.bin", list.Objects[0].Path)
	require.True(t, list.Objects[0].Missing)

	// Somebody sends it after all: a requested sync fetches it at once.
	u.lfs.upload(t, lost)
	s.PullAndWait(t, local)
	require.Eventually(t, func() bool { return s.Repository(t, local).Sync.LFS.Missing == 0 }, 2*time.Minute, 50*time.Millisecond)

	// A commit by the API takes its objects to the upstream before the branch.
	byAPI := someBytes(93, 200<<10)
	w := &writes{Server: s, repo: local}
	u.git.Git("--git-dir", u.bare, "config", "http.receivepack", "true")
	answer := w.stream(t, s.Token(t, local), "/commit-pack", packBody(t, map[string]any{"lfs": "auto"}, file{path: "api.bin", data: string(byAPI)}))
	require.Equal(t, http.StatusCreated, answer.Status, answer.Raw)
	u.git.Git("fetch", "--quiet", u.bare, "main")
	require.Equal(t, answer.At("commit.commit_sha"), u.git.Git("rev-parse", "FETCH_HEAD"))
	require.Equal(t, pointers(map[string][]byte{"p": byAPI})["p"], u.git.Git("show", "FETCH_HEAD:api.bin")+"\n")
	require.NotEmpty(t, u.lfs.batch(t, "download", byAPI).Actions, "the upstream has it")
}

// TestLFS_hold keeps a ref where it is until the objects of its new tip are here, lets a
// person have it sooner, and is not held up by what the host does not have.
func TestLFS_hold(t *testing.T) {
	t.Parallel()
	u := newLFSUpstream(t)
	s := servertest.Start(t, servertest.Options{Hosts: u.blocks})
	mode, policy := client.LFSMode(core.LFSMirror), client.LFSPolicy(core.LFSHold)
	u.follow(s.Caller, client.SettingsRequest{LFS: &mode, LFSPolicy: &policy})
	before := mainOf(t, s.Caller)
	content, lost := someBytes(93, 2000), someBytes(94, 1000)
	u.lfs.upload(t, content)
	u.closed.Store(true)
	id := u.commit(pointers(map[string][]byte{"here.bin": content, "lost.bin": lost}))
	s.PullAndWait(t, local)
	require.Equal(t, before, mainOf(t, s.Caller))
	held := s.Repository(t, local).Sync.HeldRefs
	require.Len(t, held, 1)
	require.Contains(t, held[0].Reason, "LFS objects")
	_, err := s.REST(t, local).DismissRewrite(t.Context(), local, held[0].RewriteID)
	servertest.RequireRefused(t, http.StatusConflict, err)
	s.PullAndWait(t, local)
	require.Equal(t, before, mainOf(t, s.Caller), "a second look does not let it through")

	u.closed.Store(false)
	require.Eventually(t, func() bool { return mainOf(t, s.Caller) == id }, 2*time.Minute, 100*time.Millisecond)
	usage, err := s.Engine().Services().LFS.Usage(t.Context(), s.Repo(t, local).ID)
	require.NoError(t, err)
	require.Equal(t, int64(1), usage.Objects)
	require.Eventually(t, func() bool { return len(s.Repository(t, local).Sync.HeldRefs) == 0 }, time.Minute, 50*time.Millisecond)

	// A person does not wait.
	u.closed.Store(true)
	id = u.commit(pointers(map[string][]byte{"more.bin": someBytes(95, 3000)}))
	s.PullAndWait(t, local)
	held = s.Repository(t, local).Sync.HeldRefs
	require.Len(t, held, 1)
	_, err = s.REST(t, local).ApproveRewrite(t.Context(), local, held[0].RewriteID)
	require.NoError(t, err)
	require.Equal(t, id, mainOf(t, s.Caller))
	require.Empty(t, s.Repository(t, local).Sync.HeldRefs)
}

// TestLFS_holdKilled kills a server that has fetched an object which a ref waits for, before
// and after it is recorded: the ref moves when the next server has the object, and not
// before.
func TestLFS_holdKilled(t *testing.T) {
	t.Parallel()
	for _, failpoint := range []string{"lfs-fetched", "lfs-object-recorded"} {
		t.Run(failpoint, func(t *testing.T) {
			t.Parallel()
			u := newLFSUpstream(t)
			o := servertest.Options{Dir: t.TempDir(), Hosts: u.blocks}
			p := servertest.StartProcess(t, o)
			mode, policy := client.LFSMode(core.LFSMirror), client.LFSPolicy(core.LFSHold)
			u.follow(p.Caller, client.SettingsRequest{LFS: &mode, LFSPolicy: &policy})
			before := mainOf(t, p.Caller)
			content := someBytes(96, 300<<10)
			u.lfs.upload(t, content)
			p.Arm(t, failpoint)
			id := u.commit(pointers(map[string][]byte{"here.bin": content}))
			p.Pull(t, local)
			p.AwaitHits(t, 1)
			require.Equal(t, before, mainOf(t, p.Caller))
			p.Kill()

			s := servertest.Start(t, o)
			require.Eventually(t, func() bool {
				at := mainOf(t, s.Caller)
				if at == before {
					return false
				}
				require.Equal(t, id, at)
				usage, err := s.Engine().Services().LFS.Usage(t.Context(), s.Repo(t, local).ID)
				require.NoError(t, err)
				require.Equal(t, int64(1), usage.Objects, "no visible ref without its objects")
				return true
			}, 2*time.Minute, 100*time.Millisecond)
			here := lfsAt(t, s.Caller, local)
			_, got, err := here.follow(t.Context(), http.MethodGet, here.batch(t, "download", content), "download", nil)
			require.NoError(t, err)
			require.Equal(t, content, got)
		})
	}
}
