package git

import (
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/fsck"
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

// FsckConfig makes git check the objects that arrive, as configuration of section
// "receive" or "fetch", in a repository whose settings tolerate some faults.
func (g *Git) FsckConfig(section string, tolerated []string) []Config {
	cfg := []Config{{section + ".fsckObjects", "true"}}
	for _, id := range fsck.Ignored(g.version.Minor, tolerated) {
		cfg = append(cfg, Config{section + ".fsck." + id, "ignore"})
	}
	return cfg
}

// FsckStrict is the flag --strict of git index-pack that checks like [Git.FsckConfig].
func (g *Git) FsckStrict(tolerated []string) string {
	return "--strict=" + strings.Join(fsck.Ignored(g.version.Minor, tolerated), "=ignore,") + "=ignore"
}
