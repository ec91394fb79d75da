import { array, assert, asyncProperty, constantFrom, integer, oneof, tuple, uint8Array } from 'fast-check'
import { connect, createServer, type Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { Scope } from '../../../src/base/scope.ts'
import { HealthCheckRequest, HealthDefinition } from '../../../src/gen/health.ts'
import { IPFilterDefinition } from '../../../src/gen/slots/ipfilter.ts'
import { openChannel } from '../../../src/wire/client.ts'
import { openSocketFolder, socketPathIn } from '../../../src/wire/endpoint.ts'
import { frameOf } from '../../../src/wire/framing.ts'
import {
  flags,
  FrameCutter,
  framesOf,
  kinds,
  numbers,
  preface,
  reasons,
} from '../../../src/wire/http2/frames.ts'
import { blockOf } from '../../../src/wire/http2/hpack.ts'
import { openPluginServer, serve } from '../../../src/wire/server.ts'

const nothing = Buffer.alloc(0)
const settings = framesOf(0, { kind: kinds.settings, payload: nothing })
const greeting = Buffer.concat([preface, settings])
const asked = blockOf([
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', `/${HealthDefinition.fullName}/Check`],
  ['content-type', 'application/grpc'],
  ['te', 'trailers'],
])
const question = frameOf(HealthCheckRequest.encode({ service: '' }).finish())
const whole = (stream: number): Buffer =>
  framesOf(
    stream,
    { kind: kinds.headers, flag: flags.endHeaders, payload: asked },
    { kind: kinds.data, flag: flags.endStream, payload: question },
  )
const begun = framesOf(1, { kind: kinds.headers, flag: flags.endHeaders, payload: asked })
const data = (bytes: number, flag = 0) => ({ kind: kinds.data, flag, payload: Buffer.alloc(bytes) })

/** What breaks the rules, and for what reason the connection ends. */
const faults: readonly (readonly [string, keyof typeof reasons, Buffer])[] = [
  ['a frame that is too long', 'frameSize', Buffer.from([0, 0x40, 1, 0, 0, 0, 0, 0, 1])],
  ['data on no stream', 'protocol', framesOf(0, data(1))],
  ['data on a stream that never was', 'protocol', framesOf(9, data(1))],
  [
    'fields on no stream',
    'protocol',
    framesOf(0, { kind: kinds.headers, flag: flags.endHeaders, payload: asked }),
  ],
  [
    'fields that a ping interrupts',
    'protocol',
    Buffer.concat([
      framesOf(1, { kind: kinds.headers, payload: asked }),
      framesOf(0, { kind: kinds.ping, payload: Buffer.alloc(8) }),
    ]),
  ],
  [
    'a continuation of nothing',
    'protocol',
    framesOf(1, { kind: kinds.continuation, flag: 4, payload: asked }),
  ],
  [
    'fields without end',
    'calm',
    framesOf(
      1,
      { kind: kinds.headers, payload: asked },
      ...Array.from({ length: 8_000 }, () => ({ kind: kinds.continuation, payload: nothing })),
    ),
  ],
  [
    'fields that nobody can read',
    'compression',
    framesOf(1, { kind: kinds.headers, flag: flags.endHeaders, payload: Buffer.from([0xff, 0xff]) }),
  ],
  [
    'more padding than frame',
    'protocol',
    Buffer.concat([
      begun,
      framesOf(1, { kind: kinds.data, flag: flags.padded, payload: Buffer.from([9, 0]) }),
    ]),
  ],
  [
    'a cut priority',
    'frameSize',
    framesOf(1, { kind: kinds.headers, flag: flags.endHeaders | flags.priority, payload: Buffer.alloc(4) }),
  ],
  [
    'a push',
    'protocol',
    framesOf(1, { kind: kinds.pushPromise, flag: flags.endHeaders, payload: Buffer.alloc(8) }),
  ],
  ['a reset of a stream that never was', 'protocol', framesOf(9, { kind: kinds.reset, payload: numbers(8) })],
  ['a reset of another length', 'frameSize', framesOf(1, { kind: kinds.reset, payload: Buffer.alloc(3) })],
  [
    'settings of another length',
    'frameSize',
    framesOf(0, { kind: kinds.settings, payload: Buffer.alloc(5) }),
  ],
  ['settings on a stream', 'protocol', framesOf(1, { kind: kinds.settings, payload: nothing })],
  [
    'a window above all windows',
    'flowControl',
    framesOf(0, { kind: kinds.settings, payload: Buffer.from([0, 4, 0xff, 0xff, 0xff, 0xff]) }),
  ],
  [
    'a frame length that is none',
    'protocol',
    framesOf(0, { kind: kinds.settings, payload: Buffer.from([0, 5, 0, 0, 0, 1]) }),
  ],
  ['a ping of another length', 'frameSize', framesOf(0, { kind: kinds.ping, payload: Buffer.alloc(7) })],
  ['a farewell that is cut', 'frameSize', framesOf(0, { kind: kinds.goAway, payload: Buffer.alloc(7) })],
  [
    'a window that grows by nothing',
    'flowControl',
    framesOf(0, { kind: kinds.windowUpdate, payload: numbers(0) }),
  ],
  [
    'a window that grows without end',
    'flowControl',
    framesOf(0, { kind: kinds.windowUpdate, payload: numbers(0x7fffffff) }),
  ],
]

/** What breaks the rules on one stream, and the reason it is reset for. */
const wrongs: readonly (readonly [string, number, Buffer])[] = [
  [
    'names that are none',
    reasons.protocol,
    framesOf(1, { kind: kinds.headers, flag: flags.endHeaders, payload: blockOf([['Upper', 'x']]) }),
  ],
  ['data after its end', reasons.streamClosed, Buffer.concat([watched(), framesOf(1, data(1))])],
  [
    'a window that grows by nothing',
    reasons.flowControl,
    Buffer.concat([begun, framesOf(1, { kind: kinds.windowUpdate, payload: numbers(0) })]),
  ],
  [
    'a window that grows without end',
    reasons.flowControl,
    Buffer.concat([begun, framesOf(1, { kind: kinds.windowUpdate, payload: numbers(0x7fffffff) })]),
  ],
]

describe('who asks a plugin', () => {
  it.each(faults)('with %s loses its connection, and nobody else does', async (_what, reason, bytes) => {
    await using rig = await openPlugin()
    const bad = await rig.connect()
    bad.send(Buffer.concat([greeting, bytes]))
    await bad.closed
    expect(bad.farewell()).toBe(reasons[reason])
    expect(await rig.channel.health()).toBe('serving')
  })

  it.each(wrongs)('with %s loses one stream', async (_what, reason, bytes) => {
    await using rig = await openPlugin()
    const bad = await rig.connect()
    bad.send(Buffer.concat([greeting, bytes]))
    expect((await bad.next(kinds.reset)).readUInt32BE(0)).toBe(reason)
    bad.send(whole(3))
    await bad.next(kinds.data)
  })

  it('in another language than HTTP/2 loses its connection', async () => {
    await using rig = await openPlugin()
    const bad = await rig.connect()
    bad.send(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
    await bad.closed
  })

  it('for ever more pongs, and reads none, loses its connection', async () => {
    await using rig = await openPlugin()
    const bad = await rig.connect()
    bad.socket.pause()
    const pings = Buffer.concat(
      Array.from({ length: 4_000 }, () => framesOf(0, { kind: kinds.ping, payload: Buffer.alloc(8) })),
    )
    bad.send(greeting)
    for (let turn = 0; turn < 200 && !bad.socket.destroyed; turn++) {
      bad.send(pings)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    bad.socket.resume()
    await bad.closed
    expect(await rig.channel.health()).toBe('serving')
  })

  it('and gives up at once, again and again, has no more than 1,024 answers made at a time', async () => {
    let working = 0
    let most = 0
    await using rig = await openPlugin(async () => {
      most = Math.max(most, ++working)
      await new Promise((resolve) => setTimeout(resolve, 200))
      working -= 1
      return {}
    })
    const bad = await rig.connect()
    bad.send(greeting)
    const path = blockOf([
      [':path', `/${IPFilterDefinition.fullName}/CheckIP`],
      ['content-type', 'application/grpc'],
    ])
    for (let stream = 1; stream < 6_000; stream += 2) {
      bad.send(
        framesOf(
          stream,
          { kind: kinds.headers, flag: flags.endHeaders, payload: path },
          { kind: kinds.data, flag: flags.endStream, payload: frameOf(nothing) },
          { kind: kinds.reset, payload: numbers(reasons.cancel) },
        ),
      )
    }
    bad.send(framesOf(0, { kind: kinds.ping, payload: Buffer.alloc(8) }))
    await bad.next(kinds.ping)
    expect(most).toBe(1_024)
  })

  it('with frames that nobody knows, padding and priorities is answered', async () => {
    await using rig = await openPlugin()
    const good = await rig.connect()
    const payload = Buffer.concat([Buffer.from([3]), Buffer.alloc(5), asked, Buffer.alloc(3)])
    good.send(
      Buffer.concat([
        greeting,
        framesOf(0, { kind: 0x42, flag: 0xff, payload: Buffer.alloc(10) }),
        framesOf(5, { kind: kinds.priority, payload: Buffer.alloc(5) }),
        framesOf(
          1,
          { kind: kinds.headers, flag: flags.endHeaders | flags.padded | flags.priority, payload },
          {
            kind: kinds.data,
            flag: flags.padded,
            payload: Buffer.concat([Buffer.from([2]), question, Buffer.alloc(2)]),
          },
          { kind: kinds.data, flag: flags.endStream, payload: nothing },
        ),
      ]),
    )
    expect((await good.next(kinds.data)).subarray(5)).toEqual(Buffer.from([8, 1]))
  })

  it('with anything at all does no harm to others', async () => {
    await using rig = await openPlugin()
    const kind = oneof(constantFrom(...Object.values(kinds)), integer({ min: 0, max: 255 }))
    const payload = oneof(
      uint8Array({ maxLength: 40 }),
      constantFrom<Uint8Array>(asked, question, numbers(1), Buffer.alloc(8)),
    )
    const frame = tuple(kind, integer({ min: 0, max: 255 }), constantFrom(0, 1, 1, 1, 2, 3, 5, 7), payload)
    await assert(
      asyncProperty(array(frame, { maxLength: 12 }), async (frames) => {
        const bad = await rig.connect()
        bad.send(greeting)
        for (const [kindOf, flag, stream, bytes] of frames)
          bad.send(framesOf(stream, { kind: kindOf, flag, payload: bytes }))
        bad.socket.end()
        await bad.closed
        expect(await rig.channel.health()).toBe('serving')
      }),
      { numRuns: 150 },
    )
  })
})

describe('a plugin that answers', () => {
  it.each(faults.filter(([what]) => !what.includes('nobody can read')))(
    'with %s fails its calls, and the host goes on',
    async (_what, _reason, bytes) => {
      await using scope = new Scope()
      const folder = scope.own(await openSocketFolder())
      const path = socketPathIn(folder.path)
      const sockets = new Set<Socket>()
      const server = createServer((socket) => {
        sockets.add(socket.on('error', () => {}))
        socket.write(Buffer.concat([settings, bytes]))
      })
      await new Promise<void>((resolve) => server.listen(path, resolve))
      scope.defer(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
      const opening = openChannel({ address: { network: 'unix', path }, timeoutMs: 1_000 })
      await expect(opening).rejects.toMatchObject({ name: 'PluginError', code: 'connection-refused' })
    },
  )
})

/** A question that is asked to its end and whose answer stays open. */
function watched(): Buffer {
  const path = blockOf([
    [':path', `/${HealthDefinition.fullName}/Watch`],
    ['content-type', 'application/grpc'],
  ])
  return framesOf(
    1,
    { kind: kinds.headers, flag: flags.endHeaders, payload: path },
    { kind: kinds.data, flag: flags.endStream, payload: question },
  )
}

async function openPlugin(checkIP: () => Promise<object> = async () => ({})) {
  const scope = new Scope()
  const folder = scope.own(await openSocketFolder())
  const path = socketPathIn(folder.path)
  const server = await openPluginServer({
    listen: { network: 'unix', path },
    services: [
      serve(IPFilterDefinition, { checkIP, reload: async () => ({}) }),
      serve(HealthDefinition, {
        check: async () => ({ status: 1 }),
        async *watch(_request, { signal }) {
          yield { status: 1 }
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
        },
      }),
    ],
  })
  scope.defer(() => server.stop())
  const channel = scope.own(await openChannel({ address: server.address }))
  return { channel, connect: () => openRawPeer(path), [Symbol.asyncDispose]: () => scope.close() }
}

/** A peer that sends what it is told and keeps the frames it hears. */
async function openRawPeer(path: string) {
  const socket = connect(path)
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  const heard: { readonly kind: number; readonly payload: Buffer }[] = []
  let wake = (): void => {}
  const cutter = new FrameCutter((kind, flag, _stream, payload) => {
    if (kind === kinds.ping && (flag & flags.ack) === 0) return
    heard.push({ kind, payload: Buffer.from(payload) })
    wake()
  })
  socket.on('data', (bytes: Buffer) => cutter.push(bytes))
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
  return {
    socket,
    closed,
    send: (bytes: Buffer) => void (socket.writable && socket.write(bytes)),
    /** Why the other side ended the connection. */
    farewell: () => heard.find(({ kind }) => kind === kinds.goAway)?.payload.readUInt32BE(4),
    /** The next frame of a kind. */
    async next(wanted: number): Promise<Buffer> {
      for (;;) {
        const index = heard.findIndex(({ kind }) => kind === wanted)
        if (index >= 0) return heard.splice(index, 1)[0]?.payload ?? nothing
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
  }
}
