package main

import (
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newManCommand writes the manual pages, for packages. SOURCE_DATE_EPOCH dates them, so
// that the same source makes the same pages.
func newManCommand(env lookupEnv) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "Write the manual pages into a folder",
		Long:    "Write a manual page of section 1 for each command into a folder, for packages.",
		Example: "  headwater man /usr/local/share/man/man1",
		Hidden:  true,
		Args:    exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			at := time.Now()
			if text, ok := env("SOURCE_DATE_EPOCH"); ok {
				seconds, err := strconv.ParseInt(text, 10, 64)
				if err != nil {
					return usagef("give seconds since 1970, or unset it", "SOURCE_DATE_EPOCH is no number")
				}
				at = time.Unix(seconds, 0).UTC()
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return wrapf(err, "name a folder that can be written", "make the folder of the manual pages")
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "headwater", Manual: "Headwater", Date: &at}, args[0])
		},
	}
}
