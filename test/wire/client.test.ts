import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import { createServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { PluginError } from '../../src/base/errors.ts'
import { Scope } from '../../src/base/scope.ts'
import { HealthDefinition } from '../../src/gen/health.ts'
import { IPFilterDefinition } from '../../src/gen/slots/ipfilter.ts'
import { DecryptResponse, KMSDefinition } from '../../src/gen/slots/kms.ts'
import { createIdentity } from '../../src/wire/certificate.ts'
import { Channel, openChannel } from '../../src/wire/client.ts'
import { openSocketFolder, socketPathIn } from '../../src/wire/endpoint.ts'
import { frameOf } from '../../src/wire/framing.ts'
import { openPluginServer, serve } from '../../src/wire/server.ts'

const question = { payload: 'p', key: '', additionalData: '', mode: 0, url: '', masterKey: '' }
const ok = { 'grpc-status': '0' }

describe('a call', () => {
  it('over mutual TLS gets its answer', async () => {
    await using scope = new Scope()
    const folder = scope.own(await openSocketFolder())
    const [host, plugin] = [await createIdentity(), await createIdentity()]
    const server = await openPluginServer({
      listen: { network: 'unix', path: socketPathIn(folder.path) },
      tls: { identity: plugin, clientCertificatePem: host.certificatePem },
      services: [serve(IPFilterDefinition, { checkIP: async () => ({}), reload: async () => ({}) })],
    })
    scope.defer(() => server.stop())
    const tls = { identity: host, pluginCertificate: plugin.certificateDer }
    const channel = scope.own(await openChannel({ address: server.address, tls }))
    expect(channel.tlsVersion).toBe('TLSv1.3')
    const { checkIP } = channel.caller(IPFilterDefinition, { timeoutMs: 1_000 })
    await expect(checkIP({ ip: '127.0.0.1', protocol: 'SSH' })).resolves.toEqual({})
  })

  it('carries its metadata and deadline, escaped where they would break the line', async () => {
    await using odd = await openOdd((stream, headers) => {
      const seen = ['event_id', 'name', 'grpc-timeout', 'te', 'host']
        .map((key) => String(headers[key] ?? '-'))
        .join(' ')
      answer(stream, DecryptResponse.encode({ payload: seen }).finish())
    })
    const metadata = {
      event_id: 'e-1',
      name: 'ünï\nx',
      'grpc-status': '7',
      ':path': '/x',
      'Bad Name': 'x',
      te: 'y',
    }
    await expect(odd.decrypt(question, { metadata })).resolves.toEqual({
      payload: 'e-1 %C3%BCn%C3%AF%0Ax 1000m trailers -',
    })
  })

  it('runs inside what the caller puts around it', async () => {
    await using odd = await openOdd((stream) => answer(stream, Buffer.alloc(0)))
    const seen: string[] = []
    const { decrypt } = odd.channel.caller(KMSDefinition, {
      timeoutMs: 1_000,
      around: async ({ service, method }, run) => {
        seen.push(`${service} ${method}`)
        return run()
      },
    })
    await decrypt(question)
    expect(seen).toEqual(['proto.KMS Decrypt'])
  })

  it('waits in line where the plugin takes one at a time', async () => {
    let open = 0
    let most = 0
    await using odd = await openOdd(
      (stream) => {
        most = Math.max(most, ++open)
        setTimeout(() => {
          open -= 1
          answer(stream, Buffer.alloc(0))
        }, 5)
      },
      { maxConcurrentStreams: 1 },
    )
    await Promise.all(Array.from({ length: 20 }, () => odd.decrypt(question)))
    expect(most).toBe(1)
  })

  it('above the bound is not sent', async () => {
    await using odd = await openOdd(
      (stream) => answer(stream, Buffer.alloc(0)),
      {},
      { maxRequestBytes: 1_000 },
    )
    await expect(odd.decrypt({ ...question, payload: 'x'.repeat(1_000) })).rejects.toMatchObject({
      code: 'too-large',
    })
  })

  it('that was given up before it began is not sent', async () => {
    let asked = 0
    await using odd = await openOdd((stream) => {
      asked += 1
      answer(stream, Buffer.alloc(0))
    })
    await expect(odd.decrypt(question, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'cancelled',
    })
    expect(asked).toBe(0)
  })

  it('tells the plugin when it is given up', async () => {
    let closed = (): void => {}
    const ended = new Promise<void>((resolve) => (closed = resolve))
    await using odd = await openOdd((stream) => void stream.on('close', closed).on('error', () => {}))
    const controller = new AbortController()
    const call = expect(odd.decrypt(question, { signal: controller.signal })).rejects.toMatchObject({
      code: 'cancelled',
    })
    setTimeout(() => controller.abort(), 20)
    await call
    await ended
  })
})

describe('an answer', () => {
  const bad: readonly (readonly [string, string, (stream: ServerHttp2Stream) => void])[] = [
    ['that is no protobuf', 'malformed-reply', (s) => answer(s, Buffer.from([0x0a, 0x7f, 0x01]))],
    ['with a wire type that does not exist', 'malformed-reply', (s) => answer(s, Buffer.from([0x0f, 0x01]))],
    ['with a number that never ends', 'malformed-reply', (s) => answer(s, Buffer.alloc(20, 0xff))],
    ['with text that is not UTF-8', 'malformed-reply', (s) => answer(s, Buffer.from([0x0a, 2, 0xff, 0xfe]))],
    ['of four gigabytes', 'too-large', (s) => raw(s, Buffer.from([0, 0xff, 0xff, 0xff, 0xff]))],
    ['of seventeen megabytes', 'too-large', (s) => answer(s, Buffer.alloc(17 << 20))],
    ['that is compressed', 'malformed-reply', (s) => raw(s, Buffer.from([1, 0, 0, 0, 0]))],
    ['that is cut', 'malformed-reply', (s) => raw(s, Buffer.from([0, 0, 0, 0, 9, 1, 2]))],
    ['in two pieces that are two answers', 'malformed-reply', (s) => raw(s, Buffer.alloc(10))],
    ['without a message', 'malformed-reply', (s) => raw(s, Buffer.alloc(0))],
    [
      'without a status',
      'malformed-reply',
      (s) => {
        s.respond({ ':status': 200 })
        s.end(frameOf(Buffer.alloc(0)))
      },
    ],
    [
      'of a web server',
      'malformed-reply',
      (s) => {
        s.respond({ ':status': 404, 'content-type': 'text/html' })
        s.end('<html>Not here</html>')
      },
    ],
    ['that is a reset', 'malformed-reply', (s) => s.close(2)],
    ['that is a refused stream', 'overloaded', (s) => s.close(7)],
    ['that never comes', 'deadline', () => {}],
    [
      'that stops half-way',
      'deadline',
      (s) => {
        s.respond({ ':status': 200 })
        s.write(Buffer.from([0, 0, 0, 0, 9, 1, 2]))
      },
    ],
    ['with a status of its own making', 'failed', (s) => status(s, '99', 'odd')],
    ['that says so in broken escapes', 'refused', (s) => status(s, '7', '100%')],
  ]

  it.each(bad)('%s is a failure with a reason, and the next call works', async (_what, code, behave) => {
    let first = true
    await using odd = await openOdd((stream) => {
      stream.on('error', () => {})
      if (first) behave(stream)
      else answer(stream, Buffer.alloc(0))
      first = false
    })
    await expect(odd.decrypt(question, { timeoutMs: 300 })).rejects.toMatchObject({
      name: 'PluginError',
      code,
    })
    await expect(odd.decrypt(question)).resolves.toEqual({ payload: '' })
  })

  it.each([
    ['1', 'cancelled'],
    ['2', 'refused-or-failed'],
    ['3', 'failed'],
    ['4', 'deadline'],
    ['7', 'refused'],
    ['8', 'overloaded'],
    ['12', 'unimplemented'],
    ['13', 'failed'],
    ['14', 'failed'],
    ['16', 'refused'],
  ])('with status %s means %s and keeps its text', async (number, code) => {
    await using odd = await openOdd((stream) => status(stream, number, 'na%C3%AFve'))
    const failing = odd.decrypt(question)
    await expect(failing).rejects.toMatchObject({ code })
    await expect(failing).rejects.toThrow('naïve')
  })

  it('has words that are bounded and cannot forge a line or steer a terminal', async () => {
    const words = `no%0A{"level":"info"}%1B[2J%00${'x'.repeat(20_000)}`
    await using odd = await openOdd((stream) => status(stream, '7', words))
    const error: unknown = await odd.decrypt(question).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      message: expect.stringMatching(/^"[^"]+" ended with PERMISSION_DENIED: no \{"level"/),
    })
    expect(String(error)).not.toMatch(/\p{Cc}/u)
    expect(String(error).length).toBeLessThan(1_200)
  })

  it('above the four megabytes of gRPC libraries is taken', async () => {
    await using odd = await openOdd((stream) => answer(stream, Buffer.from(payloadOf('x'.repeat(5 << 20)))))
    const { payload } = await odd.decrypt(question)
    expect(payload.length).toBe(5 << 20)
  })

  it('is bounded together with all others that are under way', async () => {
    const half = Buffer.concat([Buffer.from([0, 0, 0x10, 0, 0]), Buffer.alloc(700_000)])
    await using odd = await openOdd(
      (stream) => {
        stream.on('error', () => {})
        stream.respond({ ':status': 200 })
        stream.write(half)
      },
      {},
      { maxHeldBytes: 2_000_000 },
    )
    const codes = await Promise.all(
      Array.from({ length: 4 }, () =>
        odd.decrypt(question, { timeoutMs: 800 }).then(String, (error: PluginError) => error.code),
      ),
    )
    // What one gives up makes room for the others.
    expect(codes.toSorted((a, b) => a.localeCompare(b))).toEqual([
      ...['deadline', 'deadline', 'too-large', 'too-large'],
    ])
    expect(odd.channel.isOpen).toBe(true)
  })

  it('costs no more memory than the bound while it trickles in', async () => {
    await using odd = await openOdd((stream) => {
      stream.on('error', () => {})
      stream.respond({ ':status': 200 })
      stream.write(Buffer.from([0, 0, 0x10, 0, 0]))
      const timer = setInterval(() => stream.write(Buffer.alloc(1)), 5)
      stream.on('close', () => clearInterval(timer))
    })
    await expect(odd.decrypt(question, { timeoutMs: 200 })).rejects.toMatchObject({ code: 'deadline' })
  })
})

