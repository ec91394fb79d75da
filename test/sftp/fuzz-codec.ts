import * as fc from 'fast-check'
import { virtualPath } from '../../src/base/virtual-path.ts'
import { serveSession } from '../../src/sftp/serve-session.ts'
import type { ByteReceiver } from '../../src/sftp/byte-stream.ts'
import type { Backend } from '../../src/storage/backend.ts'
import { createMemoryBackend } from '../../src/storage/memory.ts'
import { attrs, init, packet, u32, u64, type Field } from '../helpers/sftp-peer.ts'
import { filesOn } from '../helpers/user-files.ts'

/** What a fuzz run did. */
export interface FuzzReport {
  readonly packets: number
  readonly sessions: number
  readonly replies: number
  /** Sessions that ended because the bytes were no SFTP any more. */
  readonly protocolErrors: number
}

/**
 * Sends `packets` packets, valid ones and mutated ones, from a seed. Throws at the first sign of trouble: an
 * exception, a request without its one reply, a reply that is no packet, a file outside, memory that grows.
 */
export async function fuzzCodec(options: {
  readonly seed: number
  readonly packets: number
}): Promise<FuzzReport> {
  const report = { packets: 0, sessions: 0, replies: 0, protocolErrors: 0 }
  const conversations = fc.sample(conversation, {
    seed: options.seed,
    numRuns: Math.ceil(options.packets / 50),
  })
  for (const packets of conversations) {
    if (report.packets >= options.packets) break
    report.sessions += 1
    report.packets += packets.length
    await oneSession(packets, report)
  }
  return report
}

interface Counts {
  replies: number
  protocolErrors: number
}

async function oneSession(packets: readonly Uint8Array[], counts: Counts): Promise<void> {
  const backend = createMemoryBackend({ later: packets.length % 2 === 0 })
  await furnish(backend)
  let receiver: ByteReceiver | undefined
  const received: Buffer[] = []
  const session = serveSession(
    {
      copies: true,
      queuedBytes: 0,
      start: (to) => {
        receiver = to
      },
      send(bytes) {
        received.push(Buffer.from(bytes))
        return true
      },
      consumed() {},
      end() {},
    },
    filesOn(backend, { policy: { symbolicLinks: true, hardLinks: true } }),
  )
  for (const bytes of preamble) receiver?.data(bytes)
  do await new Promise(setImmediate)
  while (session.outstanding > 0)
  const tag = tagIn(Buffer.concat(received))
  for (const bytes of packets) receiver?.data(withTag(Buffer.from(bytes), tag))
  receiver?.ended()
  const end = await within(session.ended, 10_000)
  counts.replies += checkReplies(Buffer.concat(received), session.requests, end === 'protocol-error')
  if (end === 'protocol-error') counts.protocolErrors += 1
}

/** Opens what the handles of the packets stand for: 1 and 2 are files, 3 is a directory. */
const preamble = [
  init(),
  packet(3, u32(1), '/f', u32(1 | 2), u32(0)),
  packet(3, u32(2), '/upload', u32(2 | 8 | 16), u32(0)),
  packet(11, u32(3), '/'),
]
const marker = Buffer.from('TAG!')

/** The random part of the session's handles, as its first HANDLE tells it. */
function tagIn(bytes: Buffer): Buffer {
  for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32BE(at)) {
    if (bytes[at + 4] === 102) return bytes.subarray(at + 13, at + 17)
  }
  throw new Error('The preamble opened nothing')
}

function withTag(bytes: Buffer, tag: Buffer): Buffer {
  const at = bytes.indexOf(marker)
  if (at >= 0) tag.copy(bytes, at)
  return bytes
}

async function furnish(backend: Backend): Promise<void> {
  await backend.makeDirectory(virtualPath('/d'), 0o755)
  const intent = { read: false, write: true, append: false, create: true, truncate: false, exclusive: false }
  for (const path of ['/f', '/d/g']) {
    const file = await backend.open(virtualPath(path), { ...intent, mode: 0o644 })
    await file.write([Buffer.from('content')], 0)
    await file.close()
  }
}

