// Package doctor looks at a data directory, of a server that runs or not, and says what
// is wrong and which command to run. Looking changes nothing.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/rebuild"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server/backup"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/store"
)

// lowSpace, in bytes, and lowInodes are what a server should have free.
const (
	lowSpace  = 256 << 20
	lowInodes = 10_000
)

// Finding is one thing that somebody should know.
type Finding struct {
	Problem bool   `json:"problem"` // false: it is no fault, or mends itself
	Subject string `json:"subject"` // a path, or a repository
	What    string `json:"what"`
	Next    string `json:"next"` // a command, or what to do
}

// Report is what was found.
type Report struct {
	DataDir      string    `json:"data_dir"`
	Running      bool      `json:"running"` // a server runs on it
	Repositories int       `json:"repositories"`
	Findings     []Finding `json:"findings"`
}

// Problems counts the findings that are faults.
func (r Report) Problems() (n int) {
	for _, f := range r.Findings {
		if f.Problem {
			n++
		}
	}
	return n
}

// Options configures [Look].
type Options struct {
	DataDir string
	Git     *git.Git
	Running bool // a server runs on the directory
	SealKey bool // the sealing key is kept elsewhere
	Deep    bool // every object is read
	// Database is the connection string of PostgreSQL, for a data directory that belongs
	// to one; "": it is not known.
	Database providers.Secret
}

// Look looks at a data directory. An error says that it could not.
func Look(ctx context.Context, o Options) (Report, error) {
	l := &look{Options: o, report: Report{DataDir: o.DataDir, Running: o.Running, Findings: []Finding{}}}
	if _, err := os.Stat(o.DataDir); err != nil {
		return Report{}, err
	}
	if _, err := os.Lstat(filepath.Join(o.DataDir, backup.RestoringFile)); err == nil {
		l.problem(o.DataDir, "a restore did not finish", l.command("headwater restore BACKUP"))
		return l.report, nil // nothing else is as it will be
	}
	l.space()
	l.keys()
	elsewhere, err := database.IsPostgres(o.DataDir)
	if err != nil {
		return Report{}, err
	}
	look := l.database
	if elsewhere {
		look = l.postgres
	}
	known, there, err := look(ctx)
	if err != nil || !there {
		return l.report, err
	}
	if err := l.folders(known); err != nil {
		return Report{}, err
	}
	missing, err := l.missing(known)
	if err != nil {
		return Report{}, err
	}
	for _, r := range known {
		if what, gone := missing[r.ID]; gone {
			l.absent(r, what, len(missing), len(known))
		} else if err := l.repository(ctx, r); err != nil {
			return Report{}, err
		}
	}
	if err := l.lfs(ctx); err != nil {
		return Report{}, err
	}
	l.quarantine()
	return l.report, nil
}

// localOrg is the organisation that commands act for without --org.
const localOrg = "local"

type look struct {
	Options
	report Report
}

// command is a command line about the data directory.
func (l *look) command(line string) string { return line + " --data " + core.ShellWord(l.DataDir) }

func (l *look) problem(subject, what, next string) {
	l.report.Findings = append(l.report.Findings, Finding{Problem: true, Subject: subject, What: what, Next: next})
}

func (l *look) notice(subject, what, next string) {
	l.report.Findings = append(l.report.Findings, Finding{Subject: subject, What: what, Next: next})
}

// space looks how full the disk is.
func (l *look) space() {
	var s unix.Statfs_t
	if err := unix.Statfs(l.DataDir, &s); err != nil {
		return
	}
	if free := s.Bavail * uint64(s.Bsize); free < lowSpace { //nolint:gosec // sizes are positive
		l.problem(l.DataDir, fmt.Sprintf("the disk has %d MiB left; writes fail when it is full", free>>20), "make room on it, or move the data directory to a larger one")
	}
	// File systems that make inodes as they need them say 0 of 0.
	if s.Files > 0 && s.Ffree < lowInodes {
		l.problem(l.DataDir, fmt.Sprintf("the disk has %s left; no more files can be made when it has none", core.Count(int64(s.Ffree), "inode")), "remove files from it, or move the data directory")
	}
}

// keys looks whether only their owner may read private keys.
func (l *look) keys() {
	for _, folder := range []string{"keys", "tls"} {
		_ = filepath.WalkDir(filepath.Join(l.DataDir, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // what is absent is nobody's to read; the database says what is missed
			}
			info, err := d.Info()
			if err == nil && d.Type().IsRegular() && filepath.Base(path) != "ca.pem" && filepath.Base(path) != "cert.pem" && info.Mode().Perm()&0o077 != 0 {
				l.problem(path, "others than its owner may read it", "chmod 600 "+core.ShellWord(path))
			}
			return nil
		})
	}
}

