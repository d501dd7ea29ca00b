package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/headwater-git/headwater/providers"
)

// maxSecret bounds a password or token; the longest tokens of hosts are below 1 KiB.
const maxSecret = 64 << 10

// stdinFile is the file name that means standard input.
const stdinFile = "-"

// readSecret reads a password or token from a file or, for "-", from standard
// input: a prompt without echo at a terminal, else everything that comes. The
// newline at the end is not part of it. No file gives no secret.
func readSecret(cmd *cobra.Command, file string) (providers.Secret, error) {
	if file == "" {
		return "", nil
	}
	raw, err := readSecretBytes(cmd, file)
	if err != nil {
		return "", wrapf(err, "give a readable file, or - for standard input", "read the secret")
	}
	secret := strings.TrimRight(string(raw), "\r\n")
	if secret == "" {
		return "", failf("write the password or token into it", "the password from %q is empty", file)
	}
	if strings.ContainsAny(secret, "\r\n\x00") {
		return "", failf("leave the password or token alone in its file", "the password from %q has more than one line", file)
	}
	return providers.Secret(secret), nil
}

func readSecretBytes(cmd *cobra.Command, file string) ([]byte, error) {
	if file != stdinFile {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		return io.ReadAll(io.LimitReader(f, maxSecret))
	}
	in := cmd.InOrStdin()
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(cmd.ErrOrStderr(), "Password or token: ")
		raw, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		return raw, err
	}
	return io.ReadAll(io.LimitReader(in, maxSecret))
}

// secretInput is a secret that is given in the environment or in a file, but never by a
// flag, which every user of the machine could read.
type secretInput struct {
	name     string // what it is
	variable string // of the environment
	flag     string // that names the file
	file     string // "": none
	next     string // what to do if the file cannot be read
}

// read returns the secret, "" if none is given.
func (i secretInput) read(cmd *cobra.Command, env lookupEnv) (providers.Secret, error) {
	value, _ := env(i.variable)
	switch {
	case value != "" && i.file != "":
		return "", usagef("use one of them", "the %s is given twice, in %s and in %s", i.name, i.variable, i.flag)
	case value != "":
		return providers.Secret(value), nil
	}
	secret, err := readSecret(cmd, i.file)
	if err != nil {
		return "", wrapf(err, i.next, "cannot read the %s", i.name)
	}
	return secret, nil
}
