import type { PinnedBuffer } from '../native/arena.ts'
import type { StreamRoom } from '../sftp/byte-stream.ts'
import type { ChannelLink, ChannelNumbers } from './channel-link.ts'
import { message } from './messages.ts'
import { slabBytes } from './packet-pool.ts'
import { ProtocolError } from './wire.ts'

/** Data in one message: what every client takes, and what the library's packets hold. */
const mostPacketData = 32 * 1024

/** Past this many bytes in the socket, data waits here, where it is counted per session. */
const socketBacklogLimit = 512 * 1024
/** Past this many waiting bytes `send` asks the session to stop. */
const queueLimit = 512 * 1024
/** Replies up to this size are gathered. */
const smallReply = 8 * 1024
const gatherBytes = 16 * 1024
/** Type, channel and length before the data of a CHANNEL_DATA. */
const dataHeader = 9
/** Packets sent in one go to a peer that takes tiny ones; the rest in later turns. */
const packetsPerTurn = 256

/** Data that wait for the window or the socket; `slab` is the pool's memory that they lie in. */
interface Waiting {
  readonly bytes: Buffer
  readonly slab: PinnedBuffer | undefined
}

/** How long a client that could take a large answer at once is waited for, before it gets the answer in parts. */
const patienceMs = 5

/** What one channel sends: within the peer's window and the socket's patience, the rest waiting in line, replies gathered. */
export class ChannelOutput {
  readonly #link: ChannelLink
  readonly #numbers: ChannelNumbers
  /** Has the channel pumped again: a wait is over that no event of the peer or the socket ends. */
  readonly #again: () => void
  #windowOut: number
  #mostWindow: number
  #patience: NodeJS.Timeout | undefined
  #impatient = false
  #queue: Waiting[] = []
  #queuedBytes = 0
  #gathered: PinnedBuffer | undefined
  #gatheredBytes = 0
  #flushPlanned = false
  #sent = 0
  #wantsRoom = false

  constructor(link: ChannelLink, numbers: ChannelNumbers, again: () => void) {
    this.#link = link
    this.#numbers = numbers
    this.#again = again
    this.#windowOut = numbers.window
    this.#mostWindow = numbers.window
  }

  /** Bytes of data that left, in total. */
  get sent(): number {
    return this.#sent
  }

  /** Bytes that wait here. */
  get waitingBytes(): number {
    return this.#queuedBytes + this.#gatheredBytes
  }

  /** Bytes that wait here or in the socket. */
  get queuedBytes(): number {
    return this.waitingBytes + this.#link.socketBacklog()
  }

  /** Sends bytes or a copy of them later; false: the session is to wait until there is room. */
  send(bytes: Buffer): boolean {
    if (bytes.length <= smallReply) this.#gather(bytes)
    else {
      this.flush()
      this.#write(bytes)
    }
    return !this.#enough()
  }

