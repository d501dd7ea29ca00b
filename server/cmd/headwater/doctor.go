package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/server/doctor"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
)

func newDoctorCommand(env lookupEnv) *cobra.Command {
	var (
		data                            string
		adopt, newSealKey, deep, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at a data directory: what is wrong, and which command to run",
		Long: `Look at the data directory of a server that runs or not, and say what is wrong and
which command mends it. Nothing is changed. The exit code is 0 if nothing is wrong, and
1 if something is. With --deep every object of every repository is read, which takes
minutes a gigabyte.

With --adopt, for a stopped server whose database was lost, the repositories that lie in
the directory are taken into the database as their folders describe them. Their
credentials, tokens' keys, settings and history were in the database and are gone.

With --new-seal-key, for a sealing key that was lost, a new one is made, and what the
lost one had sealed is removed from the database, since nothing opens it any more:
credentials, and secrets of webhooks, which are switched off. Each is listed with the
command that gives it again. Look for the lost key first.`,
		Example: `  headwater doctor --data /var/lib/headwater
  headwater doctor --deep --json
  headwater doctor --adopt`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			abs, err := filepath.Abs(data)
			if err != nil {
				return err
			}
			if _, err := os.Stat(abs); errors.Is(err, fs.ErrNotExist) {
				return usagef("name the data directory with --data", "there is no folder %s", data)
			}
			g, err := git.New(cmd.Context(), git.Options{})
			if err != nil {
				return wrapf(err, "install git", "git is needed")
			}
			text, _ := env(sealKeyVariable)
			switch {
			case newSealKey && adopt:
				return usagef("run one after the other", "--adopt and --new-seal-key are two things")
			case newSealKey && text != "":
				return usagef("unset it first, if its key is lost", "the sealing key is given by %s", sealKeyVariable)
			case newSealKey:
				return makeSealKey(cmd, dataDir(abs), databaseText(env))
			case adopt:
				return adoptAll(cmd, abs, providers.Secret(text), g, asJSON)
			}
			running, err := server.Runs(abs) // it may start or end meanwhile
			if err != nil {
				return wrapf(err, "name it with --data, and be its user", "%q is not a data directory that you may read", data)
			}
			r, err := doctor.Look(cmd.Context(), doctor.Options{DataDir: abs, Git: g, Running: running, SealKey: text != "", Deep: deep, Database: databaseText(env)})
			if err != nil {
				return wrapf(err, "be the user of the server", "look at %s", abs)
			}
			return printReport(cmd.OutOrStdout(), r, asJSON)
		},
	}
	f := cmd.Flags()
	bindDataDir(f, &data)
	f.BoolVar(&adopt, "adopt", false, "take repositories into the database that it does not know; the server must be stopped")
	f.BoolVar(&newSealKey, "new-seal-key", false, "make a new sealing key in place of one that was lost; the server must be stopped")
	f.BoolVar(&deep, "deep", false, "read every object")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// orgFlag is what a command must add to act for an organisation.
func orgFlag(org string) string {
	if org == localOrg {
		return ""
	}
	return " --org " + core.ShellWord(org) + " --key FILE"
}

// databaseText is the connection string of PostgreSQL, "" if there is none.
func databaseText(env lookupEnv) providers.Secret {
	text, _ := env(database.Variable)
	return providers.Secret(text)
}

// printReport prints what was found; the error is for the exit code.
func printReport(out io.Writer, r doctor.Report, asJSON bool) error {
	state := "stopped"
	if r.Running {
		state = "running"
	}
	if asJSON {
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "%s: the server is %s, %s.\n", r.DataDir, state, core.Count(r.Repositories, "repository"))
		for _, f := range r.Findings {
			word := "note"
			if f.Problem {
				word = "PROBLEM"
			}
			fmt.Fprintf(out, "%s: %s: %s\n  next: %s\n", word, f.Subject, f.What, f.Next)
		}
	}
	if n := r.Problems(); n > 0 {
		return failf("do what is said beside each", "%s", core.Count(n, "problem"))
	}
	if !asJSON {
		fmt.Fprintln(out, "Nothing is wrong.")
	}
	return nil
}

