//go:build unix && !linux

// Package subprocess is what git processes and plugin processes have in common.
package subprocess

// AwaitEnd does nothing and reports false: what Linux has for it is not everywhere.
func AwaitEnd(int) bool { return false }
