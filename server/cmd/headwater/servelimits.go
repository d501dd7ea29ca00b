package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/treeobject"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/providers"
)

// bindLimits adds the flags that bound what requests may use at the same time.
func bindLimits(f *pflag.FlagSet, o *limit.Options) {
	d := limit.Options{}.WithDefaults()
	f.IntVar(&o.Server, "max-requests", 0, "requests that may run git at the same time (default: one for each 128 MiB of memory, at least 4, at most 24)")
	f.IntVar(&o.Organisation, "max-requests-per-org", 0, "of these, requests of one organisation (default: three quarters)")
	f.IntVar(&o.Repository, "max-requests-per-repo", 0, "of these, requests for one repository (default: two thirds)")
	f.IntVar(&o.Caller, "max-requests-per-caller", 0, "of these, requests of one token subject with one key (default: a half)")
	f.IntVar(&o.Waiting, "max-waiting", d.Waiting, "requests that may wait for one of these places; of one caller for one repository a quarter")
	bindLife(f, &o.Wait, "max-wait", d.Wait, "how long a request may wait before it is answered with 429")
	f.IntVar(&o.Work, "max-searches", 0, "searches, walks over history and merges that may run at the same time (default: two per processor, at least 4)")
}

// bindTrees adds the flags that bound what git unfolds for one request.
func bindTrees(f *pflag.FlagSet, l *treeobject.Limits) {
	f.Int64Var(&l.Entries, "max-tree-entries", treeobject.DefaultEntries, "files and folders that git may unfold for one request of the API")
	f.IntVar(&l.Depth, "max-tree-depth", treeobject.DefaultDepth, "folders in each other that git may unfold for one request of the API")
}

// bindMemory adds the flags that bound what one git may allocate, in MiB. What
// they set is bytes only after [memoryOf].
func bindMemory(f *pflag.FlagSet, m *git.Memory) {
	for _, l := range []struct {
		value *int64
		name  string
		what  string
		def   string
	}{
		{&m.Read, "read", "one answer of the API", "a quarter of the machine's, at least 256, at most 1024"},
		{&m.Serve, "serve", "one fetch from this server", "a half of the machine's, at least 512, at most 4096"},
		{&m.Receive, "receive", "one push to this server", "as --git-memory-serve"},
		{&m.Remote, "remote", "one fetch from an upstream, or push to it", "as --git-memory-serve"},
		{&m.Maintain, "maintain", "one repack", "as --git-memory-serve"},
	} {
		f.Int64Var(l.value, "git-memory-"+l.name, 0, fmt.Sprintf("MiB of memory that git may allocate for %s, -1 for no ceiling; Linux only (default: %s)", l.what, l.def))
	}
}

// memoryOf turns MiB into bytes.
func memoryOf(m git.Memory) git.Memory {
	for _, value := range []*int64{&m.Read, &m.Serve, &m.Receive, &m.Remote, &m.Maintain} {
		*value <<= 20
	}
	return m
}

// checkLimits refuses what would let nobody in.
func checkLimits(o limit.Options, trees treeobject.Limits, memory git.Memory) error {
	for name, mib := range map[string]int64{"read": memory.Read, "serve": memory.Serve, "receive": memory.Receive, "remote": memory.Remote, "maintain": memory.Maintain} {
		if mib > 0 && mib < 64 {
			return usagef("give at least 64, in MiB", "with --git-memory-%s %d git cannot work", name, mib)
		}
	}
	for _, l := range []struct {
		flag         string
		value, least int
	}{
		{"max-requests", o.Server, 0}, {"max-requests-per-org", o.Organisation, 0}, {"max-requests-per-repo", o.Repository, 0},
		{"max-requests-per-caller", o.Caller, 0}, {"max-waiting", o.Waiting, 1}, {"max-searches", o.Work, 0},
		{"max-tree-entries", int(trees.Entries), 1}, {"max-tree-depth", trees.Depth, 1},
	} {
		if l.value < l.least {
			return usagef("give a number of at least 1", "--%s %d lets nobody in", l.flag, l.value)
		}
	}
	if o.Wait <= 0 {
		return usagef("give a time like 30s", "--max-wait %s is no time to wait", o.Wait)
	}
	return nil
}

// egressProxy reads the URL of the forward proxy. It may hold a password, so that it
// is in a file and neither in the command line nor in the environment.
func (o serveOptions) egressProxy() (providers.Secret, error) {
	if o.egressProxyFile == "" {
		return "", nil
	}
	raw, err := os.ReadFile(o.egressProxyFile)
	if err != nil {
		return "", wrapf(err, "write the URL of the proxy into the file, or leave out --egress-proxy-file", "read --egress-proxy-file")
	}
	proxy := providers.Secret(strings.TrimSpace(string(raw)))
	if err := providers.CheckProxy(proxy); err != nil || proxy == "" {
		return "", usagef("write it like http://user:password@proxy.example.org:3128, with its port", "the file %s holds no URL of a proxy", o.egressProxyFile)
	}
	return proxy, nil
}