// adoptAll takes all folders into the database that it does not know.
func adoptAll(cmd *cobra.Command, data string, sealKey providers.Secret, g *git.Git, asJSON bool) (err error) {
	if _, err := repo.Populated(data); err != nil {
		return err
	}
	s, unlock, err := server.Prepare(cmd.Context(), data, sealKey)
	if err != nil {
		next := "stop the server, and be its user"
		if store.IsDamaged(err) {
			next = "move headwater.db away, then run this again"
		}
		return wrapf(err, next, "open %s", data)
	}
	defer func() { err = errors.Join(err, s.Close(), unlock()) }()
	all, err := doctor.Adopt(cmd.Context(), data, s, g, time.Now().UTC())
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if asJSON {
		if err := json.NewEncoder(out).Encode(all); err != nil {
			return err
		}
	}
	refused := 0
	for _, a := range all {
		if a.Refused != "" {
			refused++
		}
		switch {
		case asJSON:
		case a.Refused != "":
			fmt.Fprintf(out, "Left as it is: %s: %s\n", doctor.Shown(a.Dir), a.Refused)
		case a.Synced:
			fmt.Fprintf(out, "Adopted %s of %s. If its upstream needs a credential: %s\n", a.Name, a.Organisation, asTyped(cmd, "headwater credential set"+orgFlag(a.Organisation)+" "+core.ShellArg(a.Name)))
		default:
			fmt.Fprintf(out, "Adopted %s of %s.\n", a.Name, a.Organisation)
		}
	}
	if refused > 0 {
		return failf("do what is said beside each", "not adopted: %d of %s", refused, core.Count(len(all), "folder"))
	}
	if !asJSON {
		fmt.Fprintf(out, "Adopted %s. Give other organisations than %s a key (%s), then start the server.\n", core.Count(len(all), "repository"), localOrg, asTyped(cmd, "headwater org key add"))
	}
	return nil
}

