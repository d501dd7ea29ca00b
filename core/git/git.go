package git

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Options configures [New].
type Options struct {
	Path           string // of the git binary; "" looks it up in PATH
	AllowProtocols string // GIT_ALLOW_PROTOCOL; "" is "https:http"
	Memory         Memory // how much one git may allocate
	Logger         hclog.Logger
	// Stall is how long a git that talks to a host may go without a sign of life
	// before it is ended; 0 is [DefaultStall]. Only Linux shows what processes
	// do; elsewhere curl's limit of 1 kB/s over 60 s stands in.
	Stall time.Duration
	// Ended is called when a git has ended, for whoever counts; it must not block.
	// nil: nobody does.
	Ended func(Usage)
}

// Git runs one git binary. It is safe for concurrent use.
type Git struct {
	path    string
	version Version
	env     []string
	memory  Memory
	log     hclog.Logger
	stall   time.Duration // 0: processes cannot be watched here
	starter starter
	damaged atomic.Pointer[func(dir, said string)]
	ended   func(Usage) // nil: nobody counts
}

// OnDamaged sets the function that is called when a git says that the repository it
// works in is damaged, with its folder and the message. It is a suspicion, and f must
// not block. What ran out of memory, files or processes is never reported.
func (g *Git) OnDamaged(f func(dir, said string)) { g.damaged.Store(&f) }

// Version is a git version.
type Version struct{ Major, Minor, Patch int }

// MinVersion is the oldest git that Headwater supports: cruft packs,
// transfer.credentialsInUrl and http.curloptResolve came with 2.37; 2.39 is the
// oldest that is tested.
func MinVersion() Version { return Version{2, 39, 0} }

// AtLeast reports whether v is o or newer.
func (v Version) AtLeast(o Version) bool {
	if v.Major != o.Major {
		return v.Major > o.Major
	}
	if v.Minor != o.Minor {
		return v.Minor > o.Minor
	}
	return v.Patch >= o.Patch
}

// choosesRefFormat reports whether "git init" knows --ref-format; git without
// it stores refs as files.
func (v Version) choosesRefFormat() bool { return v.AtLeast(Version{2, 45, 0}) }

// String returns the dotted form.
func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// ParseVersion reads the output of "git version".
func ParseVersion(s string) (Version, error) {
	f := strings.Fields(s)
	if len(f) < 3 || f[0] != "git" || f[1] != "version" {
		return Version{}, fmt.Errorf("not a git version: %q", s)
	}
	var n [3]int
	for i, p := range strings.SplitN(f[2], ".", 4) {
		if i == 3 {
			break
		}
		d, err := strconv.Atoi(p)
		if err != nil {
			if i == 2 {
				break // "2.50.rc1"
			}
			return Version{}, fmt.Errorf("not a git version: %q", s)
		}
		n[i] = d
	}
	return Version{n[0], n[1], n[2]}, nil
}

// New finds git, checks its version once, and fixes the environment of all
// later calls.
func New(ctx context.Context, o Options) (*Git, error) {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Path == "" {
		p, err := exec.LookPath("git")
		if err != nil {
			return nil, fmt.Errorf("git is not installed or not in PATH: %w", err)
		}
		o.Path = p
	}
	if o.AllowProtocols == "" {
		o.AllowProtocols = "https:http"
	}
	g := &Git{path: o.Path, log: o.Logger.Named("git"), env: baseEnv(o.AllowProtocols), memory: o.Memory.WithDefaults(), ended: o.Ended}
	if canWatch() {
		g.stall = cmp.Or(o.Stall, DefaultStall)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := g.Output(ctx, Command{Name: "version"})
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", o.Path, err)
	}
	if g.version, err = ParseVersion(string(bytes.TrimSpace(out))); err != nil {
		return nil, err
	}
	if !g.version.AtLeast(MinVersion()) {
		return nil, fmt.Errorf("git %s is too old: install git %s or newer", g.version, MinVersion())
	}
	return g, nil
}

// Version returns the version of the git binary.
func (g *Git) Version() Version { return g.version }

// baseEnv is the allow-list of the environment plus what every call gets.
func baseEnv(protocols string) []string {
	env := []string{
		"LC_ALL=C", // messages are parsed, see hosterror
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=",
		"GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_CONFIG_NOSYSTEM=1",
		"XDG_CONFIG_HOME=/dev/null",
		// Without HOME libcurl asks the password database for it, and would
		// send what it finds in the .netrc there.
		"HOME=/dev/null",
		// No attribute file of the machine may change diffs or archives.
		"GIT_ATTR_NOSYSTEM=1",
		"GIT_ALLOW_PROTOCOL=" + protocols,
		// A read must not write an index refresh or the like.
		"GIT_OPTIONAL_LOCKS=0",
	}
	for _, k := range []string{"PATH", "TZ", "TMPDIR", "GIT_EXEC_PATH", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// baseConfig is the configuration that every call gets.
func baseConfig() []Config {
	return []Config{
		// Maintenance is planned by core/maintain, never by chance after a push.
		{"gc.auto", "0"},
		{"maintenance.auto", "false"},
		// Replace refs of a pushed repository must not change what others read.
		{"core.useReplaceRefs", "false"},
		// "ok" means it is on the disk: packs, loose objects and refs are
		// flushed; batch flushes the loose objects of one operation together.
		{"core.fsync", "committed,loose-object,reference"},
		{"core.fsyncMethod", "batch"},
		// A pack-refs run beside a deletion waits instead of failing.
		{"core.packedRefsTimeout", "10000"},
		{"core.filesRefLockTimeout", "1000"},
		// No hook runs unless the call says which (receive-pack does).
		{"core.hooksPath", "/dev/null"},
		// One large repository must not take all the memory when it is packed.
		{"pack.windowMemory", "128m"},
		{"core.bigFileThreshold", "64m"},
		// The data folder may belong to another user in a container; who may
		// open it is decided by the server, not by the file's owner.
		{"safe.directory", "*"},
	}
}
