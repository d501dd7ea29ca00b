package sdk

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/headwater-git/headwater/providers/v1/wire"
)

// watchParent ends the process when the server is gone. Nothing else tells a
// plugin: its standard input is not the server's, and a killed server closes no
// connection in an orderly way. The server holds the other end of a pipe open
// for as long as it lives; the kernel closes it even after SIGKILL.
func watchParent() {
	fd, err := strconv.Atoi(os.Getenv(wire.EnvParentFD))
	if err != nil || fd <= 2 {
		return // started by something else than package host
	}
	syscall.CloseOnExec(fd)
	parent := os.NewFile(uintptr(fd), "parent")
	if parent == nil {
		return
	}
	go func() {
		// Nothing is ever written: this returns at end of file.
		_, _ = io.Copy(io.Discard, parent)
		removeSocket(os.Getenv(wire.EnvSocketDir))
		os.Exit(1)
	}()
}

// removeSocket does what a living server does for a stopped plugin. It removes
// only what go-plugin made: the sockets, and the directory if nothing else is
// in it.
func removeSocket(dir string) {
	if dir == "" || !strings.HasPrefix(filepath.Base(dir), "plugin-dir") {
		return
	}
	// Not filepath.Glob: the folder for temporary files may have a "[" in its name.
	sockets, _ := fs.Glob(os.DirFS(dir), "plugin*")
	for _, s := range sockets {
		_ = os.Remove(filepath.Join(dir, s))
	}
	_ = os.Remove(dir)
}
