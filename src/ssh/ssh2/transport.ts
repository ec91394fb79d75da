import {
  hostKeyAlgorithms,
  type PacketMemory,
  type Transport,
  type TransportEvents,
  type TransportOptions,
} from '../library.ts'
import { disconnectReason, message, type DisconnectReason } from '../messages.ts'
import { hybridName } from '../post-quantum.ts'
import { buildMessage, Fields, ProtocolError } from '../wire.ts'
import { keyForLibrary } from './host-key.ts'
import { asIfPlain, makeHybrid, plainInitOf } from './hybrid.ts'
import { InPlaceDecipher, openedInPlace } from './in-place-decipher.ts'
import type { Parts, PrivateDecipher, PrivateExchange, PrivateProtocol } from './private-parts.ts'
import { slimExchange, unpooled } from './slim-exchange.ts'

/** Messages that mean nothing may precede a first key exchange; this many are patience enough. */
const mostFillers = 64

/** A `Transport` over the library's protocol object. */
export class LibraryTransport implements Transport {
  readonly #parts: Parts
  readonly #options: TransportOptions
  readonly #events: TransportEvents
  readonly #protocol: PrivateProtocol
  #closed = false
  #wantsExtInfo = false
  #first = true
  #rekeysAllowed: boolean
  #fillers = 0
  #heldBytes = 0
  #bytesSinceExchange = 0
  #oldDecipher: PrivateDecipher | undefined
  #packetBytes: (length: number) => number = () => 0
  #beginIn: (packet: Buffer, length: number) => void = () => {}

