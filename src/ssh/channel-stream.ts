import type { ByteReceiver, ByteStream, StreamRoom } from '../sftp/byte-stream.ts'
import type { ChannelLink, ChannelNumbers } from './channel-link.ts'
import { ChannelOutput } from './channel-output.ts'
import { message } from './messages.ts'
import type { StillNeeded } from './read-memory.ts'
import { ReceiveWindow, type WindowLimits } from './receive-window.ts'
import { buildMessage } from './wire.ts'

/** An SSH channel as the stream that an SFTP session wants: exact flow control both ways, and a goodbye. */
export class ChannelStream implements ByteStream {
  readonly copies = true
  readonly #link: ChannelLink
  readonly #theirs: number
  readonly #window: ReceiveWindow
  readonly #output: ChannelOutput
  #receiver: ByteReceiver | undefined
  /** What came before `start`. */
  #early: Buffer[] = []
  #endedEarly = false
  #received = 0
  #ending: number | undefined
  #sentClose = false
  #closed = false

  constructor(link: ChannelLink, numbers: ChannelNumbers, limits: WindowLimits) {
    this.#link = link
    this.#theirs = numbers.theirs
    this.#window = new ReceiveWindow(limits, {
      ping: (answered) => link.ping(answered),
      widen: (bytes) => this.#control(message.channelWindowAdjust, bytes),
    })
    this.#output = new ChannelOutput(link, numbers, () => this.pump())
  }

  start(receiver: ByteReceiver): void {
    this.#receiver = receiver
    for (const bytes of this.#early.splice(0)) receiver.data(bytes)
    if (this.#endedEarly) receiver.ended()
    if (this.#closed) receiver.closed()
  }

  get queuedBytes(): number {
    return this.#output.queuedBytes
  }

  /** Grows with every byte of data in either direction: where it stands still, nobody does anything. */
  get progress(): number {
    return this.#received + this.#output.sent
  }

  /** Bytes handed to the session, and which of them it may still look at. */
  get stillNeeded(): Omit<StillNeeded, 'partOfPacket'> {
    const { given, unconsumed } = this.#window
    const tail = unconsumed === 0 ? 0 : (this.#receiver?.lookedAt ?? given)
    return { by: this, given, tail }
  }

  send(bytes: Buffer): boolean {
    if (this.#closed || this.#ending !== undefined) return true
    return this.#output.send(bytes)
  }

  lend(length: number): StreamRoom | 'later' | undefined {
    if (this.#closed || this.#ending !== undefined) return undefined
    return this.#output.lend(length)
  }

  consumed(bytes: number): void {
    this.#window.consumed(bytes)
  }

  end(exitStatus: number): void {
    if (this.#closed || this.#ending !== undefined) return
    this.#ending = exitStatus
    this.#window.stop()
    this.#output.flush()
    this.#finish()
  }

  /** The peer's data. */
  receive(bytes: Buffer): void {
    const { length } = bytes
    this.#window.take(length)
    this.#received += length
    if (this.#closed || this.#ending !== undefined || this.#endedEarly) return
    this.#window.hand(length)
    if (this.#receiver === undefined) this.#early.push(bytes)
    else this.#receiver.data(bytes)
  }

  /** Data of the extended kind means nothing here; its window is given back. */
  discard(length: number): void {
    this.#window.take(length)
    this.#window.adjust()
  }

  /** The peer sends nothing more. */
  receiveEnd(): void {
    if (this.#endedEarly || this.#closed) return
    this.#endedEarly = true
    this.#receiver?.ended()
  }

  /** The peer takes `bytes` more. */
  widen(bytes: number): void {
    this.#output.widen(bytes)
    this.pump()
  }

  /** Sends what waited: the window opened, the socket has room, or a key exchange is over. */
  pump(): void {
    if (this.#closed) return
    this.#output.pump()
    this.#finish()
    if (!this.#closed && this.#output.foundRoom()) this.#receiver?.room()
  }

  /** Both sides closed the channel, or the connection is gone. */
  drop(): void {
    if (this.#closed) return
    this.#closed = true
    this.#window.stop()
    this.#output.drop()
    this.#early = []
    this.#receiver?.closed()
  }

  /** Answers the peer's CLOSE, unless ours went out before. */
  close(): void {
    if (!this.#sentClose) this.#control(message.channelClose)
    this.#sentClose = true
  }

  /** Says goodbye once everything is sent: exit status, end, close. */
  #finish(): void {
    if (this.#ending === undefined || this.#sentClose || this.#output.waitingBytes > 0) return
    const { transport } = this.#link
    if (transport.exchanging) return
    transport.send(buildMessage(message.channelRequest, this.#theirs, 'exit-status', false, this.#ending))
    this.#control(message.channelEof)
    this.close()
  }

  #control(type: number, ...more: number[]): void {
    this.#link.transport.send(buildMessage(type, this.#theirs, ...more))
  }
}
