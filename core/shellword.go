package core

import "strings"

// ShellWord writes s as one word of a command line for a POSIX shell, in quotes where
// they are needed: a command that a message names is there to be pasted, and names of
// repositories may have blanks.
func ShellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@+=,", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// ShellArg is [ShellWord] for an argument that comes after the flags of a command: one
// that begins with a dash would be read as a flag, so it is printed after "--". Nothing
// but arguments may follow it.
func ShellArg(s string) string {
	if strings.HasPrefix(s, "-") {
		return "-- " + ShellWord(s)
	}
	return ShellWord(s)
}
