import type { Logger } from '../base/log.ts'
import type { HostKey } from './library.ts'
import { hostKeyAlgorithms } from './library.ts'
import type { ChannelLink } from './channel-link.ts'
import { ChannelStream } from './channel-stream.ts'
import { message, openFailure } from './messages.ts'
import type { WindowLimits } from './receive-window.ts'
import { buildMessage, Fields, ProtocolError, sshString } from './wire.ts'

/** What channels need of their connection and of the server. */
export interface ChannelsContext {
  readonly link: ChannelLink
  readonly windows: WindowLimits
  /** Open at once on this connection. */
  readonly mostChannels: number
  readonly hostKeys: readonly HostKey[]
  readonly log: Logger
  /** Takes one of the user's sessions, or says why there is none left. */
  enter(): { readonly refused: string } | { leave(): void }
  /** The client answered the oldest of our questions. */
  answered(): void
  /** Serves SFTP on a channel. */
  serve(stream: ChannelStream): void
}

interface Channel {
  readonly stream: ChannelStream
  readonly theirs: number
  readonly leave: () => void
  serving: boolean
}

/** The connection protocol of one logged-in client (RFC 4254): session channels for SFTP, a polite no to the rest. */
export class Channels {
  readonly #context: ChannelsContext
  readonly #open = new Map<number, Channel>()
  #nextId = 0
  #noMore = false

  constructor(context: ChannelsContext) {
    this.#context = context
  }

  /** From now on no channel is opened. */
  refuseMore(): void {
    this.#noMore = true
  }

  /** Sends what waited on any channel. */
  pump(): void {
    for (const { stream } of this.#open.values()) stream.pump()
  }

  /** The connection is gone. */
  drop(): void {
    for (const channel of this.#open.values()) {
      channel.leave()
      channel.stream.drop()
    }
    this.#open.clear()
  }

  /** Tells the client all our host keys, so that it knows new ones before old ones go (PROTOCOL section 2.5). */
  announceHostKeys(): void {
    const blobs = this.#context.hostKeys.map((key) => ({ raw: sshString(key.publicBlob) }))
    this.#send(buildMessage(message.globalRequest, 'hostkeys-00@openssh.com', false, ...blobs))
  }

  /** One message with a number from 80 to 127. False when it is none that a server knows. */
  handle(payload: Buffer): boolean {
    switch (payload[0] ?? 0) {
      case message.channelData:
        return this.#data(payload)
      case message.channelWindowAdjust:
        return this.#adjust(payload)
      case message.channelRequest:
        return this.#request(payload)
      case message.channelOpen:
        return this.#openChannel(payload)
      case message.globalRequest:
        return this.#globalRequest(payload)
      case message.channelEof:
        this.#channelOf(new Fields(payload)).stream.receiveEnd()
        return true
      case message.channelClose:
        return this.#close(payload)
      case message.channelExtendedData:
        return this.#extendedData(payload)
      case message.requestSuccess:
      case message.requestFailure:
        // To our keepalives; peers answer in the order asked (RFC 4254 section 4).
        this.#context.answered()
        return true
      case message.channelOpenConfirmation:
      case message.channelOpenFailure:
      case message.channelSuccess:
      case message.channelFailure:
        throw new ProtocolError('An answer that was not asked for')
      default:
        return false
    }
  }

  #channelOf(fields: Fields): Channel {
    const channel = this.#open.get(fields.uint32())
    if (channel === undefined) throw new ProtocolError('A message for a channel that is not open')
    return channel
  }

