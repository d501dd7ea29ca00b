package host

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc/codes"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/v1/wire"
)

// gentleStop is how long a plugin may take to end after it was asked to. go-plugin
// waits for two seconds by itself, but asks over a connection that a stopped
// process never answers.
const gentleStop = 4 * time.Second

// maxSocketPath is the longest path of a socket in bytes, without its zero at the
// end: 108 on Linux, 104 on the BSDs and macOS (unix(7)).
const maxSocketPath = 103

// socketParent is the directory for the sockets of plugins: the one for temporary
// files, unless it is so long that a path below it is none for a socket. go-plugin
// makes a directory and a file in it, each with a random number of up to ten digits.
func socketParent() string {
	const below = len("/plugin-dir4294967295/plugin4294967295")
	if dir := os.TempDir(); len(dir)+below <= maxSocketPath {
		return dir
	}
	return "/tmp"
}

// recipe says what to execute for an instance. It is the same record for
// built-in and external plugins.
type recipe struct {
	argv   []string
	sha256 []byte // nil: this very executable, which needs no checksum
}

// command returns the command of the recipe, unstarted.
func (r recipe) command(logLevel string) *exec.Cmd {
	return &exec.Cmd{
		Path: r.argv[0],
		Args: r.argv,
		Env:  environment(logLevel),
		Dir:  "/", // a plugin has no business in the server's directory
	}
}

// check makes sure that the binary is the one the operator named. Between this
// check and the execution the file must not change: it belongs in a directory
// that only the operator can write to.
func (r recipe) check() error {
	if r.sha256 == nil {
		return nil
	}
	info, err := os.Stat(r.argv[0])
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("its plugin %s does not exist; install it or correct command in providers.hcl", r.argv[0])
	case err != nil:
		return fmt.Errorf("its plugin cannot be started: %w", err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("its plugin %s is not an executable file; correct command in providers.hcl or the mode of the file", r.argv[0])
	}
	// A SecureConfig holds the state of its hash and can be used once.
	ok, err := (&plugin.SecureConfig{Checksum: r.sha256, Hash: sha256.New()}).Check(r.argv[0])
	if err != nil {
		return fmt.Errorf("the checksum of its plugin cannot be computed: %w", err)
	}
	if !ok {
		return fmt.Errorf("the checksum of its plugin %s is not the sha256 in providers.hcl; if the new file is trusted, put its checksum there", r.argv[0])
	}
	return nil
}

// launch starts a process of the instance and configures it. After ctx has
// ended the process is killed.
func (i *Instance) launch(ctx context.Context) (*running, error) {
	if m := i.manifest.Load(); m != nil {
		if err := i.checkAttributes(*m); err != nil {
			return nil, err
		}
	}
	if err := i.recipe.check(); err != nil {
		return nil, i.errorf(providers.CodeInvalidConfig, "%v", err)
	}
	// go-plugin calls RunnerFunc inside of Start; proc stays nil if it does not
	// come so far.
	var proc *process
	release := func() bool { return true }
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: wire.Plugins(nil, nil),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		// The default hands every variable of the server to the plugin.
		SkipHostEnv: true,
		AutoMTLS:    true,
		// The time-out that counts is that of ctx; this one is its backstop.
		StartTimeout:     i.super.o.StartTimeout + 5*time.Second,
		Logger:           i.log,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: socketParent()},
		SyncStdout:       &lineLogger{log: i.log, tail: i.tail, stream: "stdout"},
		SyncStderr:       &lineLogger{log: i.log, tail: i.tail, stream: "stderr"},
		RunnerFunc: func(_ hclog.Logger, template *exec.Cmd, _ string) (runner.Runner, error) {
			cmd := i.recipe.command(i.log.GetLevel().String())
			cmd.Env = append(cmd.Env, template.Env...)
			p, err := newProcess(i.name, cmd, i.tail)
			if err != nil {
				return nil, err
			}
			proc = p
			// Start and the first connection take no context.
			release = context.AfterFunc(ctx, func() { _ = p.Kill(context.Background()) })
			return p, nil
		},
	})
	r, err := i.connect(ctx, client, &proc)
	// From here on the process lives on, unless ctx ended first.
	if !release() && err == nil {
		err = i.startError(ctx, proc, ctx.Err())
	}
	if err != nil {
		if proc != nil {
			_ = proc.Kill(context.Background())
		}
		client.Kill()
		return nil, err
	}
	return r, nil
}

