package server

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/inbound"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers/host"
	"github.com/headwater-git/headwater/server/api"
)

// plugins gives the core the catalog as the interface it declares.
type plugins struct{ catalog *host.Catalog }

var _ upstream.Plugins = plugins{}

// Find implements [upstream.Plugins].
func (p plugins) Find(ctx context.Context, wire string, public bool, hostName string) (upstream.Plugin, error) {
	i, err := p.catalog.Find(ctx, wire, public, hostName)
	if err != nil {
		return nil, err
	}
	return i, nil
}

// Instance implements [upstream.Plugins].
func (p plugins) Instance(name string) (upstream.Plugin, error) {
	i, err := p.catalog.Instance(name)
	if err != nil {
		return nil, err
	}
	return i, nil
}

// Webhook implements [upstream.Plugins].
func (p plugins) Webhook(name string) (upstream.Plugin, error) {
	i, err := p.catalog.Webhook(name)
	if err != nil {
		return nil, err
	}
	return i, nil
}

// Instances implements [upstream.Plugins].
func (p plugins) Instances() []string {
	all := p.catalog.Instances()
	out := make([]string, len(all))
	for n, i := range all {
		out[n] = i.Name()
	}
	return out
}

// providerStatus returns the state of every provider instance for GET /providers.
func providerStatus(catalog *host.Catalog, replays map[string]inbound.Replay) []api.ProviderStatus {
	all, cfg := catalog.Status(), catalog.Config()
	out := make([]api.ProviderStatus, len(all))
	for n, st := range all {
		out[n] = api.ProviderStatus{
			Name: st.Name, Type: st.Type, Builtin: st.Builtin, State: string(st.State), PID: st.PID, Generation: st.Generation,
			Crashes: st.Crashes, LastStart: timeOrNil(st.LastStart), RetryAt: timeOrNil(st.RetryAt), LastError: st.LastError,
			Stderr: st.Stderr, Hosts: []string{},
		}
		if r, ok := replays[st.Name]; ok {
			out[n].Replay = new(api.ViewReplay(r))
		}
		if block := cfg.Instance(st.Name); block != nil {
			for _, h := range block.Hosts {
				out[n].Hosts = append(out[n].Hosts, h.Host)
				if h.BasePath != "" {
					if out[n].BasePaths == nil {
						out[n].BasePaths = map[string]string{}
					}
					out[n].BasePaths[h.Host] = h.BasePath
				}
			}
		}
	}
	return out
}

func timeOrNil(t time.Time) *core.Timestamp {
	if t.IsZero() {
		return nil
	}
	return new(core.Timestamp(t))
}
