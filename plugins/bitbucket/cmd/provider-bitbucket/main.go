// Command provider-bitbucket serves the bitbucket provider to a Headwater server.
package main

import (
	"github.com/headwater-git/headwater/plugins/bitbucket"
	"github.com/headwater-git/headwater/providers/sdk"
)

func main() { sdk.Serve(bitbucket.New()) }
