// Command provider-github-public serves the github-public provider to a Headwater server.
package main

import (
	"github.com/headwater-git/headwater/plugins/githubpublic"
	"github.com/headwater-git/headwater/providers/sdk"
)

func main() { sdk.Serve(githubpublic.New()) }
