// Command provider-codeberg serves the codeberg provider to a Headwater server.
package main

import (
	"github.com/headwater-git/headwater/plugins/codeberg"
	"github.com/headwater-git/headwater/providers/sdk"
)

func main() { sdk.Serve(codeberg.New()) }
