package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  headwater version",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			value := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				System  string `json:"system"` // operating system and processor
			}{version(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return answer(cmd, value, "%s", versionLine())
		},
	}
}

// versionLine is what version and --version print.
func versionLine() string {
	return fmt.Sprintf("headwater %s %s %s/%s", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// stamped is the version of a release. scripts/release/build sets it by the linker,
// because it builds without the stamps of the go command: those differ between a clone
// and an archive of the same source.
var stamped string

// version is that of the release, or the module version that the binary was built
// from: a tag, or a pseudo-version with the commit, which the go command stamps.
func version() string {
	if stamped != "" {
		return stamped
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}