// postgres is database for one that is a PostgreSQL.
func (l *look) postgres(ctx context.Context) (known []store.SnapshotRepository, there bool, err error) {
	again := "then run " + l.command("headwater doctor") + " again"
	if l.Database == "" {
		l.problem(l.DataDir, "its database is a PostgreSQL, and was not looked at: its connection string is not given", "give it in "+database.Variable+", "+again)
		return nil, false, nil
	}
	found, err := database.Place{DataDir: l.DataDir, DSN: l.Database}.Inspect(ctx)
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	if err != nil {
		l.problem(l.DataDir, err.Error(), "start PostgreSQL, or correct "+database.Variable+"; after an upgrade start the server once with this program; "+again)
		return nil, false, nil //nolint:nilerr // it is in the report
	}
	l.sealed(found.Sealed)
	l.held(l.DataDir, found.Held)
	l.report.Repositories = len(found.Repositories)
	return found.Repositories, true, nil
}

// sealed looks whether the key is there for so many secrets of the database.
func (l *look) sealed(secrets int) {
	key := filepath.Join(l.DataDir, "keys", "seal.json")
	if secrets == 0 || l.SealKey {
		return
	}
	if _, err := os.Stat(key); errors.Is(err, fs.ErrNotExist) {
		l.problem(key, fmt.Sprintf("the sealing key is missing, and the database has %s sealed with it", core.Count(secrets, "secret")),
			"bring the file back, or give its text by HEADWATER_SEAL_KEY; if it is lost, make a new one with "+l.command("headwater doctor --new-seal-key")+", which removes them and says how each is given again")
	}
}

// held says that deliveries wait for an operator's word.
func (l *look) held(subject string, held bool) {
	if held {
		l.notice(subject, "deliveries of webhooks are held since a restore", l.command("headwater restore review")+", then "+l.command("headwater restore confirm"))
	}
}

// database looks at the database and returns its repositories. It is there, or what can
// be done without it is still to be looked at.
func (l *look) database(ctx context.Context) (known []store.SnapshotRepository, there bool, err error) {
	path := filepath.Join(l.DataDir, database.File)
	found, err := store.Inspect(ctx, path, true)
	if err != nil {
		return nil, false, err
	}
	switch {
	case found.Missing:
		l.problem(path, "there is no database", "headwater restore BACKUP into an empty folder; without a backup: "+l.command("headwater doctor --adopt"))
		return nil, true, nil
	case found.Damage != "":
		l.problem(path, found.Damage, "headwater restore BACKUP into an empty folder; without a backup move the file away, then: "+l.command("headwater doctor --adopt"))
		return nil, true, nil
	}
	l.sealed(found.Sealed)
	snapshot, err := store.OpenSnapshot(ctx, path)
	if err != nil {
		l.problem(path, err.Error(), "start the server once with this program, which brings the database up to date")
		return nil, true, nil //nolint:nilerr // it is in the report
	}
	repositories, err := snapshot.Repositories(ctx)
	held, heldErr := snapshot.DeliveriesHeld(ctx)
	if err := errors.Join(err, heldErr, snapshot.Close()); err != nil {
		return nil, false, err
	}
	l.held(path, held)
	l.report.Repositories = len(repositories)
	return repositories, true, nil
}

// folders looks for repositories that the database does not know.
func (l *look) folders(known []store.SnapshotRepository) error {
	ids := map[string]bool{}
	for _, r := range known {
		ids[r.ID] = true
	}
	populated, err := repo.Populated(l.DataDir)
	if err != nil {
		return err
	}
	for _, dir := range populated {
		if ids[strings.TrimSuffix(filepath.Base(dir), ".git")] {
			continue
		}
		d, err := repo.ReadDescription(dir)
		if err != nil {
			what := "the database does not know this repository, and it does not say whose it is"
			if !errors.Is(err, fs.ErrNotExist) {
				what += ": " + Shown(err.Error())
			}
			l.problem(Shown(dir), what,
				l.command("headwater repo adopt "+word(dir)+" NAME")+", then remove it")
			continue
		}
		l.problem(Shown(dir), fmt.Sprintf("the database does not know this repository, which was %s in the organisation %s", Shown(d.Name), Shown(d.Organisation)), l.command("headwater doctor --adopt"))
	}
	return nil
}

