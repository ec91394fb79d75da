// An ipfilter plugin as SFTPGo's authors write them.
package main

import (
	"errors"
	"os"
	"strings"

	"github.com/hashicorp/go-plugin"
	"github.com/sftpgo/sdk/plugin/ipfilter"
)

type filter struct{}

func (filter) CheckIP(ip, protocol string) error {
	if strings.HasPrefix(ip, "203.0.113.") {
		return errors.New("listed for " + protocol)
	}
	return nil
}

func (filter) Reload() error {
	if os.Getenv("RELOAD_FAILS") != "" {
		return errors.New("list is gone")
	}
	return nil
}

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: ipfilter.Handshake,
		Plugins:         map[string]plugin.Plugin{ipfilter.PluginName: &ipfilter.Plugin{Impl: filter{}}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}
