import { json } from './common-files.ts'
import { template } from './template.ts'
import type { ScaffoldFiles, ScaffoldOptions, ScaffoldSlot } from './scaffold-options.ts'

/** A plugin in Go, over SFTPGo's own sdk, which holds the generated protos. */
export function goFiles({ name, slot, dependency }: ScaffoldOptions): ScaffoldFiles {
  return {
    'main.go': `${head(slot)}${bodies[slot]}${tail(slot)}`,
    'go.mod': template('go-mod.txt').replace('module scaffold', `module ${name}`),
    'go.sum': template('go-sum.txt'),
    'package.json': json({
      ...{ name, version: '0.1.0', private: true, license: 'Apache-2.0' },
      scripts: {
        dev: 'sftpgo-ts plugin dev .',
        test: 'go vet ./... && sftpgo-ts plugin test .',
        lint: 'sftpgo-ts plugin lint .',
        pack: 'sftpgo-ts plugin pack .',
      },
      devDependencies: { 'sftpgo-ts': dependency },
    }),
    '.gitignore': 'node_modules/\nbin/\ndist/\n',
  }
}

const imports: Readonly<Record<ScaffoldSlot, readonly string[]>> = {
  auth: ['encoding/json', 'os'],
  notifier: ['encoding/json', 'os'],
  kms: [
    'crypto/aes',
    'crypto/cipher',
    'crypto/rand',
    'crypto/sha256',
    'encoding/base64',
    'encoding/json',
    'errors',
    'os',
  ],
  ipfilter: ['encoding/json', 'net/netip', 'os', 'slices'],
}

/** Refusals need a status: an ordinary error says nothing about whose fault it is. */
const needsStatus: readonly ScaffoldSlot[] = ['auth', 'ipfilter']

function head(slot: ScaffoldSlot): string {
  const theirs = [
    'github.com/hashicorp/go-hclog',
    'github.com/hashicorp/go-plugin',
    `github.com/sftpgo/sdk/plugin/${slot}`,
  ]
  if (needsStatus.includes(slot)) theirs.push('google.golang.org/grpc/codes', 'google.golang.org/grpc/status')
  const block = [imports[slot], theirs]
    .map((group) => group.map((one) => `\t"${one}"`).join('\n'))
    .join('\n\n')
  return `package main

import (
${block}
)

var log = hclog.New(&hclog.LoggerOptions{Output: os.Stderr, JSONFormat: true})

`
}

function tail(slot: ScaffoldSlot): string {
  return `
func main() {
	if text := os.Getenv("SFTPGO_TS_PLUGIN_SETTINGS"); text != "" {
		if err := json.Unmarshal([]byte(text), &settings); err != nil {
			log.Error("cannot read the settings", "error", err)
			os.Exit(1)
		}
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: ${slot}.Handshake,
		Plugins:         map[string]plugin.Plugin{${slot}.PluginName: &${slot}.Plugin{Impl: implementation{}}},
		GRPCServer:      plugin.DefaultGRPCServer,
		Logger:          log,
	})
}
`
}

const bodies: Readonly<Record<ScaffoldSlot, string>> = {
  auth: `var settings struct {
	Users map[string]string \`json:"users"\`
	Home  string            \`json:"home"\`
}

type implementation struct{}

func (implementation) CheckUserAndPass(username, password, ip, protocol string, user []byte) ([]byte, error) {
	known, found := settings.Users[username]
	if !found || password == "" || known != password {
		return nil, status.Error(codes.PermissionDenied, "wrong name or password")
	}
	return json.Marshal(map[string]any{
		"username": username, "home_dir": settings.Home + "/" + username,
		"permissions": map[string][]string{"/": {"*"}}, "status": 1,
	})
}

func (implementation) CheckUserAndTLSCert(username, cert, ip, protocol string, user []byte) ([]byte, error) {
	return nil, status.Error(codes.Unimplemented, "no certificates")
}

func (implementation) CheckUserAndPublicKey(username, key, ip, protocol string, user []byte) ([]byte, error) {
	return nil, status.Error(codes.Unimplemented, "no keys")
}

func (implementation) CheckUserAndKeyboardInteractive(username, ip, protocol string, user []byte) ([]byte, error) {
	return nil, status.Error(codes.Unimplemented, "no dialogue")
}

func (implementation) SendKeyboardAuthRequest(id, username, password, ip string, answers, questions []string, step int32) (string, []string, []bool, int, int, error) {
	return "", nil, nil, 0, 0, status.Error(codes.Unimplemented, "no dialogue")
}
`,
  notifier: `var settings struct {
	Greeting string \`json:"greeting"\`
}

type implementation struct{}

func (implementation) NotifyFsEvent(event *notifier.FsEvent) error {
	if event.Action == "upload" && event.Status == 1 {
		log.Info(settings.Greeting+" "+event.VirtualPath, "username", event.Username, "bytes", event.FileSize)
	}
	return nil
}

func (implementation) NotifyProviderEvent(event *notifier.ProviderEvent) error { return nil }

func (implementation) NotifyLogEvent(event *notifier.LogEvent) error { return nil }
`,
  kms: `var settings struct {
	Passphrase string \`json:"passphrase"\`
}

type implementation struct{}

func keeper() (cipher.AEAD, error) {
	key := sha256.Sum256([]byte("sftpgo-ts " + settings.Passphrase))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (implementation) Encrypt(payload, additionalData, url, masterKey string) (string, string, int32, error) {
	aead, err := keeper()
	if err != nil {
		return "", "", 0, err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return "", "", 0, err
	}
	sealed := aead.Seal(nonce, nonce, []byte(payload), []byte(additionalData))
	return base64.StdEncoding.EncodeToString(sealed), "", 0, nil
}

func (implementation) Decrypt(payload, key, additionalData string, mode int, url, masterKey string) (string, error) {
	aead, err := keeper()
	if err != nil {
		return "", err
	}
	sealed, err := base64.StdEncoding.DecodeString(payload)
	if err != nil || len(sealed) < aead.NonceSize() {
		return "", errors.New("not a sealed secret")
	}
	opened, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(additionalData))
	return string(opened), err
}
`,
  ipfilter: `var settings struct {
	Refused []string \`json:"refused"\`
}

type implementation struct{}

func (implementation) CheckIP(ip, protocol string) error {
	address, err := netip.ParseAddr(ip)
	if err != nil || slices.Contains(settings.Refused, address.Unmap().String()) {
		return status.Error(codes.PermissionDenied, "on the list")
	}
	return nil
}

func (implementation) Reload() error { return nil }
`,
}
