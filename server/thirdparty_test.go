package server_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// A plugin that somebody else wrote, in a module of its own, is built, named in
// providers.hcl with its checksum, and then mirrors and takes pushes through.
// With a wrong checksum it is never started, and a built-in beside it works on.
func TestServer_thirdPartyPlugin(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "provider-acme")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".")
	build.Dir = filepath.Join("..", "providers", "host", "testdata", "thirdparty")
	// The poisoned git environment of the tests has no version to stamp.
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	content, err := os.ReadFile(binary)
	require.NoError(t, err)
	sum := fmt.Sprintf("%x", sha256.Sum256(content))

	for _, tc := range []struct{ name, sum string }{{"right checksum", sum}, {"wrong checksum", fmt.Sprintf("%x", sha256.Sum256(nil))}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			forge := newForge(t, forgetest.SeedOptions{Commits: 20, Branches: 2})
			s := servertest.Start(t, servertest.Options{
				Forges: []*forgetest.TestForge{forge}, // for the built-in beside it
				Config: fmt.Sprintf("provider \"acme\" {\n  command = %q\n  sha256  = %q\n  host %q {\n    scheme        = %q\n    allow_private = true\n  }\n}\n",
					binary, tc.sum, forge.Host(), forge.Scheme()),
			})
			a := s.Call(t, http.MethodPost, "/api/repos", s.Token(t, "mine"), map[string]any{"base_repo": map[string]any{
				"provider": "acme", "owner": "acme", "name": "widget", "upstream_host": forge.Host(),
			}})
			if tc.sum != sum {
				require.Equal(t, http.StatusPreconditionFailed, a.Status, a.Raw)
				require.Contains(t, a.Raw, "sha256")
				s.Mirror(t, mirror, forge, origin)
				return
			}
			require.Equal(t, http.StatusCreated, a.Status, a.Raw)
			user, secret := forge.Credential()
			a = s.API(t, http.MethodPost, "mine", "/git-credentials", map[string]any{"username": user, "password": secret})
			require.Equal(t, http.StatusCreated, a.Status, a.Raw)
			s.Pull(t, "mine")
			s.WaitReady(t, "mine")

			work := s.Client(t, "mine").Clone(s.Remote("mine"))
			id := work.Commit("through a plugin of somebody else")
			work.Git("push", "origin", "HEAD:refs/heads/main")
			require.Equal(t, id, forge.Ref(origin, "refs/heads/main"))
			require.Equal(t, id, work.LsRemote(s.Remote("mine"))["refs/heads/main"])
		})
	}
}
