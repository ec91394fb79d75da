import { setTimeout as delay } from 'node:timers/promises'
import type { UserFiles } from '../../src/files/user-files.ts'
import type { ByteReceiver, ByteStream } from '../../src/sftp/byte-stream.ts'
import { serveSession } from '../../src/sftp/serve-session.ts'
import type { SessionOptions, SftpSession } from '../../src/sftp/session.ts'

/** One packet from the server, its fields still bytes. */
export interface ReplyPacket {
  readonly type: number
  readonly id: number
  readonly body: Buffer
}

/** The other end of an SFTP conversation: says exactly what a test wants said, in pieces of any size. */
export class SftpPeer implements AsyncDisposable {
  readonly session: SftpSession
  /** Every reply, in order of arrival. */
  readonly replies: ReplyPacket[] = []
  exitStatus: number | undefined
  consumedBytes = 0
  /** Bytes that the server gave us while we did not read. */
  heldBytes = 0
  #receiver: ByteReceiver | undefined
  #received: Buffer = Buffer.alloc(0)
  #waiting: (() => void)[] = []
  #reading = true
  #held: Buffer[] = []
  #nextId = 1

  constructor(files: UserFiles, options: SessionOptions & { readonly windowBytes?: number } = {}) {
    const { windowBytes = 64 * 1024 } = options
    const stream: ByteStream = {
      copies: true,
      queuedBytes: 0,
      start: (receiver) => {
        this.#receiver = receiver
      },
      send: (bytes) => {
        const copy = Buffer.from(bytes)
        if (this.#reading) {
          this.#take(copy)
          return true
        }
        this.#held.push(copy)
        this.heldBytes += copy.length
        return this.heldBytes < windowBytes
      },
      consumed: (bytes) => {
        this.consumedBytes += bytes
      },
      end: (exitStatus) => {
        this.exitStatus = exitStatus
        this.#wake()
      },
    }
    this.session = serveSession(stream, files, options)
  }

  /** A peer that has exchanged INIT and VERSION. */
  static async greeted(
    files: UserFiles,
    options: SessionOptions & { readonly windowBytes?: number } = {},
  ): Promise<SftpPeer> {
    const peer = new SftpPeer(files, options)
    peer.send(init())
    await peer.until(() => peer.replies.length > 0)
    return peer
  }

  /** Hands bytes to the server, exactly as they are. */
  send(bytes: Buffer): void {
    this.#receiver?.data(bytes)
  }

  /** Sends nothing more. */
  endInput(): void {
    this.#receiver?.ended()
  }

  /** The connection is gone. */
  vanish(): void {
    this.#receiver?.closed()
  }

  stopReading(): void {
    this.#reading = false
  }

