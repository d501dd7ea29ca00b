// Command provider-gitea serves the gitea provider to a Headwater server.
package main

import (
	"github.com/headwater-git/headwater/plugins/gitea"
	"github.com/headwater-git/headwater/providers/sdk"
)

func main() { sdk.Serve(gitea.New()) }
