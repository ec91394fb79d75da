// Refuses addresses of the networks in its settings.
package main

import (
	"encoding/json"
	"net/netip"
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/sftpgo/sdk/plugin/ipfilter"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var log = hclog.New(&hclog.LoggerOptions{Output: os.Stderr, JSONFormat: true})

var settings struct {
	Refused []netip.Prefix `json:"refused"`
}

type filter struct{}

func (filter) CheckIP(ip, protocol string) error {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return status.Error(codes.PermissionDenied, "no address")
	}
	for _, network := range settings.Refused {
		if network.Contains(address.Unmap()) {
			return status.Error(codes.PermissionDenied, "in "+network.String())
		}
	}
	return nil
}

func (filter) Reload() error { return nil }

func main() {
	// Other hosts know no settings: nothing is refused then.
	if text := os.Getenv("SFTPGO_TS_PLUGIN_SETTINGS"); text != "" {
		if err := json.Unmarshal([]byte(text), &settings); err != nil {
			log.Error("cannot read the settings", "error", err)
			os.Exit(1)
		}
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: ipfilter.Handshake,
		Plugins:         map[string]plugin.Plugin{ipfilter.PluginName: &ipfilter.Plugin{Impl: filter{}}},
		GRPCServer:      plugin.DefaultGRPCServer,
		Logger:          log,
	})
}
