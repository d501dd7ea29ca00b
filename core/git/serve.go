package git

import (
	"github.com/headwater-git/headwater/core"
)

// NamespaceEnv makes git see only the refs of the namespace, under their
// ordinary names (gitnamespaces(7)).
func NamespaceEnv(ns core.Namespace) []string {
	if ns == core.Ephemeral {
		return []string{"GIT_NAMESPACE=" + core.EphemeralNamespace}
	}
	return nil
}

// ProtocolEnv passes a client's Git-Protocol header on. The header is the
// client's, so only the versions git knows get through.
func ProtocolEnv(header string) []string {
	switch header {
	case "version=2", "version=1":
		return []string{"GIT_PROTOCOL=" + header}
	}
	return nil
}

// FsckIgnores lists checks of git-fsck(1) that old, harmless and widespread
// history fails, as configuration of section "receive" or "fetch". Without
// them well-known public repositories could be neither mirrored nor pushed.
func FsckIgnores(section string) []Config {
	ids := []string{"badTimezone", "missingSpaceBeforeDate", "zeroPaddedFilemode"}
	cfg := make([]Config, len(ids))
	for i, id := range ids {
		cfg[i] = Config{section + ".fsck." + id, "ignore"}
	}
	return cfg
}
