// Command provider-forgejo serves the forgejo provider to a Headwater server.
package main

import (
	"github.com/headwater-git/headwater/plugins/forgejo"
	"github.com/headwater-git/headwater/providers/sdk"
)

func main() { sdk.Serve(forgejo.New()) }
