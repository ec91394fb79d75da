import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  status,
  type ServerUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { describe, expect, it } from 'vitest'
import { PluginError } from '../../../src/base/errors.ts'
import { Scope } from '../../../src/base/scope.ts'
import { HealthDefinition } from '../../../src/gen/health.ts'
import { DecryptRequest, DecryptResponse, KMSDefinition } from '../../../src/gen/slots/kms.ts'
import { OutputQueue } from '../../../src/sdk/output-queue.ts'
import { standardServices } from '../../../src/sdk/standard-services.ts'
import type { ServerCall } from '../../../src/wire/answering.ts'
import { createIdentity } from '../../../src/wire/certificate.ts'
import { openChannel } from '../../../src/wire/client.ts'
import { openSocketFolder, socketPathIn } from '../../../src/wire/endpoint.ts'
import { openPluginServer, serve } from '../../../src/wire/server.ts'

const question = { payload: 'p', key: '', additionalData: '', mode: 0, url: '', masterKey: '' }
const decryptPath = `/${KMSDefinition.fullName}/Decrypt`

describe('a host on another gRPC library and our plugin', () => {
  it('ask and answer over mutual TLS, with metadata and deadline', async () => {
    const seen: Pick<ServerCall, 'metadata' | 'remainingMs'>[] = []
    await using rig = await openPlugin(async ({ payload }, { metadata, remainingMs }) => {
      seen.push({ metadata, remainingMs })
      return { payload: payload.toUpperCase() }
    })
    const metadata = new Metadata()
    metadata.set('event_id', 'e-1')
    metadata.set('odd-bin', Buffer.from([0, 255]))
    await expect(rig.decrypt({ ...question, payload: 'größer' }, metadata)).resolves.toEqual({
      payload: 'GRÖSSER',
    })
    expect(seen[0]?.metadata).toMatchObject({ event_id: 'e-1' })
    expect(Object.keys(seen[0]?.metadata ?? {}).sort()).toEqual(['event_id', 'user-agent'])
    expect(seen[0]?.remainingMs).toBeGreaterThan(1_000)
  })

  it('pass messages of five megabytes both ways', async () => {
    await using rig = await openPlugin(async ({ payload }) => ({ payload: `${payload}!` }))
    const payload = 'x'.repeat(5 << 20)
    expect((await rig.decrypt({ ...question, payload }, new Metadata(), 30_000)).payload.length).toBe(
      payload.length + 1,
    )
    const many = await Promise.all(
      Array.from({ length: 4 }, () => rig.decrypt({ ...question, payload }, new Metadata(), 30_000)),
    )
    expect(many.map((answer) => answer.payload.length)).toEqual(
      Array.from({ length: 4 }, () => payload.length + 1),
    )
  })

  it('tell errors with their number and words', async () => {
    await using rig = await openPlugin(async () => {
      throw new PluginError('refused', 'Nein: 100 % größer\n\ud800')
    })
    await expect(rig.decrypt(question)).rejects.toMatchObject({
      code: status.PERMISSION_DENIED,
      details: 'Nein: 100 % größer\n\ufffd',
    })
    await expect(rig.ask('/proto.KMS/Nothing', question)).rejects.toMatchObject({
      code: status.UNIMPLEMENTED,
    })
  })

  it('end a call whose time is over or that was given up, and the handler hears of it', async () => {
    let heard = 0
    await using rig = await openPlugin(async (_request, { signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
      heard += 1
      return { payload: '' }
    })
    await expect(rig.decrypt(question, new Metadata(), 100)).rejects.toMatchObject({
      code: status.DEADLINE_EXCEEDED,
    })
    const given = rig.begin(question)
    setTimeout(() => given.cancel(), 50)
    await expect(given.answer).rejects.toMatchObject({ code: status.CANCELLED })
    await expect.poll(() => heard).toBe(2)
  })

  it('refuse packed messages in words', async () => {
    await using rig = await openPlugin(async () => ({ payload: '' }), {
      'grpc.default_compression_algorithm': 2,
    })
    await expect(rig.decrypt(question)).rejects.toMatchObject({ code: status.UNIMPLEMENTED, details: /gzip/ })
  })

  it('keep streams of both kinds open beside the calls', async () => {
    await using rig = await openPlugin(async () => ({ payload: 'x' }))
    rig.output.push('stdout', Buffer.from('a'.repeat(200_000)))
    const stdio = rig.client.makeServerStreamRequest(
      '/plugin.GRPCStdio/StreamStdio',
      asIs,
      (b) => b.length,
      Buffer.alloc(0),
    )
    const broker = rig.client.makeBidiStreamRequest('/plugin.GRPCBroker/StartStream', asIs, asIs)
    let bytes = 0
    stdio.on('data', (length: number) => (bytes += length)).on('error', () => {})
    broker.on('error', () => {}).write(Buffer.alloc(0))
    await expect.poll(() => bytes).toBeGreaterThan(200_000)
    await expect(rig.decrypt(question)).resolves.toEqual({ payload: 'x' })
    stdio.cancel()
    broker.cancel()
    await expect(rig.decrypt(question)).resolves.toEqual({ payload: 'x' })
  })
})

describe('our host and a plugin on another gRPC library', () => {
  it('ask and answer over mutual TLS, large and small, many at once', async () => {
    await using rig = await openForeign((call, done) => done(null, { payload: call.request.payload }))
    for (const size of [0, 20_000, 3 << 20]) {
      const payload = 'x'.repeat(size)
      await expect(rig.decrypt({ ...question, payload })).resolves.toEqual({ payload })
    }
    const many = Array.from({ length: 300 }, (_, index) =>
      rig.decrypt({ ...question, payload: String(index) }),
    )
    expect((await Promise.all(many)).map(({ payload }) => Number(payload))).toEqual([...many.keys()])
  })

  it('tell a refusal from a failure, and a method that is not there', async () => {
    await using rig = await openForeign((_call, done) =>
      done({ code: status.UNAUTHENTICATED, details: 'Nein: größer' }),
    )
    await expect(rig.decrypt(question)).rejects.toMatchObject({ code: 'refused' })
    await expect(rig.decrypt(question)).rejects.toThrow('größer')
    await expect(rig.encrypt(question)).rejects.toMatchObject({ code: 'unimplemented' })
  })

  it('end calls at their deadline', async () => {
    await using rig = await openForeign(() => {})
    await expect(rig.decrypt(question, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'deadline' })
    expect(await rig.channel.health()).toBe('serving')
  })
})

const asIs = (bytes: Buffer): Buffer => bytes

type Decrypt = (request: DecryptRequest, call: ServerCall) => Promise<DecryptResponse>

/** Our plugin's server, asked by grpc-js. */
async function openPlugin(decrypt: Decrypt, options: Record<string, number> = {}) {
  const scope = new Scope()
  const folder = scope.own(await openSocketFolder())
  const [host, plugin] = [await createIdentity(), await createIdentity()]
  const output = new OutputQueue()
  const path = socketPathIn(folder.path)
  const server = await openPluginServer({
    listen: { network: 'unix', path },
    tls: { identity: plugin, clientCertificatePem: host.certificatePem },
    services: [
      serve(KMSDefinition, {
        encrypt: async () => ({ payload: '', key: '', additionalData: '', mode: 0 }),
        decrypt,
      }),
      ...standardServices({ output, leave: () => {}, slotServices: [KMSDefinition.fullName] }),
    ],
  })
  scope.defer(() => server.stop())
  const secured = credentials.createSsl(
    Buffer.from(plugin.certificatePem),
    Buffer.from(host.privateKeyPem),
    Buffer.from(host.certificatePem),
  )
  const client = new Client(`unix:${path}`, secured, { 'grpc.max_receive_message_length': -1, ...options })
  scope.defer(() => client.close())
  const begin = (request: DecryptRequest, metadata = new Metadata(), timeoutMs = 5_000, at = decryptPath) => {
    let cancel = (): void => {}
    const answer = new Promise<DecryptResponse>((resolve, reject) => {
      const encode = (value: DecryptRequest) => Buffer.from(DecryptRequest.encode(value).finish())
      const decode = (bytes: Buffer) => DecryptResponse.decode(bytes)
      const call = client.makeUnaryRequest(
        at,
        encode,
        decode,
        request,
        metadata,
        { deadline: Date.now() + timeoutMs },
        (error, reply) => {
          if (error === null) resolve(reply ?? { payload: 'nothing' })
          else reject(error)
        },
      )
      cancel = () => call.cancel()
    })
    return { answer, cancel: () => cancel() }
  }
  return {
    ...{ client, output, begin },
    decrypt: (request: DecryptRequest, metadata?: Metadata, timeoutMs?: number) =>
      begin(request, metadata, timeoutMs).answer,
    ask: (at: string, request: DecryptRequest) => begin(request, new Metadata(), 5_000, at).answer,
    [Symbol.asyncDispose]: () => scope.close(),
  }
}

/** A plugin's server by grpc-js, asked by our host. */
async function openForeign(
  decrypt: (
    call: ServerUnaryCall<DecryptRequest, DecryptResponse>,
    done: sendUnaryData<DecryptResponse>,
  ) => void,
) {
  const scope = new Scope()
  const folder = scope.own(await openSocketFolder())
  const [host, plugin] = [await createIdentity(), await createIdentity()]
  const path = socketPathIn(folder.path)
  const server = new Server({ 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 })
  const shape = { requestStream: false, responseStream: false }
  server.addService(
    {
      decrypt: {
        ...{ path: decryptPath, ...shape },
        requestSerialize: (value: DecryptRequest) => Buffer.from(DecryptRequest.encode(value).finish()),
        requestDeserialize: (bytes: Buffer) => DecryptRequest.decode(bytes),
        responseSerialize: (value: DecryptResponse) => Buffer.from(DecryptResponse.encode(value).finish()),
        responseDeserialize: (bytes: Buffer) => DecryptResponse.decode(bytes),
      },
      check: {
        ...{ path: `/${HealthDefinition.fullName}/Check`, ...shape },
        ...{ requestSerialize: asIs, requestDeserialize: asIs },
        ...{ responseSerialize: asIs, responseDeserialize: asIs },
      },
    },
    { decrypt, check: (_call: unknown, done: sendUnaryData<Buffer>) => done(null, Buffer.from([8, 1])) },
  )
  const pair = {
    private_key: Buffer.from(plugin.privateKeyPem),
    cert_chain: Buffer.from(plugin.certificatePem),
  }
  await new Promise<void>((resolve, reject) => {
    const secured = ServerCredentials.createSsl(Buffer.from(host.certificatePem), [pair], true)
    server.bindAsync(`unix:${path}`, secured, (error) => (error === null ? resolve() : reject(error)))
  })
  scope.defer(() => server.forceShutdown())
  const tls = { identity: host, pluginCertificate: plugin.certificateDer }
  const channel = scope.own(await openChannel({ address: { network: 'unix', path }, tls }))
  return {
    channel,
    ...channel.caller(KMSDefinition, { timeoutMs: 5_000 }),
    [Symbol.asyncDispose]: () => scope.close(),
  }
}
