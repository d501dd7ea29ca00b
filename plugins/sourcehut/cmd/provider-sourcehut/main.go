// Command provider-sourcehut serves the sourcehut provider to a Headwater server.
package main

import (
	"github.com/headwater-git/headwater/plugins/sourcehut"
	"github.com/headwater-git/headwater/providers/sdk"
)

func main() { sdk.Serve(sourcehut.New()) }
