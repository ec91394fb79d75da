// An auth plugin as SFTPGo's authors write them: hashicorp/go-plugin and SFTPGo's sdk, nothing of ours.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/sftpgo/sdk/plugin/auth"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

var log = hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: os.Stderr, JSONFormat: true})

type authenticator struct{}

func (authenticator) CheckUserAndPass(username, password, ip, protocol string, user []byte) ([]byte, error) {
	switch username {
	case "print":
		fmt.Print(password)
		fmt.Fprint(os.Stderr, "err:"+password)
	case "lines":
		// Past go-plugin, which has turned os.Stdout aside: five thousand lines and one of a megabyte.
		real := os.NewFile(1, "stdout")
		for i := 0; i < 5000; i++ {
			fmt.Fprintln(real, "line", i)
		}
		fmt.Fprintln(real, strings.Repeat("m", 1<<20))
		fmt.Fprintln(real, "after the long line")
	case "files":
		names, _ := os.ReadDir("/proc/self/fd")
		open := []string{}
		for _, name := range names {
			target, err := os.Readlink("/proc/self/fd/" + name.Name())
			if err == nil {
				open = append(open, name.Name()+" "+target)
			}
		}
		return json.Marshal(map[string]any{"username": username, "description": strings.Join(open, "\n")})
	case "log":
		log.Warn("asked", "user", username, "address", ip)
	case "panic":
		panic("a bug in the plugin")
	case "exit":
		os.Exit(3)
	case "slow":
		time.Sleep(2 * time.Second)
	case "no":
		return nil, status.Error(codes.PermissionDenied, "not you")
	case "down":
		return nil, status.Error(codes.Unavailable, "directory is down")
	case "echo":
		return json.Marshal(map[string]any{"username": username, "description": string(user) + ip + protocol})
	case "big":
		return []byte(strings.Repeat("x", 5<<20)), nil
	case "unchanged":
		return nil, nil
	case "environment":
		return json.Marshal(map[string]any{"username": username, "description": strings.Join(os.Environ(), "\n")})
	}
	if username == "ada" && password == "engine" {
		return []byte(`{"username":"ada","home_dir":"/srv/ada","permissions":{"/":["*"]},"status":1}`), nil
	}
	return nil, errors.New("wrong name or password")
}

func (authenticator) CheckUserAndTLSCert(username, cert, ip, protocol string, user []byte) ([]byte, error) {
	return nil, errors.New("no certificates here")
}

func (authenticator) CheckUserAndPublicKey(username, key, ip, protocol string, user []byte) ([]byte, error) {
	if strings.HasSuffix(key, "good\n") {
		return nil, nil
	}
	return nil, errors.New("unknown key")
}

func (authenticator) CheckUserAndKeyboardInteractive(username, ip, protocol string, user []byte) ([]byte, error) {
	return nil, nil
}

func (authenticator) SendKeyboardAuthRequest(id, username, password, ip string, answers, questions []string, step int32) (string, []string, []bool, int, int, error) {
	if step == 1 {
		return "Say it", []string{"Word: "}, []bool{false}, 0, 2, nil
	}
	if len(answers) == 1 && answers[0] == "engine" && questions[0] == "Word: " {
		return "", nil, nil, 1, 0, nil
	}
	return "", nil, nil, -1, 0, nil
}

func main() {
	if os.Getenv("LINES_BEFORE") != "" {
		// What a plugin says when it cannot start.
		fmt.Fprintln(os.Stderr, "[ERROR] cannot reach the directory")
		os.Exit(4)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: auth.Handshake,
		Plugins:         map[string]plugin.Plugin{auth.PluginName: &auth.Plugin{Impl: authenticator{}}},
		GRPCServer:      plugin.DefaultGRPCServer,
		Logger:          log,
	})
}
