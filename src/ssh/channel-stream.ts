import type { PinnedBuffer } from '../native/arena.ts'
import type { ByteReceiver, ByteStream, StreamRoom } from '../sftp/byte-stream.ts'
import type { Transport } from './library.ts'
import { message } from './messages.ts'
import { slabBytes, type PacketPool } from './packet-pool.ts'
import type { StillNeeded } from './read-memory.ts'
import { buildMessage, ProtocolError } from './wire.ts'

/** What a channel needs to know of its connection. */
export interface ChannelLink {
  readonly transport: Transport
  /** Bytes that the socket has not taken yet. */
  socketBacklog(): number
  /** Memory for replies that are gathered; at least `gatherBytes` each. */
  readonly pool: Pick<PacketPool, 'take' | 'give'>
  /** Room for so many bytes of packets that are committed next. */
  allocate(bytes: number): Buffer
  /** Asks the peer something that it answers at once; `answered` is called then, or never. */
  ping(answered: () => void): void
  /** Runs `action` once this turn's events are handled: small replies of a turn travel in one packet. */
  atEndOfTurn(action: () => void): void
}

/** What was agreed on when the channel was opened. */
export interface ChannelNumbers {
  readonly ours: number
  readonly theirs: number
  /** Bytes we may send at first. */
  readonly window: number
  /** The largest piece of data the peer takes in one message. */
  readonly packetSize: number
}

/** How much may be under way. */
export interface WindowLimits {
  /** Bytes a peer may send at first. */
  readonly firstWindow: number
  /** What the window grows to for a peer far away. */
  readonly mostWindow: number
}

/** Small enough to hold a session of 8 MiB with everything else it has; enough for 60 MB/s at 100 ms. */
export const usualWindows: WindowLimits = { firstWindow: 2 * 1024 * 1024, mostWindow: 6 * 1024 * 1024 }

/** Data in one message: what every client takes, and what the library's packets hold. */
export const mostPacketData = 32 * 1024

/** Past this many bytes in the socket, data waits here, where it is counted per session. */
const socketBacklogLimit = 512 * 1024
/** Past this many waiting bytes `send` asks the session to stop. */
const queueLimit = 512 * 1024
/** Replies up to this size are gathered. */
const smallReply = 8 * 1024
const gatherBytes = 16 * 1024
/** Bytes between two measurements of the way to the peer, at first and where it proved short. */
const oftenMeasured = 512 * 1024
const seldomMeasured = 64 * 1024 * 1024
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

/** An SSH channel as the stream that an SFTP session wants: exact flow control both ways, replies gathered. */
export class ChannelStream implements ByteStream {
  readonly copies = true
  readonly #link: ChannelLink
  readonly #numbers: ChannelNumbers
  readonly #limits: WindowLimits
  #receiver: ByteReceiver | undefined
  /** What came before `start`. */
  #early: Buffer[] = []
  #endedEarly = false

  /** Bytes the peer may still send, and those received that nobody is done with. */
  #windowIn: number
  #unconsumed = 0
  #given = 0
  #target: number
  #measuring = false
  #sinceMeasured = 0
  #measureAfter = oftenMeasured

  #windowOut: number
  #mostWindow: number
  #patience: NodeJS.Timeout | undefined
  #impatient = false
  #queue: Waiting[] = []
  #queuedBytes = 0
  #gathered: PinnedBuffer | undefined
  #gatheredBytes = 0
  #flushPlanned = false
  #progress = 0
  #wantsRoom = false
  #ending: number | undefined
  #sentClose = false
  #closed = false

  constructor(link: ChannelLink, numbers: ChannelNumbers, limits: WindowLimits) {
    this.#link = link
    this.#numbers = numbers
    this.#limits = limits
    this.#windowIn = limits.firstWindow
    this.#target = limits.firstWindow
    this.#windowOut = numbers.window
    this.#mostWindow = numbers.window
  }

