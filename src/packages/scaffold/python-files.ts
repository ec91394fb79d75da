import { fileDescriptors } from '../../gen/descriptors.ts'
import { slots } from '../../slots/index.ts'
import { json } from './common-files.ts'
import { template } from './template.ts'
import type { ScaffoldFiles, ScaffoldOptions, ScaffoldSlot } from './scaffold-options.ts'

/** A plugin in Python with grpcio: the logic in plugin.py, what every host expects in serve.py with the compiled protos. */
export function pythonFiles({ name, slot, dependency }: ScaffoldOptions): ScaffoldFiles {
  const { cookie, service } = slots[slot]
  const serve = template('serve-py.txt')
  return {
    'plugin.py': bodies[slot],
    'serve.py': serve
      .replace('COOKIE_KEY', cookie.key)
      .replace('COOKIE_VALUE', cookie.value)
      .replace('SERVICE_NAME', service.fullName)
      .replace('DESCRIPTORS', descriptors(`slots/${slot}.proto`)),
    'requirements.txt': 'grpcio>=1.49\nprotobuf>=3.21\ncryptography>=38\n',
    'package.json': json({
      ...{ name, version: '0.1.0', private: true, license: 'Apache-2.0' },
      scripts: {
        setup: 'python3 -m venv .venv && .venv/bin/pip install --quiet -r requirements.txt',
        ready: 'test -d .venv || /usr/bin/python3 -c "import grpc, cryptography" || npm run setup',
        dev: 'npm run --silent ready && sftpgo-ts plugin dev .',
        test: 'npm run --silent ready && sftpgo-ts plugin test .',
        lint: 'sftpgo-ts plugin lint .',
        pack: 'sftpgo-ts plugin pack .',
      },
      devDependencies: { 'sftpgo-ts': dependency },
    }),
    '.gitignore': 'node_modules/\n.venv/\ndist/\n__pycache__/\n',
  }
}

/** The compiled protos of a slot, one base64 text each, those it imports first. */
function descriptors(file: string): string {
  const names = ['google/protobuf/empty.proto', file]
  const found = names.flatMap((name) => fileDescriptors.filter((one) => one.name === name))
  return found.map(({ descriptor }) => `    "${descriptor}",`).join('\n')
}

const head = `"""What this plugin does. Everything a host expects of a plugin besides is in serve.py."""

import json

import grpc

from serve import log, serve, settings

`

const bodies: Readonly<Record<ScaffoldSlot, string>> = {
  auth: `${head}
class Plugin:
    def CheckUserAndPass(self, asked, reply, context):
        known = settings.get("users", {}).get(asked.username)
        if not asked.password or known != asked.password:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "wrong name or password")
        home = f"{settings.get('home', '/tmp')}/{asked.username}"
        user = {"username": asked.username, "home_dir": home, "permissions": {"/": ["*"]}, "status": 1}
        return reply(user=json.dumps(user).encode())


serve(Plugin())
`,
  notifier: `${head.replace('import json\n\nimport grpc\n\n', '')}
class Plugin:
    def SendFsEvent(self, event, reply, context):
        if event.action == "upload" and event.status == 1:
            log("info", f"{settings.get('greeting', 'uploaded')} {event.virtual_path}", username=event.username)
        return reply()

    def SendProviderEvent(self, event, reply, context):
        return reply()

    def SendLogEvent(self, event, reply, context):
        return reply()


serve(Plugin())
`,
  kms: `${head.replace('import json\n', 'import base64\nimport hashlib\nimport os\n').replace('import log, serve', 'import serve').replace('import grpc\n', 'import grpc\nfrom cryptography.exceptions import InvalidTag\nfrom cryptography.hazmat.primitives.ciphers.aead import AESGCM\n')}key = hashlib.sha256(f"sftpgo-ts {settings.get('passphrase', '')}".encode()).digest()


class Plugin:
    def Encrypt(self, asked, reply, context):
        nonce = os.urandom(12)
        sealed = nonce + AESGCM(key).encrypt(nonce, asked.payload.encode(), asked.additional_data.encode())
        return reply(payload=base64.b64encode(sealed).decode())

    def Decrypt(self, asked, reply, context):
        try:
            sealed = base64.b64decode(asked.payload, validate=True)
            opened = AESGCM(key).decrypt(sealed[:12], sealed[12:], asked.additional_data.encode())
        except (InvalidTag, ValueError):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "cannot open this secret")
        return reply(payload=opened.decode())


serve(Plugin())
`,
  ipfilter: `${head.replace('import json\n', 'import ipaddress\n').replace('import log, serve', 'import serve')}
class Plugin:
    def CheckIP(self, asked, reply, context):
        try:
            address = ipaddress.ip_address(asked.ip)
        except ValueError:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no address")
        plain = getattr(address, "ipv4_mapped", None) or address
        if str(plain) in settings.get("refused", []):
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "on the list")
        return reply()

    def Reload(self, asked, reply, context):
        return reply()


serve(Plugin())
`,
}