/** Every reply is a whole packet with a reply's type; every request has exactly one, unless the session broke off. */
function checkReplies(bytes: Buffer, requests: number, brokenOff: boolean): number {
  let count = 0
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32BE(at)
    const type = bytes[at + 4] ?? 0
    if (![2, 101, 102, 103, 104, 105, 201].includes(type)) throw new Error(`A reply of type ${type}`)
    if (at + 4 + length > bytes.length) throw new Error('A reply that ends early')
    if (type !== 2) count += 1
    at += 4 + length
  }
  if (count > requests || (!brokenOff && count !== requests)) {
    throw new Error(`${requests} requests and ${count} replies`)
  }
  return count
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('A session did not end')), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

const path = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom('/', '.', '', '/f', '/d', '/d/g', '/new', 'x', '/link', '../..', '/d/../f'),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 40, unit: 'binary' }) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
)
/** Mostly handles that may be open; the marker gives way to the session's own tag. */
const handle = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.integer({ min: 1, max: 5 }).map((number) => Buffer.concat([marker, u32(number).raw])),
  },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 0, maxLength: 12 }).map((bytes) => Buffer.from(bytes)) },
)
const number32 = fc
  .oneof(fc.nat(64), fc.constantFrom(0x7fffffff, 0x80000000, 0xffffffff, 261_120, 261_121))
  .map(u32)
const number64 = fc
  .oneof(fc.nat(1000), fc.constantFrom(2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n))
  .map((value) => u64(value))
const attributes = fc
  .record(
    {
      size: fc.constantFrom(0, 3, 1_000_000, 2n ** 63n),
      owner: fc.constant([0, 0] as const),
      mode: fc.nat(0o177777),
      times: fc.constant([1, 2] as const),
    },
    { requiredKeys: [] },
  )
  .map((of) => attrs(of))
const data = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes))
const extension = fc.constantFrom(
  ...['posix-rename@openssh.com', 'statvfs@openssh.com', 'fstatvfs@openssh.com', 'hardlink@openssh.com'],
  ...[
    'fsync@openssh.com',
    'lsetstat@openssh.com',
    'limits@openssh.com',
    'expand-path@openssh.com',
    'copy-data',
  ],
  ...['home-directory', 'users-groups-by-id@openssh.com', 'vendor-id', 'nonsense', ''],
)

const shapes: readonly fc.Arbitrary<readonly [number, ...Field[]]>[] = [
  fc.tuple(fc.constant(3), path, number32, attributes),
  fc.tuple(fc.constantFrom(4, 8, 12), handle),
  fc.tuple(fc.constant(5), handle, number64, number32),
  fc.tuple(fc.constant(6), handle, number64, data),
  fc.tuple(fc.constantFrom(7, 11, 13, 15, 16, 17, 19), path),
  fc.tuple(fc.constantFrom(9, 14), path, attributes),
  fc.tuple(fc.constant(10), handle, attributes),
  fc.tuple(fc.constantFrom(18, 20), path, path),
  fc.tuple(fc.constant(200), extension, path, path),
  fc.tuple(fc.constant(200), extension, handle, number64, number64, handle, number64),
  fc.tuple(fc.constant(200), extension, data, data),
  fc.tuple(fc.nat(255), data),
]

const valid = fc
  .tuple(fc.nat(0xffffffff), fc.oneof(...shapes))
  .map(([id, [type, ...fields]]) => packet(type, u32(id), ...fields))

/** Changes bytes behind the length, so that the stream stays readable; now and then the length itself. */
const mutated = fc
  .tuple(valid, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), fc.nat(2000))
  .map(([bytes, changes, luck]) => {
    const copy = Buffer.from(bytes)
    for (const [at, value] of changes) copy[4 + (at % (copy.length - 4))] = value
    if (copy[4] === 1) copy[4] = 17
    if (luck === 0) copy[changes.length % 4] = 0xff
    return copy
  })

/** A mutation that keeps the frame but cuts or stretches what is in it. */
const resized = fc.tuple(valid, fc.nat(60)).map(([bytes, size]) => {
  const body = Buffer.alloc(5 + size)
  bytes.copy(body, 0, 4)
  return Buffer.concat([u32(body.length).raw, body[0] === 1 ? body.fill(17, 0, 1) : body])
})

const conversation = fc.array(fc.oneof(valid, mutated, mutated, resized), { minLength: 80, maxLength: 120 })