describe('a connection', () => {
  it('that ends fails its calls and those after it', async () => {
    await using odd = await openOdd((stream) => stream.session?.destroy())
    await expect(odd.decrypt(question)).rejects.toMatchObject({ code: 'exited' })
    await odd.channel.closed
    expect(odd.channel.isOpen).toBe(false)
    await expect(odd.decrypt(question)).rejects.toMatchObject({ code: 'exited' })
  })

  it('that we end fails its calls with our reason', async () => {
    await using odd = await openOdd(() => {})
    const call = expect(odd.decrypt(question)).rejects.toMatchObject({ code: 'hung' })
    await odd.channel.close(new PluginError('hung', 'It does not answer'))
    await call
  })

  it.each<[string, (socket: Socket) => void]>([
    ['that says nothing', () => {}],
    ['that speaks HTTP/1', (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['that says rubbish', (socket) => socket.write(Buffer.alloc(100, 0x41))],
    ['that is closed at once', (socket) => socket.destroy()],
  ])('to something %s is not opened', async (_what, behave) => {
    await using scope = new Scope()
    const folder = scope.own(await openSocketFolder())
    const path = socketPathIn(folder.path)
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}))
      behave(socket)
    })
    await new Promise<void>((resolve) => server.listen(path, resolve))
    scope.defer(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const identity = await createIdentity()
    const tls = { identity, pluginCertificate: identity.certificateDer }
    for (const options of [{ timeoutMs: 300 }, { timeoutMs: 300, tls }]) {
      const opening = openChannel({ address: { network: 'unix', path }, ...options })
      await expect(opening).rejects.toMatchObject({ name: 'PluginError' })
    }
  })

  it('is not opened below TLS 1.2', async () => {
    await using scope = new Scope()
    const folder = scope.own(await openSocketFolder())
    const path = socketPathIn(folder.path)
    const [host, plugin] = [await createIdentity(), await createIdentity()]
    const server = createTlsServer({
      ...{ key: plugin.privateKeyPem, cert: plugin.certificatePem, ALPNProtocols: ['h2'] },
      ...{ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
    })
    server.on('tlsClientError', () => {})
    await new Promise<void>((resolve) => server.listen(path, resolve))
    scope.defer(() => void server.close())
    const tls = { identity: host, pluginCertificate: plugin.certificateDer }
    await expect(openChannel({ address: { network: 'unix', path }, tls })).rejects.toMatchObject({
      code: 'untrusted-certificate',
    })
  })

  it('to nothing is refused', async () => {
    await expect(
      openChannel({ address: { network: 'unix', path: '/tmp/no-such-socket' } }),
    ).rejects.toMatchObject({
      code: 'connection-refused',
    })
  })

  it('ignores the proxies of the environment', async () => {
    const before = { ...process.env }
    Object.assign(process.env, {
      https_proxy: 'http://127.0.0.1:1',
      grpc_proxy: 'http://127.0.0.1:1',
      no_proxy: '',
    })
    try {
      await using scope = new Scope()
      const server = await openPluginServer({
        listen: { network: 'tcp', minPort: 0, maxPort: 0 },
        services: [serve(IPFilterDefinition, { checkIP: async () => ({}), reload: async () => ({}) })],
      })
      scope.defer(() => server.stop())
      const channel = scope.own(await openChannel({ address: server.address }))
      expect(channel).toBeInstanceOf(Channel)
    } finally {
      process.env = before
    }
  })
})