  start(receiver: ByteReceiver): void {
    this.#receiver = receiver
    for (const bytes of this.#early.splice(0)) receiver.data(bytes)
    if (this.#endedEarly) receiver.ended()
    if (this.#closed) receiver.closed()
  }

  get queuedBytes(): number {
    return this.#queuedBytes + this.#gatheredBytes + this.#link.socketBacklog()
  }

  /** Grows with every byte of data in either direction: where it stands still, nobody does anything. */
  get progress(): number {
    return this.#progress
  }

  /** Received bytes that the session still works on. */
  get unconsumedBytes(): number {
    return this.#unconsumed
  }

  /** Bytes handed to the session, and which of them it may still look at. */
  get stillNeeded(): Omit<StillNeeded, 'partOfPacket'> {
    const tail = this.#unconsumed === 0 ? 0 : (this.#receiver?.lookedAt ?? this.#given)
    return { by: this, given: this.#given, tail }
  }

  send(bytes: Buffer): boolean {
    if (this.#closed || this.#ending !== undefined) return true
    if (bytes.length <= smallReply) this.#gather(bytes)
    else {
      this.#flushGathered()
      this.#write(bytes)
    }
    return !this.#enough()
  }

  /** Whether the session is to wait until there is room. */
  #enough(): boolean {
    const enough = this.queuedBytes > queueLimit
    if (enough) this.#wantsRoom = true
    return enough
  }

  /** Packets side by side where the socket's output lies, with the data still to come. */
  lend(length: number): StreamRoom | 'later' | undefined {
    const { transport } = this.#link
    if (this.#closed || this.#ending !== undefined || this.#queue.length > 0) return undefined
    this.#flushGathered()
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
      this.pump()
    }, patienceMs)
    return 'later'
  }

  consumed(bytes: number): void {
    this.#unconsumed -= bytes
    if (this.#unconsumed < 0) throw new RangeError('More bytes consumed than were received')
    this.#adjustWindow()
  }

  end(exitStatus: number): void {
    if (this.#closed || this.#ending !== undefined) return
    this.#ending = exitStatus
    this.#flushGathered()
    this.#finish()
  }

  /** The peer's data. */
  receive(bytes: Buffer): void {
    if (bytes.length > this.#windowIn) throw new ProtocolError('More data than the window allows')
    this.#windowIn -= bytes.length
    this.#progress += bytes.length
    if (this.#closed || this.#ending !== undefined || this.#endedEarly) return
    this.#unconsumed += bytes.length
    this.#given += bytes.length
    this.#measureWindow(bytes.length)
    if (this.#receiver === undefined) this.#early.push(bytes)
    else this.#receiver.data(bytes)
  }

  /** Data of the extended kind means nothing here; its window is given back. */
  discard(length: number): void {
    if (length > this.#windowIn) throw new ProtocolError('More data than the window allows')
    this.#windowIn -= length
    this.#adjustWindow()
  }

  /** The peer sends nothing more. */
  receiveEnd(): void {
    if (this.#endedEarly || this.#closed) return
    this.#endedEarly = true
    this.#receiver?.ended()
  }

  /** The peer takes `bytes` more. */
  widen(bytes: number): void {
    this.#windowOut += bytes
    this.#mostWindow = Math.max(this.#mostWindow, this.#windowOut)
    this.#impatient = false
    clearTimeout(this.#patience)
    this.#patience = undefined
    if (this.#windowOut > 0xffff_ffff) throw new ProtocolError('A window of more than 2^32 bytes')
    this.pump()
  }

  /** Sends what waited: the window opened, the socket has room, or a key exchange is over. */
  pump(): void {
    if (this.#closed) return
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
    if (this.#queue.length === 0) this.#flushGathered()
    this.#finish()
    if (this.#wantsRoom && !this.#closed && this.queuedBytes <= queueLimit / 2) {
      this.#wantsRoom = false
      this.#receiver?.room()
    }
  }

  /** Both sides closed the channel, or the connection is gone. */
  drop(): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#patience)
    for (const { slab } of this.#queue) if (slab !== undefined) this.#link.pool.give(slab)
    this.#queue = []
    this.#early = []
    this.#queuedBytes = this.#gatheredBytes = 0
    this.#gathered = undefined
    this.#receiver?.closed()
  }

  /** Answers the peer's CLOSE, unless ours went out before. */
  close(): void {
    if (!this.#sentClose) this.#control(message.channelClose)
    this.#sentClose = true
  }

  #gather(bytes: Buffer): void {
    if (this.#gatheredBytes + bytes.length > gatherBytes) this.#flushGathered()
    // Fresh memory for every turn made the collector mark and sweep for a third of the time of a get of small files.
    this.#gathered ??= this.#link.pool.take()
    this.#gathered.bytes.set(bytes, this.#gatheredBytes)
    this.#gatheredBytes += bytes.length
    if (this.#flushPlanned) return
    this.#flushPlanned = true
    this.#link.atEndOfTurn(() => {
      this.#flushPlanned = false
      this.#flushGathered()
      this.#giveGathered() // an idle session keeps none
    })
  }

  #giveGathered(): void {
    if (this.#gathered !== undefined) this.#link.pool.give(this.#gathered)
    this.#gathered = undefined
  }

  #flushGathered(): void {
    if (this.#gatheredBytes === 0 || this.#gathered === undefined) return
    const bytes = this.#gathered.bytes.subarray(0, this.#gatheredBytes)
    this.#gatheredBytes = 0
    this.#write(bytes)
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
        this.#link.atEndOfTurn(() => this.pump())
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
    this.#progress += length
    transport.commit(packet, moreFollow)
  }

  /**
   * Gives a peer far away a larger window: where half of it arrives within one round trip, the window is what holds
   * the peer up. Measured now and then while much is coming in and we keep pace.
   */
  #measureWindow(length: number): void {
    this.#sinceMeasured += length
    if (this.#measuring || this.#sinceMeasured < this.#measureAfter) return
    if (this.#target >= this.#limits.mostWindow || this.#unconsumed > this.#target / 2) return
    this.#measuring = true
    this.#sinceMeasured = 0
    this.#link.ping(() => {
      this.#measuring = false
      const farAway = this.#sinceMeasured > this.#target / 2
      if (farAway) this.#target = Math.min(this.#target * 2, this.#limits.mostWindow)
      else this.#measureAfter = Math.min(this.#measureAfter * 2, seldomMeasured)
      this.#sinceMeasured = 0
      this.#adjustWindow()
    })
  }

  #adjustWindow(): void {
    const more = this.#target - this.#windowIn - this.#unconsumed
    if (more < this.#target / 4 || this.#closed || this.#ending !== undefined) return
    this.#windowIn += more
    this.#control(message.channelWindowAdjust, more)
  }

  /** Says goodbye once everything is sent: exit status, end, close. */
  #finish(): void {
    if (this.#ending === undefined || this.#sentClose || this.#queuedBytes + this.#gatheredBytes > 0) return
    if (this.#link.transport.exchanging) return
    const { transport } = this.#link
    transport.send(
      buildMessage(message.channelRequest, this.#numbers.theirs, 'exit-status', false, this.#ending),
    )
    this.#control(message.channelEof)
    this.close()
  }

  #control(type: number, ...more: number[]): void {
    this.#link.transport.send(buildMessage(type, this.#numbers.theirs, ...more))
  }
}
