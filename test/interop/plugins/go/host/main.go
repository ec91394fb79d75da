// A host as SFTPGo is one: it starts a plugin with hashicorp/go-plugin, asks it everything, and prints what it saw as
// one JSON object.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/sftpgo/sdk/plugin/auth"
	"github.com/sftpgo/sdk/plugin/ipfilter"
	"github.com/sftpgo/sdk/plugin/kms"
	"github.com/sftpgo/sdk/plugin/notifier"
	"google.golang.org/grpc/status"
)

// buffer collects what several goroutines write.
type buffer struct {
	mutex sync.Mutex
	bytes bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.bytes.Write(p)
}

func (b *buffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.bytes.String()
}

type report struct {
	Error      string           `json:"error,omitempty"`
	Negotiated int              `json:"negotiated"`
	Ping       string           `json:"ping"`
	Answers    []answer         `json:"answers"`
	Stdout     string           `json:"stdout"`
	Stderr     string           `json:"stderr"`
	Log        []map[string]any `json:"log"`
	StartMs    int64            `json:"startMs"`
	KillMs     int64            `json:"killMs"`
	Exited     bool             `json:"exited"`
}

type answer struct {
	Ask   string `json:"ask"`
	Value any    `json:"value"`
	Code  string `json:"code"`
	Text  string `json:"text"`
}

func (r *report) add(ask string, value any, err error) {
	r.Answers = append(r.Answers, answer{ask, value, status.Code(err).String(), status.Convert(err).Message()})
}

func main() {
	slot := flag.String("slot", "auth", "")
	mtls := flag.Bool("mtls", false, "")
	skipEnv := flag.Bool("skip-env", false, "")
	checksum := flag.String("checksum", "", "right, wrong or empty")
	multiplex := flag.Bool("multiplex", false, "")
	settings := flag.String("env", "", "NAME=VALUE for the plugin")
	printed := flag.String("print", "", "what the plugin is asked to print")
	user := flag.String("user", "", "a further user name to ask an auth plugin about")
	flag.Parse()

	var stdout, stderr, log buffer
	command := exec.Command(flag.Arg(0), flag.Args()[1:]...)
	if *settings != "" {
		command.Env = append(command.Env, *settings)
	}
	config := &plugin.ClientConfig{
		HandshakeConfig:     handshakes[*slot],
		Plugins:             plugins[*slot],
		Cmd:                 command,
		AutoMTLS:            *mtls,
		SkipHostEnv:         *skipEnv,
		GRPCBrokerMultiplex: *multiplex,
		AllowedProtocols:    []plugin.Protocol{plugin.ProtocolGRPC},
		SyncStdout:          &stdout,
		SyncStderr:          &stderr,
		Logger:              hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &log, JSONFormat: true}),
	}
	if *checksum != "" {
		config.SecureConfig = secureConfig(flag.Arg(0), *checksum == "right")
	}

	client := plugin.NewClient(config)
	result := report{}
	begin := time.Now()
	if err := ask(client, *slot, *printed, *user, &result, begin); err != nil {
		result.Error = err.Error()
	} else {
		// Everything that was printed arrives on a stream of its own.
		wanted := len(*printed)
		for end := time.Now().Add(5 * time.Second); len(stdout.String()) < wanted && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
	}
	begin = time.Now()
	client.Kill()
	result.KillMs = time.Since(begin).Milliseconds()
	result.Exited = client.Exited()
	result.Stdout, result.Stderr = stdout.String(), stderr.String()
	result.Log = lines(log.String())
	json.NewEncoder(os.Stdout).Encode(result)
}

