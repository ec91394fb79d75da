// A kms plugin as SFTPGo's authors write them. It seals by turning text around, which is enough to see that it was asked.
package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/hashicorp/go-plugin"
	"github.com/sftpgo/sdk/plugin/kms"
)

type keeper struct{}

func (keeper) Encrypt(payload, additionalData, url, masterKey string) (string, string, int32, error) {
	if strings.HasPrefix(url, "down://") {
		return "", "", 0, errors.New("key service is down")
	}
	return turned(additionalData + "|" + payload), url + masterKey, 7, nil
}

func (keeper) Decrypt(payload, key, additionalData string, mode int, url, masterKey string) (string, error) {
	bound, text, found := strings.Cut(turned(payload), "|")
	if !found || bound != additionalData || mode != 7 || key != url+masterKey {
		return "", errors.New("cannot open this secret")
	}
	return text, nil
}

func turned(text string) string {
	letters := []rune(text)
	slices.Reverse(letters)
	return string(letters)
}

func main() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: kms.Handshake,
		Plugins:         map[string]plugin.Plugin{kms.PluginName: &kms.Plugin{Impl: keeper{}}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}