  constructor(parts: Parts, options: TransportOptions, events: TransportEvents) {
    this.#parts = parts
    this.#options = options
    this.#events = events
    this.#rekeysAllowed = !options.firstExchangesOnly
    const hostKeys = Object.create(null) as Record<string, object>
    for (const key of options.hostKeys) {
      for (const algorithm of hostKeyAlgorithms(key)) hostKeys[algorithm] ??= keyForLibrary(key)
    }
    this.#protocol = new parts.Protocol({
      server: options.side === 'server',
      hostKeys,
      ident: Buffer.from(options.software, 'latin1'),
      offer: options.offer.handle,
      messageHandlers: {
        DISCONNECT: (_: unknown, reason: number, text: string) => events.disconnected(reason, text),
      },
      onWrite: (bytes: Uint8Array) => events.write(bytes),
      onError: (error: Error) => this.#failed(error),
      // The first KEXINIT takes the library's own way past `_onPayload`.
      onHeader: () => this.#watchExchange((payload, next) => this.#keyExchangeInit(payload, next)),
      onHandshakeComplete: () => this.#exchanged(),
    })
    this.#protocol._identRaw = unpooled(this.#protocol._identRaw)
    this.#protocol._onPayload = (payload) => this.#payload(payload)
  }

  get exchanging(): boolean {
    return this.#protocol._kexinit !== undefined
  }

  get holdsPart(): boolean {
    const decipher = this.#protocol._decipher
    return decipher instanceof InPlaceDecipher ? decipher.holdsPart : decipher?._packet !== null
  }

  get inPlace(): boolean {
    return this.#parts.crypto.bindingAvailable
  }

  get heldBytes(): number {
    return this.#heldBytes
  }

  get sessionId(): Buffer {
    const id = this.#protocol._kex?.sessionID
    if (id === undefined) throw new Error('There is no session before the first key exchange')
    return id
  }

  get lastSequence(): number {
    return ((this.#protocol._decipher?.inSeqno ?? 1) - 1) >>> 0
  }

  get start(): number {
    return this.#protocol._packetRW.write.allocStart
  }

  receive(chunk: Buffer): void {
    if (this.#closed) return
    this.#bytesSinceExchange += chunk.length
    try {
      this.#protocol.parse(chunk, 0, chunk.length)
    } catch (error) {
      this.#breakOff(error instanceof Error ? error : new Error(String(error)))
    }
    if (this.#bytesSinceExchange > this.#options.rekeyBytes) this.rekey()
  }

  send(payload: Buffer): void {
    if (this.#closed) return
    const packet = this.begin(payload.length)
    packet.set(payload, this.start)
    this.commit(packet)
  }

  packetBytes(length: number): number {
    return this.exchanging ? 0 : this.#packetBytes(length)
  }

  beginIn(packet: Buffer, length: number): void {
    this.#beginIn(packet, length)
  }

  begin(length: number): Buffer {
    return this.#protocol._packetRW.write.alloc(length)
  }

  /** Our own reader of packets in the place of the library's, where there is one for what was agreed on. */
  #inPlace({ negotiated }: PrivateExchange): PrivateDecipher | undefined {
    const { crypto } = this.#parts
    const decipher = this.#protocol._decipher
    const { cipher, mac } = this.#options.side === 'server' ? negotiated.cs : negotiated.sc
    const info = crypto.CIPHER_INFO[cipher]
    if (!crypto.bindingAvailable || decipher === undefined || info === undefined) return decipher
    return openedInPlace(decipher, info, crypto.MAC_INFO[mac])
  }

  /** Puts our own allocation of packets in: where the socket's output lies, with padding that costs no call. */
  #useMemory(memory: PacketMemory): void {
    const { crypto } = this.#parts
    const { cipher, mac } = this.#protocol._kex?.negotiated.sc ?? {}
    const info = crypto.CIPHER_INFO[cipher ?? '']
    if (!crypto.bindingAvailable || info === undefined) return // the portable ciphers want packets without room for a tag
    const macInfo = info.authLen > 0 ? undefined : crypto.MAC_INFO[mac ?? '']
    const block = info.blockLen
    const clear = info.authLen > 0 || macInfo?.isETM === true ? 4 : 0
    const tail = info.authLen > 0 ? info.authLen : (macInfo?.len ?? 0)
    const paddingOf = (length: number): number => {
      const padding = block - ((5 + length - clear) % block)
      return padding < 4 ? padding + block : padding
    }
    this.#packetBytes = (length) => 5 + length + paddingOf(length) + tail
    this.#beginIn = (packet, length) => {
      const padding = paddingOf(length)
      packet.writeUInt32BE(1 + length + padding, 0)
      packet[4] = padding
      memory.fillPadding(packet, 5 + length, padding)
    }
    this.#protocol._cipher.allocPacket = (length) => {
      const packet = memory.allocate(this.#packetBytes(length))
      this.#beginIn(packet, length)
      return packet
    }
  }

  commit(packet: Buffer, moreFollow = false): void {
    if (this.#closed) return
    if (this.exchanging) this.#heldBytes += packet.length
    else this.#bytesSinceExchange += packet.length
    this.#parts.sendPacket(this.#protocol, packet)
    if (moreFollow) return
    if (this.#bytesSinceExchange > this.#options.rekeyBytes) this.rekey()
  }

  rekey(): void {
    if (this.#closed || this.#first || this.exchanging) return
    this.#protocol.rekey()
  }

  allowRekeys(): void {
    this.#rekeysAllowed = true
  }

  disconnect(reason: DisconnectReason, text: string): void {
    if (this.#closed) return
    const payload = buildMessage(message.disconnect, reason, text, '')
    // May come at any time, inside a key exchange too.
    const { write } = this.#protocol._packetRW
    const start = write.allocStartKEX
    const packet = write.alloc(payload.length, true)
    packet.set(payload, start)
    this.#parts.sendPacket(this.#protocol, packet, true)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    const decipher = this.#protocol._decipher
    this.#protocol.cleanup()
    // The library does not free AES-GCM deciphers.
    decipher?._instance?.free()
    this.#oldDecipher?._instance?.free()
  }

  /** Stands before the library's reader of key exchange messages, which knows no patience and no hybrid. */
  #watchExchange(onInit: (payload: Buffer, next: (payload: Buffer) => unknown) => unknown): void {
    const decipher = this.#protocol._decipher
    if (decipher === undefined) return
    const next = decipher._onPayload
    decipher._onPayload = (payload) => {
      if (this.#closed) return Infinity
      const type = payload[0]
      if (type === message.kexInit) return onInit(payload, next)
      if (type === message.ignore || type === message.debug || type === message.unimplemented) {
        this.#fillers += 1
        if (this.#fillers > mostFillers) throw new Error('Too many messages inside a key exchange')
      }
      return next(payload)
    }
  }

  #payload(payload: Buffer): unknown {
    if (this.#closed) return Infinity
    const type = payload[0]
    if (type === message.kexInit) {
      if (!this.#rekeysAllowed) throw new Error('A second key exchange before the login')
      const result = this.#keyExchangeInit(payload, (given) =>
        this.#parts.handlers[message.kexInit]?.(this.#protocol, given),
      )
      // The library has put its own reader in; a second KEXINIT inside the exchange is refused there.
      if (!this.#closed) this.#watchExchange((again, refuse) => refuse(again))
      return result
    }
    if (type !== undefined && type > message.kexInit && type < 50)
      throw new Error(`Message ${type} outside a key exchange`)
    if (type === message.disconnect) {
      this.#disconnected(payload)
      return Infinity
    }
    if (type !== undefined) this.#events.payload(payload)
    return this.#closed ? Infinity : undefined
  }

  #disconnected(payload: Buffer): void {
    const fields = new Fields(payload)
    this.#events.disconnected(fields.uint32(), fields.text() ?? '')
  }

  /**
   * Lets the library negotiate, with one change: where our hybrid exchange is the choice, the library believes that
   * it is plain x25519, whose object then gets the hybrid's three methods.
   */
  #keyExchangeInit(payload: Buffer, next: (payload: Buffer) => unknown): unknown {
    this.#oldDecipher = this.#protocol._decipher
    const { side } = this.#options
    const hybrid = plainInitOf(payload, side, this.#protocol._offer.lists.kex.array)
    const result = hybrid === undefined ? next(payload) : asIfPlain(this.#protocol, side, () => next(hybrid))
    const exchange = this.#protocol._kex
    if (exchange === undefined || this.#closed) return result
    if (hybrid !== undefined) {
      // What the peer really sent goes into the hash.
      exchange._remoteKexinit = payload
      exchange.negotiated.kex = hybridName
      makeHybrid(exchange, side)
      if (side === 'client') exchange.start()
    }
    if (this.#first) this.#wantsExtInfo = exchange.remoteExtInfoEnabled
    // The library's own EXT_INFO names weak algorithms and lacks a comma; ours is sent in its place.
    exchange.remoteExtInfoEnabled = false
    return result
  }

  #exchanged(): void {
    const exchange = this.#protocol._kex
    if (exchange === undefined) return
    const first = this.#first
    this.#first = false
    this.#fillers = 0
    this.#heldBytes = 0
    this.#bytesSinceExchange = 0
    const old = this.#oldDecipher
    this.#oldDecipher = undefined
    if (old !== this.#protocol._decipher) old?._instance?.free()
    if (first && this.#wantsExtInfo) this.send(this.#extInfo())
    slimExchange(this.#protocol, exchange)
    this.#protocol._decipher = this.#inPlace(exchange)
    if (this.#options.memory !== undefined) this.#useMemory(this.#options.memory)
    const { negotiated } = exchange
    this.#events.exchanged(first, {
      kex: negotiated.kex,
      hostKeyAlgorithm: negotiated.serverHostKey,
      cipherIn: negotiated.cs.cipher,
      cipherOut: negotiated.sc.cipher,
    })
  }

  #extInfo(): Buffer {
    const algorithms = this.#options.signatureAlgorithms.join(',')
    return buildMessage(message.extInfo, 2, 'server-sig-algs', algorithms, 'ping@openssh.com', '0')
  }

  #breakOff(error: Error): void {
    if (this.#closed) return
    const reason = /MAC/.test(error.message) ? disconnectReason.macError : disconnectReason.protocolError
    try {
      this.disconnect(reason, error instanceof ProtocolError ? error.message : '')
    } catch {
      // The cipher is gone already; the connection ends all the same.
    }
    this.#failed(error)
  }

  #failed(error: Error): void {
    if (this.#closed) return
    this.close()
    this.#events.failed(error)
  }
}
