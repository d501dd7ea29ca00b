package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	rest "github.com/headwater-git/headwater/server/client"
)

// apiFile is one file of a commit.
type apiFile struct{ path, content string }

// apiSide is a server's REST API over one repository.
type apiSide interface {
	// commit adds new files to a branch with one call.
	commit(ctx context.Context, branch string, files ...apiFile) error
	// read returns a file of main.
	read(ctx context.Context, path string) ([]byte, error)
	// diff returns the answer with the changes of a commit.
	diff(ctx context.Context, sha string) ([]byte, error)
	// cpu returns the CPU time that the server has used so far.
	cpu() time.Duration
}

// keepAlive calls a server over connections that stay open, one per caller, as
// a client's library would.
type keepAlive struct {
	client        *http.Client
	base          string
	authorization string
}

func newKeepAlive(base, authorization string) keepAlive {
	return keepAlive{
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: apiWriters}},
		base:   base, authorization: authorization,
	}
}

// do makes a call and returns the body of a success.
func (k keepAlive) do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, k.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", k.authorization)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(answer[:min(len(answer), 500)]))
	}
	return answer, nil
}

// headwaterAPI is our side.
type headwaterAPI struct {
	r hosted
}

// overKeptConnections returns the API of a repository over connections that stay
// open.
func (r hosted) overKeptConnections() (headwaterAPI, error) {
	var err error
	r.api, err = r.h.api(r.token, newKeepAlive("", "").client)
	return headwaterAPI{r}, err
}

func (a headwaterAPI) cpu() time.Duration { return a.r.h.cpu() }

// commit sends a commit-pack: a line that names the files, then their contents.
func (a headwaterAPI) commit(ctx context.Context, branch string, files ...apiFile) error {
	author := apiAuthor()
	metadata := rest.CommitPackMetadata{
		TargetBranch: branch, CommitMessage: "Change", Author: rest.Person{Name: author["name"], Email: author["email"]},
	}
	for i, f := range files {
		metadata.Files = append(metadata.Files, rest.FileChange{Path: f.path, ContentID: new(fmt.Sprint(i))})
	}
	var body bytes.Buffer
	lines := json.NewEncoder(&body)
	if err := lines.Encode(rest.CommitPackLine{Metadata: &metadata}); err != nil {
		return err
	}
	for i, f := range files {
		chunk := rest.BlobChunk{ContentID: fmt.Sprint(i), Data: new([]byte(f.content)), EOF: new(true)}
		if err := lines.Encode(rest.CommitPackLine{BlobChunk: &chunk}); err != nil {
			return err
		}
	}
	_, err := a.r.api.CreateCommit(ctx, a.r.name, "application/x-ndjson", &body)
	return err
}

func (a headwaterAPI) read(ctx context.Context, path string) ([]byte, error) {
	return whole(a.r.api.Client.GetFile(ctx, a.r.name, &rest.GetFileParams{Ref: new("main"), Path: path}))
}

func (a headwaterAPI) diff(ctx context.Context, sha string) ([]byte, error) {
	return whole(a.r.api.Client.GetCommitDiff(ctx, a.r.name, &rest.GetCommitDiffParams{Ref: &sha}))
}

// whole returns the body of a success.
func whole(resp *http.Response, err error) ([]byte, error) {
	if resp, err = rest.Check(resp, err); err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// metadata lists all files of main with their last commits and returns how many
// there are.
func (a headwaterAPI) metadata(ctx context.Context) (int, error) {
	raw, err := whole(a.r.api.Client.ListFilesMetadata(ctx, a.r.name, &rest.ListFilesMetadataParams{Ref: new("main")}))
	if err != nil {
		return 0, err
	}
	// Not the whole answer: what reading it costs a client is not the question.
	var answer struct {
		Files []struct {
			LastCommit string `json:"last_commit_sha"`
		} `json:"files"`
	}
	err = json.Unmarshal(raw, &answer)
	return len(answer.Files), err
}

// grep returns how many lines of main match the regular expression.
func (a headwaterAPI) grep(ctx context.Context, pattern string) (int, error) {
	var body rest.GrepRequest
	body.Ref, body.Query.Pattern = new("main"), pattern
	answer, err := a.r.api.Grep(ctx, a.r.name, nil, body)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, m := range answer.Matches {
		for _, l := range m.Lines {
			if l.Type == "match" {
				n++
			}
		}
	}
	return n, nil
}

// giteaAPI is Gitea's side.
type giteaAPI struct {
	keepAlive
	g    gitea
	path string // of the repository
}

func (g gitea) api(name string) giteaAPI {
	return giteaAPI{newKeepAlive("http://"+g.host, "token "+g.token), g, "/api/v1/repos/admin1/" + name}
}

func (a giteaAPI) cpu() time.Duration { return cpuOf(a.g.pid) }

// commit uses the call for one file or the one for several.
func (a giteaAPI) commit(ctx context.Context, branch string, files ...apiFile) error {
	common := map[string]any{"branch": branch, "message": "Change", "author": apiAuthor()}
	path := a.path + "/contents"
	if len(files) == 1 {
		path += "/" + files[0].path
		common["content"] = base64.StdEncoding.EncodeToString([]byte(files[0].content))
	} else {
		operations := make([]map[string]string, len(files))
		for i, f := range files {
			operations[i] = map[string]string{"operation": "create", "path": f.path, "content": base64.StdEncoding.EncodeToString([]byte(f.content))}
		}
		common["files"] = operations
	}
	body, err := json.Marshal(common)
	if err != nil {
		return err
	}
	_, err = a.do(ctx, http.MethodPost, path, "application/json", body)
	return err
}

func (a giteaAPI) read(ctx context.Context, path string) ([]byte, error) {
	return a.do(ctx, http.MethodGet, a.path+"/raw/"+path+"?ref=main", "", nil)
}

func (a giteaAPI) diff(ctx context.Context, sha string) ([]byte, error) {
	return a.do(ctx, http.MethodGet, a.path+"/git/commits/"+sha+".diff", "", nil)
}

func apiAuthor() map[string]string {
	return map[string]string{"name": "Bench", "email": "bench@example.test"}
}
