// Command provider-gitlab serves the gitlab provider to a Headwater server.
package main

import (
	"github.com/headwater-git/headwater/plugins/gitlab"
	"github.com/headwater-git/headwater/providers/sdk"
)

func main() { sdk.Serve(gitlab.New()) }
