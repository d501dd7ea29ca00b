// Command provider-github-app serves the github-app provider to a Headwater server.
package main

import (
	"github.com/headwater-git/headwater/plugins/githubapp"
	"github.com/headwater-git/headwater/providers/sdk"
)

func main() { sdk.Serve(githubapp.New()) }
