// A notifier plugin as SFTPGo's authors write them. It writes what it hears to the file that NOTICES names.
package main

import (
	"encoding/json"
	"errors"
	"os"

	"github.com/hashicorp/go-plugin"
	"github.com/sftpgo/sdk/plugin/notifier"
)

type recorder struct{}

func (recorder) NotifyFsEvent(event *notifier.FsEvent) error {
	if event.Username == "broken" {
		return errors.New("message broker is unreachable")
	}
	return record(event)
}

func (recorder) NotifyProviderEvent(event *notifier.ProviderEvent) error { return record(event) }

func (recorder) NotifyLogEvent(event *notifier.LogEvent) error { return record(event) }

func record(event any) error {
	line, err := json.Marshal(event)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(os.Getenv("NOTICES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.Write(append(line, '\n'))
	return err
}

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: notifier.Handshake,
		Plugins:         map[string]plugin.Plugin{notifier.PluginName: &notifier.Plugin{Impl: recorder{}}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}
