package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// pusher is a clone that makes a commit and pushes it, again and again.
type pusher struct {
	git  client
	dir  string
	url  string
	tip  string
	tree string
}

// newPusher makes a clone whose main is src's, without asking the server.
func (b *bench) newPusher(ctx context.Context, name, src, url string, git client) (*pusher, error) {
	p := &pusher{git: git, dir: filepath.Join(b.work, name+".git"), url: url}
	if _, err := b.git.run(ctx, "", "init", "-q", "--bare", "-b", "main", "--template=", p.dir); err != nil {
		return nil, err
	}
	if err := copyInto(ctx, src, p.dir); err != nil {
		return nil, err
	}
	var err error
	p.tip, err = b.git.run(ctx, p.dir, "rev-parse", "refs/heads/main")
	return p, err
}

// commit makes a commit of one new file in the root on top of the tip.
func (p *pusher) commit(ctx context.Context, round int) error {
	blob, err := p.git.pipe(ctx, p.dir, strings.NewReader(fmt.Sprintf("%s %d\n", p.dir, round)), "hash-object", "-w", "--stdin")
	if err != nil {
		return err
	}
	root, err := p.git.run(ctx, p.dir, "ls-tree", p.tip)
	if err != nil {
		return err
	}
	root = strings.TrimLeft(root+fmt.Sprintf("\n100644 blob %s\tpushed-%d.txt\n", blob, round), "\n")
	if p.tree, err = p.git.pipe(ctx, p.dir, strings.NewReader(root), "mktree"); err != nil {
		return err
	}
	p.tip, err = p.git.run(ctx, p.dir, "commit-tree", p.tree, "-p", p.tip, "-m", fmt.Sprintf("Push %d", round))
	return err
}

// push sends the commit.
func (p *pusher) push(ctx context.Context, _ int) error {
	_, err := p.git.run(ctx, p.dir, "push", "-q", p.url, p.tip+":refs/heads/main")
	return err
}

func (p *pusher) variant(cpu func() time.Duration) variant {
	return variant{cpu: cpu, prepare: p.commit, op: p.push}
}

// benchPush pushes one commit at a time.
func benchPush(ctx context.Context, b *bench) error {
	src, err := b.generated(ctx, b.medium())
	if err != nil {
		return err
	}
	st, err := b.start(ctx, "push")
	if err != nil {
		return err
	}
	defer st.stop()
	if err := b.pushLocal(ctx, st, src); err != nil {
		return err
	}
	n := st.nginx
	for _, name := range []string{"upstream", "direct"} {
		if err := b.publish(ctx, n, src, name); err != nil {
			return err
		}
	}
	if err := b.pushThrough(ctx, st.headwater, "nginx", n.host, "open/upstream", n.url("direct"), b.git, src, "unused"); err != nil {
		return err
	}
	return b.pushGitea(ctx, src)
}

// pushLocal compares a repository without upstream with the baseline.
func (b *bench) pushLocal(ctx context.Context, st *stage, src string) error {
	r, err := st.importCopy(ctx, src, "local")
	if err != nil {
		return err
	}
	var variants []variant
	for i, side := range []side{
		{r.git(), r.url, st.cpu},
		{b.git, st.nginx.url("local1"), nil},
		{b.git, st.counted.url("local2"), st.counted.cpu},
	} {
		name := fmt.Sprintf("local%d", i)
		if err := b.publish(ctx, st.nginx, src, name); err != nil {
			return err
		}
		p, err := b.newPusher(ctx, "push-"+name, src, side.url, side.git)
		if err != nil {
			return err
		}
		variants = append(variants, p.variant(side.cpu))
	}
	s, err := interleave(ctx, b.rounds(30), variants...)
	if err != nil {
		return err
	}
	b.table.compare("push", "local repository, wall p50", s[0].p50(), s[1].p50(), 1.2, 0)
	b.table.compare("push", "local repository, server CPU", s[0].cpuPer(), s[2].cpuPer(), 1.2, 0)
	return nil
}

