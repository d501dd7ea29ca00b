//go:build unix && !linux

package host

// awaitEnd does nothing: what Linux has for it is not everywhere.
func awaitEnd(int) bool { return false }
