// Command provider-acme serves the provider of an imaginary host.
package main

import (
	"fmt"

	"example.com/headwater-provider-acme/acme"
	"github.com/headwater-git/headwater/providers/sdk"
)

func main() {
	// What a careless library prints before main must not break the handshake.
	fmt.Print("acme is starting... ")
	sdk.Serve(acme.New())
}