// pushThrough compares a push through a synced repository with the same push
// sent to the upstream's server, into another repository there.
func (b *bench) pushThrough(ctx context.Context, h *headwater, name, host, upstream, directURL string, direct client, src, password string) error {
	r, err := h.create(ctx, "through-"+name, host, upstream)
	if err != nil {
		return err
	}
	// Pushes need a stored credential, also where the upstream asks for none.
	if err := r.credential(ctx, "admin1", password); err != nil {
		return err
	}
	if _, err := r.sync(ctx); err != nil {
		return err
	}
	ours, err := b.newPusher(ctx, "through-"+name, src, r.url, r.git())
	if err != nil {
		return err
	}
	theirs, err := b.newPusher(ctx, "direct-"+name, src, directURL, direct)
	if err != nil {
		return err
	}
	mark, err := os.Stat(h.log)
	if err != nil {
		return err
	}
	rounds := b.rounds(30)
	s, err := interleave(ctx, rounds, ours.variant(h.cpu), theirs.variant(nil))
	if err != nil {
		return err
	}
	what := "write-through to " + name
	b.table.compare("push", what+", wall p50", s[0].p50(), s[1].p50(), 1, 80*time.Millisecond)
	b.table.compare("push", what+", factor", s[0].p50(), s[1].p50(), 1.5, 0)
	parts, err := readParts(h.log, mark.Size())
	if err != nil {
		return err
	}
	b.table.limit("push", what+", our code", parts.own.p50(), 20*time.Millisecond)
	b.table.note("push", what+", server CPU", show(s[0].cpuPer()))
	b.table.note("push", what+", upstream leg", show(parts.upstream.p50()))
	b.table.note("push", what+", our git processes", show(parts.processes.p50()))
	return nil
}

// pushGitea writes through to a real Gitea.
func (b *bench) pushGitea(ctx context.Context, src string) error {
	g, err := b.startGitea(ctx, "push-gitea-peer")
	if errors.Is(err, errNoGitea) {
		b.table.note("push", "write-through to gitea", "not measured")
		fmt.Fprintln(os.Stderr, "#", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer g.stop()
	h, err := b.startHeadwater(ctx, "push-gitea", g.host)
	if err != nil {
		return err
	}
	defer h.stop()
	direct := b.git.with(g.token)
	for _, name := range []string{"upstream", "direct"} {
		if err := g.create(ctx, name); err != nil {
			return err
		}
		if _, err := direct.run(ctx, src, "push", "-q", g.url(name), "refs/heads/main"); err != nil {
			return err
		}
	}
	return b.pushThrough(ctx, h, "gitea", g.host, "admin1/upstream", g.url("direct"), direct, src, g.token)
}

// parts are the durations of the parts of pushes, one value for each push, from
// the server's log.
//
// What is left for our code is taken push by push and not as the difference of
// medians: on a busy machine those come from different pushes, and the error is
// several times what is looked for.
type parts struct {
	upstream  sample // to be listed before the push is advertised, and to take it
	processes sample // our own git processes: receive-pack, less the session that it waits for, its advertisement, and the ref transactions
	own       sample // what is left of the requests
}

// onePush collects what the log tells of one push.
type onePush struct {
	fresh, push, session, updates time.Duration
	advertisement, request        time.Duration   // the HTTP requests
	packs                         []time.Duration // receive-pack runs twice: to advertise and to receive
}

// finish adds the push, if the log had all of it.
func (p *parts) finish(o onePush) {
	if len(o.packs) != 2 || o.push == 0 || o.session == 0 || o.advertisement == 0 {
		return
	}
	upstream := o.fresh + o.push
	processes := o.packs[0] + o.packs[1] - o.session + o.updates
	p.upstream.wall = append(p.upstream.wall, upstream)
	p.processes.wall = append(p.processes.wall, processes)
	p.own.wall = append(p.own.wall, o.advertisement+o.request-upstream-processes)
}

// logLine is what is read of a line of the server's log.
type logLine struct {
	Message   string `json:"@message"`
	Service   string `json:"service"`
	Advertise bool   `json:"advertise"`
	Command   string `json:"command"`
	Duration  any    `json:"duration"`
}

// readParts collects the parts of the pushes that the log tells of from the
// offset on. They come one after the other.
func readParts(log string, offset int64) (p parts, err error) {
	f, err := os.Open(log)
	if err != nil {
		return p, err
	}
	defer f.Close()
	if _, err := f.Seek(offset, 0); err != nil {
		return p, err
	}
	var o onePush
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var l logLine
		if json.Unmarshal(sc.Bytes(), &l) != nil {
			continue
		}
		d, ok := duration(l.Duration)
		if !ok {
			continue
		}
		finished := strings.HasSuffix(l.Message, "git finished")
		switch {
		case finished && l.Command == "receive-pack":
			o.packs = append(o.packs, d)
		case finished && l.Command == "update-ref":
			o.updates += d
		case finished && l.Command == "push":
			o.push += d
		case strings.HasSuffix(l.Message, "looked at the upstream before a push"):
			o.fresh = d
		case strings.HasSuffix(l.Message, "write session finished"):
			o.session = d
		case !strings.HasSuffix(l.Message, "git request") || l.Service != "git-receive-pack":
		case l.Advertise:
			o.advertisement = d
		default:
			o.request = d
			p.finish(o)
			o = onePush{}
		}
	}
	return p, sc.Err()
}

// duration reads a logged duration, text or nanoseconds.
func duration(v any) (time.Duration, bool) {
	switch v := v.(type) {
	case string:
		d, err := time.ParseDuration(v)
		return d, err == nil
	case float64:
		return time.Duration(v), true
	}
	return 0, false
}
