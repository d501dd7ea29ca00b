package acme

import (
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/headwater-git/headwater/providers"
)

// misbehaviour are the faults of the provider. They are asked for in the
// configuration or, for one call, by the name of the owner, so that tests see
// what a broken plugin does to the server.
type misbehaviour struct {
	Misbehave string `json:"misbehave"`
	Marker    string `json:"marker"`
}

// configure does what is wrong at start.
func (m misbehaviour) configure(token string) error {
	switch m.Misbehave {
	case "refuse":
		return providers.Errorf(providers.CodeInvalidConfig, "token %s is not valid", token)
	case "crash-configure":
		os.Exit(4)
	case "hang-configure":
		select {}
	}
	return nil
}

// resolve does what is wrong in a call.
func (m misbehaviour) resolve(ctx context.Context, token string, l providers.Locator) error {
	what := m.Misbehave
	if what == "" {
		what = l.Owner
	}
	switch what {
	case "crash":
		os.Exit(3)
	case "crash-once":
		if f, err := os.OpenFile(m.Marker, os.O_CREATE|os.O_EXCL, 0o600); err == nil {
			_ = f.Close()
			os.Exit(3)
		}
	case "hang":
		select {}
	case "slow":
		<-ctx.Done()
		return ctx.Err()
	case "panic":
		panic("the token is " + token)
	case "log-secret":
		fmt.Fprintln(os.Stderr, "using token "+token)
		os.Stderr.WriteString("and " + l.Name + "\n")
	case "child":
		// A child that outlives its parent and holds its outputs open.
		child := exec.Command("sleep", "600")
		child.Stderr = os.NewFile(2, "stderr") // os.Stderr is the SDK's by now
		if err := child.Start(); err != nil {
			return err
		}
		f, err := os.OpenFile(m.Marker, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		fmt.Fprintln(f, child.Process.Pid)
		os.Exit(3)
	case "env":
		return providers.Errorf(providers.CodeNotFound, "%q", os.Environ())
	}
	return nil
}