// connect makes the handshake, asks what the plugin is and configures it. The
// process is made inside of the handshake.
func (i *Instance) connect(ctx context.Context, client *plugin.Client, proc **process) (*running, error) {
	if _, err := client.Start(); err != nil {
		return nil, i.startError(ctx, *proc, err)
	}
	p := *proc
	if _, ended := p.exited(0); ended {
		return nil, i.startError(ctx, p, errors.New("ended after the handshake"))
	}
	protocol, err := client.Client()
	if err != nil {
		return nil, i.startError(ctx, p, err)
	}
	rpc, err := wire.Dispense(protocol)
	if err != nil {
		return nil, i.startError(ctx, p, err)
	}
	if err := i.introduce(ctx, rpc); err != nil {
		var broken *wire.TransportError
		if errors.As(err, &broken) {
			return nil, i.startError(ctx, p, err)
		}
		return nil, err
	}
	i.log.Info("plugin started", "pid", p.pid())
	return &running{
		client:  rpc,
		proc:    p,
		started: time.Now(),
		stop: func() {
			timer := time.AfterFunc(gentleStop, func() { _ = p.Kill(context.Background()) })
			defer timer.Stop()
			client.Kill()
		},
	}, nil
}

// introduce asks for the manifest and hands over the configuration. Errors are
// [*providers.Error] that name the instance, and [*wire.TransportError].
func (i *Instance) introduce(ctx context.Context, rpc *wire.Client) error {
	m, err := rpc.Manifest(ctx, i.super.o.HostVersion)
	if err != nil {
		return i.named(err)
	}
	if err := i.checkManifest(m); err != nil {
		return err
	}
	i.manifest.Store(&m)
	i.tail.redact.add(i.block.SecretAttributes(m)...)
	if err := i.checkAttributes(m); err != nil {
		return err
	}
	return i.named(rpc.Configure(ctx, providers.Config{Instance: i.name, Attributes: i.block.Attributes, Hosts: i.block.Hosts, Proxy: i.proxy}))
}

// named puts the name of the instance before the message of a provider's error.
func (i *Instance) named(err error) error {
	var said *providers.Error
	if !errors.As(err, &said) {
		return err
	}
	e := *said
	e.Message = fmt.Sprintf("provider %q: %s", i.name, i.tail.redact.clean(said.Message))
	return &e
}

// checkAttributes checks the block against the manifest. A provider that lacks
// what it needs exists all the same, and says so when it is used.
func (i *Instance) checkAttributes(m providers.Manifest) error {
	if err := i.block.CheckAttributes(m); err != nil {
		return providers.Errorf(providers.CodeInvalidConfig, "%v", err)
	}
	return nil
}

// checkManifest refuses a plugin that is not what its block says: it would
// answer for repositories of another provider.
func (i *Instance) checkManifest(m providers.Manifest) error {
	switch {
	case m.ContractVersion != providers.ContractVersion:
		return i.errorf(providers.CodeInvalidConfig, "its plugin was written for version %d of the provider contract and this server speaks version %d; install a matching plugin",
			m.ContractVersion, providers.ContractVersion)
	case m.Name != i.typ:
		return i.errorf(providers.CodeInvalidConfig, "its plugin is the provider %q; use that name as the first label of the block in providers.hcl", m.Name)
	case m.Mode == "":
		return i.errorf(providers.CodeInvalidConfig, "its plugin has a mode that this server does not know; install a matching plugin")
	case len(m.WireNames) == 0:
		return i.errorf(providers.CodeInvalidConfig, "its plugin answers to no wire name; ask its author for a corrected version")
	}
	return nil
}

// startError explains a start that failed before Configure. go-plugin tells its
// reasons as text alone, so they are taken from what the process did.
func (i *Instance) startError(ctx context.Context, p *process, cause error) *providers.Error {
	if p == nil || p.pid() == 0 {
		return i.errorf(providers.CodeInvalidConfig, "its plugin cannot be executed: %v", cause)
	}
	var broken *wire.TransportError
	late := errors.As(cause, &broken) && broken.Code == codes.DeadlineExceeded
	if late || ctx.Err() != nil {
		return i.errorf(providers.CodeUnavailable, "its plugin was not ready within %s and was stopped; see its log", i.super.o.StartTimeout)
	}
	line, instead := p.stdout.handshake()
	if line == "" && instead == "" {
		// Both outputs have been read once it has ended.
		p.exited(time.Second)
		if said := i.tail.lastWords(); said != "" {
			return i.errorf(providers.CodeInvalidConfig, "its plugin ended without a handshake: %s", said)
		}
	}
	if wrong := describeHandshake(line, i.tail.redact.clean(instead), providers.ContractVersion); wrong != "" {
		return i.errorf(providers.CodeInvalidConfig, "%s", wrong)
	}
	if status, ended := p.exited(time.Second); ended {
		return i.errorf(providers.CodeUnavailable, "its plugin ended while it was started (%s); see its log", status)
	}
	return i.errorf(providers.CodeInvalidConfig, "the connection to its plugin cannot be made; build it with the provider SDK of this version")
}
