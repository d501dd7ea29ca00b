package backup

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
)

// The requests of a connection, a line each, in this order. Each is answered with a
// line of JSON, see reply.
const (
	requestFreeze = "freeze" // hold all locks
	requestThaw   = "thaw"   // let writers go on
)

const (
	// socketName is the socket's name below run/ of the data directory, which only the
	// server's user may enter: who reaches it may read the data directory itself.
	socketName = "backup.sock"
	// maxSocketPath, in bytes, is how long the address of a socket may be, see unix(7).
	maxSocketPath = 100
	// maxFreeze is how long writers are held at most.
	maxFreeze = 60 * time.Second
	// maxMaintenanceWait is how long a backup waits for maintenance that runs.
	maxMaintenanceWait = 10 * time.Minute
	// maintenanceLook is how often it looks whether that has ended.
	maintenanceLook = 50 * time.Millisecond
)

// reply is the answer to a request.
type reply struct {
	Error        string   `json:"error,omitempty"`
	Repositories []string `json:"repositories,omitempty"` // ids of those that are held
}

// GateOptions configures [NewGate].
type GateOptions struct {
	DataDir      string
	Locks        repo.Locker
	Repositories func(ctx context.Context) ([]string, error) // ids of all
	// Released is called with the repositories whose maintenance was held up.
	Released func(repoID string)
	Clock    core.Clock
	Logger   hclog.Logger
}

// Gate is the server's part of a backup: it holds the locks of repositories for a
// command that is in another process.
type Gate struct {
	o  GateOptions
	mu sync.Mutex // held by the backup that runs
}

// NewGate returns a gate that nobody can reach until [Gate.Run].
func NewGate(o GateOptions) *Gate { return &Gate{o: o} }

// Run serves the socket until ctx ends. Where no socket can be made (a full disk), that
// is logged, and there is no backup beside the server.
func (g *Gate) Run(ctx context.Context) error {
	listener, err := listen(filepath.Join(g.o.DataDir, "run"))
	if err != nil {
		g.o.Logger.Error("headwater backup cannot reach this server: its socket cannot be made", "error", err)
		<-ctx.Done()
		return nil
	}
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			// Too many open files, as under load: that must not end the server.
			g.o.Logger.Warn("a backup could not be let in", "error", err)
			select {
			case <-ctx.Done():
				return nil
			case <-g.o.Clock.After(time.Second):
			}
			continue
		}
		sessions.Go(func() {
			if err := g.serve(ctx, conn); err != nil && ctx.Err() == nil {
				g.o.Logger.Warn("a backup did not end well", "error", err)
			}
		})
	}
}

// address returns the address of the socket below a folder. The path of a socket is
// short (unix(7)); a long one is reached by way of the open folder.
func address(dir string) (path string, done func() error, err error) {
	path = filepath.Join(dir, socketName)
	if len(path) <= maxSocketPath || runtime.GOOS != "linux" {
		return path, func() error { return nil }, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), socketName), f.Close, nil
}

func listen(dir string) (net.Listener, error) {
	path, done, err := address(dir)
	if err != nil {
		return nil, err
	}
	// The lock on the data directory says that no other server listens on it.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, errors.Join(err, done())
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, errors.Join(err, done())
	}
	// Closing would unlink by an address that is not valid any more; the next start
	// does it.
	l.(*net.UnixListener).SetUnlinkOnClose(path == filepath.Join(dir, socketName))
	return l, done()
}

// session is one backup's hold of locks.
type session struct {
	gate     *Gate
	writers  []func()
	maintain []func()
	ids      []string
}