  /** Packets side by side where the socket's output lies, with the data still to come. */
  lend(length: number): StreamRoom | 'later' | undefined {
    const { transport } = this.#link
    if (this.#queue.length > 0) return undefined
    this.flush()
    if (this.#windowOut < length || !this.#mayWrite()) return this.#askForRoom(length)
    const each = Math.min(this.#numbers.packetSize, mostPacketData)
    // Looked at first: a peer that takes tiny packets would otherwise have thousands of them laid out for nothing.
    if (length / each > packetsPerTurn) return undefined
    const packets: { readonly at: number; readonly data: Buffer }[] = []
    let total = 0
    for (let done = 0; done < length; done += each)
      total += transport.packetBytes(dataHeader + Math.min(each, length - done))
    if (total === 0 || total > slabBytes) return undefined
    const memory = this.#link.allocate(total)
    let at = 0
    for (let done = 0; done < length; done += each) {
      const size = Math.min(each, length - done)
      const from = at + transport.start + dataHeader
      packets.push({ at, data: memory.subarray(from, from + size) })
      at += transport.packetBytes(dataHeader + size)
    }
    return {
      pieces: packets.map(({ data }) => data),
      send: (used) => {
        let left = used
        for (const { at: from, data } of packets) {
          if (left === 0) break
          const size = Math.min(left, data.length)
          const bytes = transport.packetBytes(dataHeader + size)
          const packet = memory.subarray(from, from + bytes)
          transport.beginIn(packet, dataHeader + size)
          left -= size
          this.#commitData(packet, size, left > 0)
        }
        return !this.#enough()
      },
    }
  }

  /** Whether to wait until so much can be sent at once; not for long, and not for a client that never takes it. */
  #askForRoom(length: number): 'later' | undefined {
    if (this.#impatient || this.#mostWindow < 2 * length) return undefined
    this.#wantsRoom = true
    this.#patience ??= setTimeout(() => {
      this.#patience = undefined
      this.#impatient = true
      this.#again()
    }, patienceMs)
    return 'later'
  }

  /** The peer takes `bytes` more. */
  widen(bytes: number): void {
    this.#windowOut += bytes
    this.#mostWindow = Math.max(this.#mostWindow, this.#windowOut)
    this.#impatient = false
    clearTimeout(this.#patience)
    this.#patience = undefined
    if (this.#windowOut > 0xffff_ffff) throw new ProtocolError('A window of more than 2^32 bytes')
  }

  /** Sends what waits and may be sent. */
  pump(): void {
    while (this.#queue.length > 0 && this.#mayWrite()) {
      const first = this.#queue.shift()
      if (first === undefined) break
      this.#queuedBytes -= first.bytes.length
      const sent = this.#sendPackets(first.bytes)
      if (sent < first.bytes.length) {
        const rest = first.bytes.subarray(sent)
        this.#queue.unshift({ ...first, bytes: rest })
        this.#queuedBytes += rest.length
        break
      }
      if (first.slab !== undefined) this.#link.pool.give(first.slab)
    }
    if (this.#queue.length === 0) this.flush()
  }

  /** Whether the session was asked to wait, and has room again: said once. */
  foundRoom(): boolean {
    if (!this.#wantsRoom || this.queuedBytes > queueLimit / 2) return false
    this.#wantsRoom = false
    return true
  }

  /** Sends what was gathered. */
  flush(): void {
    if (this.#gatheredBytes === 0 || this.#gathered === undefined) return
    const bytes = this.#gathered.bytes.subarray(0, this.#gatheredBytes)
    this.#gatheredBytes = 0
    this.#write(bytes)
  }

  /** Nothing can be sent any more. */
  drop(): void {
    clearTimeout(this.#patience)
    for (const { slab } of this.#queue) if (slab !== undefined) this.#link.pool.give(slab)
    this.#queue = []
    this.#queuedBytes = this.#gatheredBytes = 0
    this.#giveGathered()
  }

  /** Whether the session is to wait until there is room. */
  #enough(): boolean {
    const enough = this.queuedBytes > queueLimit
    if (enough) this.#wantsRoom = true
    return enough
  }

  #gather(bytes: Buffer): void {
    if (this.#gatheredBytes + bytes.length > gatherBytes) this.flush()
    // Fresh memory for every turn made the collector mark and sweep for a third of the time of a get of small files.
    this.#gathered ??= this.#link.pool.take()
    this.#gathered.bytes.set(bytes, this.#gatheredBytes)
    this.#gatheredBytes += bytes.length
    if (this.#flushPlanned) return
    this.#flushPlanned = true
    this.#link.atEndOfTurn(() => {
      this.#flushPlanned = false
      this.flush()
      this.#giveGathered() // an idle session keeps none
    })
  }

  #giveGathered(): void {
    if (this.#gathered !== undefined) this.#link.pool.give(this.#gathered)
    this.#gathered = undefined
  }

  #mayWrite(): boolean {
    const { transport } = this.#link
    return this.#windowOut > 0 && !transport.exchanging && this.#link.socketBacklog() < socketBacklogLimit
  }

  /** Sends as much of `bytes` as may be sent and keeps a copy of the rest, in memory that is used again. */
  #write(bytes: Buffer): void {
    const sent = this.#queue.length === 0 ? this.#sendPackets(bytes) : 0
    for (let at = sent; at < bytes.length;) {
      const piece = bytes.subarray(at, at + slabBytes)
      const slab = piece.length > smallReply ? this.#link.pool.take() : undefined
      const copy = slab === undefined ? Buffer.from(piece) : slab.bytes.subarray(0, piece.length)
      if (slab !== undefined) copy.set(piece)
      this.#queue.push({ bytes: copy, slab })
      this.#queuedBytes += piece.length
      at += piece.length
    }
  }

  /** Sends what window and socket take now; how many bytes that were. */
  #sendPackets(bytes: Buffer): number {
    const size = Math.min(this.#numbers.packetSize, mostPacketData)
    let at = 0
    for (let packets = 0; at < bytes.length && this.#mayWrite(); packets += 1) {
      if (packets === packetsPerTurn) {
        this.#link.atEndOfTurn(this.#again)
        break
      }
      const length = Math.min(bytes.length - at, size, this.#windowOut)
      this.#sendData(bytes, at, length)
      at += length
    }
    return at
  }

  /** One CHANNEL_DATA, copied into the packet in which it is encrypted. */
  #sendData(bytes: Buffer, from: number, length: number): void {
    const { transport } = this.#link
    const packet = transport.begin(dataHeader + length)
    bytes.copy(packet, transport.start + dataHeader, from, from + length)
    this.#commitData(packet, length)
  }

  /** Sends a CHANNEL_DATA whose data lie in place. */
  #commitData(packet: Buffer, length: number, moreFollow = false): void {
    const { transport } = this.#link
    const at = transport.start
    packet[at] = message.channelData
    packet.writeUInt32BE(this.#numbers.theirs, at + 1)
    packet.writeUInt32BE(length, at + 5)
    this.#windowOut -= length
    this.#sent += length
    transport.commit(packet, moreFollow)
  }
}