  #data(payload: Buffer): true {
    const fields = new Fields(payload)
    const channel = this.#channelOf(fields)
    const bytes = fields.bytes()
    if (channel.serving) channel.stream.receive(bytes)
    else channel.stream.discard(bytes.length) // nobody was asked for yet
    return true
  }

  #extendedData(payload: Buffer): true {
    const fields = new Fields(payload)
    const channel = this.#channelOf(fields)
    fields.uint32()
    channel.stream.discard(fields.bytes().length)
    return true
  }

  #adjust(payload: Buffer): true {
    const fields = new Fields(payload)
    const channel = this.#channelOf(fields)
    channel.stream.widen(fields.uint32())
    return true
  }

  #close(payload: Buffer): true {
    const fields = new Fields(payload)
    const id = fields.uint32()
    const channel = this.#open.get(id)
    if (channel === undefined) throw new ProtocolError('A message for a channel that is not open')
    this.#open.delete(id)
    channel.stream.close()
    channel.leave()
    channel.stream.drop()
    return true
  }

  #openChannel(payload: Buffer): true {
    const fields = new Fields(payload)
    const type = fields.name()
    const [theirs, window, packetSize] = [fields.uint32(), fields.uint32(), fields.uint32()]
    const refuse = (reason: number, text: string): true => {
      this.#context.log.debug('channel refused', { type: type.slice(0, 64), reason: text })
      this.#send(buildMessage(message.channelOpenFailure, theirs, reason, text, ''))
      return true
    }
    if (type !== 'session') {
      const known = /^(direct-|forwarded-)|^(x11|tun@openssh\.com|auth-agent)/.test(type)
      return known
        ? refuse(openFailure.administrativelyProhibited, 'Only sessions are served here')
        : refuse(openFailure.unknownChannelType, 'Unknown channel type')
    }
    // A peer that takes no byte in a packet could never be answered.
    if (packetSize === 0) return refuse(openFailure.administrativelyProhibited, 'The packet size is zero')
    if (this.#noMore) return refuse(openFailure.administrativelyProhibited, 'No more sessions')
    if (this.#open.size >= this.#context.mostChannels)
      return refuse(openFailure.resourceShortage, 'Too many sessions on this connection')
    const entered = this.#context.enter()
    if ('refused' in entered) return refuse(openFailure.resourceShortage, entered.refused)
    this.#confirm({ theirs, window, packetSize }, () => entered.leave())
    return true
  }

  #confirm(asked: { theirs: number; window: number; packetSize: number }, leave: () => void): void {
    const ours = this.#nextId
    this.#nextId = (this.#nextId + 1) % 0x1_0000_0000
    const { firstWindow } = this.#context.windows
    const stream = new ChannelStream(this.#context.link, { ours, ...asked }, this.#context.windows)
    this.#open.set(ours, { stream, theirs: asked.theirs, leave, serving: false })
    this.#send(
      buildMessage(message.channelOpenConfirmation, asked.theirs, ours, firstWindow, mostPacketOffered),
    )
  }

  #request(payload: Buffer): true {
    const fields = new Fields(payload)
    const channel = this.#channelOf(fields)
    const type = fields.name()
    const wantsReply = fields.boolean()
    const granted = type === 'subsystem' && fields.name() === 'sftp' && !channel.serving
    if (granted) channel.serving = true
    else if (!quietRequests.has(type)) this.#context.log.debug('request refused', { type: type.slice(0, 64) })
    if (wantsReply)
      this.#send(buildMessage(granted ? message.channelSuccess : message.channelFailure, channel.theirs))
    if (granted) this.#context.serve(channel.stream)
    return true
  }

  #globalRequest(payload: Buffer): true {
    const fields = new Fields(payload)
    const name = fields.name()
    const wantsReply = fields.boolean()
    if (name === 'no-more-sessions@openssh.com') this.refuseMore()
    const proofs = name === 'hostkeys-prove-00@openssh.com' && wantsReply ? this.#prove(fields) : undefined
    if (proofs !== undefined) this.#send(buildMessage(message.requestSuccess, { raw: proofs }))
    // A keepalive is answered with a failure: that it is answered is what counts.
    else if (wantsReply) this.#send(buildMessage(message.requestFailure))
    return true
  }

  /** Signatures that prove each asked host key ours; undefined when one is not. */
  #prove(fields: Fields): Buffer | undefined {
    const proofs: Buffer[] = []
    const sessionId = sshString(this.#context.link.transport.sessionId)
    while (fields.left > 0) {
      const blob = fields.bytes()
      const key = this.#context.hostKeys.find((each) => each.publicBlob.equals(blob))
      const [algorithm] = key === undefined ? [] : hostKeyAlgorithms(key)
      // Each key once: signatures cost, and nobody needs two.
      if (key === undefined || algorithm === undefined || proofs.length === this.#context.hostKeys.length)
        return undefined
      const data = Buffer.concat([sshString('hostkeys-prove-00@openssh.com'), sessionId, sshString(blob)])
      proofs.push(sshString(key.sign(data, algorithm)))
    }
    return Buffer.concat(proofs)
  }

  #send(payload: Buffer): void {
    this.#context.link.transport.send(payload)
  }
}

/** Data we take in one message. */
const mostPacketOffered = 32 * 1024

/** Asked by every interactive client; a refusal is no news. */
const quietRequests: ReadonlySet<string> = new Set([
  'env',
  'pty-req',
  'window-change',
  'auth-agent-req@openssh.com',
])
