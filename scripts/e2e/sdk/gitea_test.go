//go:build npm && peers

package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/headwater-git/headwater/providers/giteatest"
)

// TestSDK_syncedWithGitea runs the scenarios against a real Gitea, but for those
// that need a host that fails at will.
func TestSDK_syncedWithGitea(t *testing.T) {
	t.Parallel()
	b := newBench(t, startGitea(t))
	requireCovered(t, b.node("suite.mjs", synced, "SDK_FAULTS=none"))
}

// TestSDK_largeFilesToGitea streams large files through to a real Gitea.
func TestSDK_largeFilesToGitea(t *testing.T) {
	t.Parallel()
	newBench(t, startGitea(t)).node("large.mjs", synced)
}

// TestPlain_journeyWithGitea follows a real Gitea.
func TestPlain_journeyWithGitea(t *testing.T) {
	t.Parallel()
	host := startGitea(t)
	journeys(t, newBench(t, host), host)
}

// gitea is a running Gitea as an upstream host.
type gitea struct{ *giteatest.Server }

func startGitea(t *testing.T) gitea {
	t.Helper()
	return gitea{giteatest.Start(t)}
}

// call calls Gitea's API; every status of 400 and above is an error.
func (g gitea) call(ctx context.Context, method, path string, in any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	status, answer, err := g.Call(ctx, method, path, string(body))
	if err == nil && status >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %d: %s", method, path, status, answer)
	}
	return err
}

func (g gitea) host() string { return g.Host }

func (g gitea) create(ctx context.Context, name string) (string, error) {
	return giteatest.User + "/" + name, g.call(ctx, http.MethodPost, "/user/repos", map[string]any{"name": name, "private": true, "default_branch": "main"})
}

func (g gitea) folder(path string) (string, error) { return g.Folder(path), nil }

func (g gitea) credential() (string, string) { return giteatest.User, g.Token }

func (g gitea) protect(ctx context.Context, path, branch string) error {
	return g.call(ctx, http.MethodPost, "/repos/"+path+"/branch_protections", map[string]any{"rule_name": branch, "enable_push": false})
}

func (g gitea) unprotect(ctx context.Context, path string) error {
	return g.call(ctx, http.MethodDelete, "/repos/"+path+"/branch_protections/main", nil)
}

func (g gitea) fault(fault) error { return errors.New("a real Gitea does not fail at will") }