// makeSealKey makes a new sealing key where there is none.
func makeSealKey(cmd *cobra.Command, dir dataDir, dsn providers.Secret) (err error) {
	unlock, stopped, err := server.LockStopped(string(dir))
	if err != nil {
		return wrapf(err, "name it with --data, and be its user", "%q is not a data directory", string(dir))
	}
	if !stopped {
		return failf("stop it first", "a server runs on %s", dir)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	key, err := seal.LoadOrCreate(dir.sealFile())
	if err != nil {
		return wrapf(err, "move what is there away, if it is no key", "make %s", dir.sealFile())
	}
	var lost []core.LostSecret
	if database.Exists(string(dir)) {
		if lost, err = dropLostSecrets(cmd.Context(), database.Place{DataDir: string(dir), DSN: dsn}, key); err != nil {
			return wrapf(err, "run it again", "remove what was sealed with the lost key")
		}
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "%s is there. Removed since no key opens them: %s.\n", dir.sealFile(), core.Count(len(lost), "secret"))
	if len(lost) > 0 {
		fmt.Fprintln(out, "Start the server, then give each again:")
	}
	for _, l := range lost {
		fmt.Fprintf(out, "  %s\n", giveAgain(l, dir))
	}
	return nil
}

// dropLostSecrets removes what the key does not open from the database of a stopped server.
func dropLostSecrets(ctx context.Context, p database.Place, key *seal.File) (lost []core.LostSecret, err error) {
	st, err := p.Open(ctx, store.Options{Sealer: key})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return st.DropLostSecrets(ctx, time.Now().Add(access.MaxIssuedLife))
}

// giveAgain is the command that stores what was lost.
func giveAgain(l core.LostSecret, dir dataDir) string {
	rest := "--data " + core.ShellWord(string(dir)) + orgFlag(l.Org) + " " + core.ShellArg(l.Name)
	switch l.Kind {
	case core.LostSharedCredential:
		return "headwater credential rotate " + rest
	case core.LostWebhook:
		return "headwater webhook update --active --rotate-secret " + rest
	}
	return "headwater credential set " + rest
}

func newRepoAdoptCommand() *cobra.Command {
	var data, org string
	cmd := &cobra.Command{
		Use:   "adopt DIR REPO",
		Short: "Take a copy of a repository that lies elsewhere on this machine",
		Long: `Make a local repository of the folder of another one, as "git clone --mirror" leaves it.
Its objects are verified, and linked where both are on one disk; the folder stays as it
is. Branches, tags and notes are taken; a host's refs of pull requests, configuration and
hooks are not.

To follow its upstream from here on, attach it: nothing is fetched that is here. The
command works on the data directory, whether the server runs or not.`,
		Example: `  git clone --mirror https://git.example.com/team/app.git /tmp/app.git
  headwater repo adopt /tmp/app.git team/app --data /var/lib/headwater
  headwater repo attach team/app https://git.example.com/team/app`,
		Args: exactArgs("DIR", "REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			name := args[1]
			if err := core.ValidateRepositoryName(name); err != nil {
				return usagef("choose another name, like team/app", "cannot name the repository %q: %v", name, err)
			}
			dir, err := openDataDir(data)
			if err != nil {
				return err
			}
			return withStore(cmd.Context(), data, func(ctx context.Context, s core.Store) error {
				if err := knownOrg(ctx, s, org, "see: headwater org list"); err != nil {
					return err
				}
				if _, err := s.Repository(ctx, org, name); err == nil {
					return failf("choose another name", "there is a repository %s already", name)
				}
				return adoptOne(cmd, s, dir, from, org, name)
			})
		},
	}
	bindDataDir(cmd.Flags(), &data)
	cmd.Flags().StringVar(&org, "org", localOrg, "organisation that gets the repository")
	return cmd
}

// adoptOne makes a repository of a folder.
func adoptOne(cmd *cobra.Command, s core.Store, dir dataDir, from, org, name string) error {
	ctx, now := cmd.Context(), time.Now().UTC()
	g, err := git.New(ctx, git.Options{})
	if err != nil {
		return wrapf(err, "install git", "git is needed")
	}
	repos, err := repo.Open(repo.Options{Root: string(dir), Git: g, Store: s, Clock: core.SystemClock{}, Locker: repo.NewLocker()})
	if err != nil {
		return err
	}
	r := core.Repository{ID: core.NewID("repo", now), Org: org, Name: name, CreatedAt: now}
	a, err := repos.Adopt(ctx, r.ID, from)
	if err != nil {
		return wrapf(err, "the folder stays as it is; mend that, or mirror the upstream: headwater mirror URL", "adopt %s", from)
	}
	r.DefaultBranch, r.ObjectFormat = a.Branch, a.ObjectFormat
	err = audited(ctx, s, org, "repo.create", name, func(q core.Queries) error { return q.CreateRepository(ctx, r) })
	if err != nil {
		return errors.Join(err, repos.Delete(context.WithoutCancel(ctx), r.ID))
	}
	if err := repos.Describe(ctx, r.ID); err != nil {
		return err
	}
	leftOut := ""
	if a.LeftOut > 0 {
		leftOut = fmt.Sprintf("; left out, as neither branches, tags nor notes: %d", a.LeftOut)
	}
	value := struct {
		Repo    string `json:"repo"`
		RepoID  string `json:"repo_id"`
		Refs    int    `json:"refs"`
		LeftOut int    `json:"left_out"`
	}{name, r.ID, a.Refs, a.LeftOut}
	return answer(cmd, value, "Adopted %s as %s: %s%s.\nTo follow its upstream: headwater repo attach %s URL", from, name, core.Count(a.Refs, "ref"), leftOut, core.ShellArg(name))
}
