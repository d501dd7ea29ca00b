package coretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"testing"
	"time"
)

// patience is how long a test waits for what takes a second on an idle machine.
const patience = 3 * time.Minute

// Patiently calls f with a context that ends when no test should wait any longer for
// what. If it does end, the log of the test gets the stack of every goroutine: what a
// rare stop was waiting for cannot be found out in any other way.
func Patiently(t testing.TB, what string, f func(ctx context.Context) error) error {
	t.Helper()
	late := fmt.Errorf("%s does not end", what)
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, late)
	defer cancel()
	err := f(ctx)
	if errors.Is(err, late) {
		var stacks bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		t.Logf("%v; goroutines:\n%s", late, stacks.Bytes())
	}
	return err
}