// serve is one connection. Whatever it holds goes with it.
func (g *Gate) serve(ctx context.Context, conn net.Conn) error {
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if !g.mu.TryLock() {
		return send(conn, reply{Error: "another backup is running"})
	}
	defer g.mu.Unlock()
	s := &session{gate: g}
	defer s.close()

	lines := make(chan string)
	go func() {
		defer close(lines)
		// A command that goes away ends the wait for locks, too.
		defer cancel()
		for in := bufio.NewScanner(conn); in.Scan(); {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	var expired <-chan time.Time
	for {
		select {
		case <-expired:
			s.thaw()
			return fmt.Errorf("it held writers for more than %s, and was cut off", maxFreeze)
		case line, ok := <-lines:
			if !ok {
				return nil
			}
			switch line {
			case requestFreeze:
				if err := s.freeze(ctx); err != nil {
					return errors.Join(err, send(conn, reply{Error: err.Error()}))
				}
				expired = g.o.Clock.After(maxFreeze)
				if err := send(conn, reply{Repositories: s.ids}); err != nil {
					return err
				}
			case requestThaw:
				expired = nil
				s.thaw()
				if err := send(conn, reply{}); err != nil {
					return err
				}
			default:
				return send(conn, reply{Error: "unknown request: use the program that serves the data directory"})
			}
		}
	}
}

func send(conn net.Conn, r reply) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = conn.Write(append(text, '\n'))
	return err
}

// freeze takes the maintenance locks of all repositories, which may last, and then the
// write locks, in the order that everybody has.
func (s *session) freeze(ctx context.Context) error {
	ids, err := s.gate.o.Repositories(ctx)
	if err != nil {
		return err
	}
	limit := s.gate.o.Clock.Now().Add(maxMaintenanceWait)
	for _, id := range ids {
		for {
			unlock, ok := s.gate.o.Locks.TryMaintain(id)
			if ok {
				s.maintain = append(s.maintain, unlock)
				break
			}
			if s.gate.o.Clock.Now().After(limit) {
				return fmt.Errorf("maintenance of the repository %s does not end; try again later", id)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.gate.o.Clock.After(maintenanceLook):
			}
		}
	}
	for _, id := range ids {
		unlock, err := s.gate.o.Locks.LockWrite(ctx, id)
		if err != nil {
			return err
		}
		s.writers = append(s.writers, unlock)
	}
	s.ids = ids
	return nil
}

func (s *session) thaw() {
	for _, unlock := range s.writers {
		unlock()
	}
	s.writers = nil
}

// close gives everything back.
func (s *session) close() {
	s.thaw()
	for _, unlock := range s.maintain {
		unlock()
	}
	for _, id := range s.ids {
		s.gate.o.Released(id)
	}
}

// hold is the command's end of a [Gate].
type hold struct {
	conn net.Conn
	in   *bufio.Reader
}

// reach returns a hold on the server that runs on a data directory.
func reach(ctx context.Context, dataDir string) (*hold, error) {
	path, done, err := address(filepath.Join(dataDir, "run"))
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err := errors.Join(err, done()); err != nil {
		return nil, fmt.Errorf("reach the server that runs on %s: %w", dataDir, err)
	}
	return &hold{conn: conn, in: bufio.NewReader(conn)}, nil
}

// freeze returns the ids of the repositories that do not change until thaw.
func (h *hold) freeze(ctx context.Context) (map[string]bool, error) {
	r, err := h.ask(ctx, requestFreeze)
	if err != nil {
		return nil, err
	}
	held := make(map[string]bool, len(r.Repositories))
	for _, id := range r.Repositories {
		held[id] = true
	}
	return held, nil
}

// thaw lets writers go on; an error says that they may have gone on before.
func (h *hold) thaw(ctx context.Context) error {
	_, err := h.ask(ctx, requestThaw)
	return err
}

// close lets maintenance go on, too.
func (h *hold) close() error { return h.conn.Close() }

func (h *hold) ask(ctx context.Context, request string) (reply, error) {
	defer context.AfterFunc(ctx, func() { _ = h.conn.SetDeadline(time.Unix(1, 0)) })()
	_, writeErr := h.conn.Write([]byte(request + "\n"))
	// What the server has to say explains why it takes no more.
	line, err := h.in.ReadString('\n')
	if ctx.Err() != nil {
		return reply{}, ctx.Err()
	}
	if err != nil {
		return reply{}, fmt.Errorf("the server has let go of the backup: %w", errors.Join(writeErr, err))
	}
	var r reply
	if err := json.Unmarshal([]byte(strings.TrimSpace(line)), &r); err != nil {
		return reply{}, fmt.Errorf("the server's answer cannot be read: %w", err)
	}
	if r.Error != "" {
		return reply{}, errors.New(r.Error)
	}
	return r, nil
}