// Shown is a text of which nobody knows who made it, fit to be printed on one line.
func Shown(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// word is a path as a word of a command, if it can be one.
func word(path string) string {
	if shown := Shown(path); shown != path {
		return shown
	}
	return core.ShellWord(path)
}

// missing returns what is not there of the repositories that git takes for none, by id.
func (l *look) missing(known []store.SnapshotRepository) (map[string]string, error) {
	missing := map[string]string{}
	for _, r := range known {
		what, err := repo.AbsentIn(repo.PathIn(l.DataDir, r.ID))
		if err != nil {
			return nil, err
		}
		if what != "" {
			missing[r.ID] = what
		}
	}
	if rebuild.LooksUnmounted(len(missing), len(known)) {
		start := "the server serves them again within a minute"
		if !l.Running {
			start = "then start the server"
		}
		l.problem(filepath.Join(l.DataDir, "repos"), fmt.Sprintf("%d of %s are missing at once, as if a disk were not mounted", len(missing), core.Count(len(known), "repository")),
			"mount it: "+start+". Only if their content is really gone: "+l.started(l.command("headwater repo rebuild --all"))+
				", which fetches those again that have an upstream; the others are in a backup: headwater restore BACKUP into an empty folder")
	}
	return missing, nil
}

// absent names a repository of which so much is missing that git takes it for none, unless
// the disk as a whole was named.
func (l *look) absent(r store.SnapshotRepository, what string, missing, all int) {
	if rebuild.LooksUnmounted(missing, all) {
		return
	}
	l.problem(subjectOf(r), what+": "+repo.PathIn(l.DataDir, r.ID), l.mend(r))
}

func subjectOf(r store.SnapshotRepository) string { return fmt.Sprintf("%s (%s)", r.Name, r.ID) }

// mend is what brings the content of a repository back.
func (l *look) mend(r store.SnapshotRepository) string {
	// Only this verifies what a folder has: a sync that finds nothing new reads nothing.
	again := l.command("headwater repo rebuild")
	if r.Org != localOrg {
		again += " --org " + core.ShellWord(r.Org) + " --key FILE"
	}
	again = l.started(again + " " + core.ShellArg(r.Name))
	if r.Synced {
		return again + ", which fetches it again from its upstream"
	}
	return "bring " + repo.PathIn(l.DataDir, r.ID) + " back from a backup: headwater restore BACKUP into an empty folder, then copy it; after that: " + again
}

// started is a command that needs a server that runs.
func (l *look) started(command string) string {
	if l.Running {
		return command
	}
	return "start the server, then: " + command
}

// repository looks at the folder of a repository.
func (l *look) repository(ctx context.Context, r store.SnapshotRepository) error {
	dir, subject, next := repo.PathIn(l.DataDir, r.ID), subjectOf(r), l.mend(r)
	if d, err := repo.ReadDescription(dir); errors.Is(err, fs.ErrNotExist) {
		l.notice(subject, "its folder does not say whose it is", "the next start of the server writes that")
	} else if err != nil || d.ID != r.ID {
		l.problem(subject, "its folder says that it is another repository", "look at "+filepath.Join(dir, repo.DescriptionFile)+"; without the file, the next start of the server writes it")
	}
	// Asking for the type opens the object of each ref.
	c := git.Command{Name: "for-each-ref", Dir: dir, Flags: []string{"--format=%(objecttype)"}, Background: true}
	if l.Deep {
		// Reads every object: without --connectivity-only a flipped byte is seen.
		c = git.Command{Name: "fsck", Dir: dir, Flags: []string{"--full", "--no-dangling", "--no-progress"}, Background: true}
	}
	_, err := l.Git.Output(ctx, c)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	exit, failed := errors.AsType[*git.ExitError](err)
	switch {
	case err == nil:
	case failed && exit.Code > 0:
		l.problem(subject, "objects are missing or damaged: "+Shown(lastWords(exit)), next)
	default:
		// Killed, or without memory: says nothing of the repository.
		l.notice(subject, "it could not be checked: "+err.Error(), "run it again when the machine has more room")
	}
	return nil
}

// lastWords is what a git that failed said last.
func lastWords(exit *git.ExitError) string {
	_, text, _ := strings.Cut(git.LastLine(exit.Stderr), ": ") // "fatal", "error"
	return cmp.Or(text, exit.Error())
}

// quarantine names what was moved out of the way.
func (l *look) quarantine() {
	entries, err := os.ReadDir(filepath.Join(l.DataDir, "quarantine"))
	if err != nil {
		return
	}
	for _, e := range entries {
		l.notice(Shown(filepath.Join(l.DataDir, "quarantine", e.Name())), "a damaged repository was moved here", "remove it once nothing in it is missed")
	}
}