  resumeReading(): void {
    this.#reading = true
    for (const bytes of this.#held.splice(0)) this.#take(bytes)
    this.heldBytes = 0
    this.#receiver?.room()
  }

  nextId(): number {
    this.#nextId += 1
    return this.#nextId
  }

  /** Sends one request and waits for its reply. */
  async request(type: number, ...fields: readonly Field[]): Promise<ReplyPacket> {
    const id = this.nextId()
    this.send(packet(type, u32(id), ...fields))
    return this.reply(id)
  }

  async reply(id: number): Promise<ReplyPacket> {
    const find = (): ReplyPacket | undefined =>
      this.replies.find((reply) => reply.id === id && reply.type !== 2)
    await this.until(() => find() !== undefined || this.exitStatus !== undefined)
    const found = find()
    if (found === undefined) throw new Error(`The session ended (${this.exitStatus}) without a reply`)
    this.replies.splice(this.replies.indexOf(found), 1)
    return found
  }

  /** Status number of the reply to a request; fails for any other reply. */
  async status(type: number, ...fields: readonly Field[]): Promise<number> {
    return statusOf(await this.request(type, ...fields))
  }

  /** OPEN or OPENDIR that must succeed. */
  async handle(type: number, ...fields: readonly Field[]): Promise<Buffer> {
    const reply = await this.request(type, ...fields)
    if (reply.type !== 102) throw new Error(`No handle but ${describe(reply)}`)
    return stringsOf(reply.body)[0] ?? Buffer.alloc(0)
  }

  open(path: string, flags: number, attributes: Field = noAttributes): Promise<Buffer> {
    return this.handle(3, path, u32(flags), attributes)
  }

  async until(condition: () => boolean, timeoutMs = 5000): Promise<void> {
    const end = Date.now() + timeoutMs
    while (!condition()) {
      if (Date.now() > end) throw new Error('Waited too long')
      await Promise.race([new Promise<void>((resolve) => this.#waiting.push(resolve)), delay(5)])
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.vanish()
    await this.session.ended
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  #take(bytes: Buffer): void {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes])
    let at = 0
    while (this.#received.length - at >= 4) {
      const length = this.#received.readUInt32BE(at)
      if (this.#received.length - at < 4 + length) break
      const whole = this.#received.subarray(at + 4, at + 4 + length)
      this.replies.push({ type: whole[0] ?? 0, id: whole.readUInt32BE(1), body: whole.subarray(5) })
      at += 4 + length
    }
    this.#received = this.#received.subarray(at)
    this.#wake()
  }
}

/** A field of a packet: text and buffers become strings with a length, `Raw` goes as it is. */
export type Field = string | Buffer | Raw

/** Bytes that are already in their wire form. */
export interface Raw {
  readonly raw: Buffer
}

export function raw(bytes: Buffer): Raw {
  return { raw: bytes }
}

export function u32(value: number): Raw {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return { raw: bytes }
}

export function u64(value: number | bigint): Raw {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return { raw: bytes }
}

/** Attributes on the wire. */
export function attrs(of: {
  size?: number | bigint
  owner?: readonly [number, number]
  mode?: number
  times?: readonly [number, number]
}): Raw {
  const parts: Buffer[] = []
  let flags = 0
  if (of.size !== undefined) {
    flags |= 1
    parts.push(u64(of.size).raw)
  }
  if (of.owner !== undefined) {
    flags |= 2
    parts.push(u32(of.owner[0]).raw, u32(of.owner[1]).raw)
  }
  if (of.mode !== undefined) {
    flags |= 4
    parts.push(u32(of.mode).raw)
  }
  if (of.times !== undefined) {
    flags |= 8
    parts.push(u32(of.times[0]).raw, u32(of.times[1]).raw)
  }
  return { raw: Buffer.concat([u32(flags).raw, ...parts]) }
}

export const noAttributes: Raw = attrs({})

export function packet(type: number, ...fields: readonly Field[]): Buffer {
  const body = Buffer.concat([Buffer.from([type]), ...fields.map(bytesOfField)])
  return Buffer.concat([u32(body.length).raw, body])
}

export function init(version = 3, ...fields: readonly Field[]): Buffer {
  return packet(1, u32(version), ...fields)
}

function bytesOfField(field: Field): Buffer {
  if (typeof field === 'object' && 'raw' in field) return field.raw
  const body = typeof field === 'string' ? Buffer.from(field, 'utf8') : field
  return Buffer.concat([u32(body.length).raw, body])
}

export function statusOf(reply: ReplyPacket): number {
  if (reply.type !== 101) throw new Error(`No status but ${describe(reply)}`)
  return reply.body.readUInt32BE(0)
}

export function messageOf(reply: ReplyPacket): string {
  return (stringsOf(reply.body.subarray(4))[0] ?? Buffer.alloc(0)).toString()
}

/** The strings that follow each other from the start. */
export function stringsOf(body: Buffer): Buffer[] {
  const found: Buffer[] = []
  for (let at = 0; at + 4 <= body.length;) {
    const length = body.readUInt32BE(at)
    found.push(body.subarray(at + 4, at + 4 + length))
    at += 4 + length
  }
  return found
}

export function dataOf(reply: ReplyPacket): Buffer {
  if (reply.type !== 103) throw new Error(`No data but ${describe(reply)}`)
  return reply.body.subarray(4, 4 + reply.body.readUInt32BE(0))
}

/** Attributes as read from the wire. */
export interface WireAttributes {
  readonly flags: number
  readonly size: bigint
  readonly uid: number
  readonly gid: number
  readonly mode: number
  readonly accessTime: number
  readonly modifyTime: number
}

export function attributesOf(reply: ReplyPacket): WireAttributes {
  if (reply.type !== 105) throw new Error(`No attributes but ${describe(reply)}`)
  return attributesAt(reply.body, 0)
}

function attributesAt(body: Buffer, at: number): WireAttributes {
  return {
    flags: body.readUInt32BE(at),
    size: body.readBigUInt64BE(at + 4),
    uid: body.readUInt32BE(at + 12),
    gid: body.readUInt32BE(at + 16),
    mode: body.readUInt32BE(at + 20),
    accessTime: body.readUInt32BE(at + 24),
    modifyTime: body.readUInt32BE(at + 28),
  }
}

/** One name of a NAME reply. */
export interface WireName {
  readonly name: string
  readonly bytes: Buffer
  readonly longName: string
  readonly attributes: WireAttributes | undefined
}

export function namesOf(reply: ReplyPacket): WireName[] {
  if (reply.type !== 104) throw new Error(`No names but ${describe(reply)}`)
  const { body } = reply
  const names: WireName[] = []
  let at = 4
  for (let left = body.readUInt32BE(0); left > 0; left -= 1) {
    const [bytes, longBytes] = stringsOf(body.subarray(at))
    if (bytes === undefined || longBytes === undefined) throw new Error('A NAME reply ends early')
    at += 8 + bytes.length + longBytes.length
    const flags = body.readUInt32BE(at)
    names.push({
      ...{ name: bytes.toString(), bytes: Buffer.from(bytes), longName: longBytes.toString() },
      attributes: flags === 0 ? undefined : attributesAt(body, at),
    })
    at += flags === 0 ? 4 : 32
  }
  return names
}

/** Every name of a directory, by READDIR until EOF. */
export async function listAll(peer: SftpPeer, path: string): Promise<WireName[]> {
  const handle = await peer.handle(11, path)
  const names: WireName[] = []
  for (;;) {
    const reply = await peer.request(12, handle)
    if (reply.type === 101) {
      if (statusOf(reply) !== 1) throw new Error(`READDIR: ${describe(reply)}`)
      break
    }
    names.push(...namesOf(reply))
  }
  await peer.request(4, handle)
  return names
}

/** Writes a whole file. */
export async function put(peer: SftpPeer, path: string, content: Buffer | string): Promise<void> {
  const handle = await peer.open(path, 2 | 8 | 16)
  const bytes = Buffer.from(content)
  for (let at = 0; at < bytes.length; at += 32_768) {
    const status = await peer.status(6, handle, u64(at), bytes.subarray(at, at + 32_768))
    if (status !== 0) throw new Error(`WRITE: ${status}`)
  }
  const closed = await peer.status(4, handle)
  if (closed !== 0) throw new Error(`CLOSE: ${closed}`)
}

/** Reads a whole file. */
export async function get(peer: SftpPeer, path: string): Promise<Buffer> {
  const handle = await peer.open(path, 1)
  const content = await readAll(peer, handle)
  await peer.request(4, handle)
  return content
}

/** Reads what an open handle has, to the end. */
export async function readAll(peer: SftpPeer, handle: Buffer): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const reply = await peer.request(5, handle, u64(at), u32(32_768))
    if (reply.type === 101) break
    const part = Buffer.from(dataOf(reply))
    parts.push(part)
    at += part.length
  }
  return Buffer.concat(parts)
}

function describe(reply: ReplyPacket): string {
  return reply.type === 101
    ? `status ${reply.body.readUInt32BE(0)} "${messageOf(reply)}"`
    : `type ${reply.type}`
}
