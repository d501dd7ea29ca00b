package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/headwater-git/headwater/server/client"
)

// The last commits of a branch.
func ExampleNew() {
	token := os.Getenv("HEADWATER_TOKEN")
	api, err := client.New("https://git.example.com", client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	page, err := api.ListCommits(context.Background(), "team/app", &client.ListCommitsParams{Ref: new("main"), Limit: new(10)})
	if failed, ok := errors.AsType[*client.Error](err); ok && failed.Code == "not_found" {
		fmt.Println("there is no such repository or branch:", failed.Message)
		return
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, commit := range page.Commits {
		fmt.Println(commit.SHA, commit.AuthorName)
	}
}
