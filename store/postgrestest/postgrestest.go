// Package postgrestest starts a PostgreSQL for the tests of a package: the programs of
// the machine's own package, a data directory of its own, no TCP port.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// Server is a running PostgreSQL. The zero value starts one at the first call of
// [Server.Schema]; TestMain stops it by [Server.Stop].
type Server struct {
	once    sync.Once
	err     error
	dir     string
	process *exec.Cmd
	mu      sync.Mutex
	schemas int
}

// startTimeout bounds how long a server may take to answer.
const startTimeout = time.Minute

// Schema makes an empty schema and returns the connection string of a store in it.
func (s *Server) Schema(t testing.TB) (dsn string) {
	t.Helper()
	s.once.Do(func() { s.err = s.start(context.WithoutCancel(t.Context())) })
	require.NoError(t, s.err)
	s.mu.Lock()
	s.schemas++
	name := "test_" + strconv.Itoa(s.schemas)
	s.mu.Unlock()
	conn, err := pgx.Connect(t.Context(), s.dsn("postgres", ""))
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "CREATE SCHEMA "+name)
	require.NoError(t, errors.Join(err, conn.Close(t.Context())))
	return s.dsn("postgres", name)
}

// Stop stops the server, if one was started, and removes its data.
func (s *Server) Stop() error {
	if s.process == nil {
		return nil
	}
	// SIGQUIT: at once; nothing of it is wanted any more.
	err := s.process.Process.Signal(syscall.SIGQUIT)
	_ = s.process.Wait() // it says that it was stopped
	return errors.Join(err, os.RemoveAll(s.dir))
}

// Main runs the tests of a package, stops the server and returns the exit code.
func (s *Server) Main(m *testing.M) int {
	code := m.Run()
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func (s *Server) dsn(database, schema string) string {
	dsn := fmt.Sprintf("host=%s user=headwater dbname=%s sslmode=disable", s.dir, database)
	if schema != "" {
		dsn += " search_path=" + schema
	}
	return dsn
}

func (s *Server) start(ctx context.Context) error {
	bin, err := programs()
	if err != nil {
		return err
	}
	// Not in the folder of the test, which another user may not enter; and short, since
	// the path of a socket has 107 bytes at most (unix(7)).
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = "/tmp"
	}
	if s.dir, err = os.MkdirTemp(parent, "hw-pg-"); err != nil {
		return err
	}
	as, err := unprivileged(s.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", data, "-U", "headwater", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.SysProcAttr, initdb.Dir = as, s.dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	// Nothing has to outlive the machine: fsync=off.
	s.process = exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "-D", data, "-k", s.dir, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=400", "-c", "shared_buffers=32MB", "-c", "autovacuum=off")
	s.process.SysProcAttr, s.process.Dir, s.process.Stdout, s.process.Stderr = as, s.dir, log, log
	if err := s.process.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.dsn("postgres", ""))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, text)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// programs returns the folder of the newest PostgreSQL of the machine.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian keeps them out of PATH
	if err != nil || len(found) == 0 {
		return "", errors.New("PostgreSQL is not installed; scripts/test installs what tests need")
	}
	slices.SortFunc(found, func(a, b string) int { return versionOf(a) - versionOf(b) })
	return filepath.Dir(found[len(found)-1]), nil
}

func versionOf(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// unprivileged gives a folder to the user whom PostgreSQL runs as, which refuses to do
// so as root.
func unprivileged(dir string) (*syscall.SysProcAttr, error) {
	as := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() != 0 {
		return as, nil
	}
	postgres, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root: %w", err)
	}
	uid, err := strconv.ParseUint(postgres.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(postgres.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return as, os.Chown(dir, int(uid), int(gid))
}