func ask(client *plugin.Client, slot, printed, user string, result *report, begin time.Time) error {
	protocol, err := client.Client()
	if err != nil {
		return err
	}
	if err := protocol.Ping(); err != nil {
		result.Ping = err.Error()
	} else {
		result.Ping = "ok"
	}
	result.StartMs = time.Since(begin).Milliseconds()
	result.Negotiated = client.NegotiatedVersion()
	raw, err := protocol.Dispense(slot)
	if err != nil {
		return err
	}
	switch api := raw.(type) {
	case auth.Authenticator:
		askAuth(api, printed, user, result)
	case notifier.Notifier:
		result.add("file", nil, api.NotifyFsEvent(&notifier.FsEvent{Action: "upload", Username: "ada", VirtualPath: "/a", FileSize: 1 << 60}))
		result.add("provider", nil, api.NotifyProviderEvent(&notifier.ProviderEvent{Action: "add"}))
		result.add("log", nil, api.NotifyLogEvent(&notifier.LogEvent{Event: 5}))
	case kms.Service:
		payload, key, mode, err := api.Encrypt("secret", "ada", "vault://k", "m")
		result.add("seal", payload, err)
		text, err := api.Decrypt(payload, key, "ada", int(mode), "vault://k", "m")
		result.add("open", text, err)
		text, err = api.Decrypt(payload, key, "bob", int(mode), "vault://k", "m")
		result.add("open for another", text, err)
	case ipfilter.Filter:
		result.add("allowed", nil, api.CheckIP("192.0.2.1", "SSH"))
		result.add("refused", nil, api.CheckIP("203.0.113.9", "SSH"))
		result.add("reload", nil, api.Reload())
	}
	return nil
}

func askAuth(api auth.Authenticator, printed, user string, result *report) {
	password := func(ask, username, password string) {
		user, err := api.CheckUserAndPass(username, password, "192.0.2.7", "SSH", []byte(`{"id":0,"username":"`+username+`"}`))
		result.add(ask, string(user), err)
	}
	password("right password", "ada", "engine")
	password("wrong password", "ada", "x")
	password("failure", "down", "x")
	password("five megabytes", "ada", strings.Repeat("x", 5<<20))
	_, err := api.CheckUserAndPublicKey("ada", "ssh-ed25519 good\n", "192.0.2.7", "SSH", nil)
	result.add("right key", nil, err)
	_, err = api.CheckUserAndTLSCert("ada", "-", "192.0.2.7", "SSH", nil)
	result.add("certificate", nil, err)
	_, err = api.CheckUserAndKeyboardInteractive("ada", "192.0.2.7", "SSH", nil)
	result.add("begin dialogue", nil, err)
	_, questions, _, verdict, _, err := api.SendKeyboardAuthRequest("id", "ada", "", "192.0.2.7", nil, nil, 1)
	result.add("first step", questions, err)
	_, _, _, verdict, _, err = api.SendKeyboardAuthRequest("id", "ada", "", "", []string{"engine"}, questions, 2)
	result.add("last step", verdict, err)
	if user != "" {
		password("further user", user, "x")
	}
	if printed != "" {
		password("print", "print", printed)
	}
}

func secureConfig(path string, right bool) *plugin.SecureConfig {
	content, _ := os.ReadFile(path)
	sum := sha256.Sum256(content)
	if !right {
		sum[0] ^= 1
	}
	decoded, _ := hex.DecodeString(hex.EncodeToString(sum[:]))
	return &plugin.SecureConfig{Checksum: decoded, Hash: sha256.New()}
}

func lines(text string) []map[string]any {
	found := []map[string]any{}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		entry := map[string]any{}
		if json.Unmarshal([]byte(line), &entry) == nil {
			found = append(found, entry)
		}
	}
	return found
}

var handshakes = map[string]plugin.HandshakeConfig{
	"auth": auth.Handshake, "notifier": notifier.Handshake, "kms": kms.Handshake, "ipfilter": ipfilter.Handshake,
}

var plugins = map[string]map[string]plugin.Plugin{
	"auth": auth.PluginMap, "notifier": notifier.PluginMap, "kms": kms.PluginMap, "ipfilter": ipfilter.PluginMap,
}
