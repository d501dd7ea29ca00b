package hosterror

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPattern_compiles compiles what else the first error of its kind would.
func TestPattern_compiles(t *testing.T) {
	t.Parallel()
	all := []pattern{exhausted, fullDisk, damaged, unreadable, hostArchived, withoutEffect, proxyRefused, machinePath, gitPrefix, decoration}
	for _, e := range remoteErrors {
		all = append(all, e.re)
	}
	for _, o := range ours {
		all = append(all, o.re)
	}
	for _, s := range secretPatterns {
		all = append(all, s.re)
	}
	for _, p := range all {
		require.NotPanics(t, func() { p() })
	}
}
