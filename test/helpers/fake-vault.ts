import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * A FAKE of the part of HashiCorp Vault's transit API that examples/kms-vault uses: keys by name, AES-256-GCM with
 * associated data, a token, errors in Vault's form. It is no Vault and keeps nothing.
 */
export interface FakeVault extends AsyncDisposable {
  readonly url: string
  readonly token: string
  /** How often it was asked for anything. */
  calls: number
  /** Answers 503 as a sealed Vault does. */
  sealed: boolean
  /** How long it takes for each answer. */
  delayMs: number
  addKey(name: string): void
  /** As deleting a key at the provider: what it sealed opens never again. */
  deleteKey(name: string): void
}

/** Starts the fake on a free port of this machine. */
export async function startFakeVault(): Promise<FakeVault> {
  const keys = new Map<string, Buffer>()
  const token = randomBytes(12).toString('hex')
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      fake.calls += 1
      const [status, answer] = answerTo(request.url ?? '', request.headers['x-vault-token'], chunks)
      setTimeout(() => {
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
      }, fake.delayMs)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  // A server that listens on an address has one.
  const { port } = server.address() as AddressInfo
  const fake: FakeVault = {
    ...{ url: `http://127.0.0.1:${port}`, token, calls: 0, sealed: false, delayMs: 0 },
    addKey: (name) => void keys.set(name, randomBytes(32)),
    deleteKey: (name) => void keys.delete(name),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return fake

  function answerTo(path: string, given: unknown, chunks: readonly Buffer[]): [number, object] {
    if (fake.sealed) return [503, { errors: ['Vault is sealed'] }]
    if (given !== token) return [403, { errors: ['permission denied'] }]
    const [, action, name = ''] = /^\/v1\/transit\/(encrypt|decrypt)\/([^/]+)$/.exec(path) ?? []
    const key = keys.get(decodeURIComponent(name))
    if (key === undefined) return [400, { errors: ['encryption key not found'] }]
    // What the plugin sends; a wrong form ends in the catch below.
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, string>
    const data = Buffer.from(body['associated_data'] ?? '', 'base64')
    try {
      return [200, { data: action === 'encrypt' ? seal(key, data, body) : open(key, data, body) }]
    } catch {
      return [400, { errors: ['cipher: message authentication failed'] }]
    }
  }
}

function seal(key: Buffer, data: Buffer, { plaintext = '' }: Readonly<Record<string, string>>): object {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(data)
  const sealed = Buffer.concat([nonce, cipher.update(plaintext, 'base64'), cipher.final()])
  return { ciphertext: `vault:v1:${Buffer.concat([sealed, cipher.getAuthTag()]).toString('base64')}` }
}

function open(key: Buffer, data: Buffer, { ciphertext = '' }: Readonly<Record<string, string>>): object {
  const sealed = Buffer.from(/^vault:v1:(.+)$/.exec(ciphertext)?.[1] ?? '', 'base64')
  const cipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), { authTagLength: 16 })
  cipher.setAAD(data).setAuthTag(sealed.subarray(-16))
  const plain = Buffer.concat([cipher.update(sealed.subarray(12, -16)), cipher.final()])
  return { plaintext: plain.toString('base64') }
}