type Behaviour = (
  stream: ServerHttp2Stream,
  headers: Readonly<Record<string, string | string[] | number | undefined>>,
) => void

/** A plugin that answers the key keeper's questions as oddly as it is told, and its health as it should. */
async function openOdd(
  behave: Behaviour,
  settings: { readonly maxConcurrentStreams?: number } = {},
  options: { readonly maxRequestBytes?: number; readonly maxHeldBytes?: number } = {},
) {
  const scope = new Scope()
  const folder = scope.own(await openSocketFolder())
  const path = socketPathIn(folder.path)
  const server = createHttp2Server({ settings, maxSessionMemory: 200 })
  server.on('sessionError', () => {})
  server.on('stream', (stream, headers) => {
    const healthy = String(headers[':path']).startsWith(`/${HealthDefinition.fullName}/`)
    if (healthy) answer(stream, Buffer.from([0x08, 0x01]))
    else behave(stream, headers)
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  scope.defer(() => void server.close())
  const channel = scope.own(await openChannel({ address: { network: 'unix', path }, ...options }))
  const { decrypt } = channel.caller(KMSDefinition, { timeoutMs: 1_000 })
  return { channel, decrypt, [Symbol.asyncDispose]: () => scope.close() }
}

function payloadOf(payload: string): Uint8Array {
  return DecryptResponse.encode({ payload }).finish()
}

function answer(stream: ServerHttp2Stream, message: Uint8Array): void {
  raw(stream, frameOf(message))
}

function raw(stream: ServerHttp2Stream, bytes: Uint8Array): void {
  stream.on('error', () => {})
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers(ok))
  stream.end(bytes)
}

function status(stream: ServerHttp2Stream, code: string, message: string): void {
  stream.respond({ ':status': 200, 'grpc-status': code, 'grpc-message': message }, { endStream: true })
}
