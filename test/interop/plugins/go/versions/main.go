// A plugin with several versions of its messages, named by its arguments, as go-plugin lets authors have them.
package main

import (
	"os"
	"strconv"

	"github.com/hashicorp/go-plugin"
	"github.com/sftpgo/sdk/plugin/ipfilter"
)

type filter struct{}

func (filter) CheckIP(ip, protocol string) error { return nil }

func (filter) Reload() error { return nil }

func main() {
	versions := map[int]plugin.PluginSet{}
	for _, text := range os.Args[1:] {
		version, err := strconv.Atoi(text)
		if err != nil {
			panic(err)
		}
		versions[version] = plugin.PluginSet{ipfilter.PluginName: &ipfilter.Plugin{Impl: filter{}}}
	}
	handshake := ipfilter.Handshake
	handshake.ProtocolVersion = 0
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig:  handshake,
		VersionedPlugins: versions,
		GRPCServer:       plugin.DefaultGRPCServer,
	})
}
