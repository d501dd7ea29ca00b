package main

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	rest "github.com/headwater-git/headwater/server/client"

	"github.com/headwater-git/headwater/core"
)

// withMany lets the command that re-points one repository re-point many.
func withMany(cmd *cobra.Command) *cobra.Command {
	var (
		all      bool
		from, to string
	)
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "every mirror whose upstream is below --from; it keeps its path below --to")
	f.StringVar(&from, "from", "", "with --all: address of a host, or of an owner there")
	f.StringVar(&to, "to", "", "with --all: what stands for it from now on")
	one, args := cmd.RunE, cmd.Args
	cmd.Args = func(cmd *cobra.Command, given []string) error {
		if all {
			return exactArgs()(cmd, given)
		}
		if from != "" || to != "" {
			return usagef("add --all", "--from and --to are about many repositories")
		}
		return args(cmd, given)
	}
	cmd.RunE = func(cmd *cobra.Command, given []string) error {
		if !all {
			return one(cmd, given)
		}
		return repointMany(cmd, from, to)
	}
	return cmd
}

// move is one mirror that is to be re-pointed.
type move struct {
	name string
	body rest.LinkRepositoryRequest
	to   string
}

// repointMany shows what would become of the refs of each mirror, asks, and re-points
// those whose plan could be made.
func repointMany(cmd *cobra.Command, from, to string) error {
	fromHost, fromPath, err := parseHostOrOwner("--from", from)
	if err != nil {
		return err
	}
	toHost, toPath, err := parseHostOrOwner("--to", to)
	if err != nil {
		return err
	}
	o, err := readRepointFlags(cmd)
	if err != nil {
		return err
	}
	secret, err := readSecret(cmd, o.passwordFile)
	if err != nil {
		return err
	}
	c, err := o.connect()
	if err != nil {
		return err
	}
	base := moveBase{fromHost: fromHost, fromPath: fromPath, toHost: toHost, toPath: toPath, provider: o.provider}
	if secret != "" {
		base.username, base.password = &o.username, new(secret.Reveal())
	}
	var moves []move
	err = c.repos(cmd.Context(), repoFilter{host: fromHost, sort: "name"}, func(r rest.Repository) error {
		m, ok, err := base.of(r)
		if ok {
			moves = append(moves, m)
		}
		return err
	})
	if err != nil {
		return c.explain(err, "list repositories")
	}
	out := forPeople(cmd)
	if len(moves) == 0 {
		fmt.Fprintf(out, "No mirror follows an upstream below %s.\n", from)
		return nil
	}
	ready, lost, err := planMoves(cmd, c, moves)
	if err != nil {
		return err
	}
	failed := len(moves) - len(ready)
	switch {
	case o.dry:
		fmt.Fprintf(out, "Nothing was changed. %d of %s can be re-pointed.\n", len(ready), core.Count(len(moves), "mirror"))
		return manyFailed("plan", failed, len(moves))
	case len(ready) > 0 && !o.yes:
		if err := confirm(cmd, fmt.Sprintf("Re-point %s? History is lost here of %s; old tips are kept as the ref policies say.", core.Count(len(ready), "mirror"), core.Count(lost, "ref"))); err != nil {
			return err
		}
	}
	done, err := makeMoves(cmd, c, ready)
	if err != nil {
		return err
	}
	failed += len(ready) - done
	fmt.Fprintf(out, "Re-pointed %s. Watch: %s\n", core.Count(done, "mirror"), asTyped(cmd, "headwater repo list --host "+toHost+" --sort lag"))
	return manyFailed("re-point", failed, len(moves))
}

// moveBase is what is the same of all moves.
type moveBase struct {
	fromHost, fromPath string
	toHost, toPath     string
	provider           string // as typed; "" is each mirror's own
	username, password *string
}

// of returns where a mirror is to go; false if its upstream is not below where the moves
// begin.
func (b moveBase) of(r rest.Repository) (move, bool, error) {
	path := strings.TrimPrefix(r.BaseRepo.Owner+"/"+r.BaseRepo.Name, "/")
	tail, ok := below(path, b.fromPath)
	if !ok {
		return move{}, false, nil
	}
	path = strings.TrimPrefix(b.toPath+"/"+tail, "/")
	slash := strings.LastIndexByte(path, '/')
	if slash < 0 {
		return move{}, false, failf("add the owner to --to, like --to https://"+b.toHost+"/team", "%s would have no owner at %s", r.RepoName, b.toHost)
	}
	provider := r.BaseRepo.Provider
	if b.provider != "" {
		provider, _ = wireName(b.provider)
	}
	base := rest.BaseRepoRequest{Provider: &provider, Owner: new(path[:slash]), Name: path[slash+1:], UpstreamHost: &b.toHost}
	return move{
		name: r.RepoName, to: b.toHost + "/" + path,
		body: rest.LinkRepositoryRequest{BaseRepo: &base, Username: b.username, Password: b.password},
	}, true, nil
}

