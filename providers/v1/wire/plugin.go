package wire

import (
	"context"
	"errors"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/headwater-git/headwater/providers"
	providerv1 "github.com/headwater-git/headwater/providers/v1"
)

// The environment of a plugin's process, beside what go-plugin sets.
const (
	// EnvParentFD is the number of the descriptor whose end of file tells a
	// plugin that the server is gone.
	EnvParentFD = "HEADWATER_PLUGIN_PARENT_FD"
	// EnvLogLevel is the lowest level that the server's logger prints.
	EnvLogLevel = "HEADWATER_PLUGIN_LOG_LEVEL"
	// EnvSocketDir is set by go-plugin: the directory of the plugin's socket.
	EnvSocketDir = plugin.EnvUnixSocketDir
)

// pluginName is the key of the one service in the plugin set.
const pluginName = "provider"

// MaxMessageSize bounds one message in either direction, in bytes. The largest
// is an inbound webhook, whose body the server caps well below.
const MaxMessageSize = 64 << 20

// Handshake keeps a plugin that was started by hand from waiting for a server
// that never comes. It is no protection: that is the checksum of the binary and
// the one-time certificates of the connection.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{MagicCookieKey: "HEADWATER_PLUGIN", MagicCookieValue: "provider"}
}

// Plugins returns the plugin sets by contract version. impl and logger are
// needed in the plugin's process only.
func Plugins(impl providers.Provider, logger hclog.Logger) map[int]plugin.PluginSet {
	return map[int]plugin.PluginSet{
		providers.ContractVersion: {pluginName: &Plugin{impl: impl, logger: logger}},
	}
}

// Plugin connects the contract to go-plugin. There is no net/rpc: it knows
// neither contexts nor typed errors.
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin
	impl   providers.Provider
	logger hclog.Logger
}

var _ plugin.GRPCPlugin = (*Plugin)(nil)

// GRPCServer registers the service in the plugin's process.
func (p *Plugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	if p.impl == nil {
		return errors.New("no provider to serve")
	}
	providerv1.RegisterProviderServiceServer(s, NewServer(p.impl, p.logger))
	return nil
}

// GRPCClient returns a [*Client] in the server's process.
func (p *Plugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return NewClient(conn), nil
}

// Dispense returns the client of a started plugin.
func Dispense(p plugin.ClientProtocol) (*Client, error) {
	raw, err := p.Dispense(pluginName)
	if err != nil {
		return nil, err
	}
	client, ok := raw.(*Client)
	if !ok {
		return nil, errors.New("the plugin set holds another service")
	}
	return client, nil
}