// planMoves prints what would become of the refs of each mirror. It returns the moves
// whose plan could be made, and how many refs lose history by them.
func planMoves(cmd *cobra.Command, c *client, moves []move) (ready []move, lost int, err error) {
	for _, m := range moves {
		plan, err := c.repoint(cmd.Context(), m.name, m.body, true)
		if cmd.Context().Err() != nil {
			return nil, 0, cmd.Context().Err()
		}
		if err != nil {
			said := explainLink(c, err, "re-point "+m.name, m.name)
			if err := answer(cmd, outcome{Repo: m.name, Result: "refused", Error: said.Error()}, "%s -> %s: stays as it is: %s", m.name, m.to, said); err != nil {
				return nil, 0, err
			}
			continue
		}
		p := plan.Plan
		lost += len(p.Deleted) + len(p.Forced)
		if err := answer(cmd, repointPlan{m.name, m.to, p}, "%s -> %s: create %d, move %d, force %d, delete %d, hold %d", m.name, m.to,
			len(p.Created), len(p.Moved), len(p.Forced), len(p.Deleted), len(p.Held)); err != nil {
			return nil, 0, err
		}
		ready = append(ready, m)
	}
	return ready, lost, nil
}

// makeMoves re-points mirrors and returns how many; it prints which failed, and why.
func makeMoves(cmd *cobra.Command, c *client, moves []move) (done int, err error) {
	for _, m := range moves {
		if _, err := c.repoint(cmd.Context(), m.name, m.body, false); err != nil {
			said := explainLink(c, err, "re-point "+m.name, m.name)
			if err := answer(cmd, outcome{Repo: m.name, Result: "failed", Error: said.Error()}, "%s: failed: %s", m.name, said); err != nil {
				return done, err
			}
			continue
		}
		done++
		if wantsJSON(cmd) {
			if err := answer(cmd, outcome{Repo: m.name, Result: "repointed"}, ""); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// manyFailed is the error of a command that did not do everything.
func manyFailed(doing string, failed, of int) error {
	if failed == 0 {
		return nil
	}
	return failf("see the lines above; the others are done, and doing it again does them no harm", "%s: %d of %s failed", doing, failed, core.Count(of, "repository"))
}

// readRepointFlags returns the flags that the command for one repository has.
func readRepointFlags(cmd *cobra.Command) (o linkOptions, err error) {
	f := cmd.Flags()
	for flag, into := range map[string]*string{
		"data": &o.data, "server": &o.server, "org": &o.org, "key": &o.key, "ca-file": &o.caFile,
		"provider": &o.provider, "username": &o.username, "password-file": &o.passwordFile,
	} {
		if *into, err = f.GetString(flag); err != nil {
			return o, err
		}
	}
	if o.dry, err = f.GetBool("dry-run"); err == nil {
		o.yes, err = f.GetBool("yes")
	}
	return o, err
}

// parseHostOrOwner reads the address of a host, or of an owner at one.
func parseHostOrOwner(flag, address string) (host, path string, err error) {
	raw := address
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, perr := url.Parse(raw)
	if perr != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(u.Path, " \t\\") {
		// The parser's error repeats its input, which may hold a password.
		return "", "", usagef("write it like "+flag+" https://git.example.org/team", "%s is not the address of a host or an owner", flag)
	}
	return strings.ToLower(u.Host), strings.Trim(u.Path, "/"), nil
}

// below returns the rest of a path that is below another; everything is below "".
func below(path, owner string) (string, bool) {
	if owner == "" {
		return path, true
	}
	if len(path) <= len(owner) || !strings.EqualFold(path[:len(owner)], owner) || path[len(owner)] != '/' {
		return "", false
	}
	return path[len(owner)+1:], true
}

// repointPlan is a plan as JSON.
type repointPlan struct {
	Repo string `json:"repo"`
	To   string `json:"to"`
	Plan any    `json:"plan"`
}
