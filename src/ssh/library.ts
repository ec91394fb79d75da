import { createPrivateKey, sign as signWithKey, type KeyObject } from 'node:crypto'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type PacketCiphers } from '../native/packet-ciphers.ts'
import { slabBytes, type PacketPool } from './packet-pool.ts'
import { disconnectReason, message, type DisconnectReason } from './messages.ts'
import { answerHybrid, beginHybrid, hybridName } from './post-quantum.ts'
import { buildMessage, Fields, ProtocolError, sshMpint, sshString } from './wire.ts'

/*
 * The one place that touches ssh2, its private parts included: version exchange, key exchange, packets. Everything
 * above packets (login, channels, guards) is ours. `library-self-test.ts` runs this file against itself at start.
 */

/** The part of the SSH library that we use. */
export interface SshLibrary {
  /** Whether our own packet ciphers are in place. */
  readonly nativeCiphers: boolean
  /** The names of algorithms that the library can do; `hybridName` is ours and included. */
  readonly supported: {
    readonly kex: readonly string[]
    readonly ciphers: readonly string[]
    readonly macs: readonly string[]
  }
  createOffer(names: OfferNames): Offer
  createTransport(options: TransportOptions, events: TransportEvents): Transport
  /** Reads a private key in OpenSSH's, PEM or PuTTY's form; throws with the reason when it is none. */
  parseHostKey(text: string): HostKey
  /** Encrypts one packet with the packet ciphers in place, or with the library's JavaScript. */
  sealPacket(cipher: string, mac: string, sequence: number, packet: Buffer, way: CipherWay): Buffer
  /** Opens what `sealPacket` made and returns the payload; throws when it does not fit. */
  openPacket(cipher: string, mac: string, sequence: number, sealed: Buffer, way: CipherWay): Buffer
}

/** Which implementation of a cipher is meant. */
export type CipherWay = 'in-place' | 'portable'

/** What we offer, in order. */
export interface OfferNames {
  readonly kex: readonly string[]
  readonly hostKeyAlgorithms: readonly string[]
  readonly ciphers: readonly string[]
  readonly macs: readonly string[]
}

/** An offer in the library's form; one serves all connections. */
export interface Offer {
  readonly names: OfferNames
  /** The library's object; opaque outside this file. */
  readonly handle: object
}

/** A private key that proves who this server is. */
export interface HostKey {
  /** `ssh-ed25519`, `ssh-rsa`, `ecdsa-sha2-nistp256` ... */
  readonly type: string
  /** The public key as SSH sends it. */
  readonly publicBlob: Buffer
  /** Signs `data`; the result is a signature blob with its algorithm's name. */
  sign(data: Buffer, algorithm: string): Buffer
}

/** What was agreed on. */
export interface Negotiated {
  readonly kex: string
  readonly hostKeyAlgorithm: string
  readonly cipherIn: string
  readonly cipherOut: string
}

/** How one connection's transport is set up. */
export interface TransportOptions {
  readonly side: 'server' | 'client'
  /** What we call ourselves, without `SSH-2.0-`. Already sent by the caller. */
  readonly software: string
  readonly offer: Offer
  readonly hostKeys: readonly HostKey[]
  /** The value of `server-sig-algs`: which signatures of users we take. */
  readonly signatureAlgorithms: readonly string[]
  /** Bytes in both directions after which a new key exchange is started. */
  readonly rekeyBytes: number
  /** Key exchanges a peer may start before `allowRekeys`. */
  readonly firstExchangesOnly: boolean
  /** Memory for bulk data; without one, every packet gets its own. */
  readonly pool?: PacketPool
}

/** What a transport tells. */
export interface TransportEvents {
  /** Bytes for the socket. `lent` is the pool's memory that they lie in: to be given back when they are sent. */
  write(bytes: Uint8Array, lent: Buffer | undefined): void
  /** A message that is not part of a key exchange. A view on memory that is not used again. */
  payload(payload: Buffer): void
  /** A key exchange is complete. */
  exchanged(first: boolean, negotiated: Negotiated): void
  /** The peer said goodbye. */
  disconnected(reason: number, text: string): void
  /** The peer broke the protocol; it has been told, and nothing more can be sent or received. */
  failed(error: Error): void
}

/** Messages in and out over one connection, encrypted as agreed. */
export interface Transport {
  /** Bytes from the socket. Never throws. */
  receive(chunk: Buffer): void
  send(payload: Buffer): void
  /**
   * Room for a message of `length` bytes, which begins at `start` of it. Hand it to `commit` in the same turn:
   * it is encrypted where it lies.
   */
  begin(length: number): Buffer
  readonly start: number
  commit(packet: Buffer): void
  /** Starts a key exchange unless one is under way. */
  rekey(): void
  /** From now on the peer, too, may start key exchanges. */
  allowRekeys(): void
  /** Whether a key exchange is under way: messages are then queued. */
  readonly exchanging: boolean
  /** Bytes queued until the exchange is complete. */
  readonly heldBytes: number
  readonly sessionId: Buffer
  /** The number of the last packet received, for UNIMPLEMENTED. */
  readonly lastSequence: number
  /** Says goodbye with a reason; `close` comes next. */
  disconnect(reason: DisconnectReason, text: string): void
  /** Frees keys and ciphers; nothing works after it. */
  close(): void
}

/** Loads a private copy of the library with `ciphers` in the place of its compiled binding. */
export async function openSshLibrary(ciphers: PacketCiphers | undefined): Promise<SshLibrary> {
  const parts = loadPrivately(ciphers)
  checkParts(parts)
  await parts.crypto.init // its own MAC in WebAssembly, for the portable way
  return {
    nativeCiphers: ciphers !== undefined,
    supported: {
      kex: [hybridName, ...parts.constants.SUPPORTED_KEX.filter((name) => !name.includes('group-exchange'))],
      ciphers: parts.constants.SUPPORTED_CIPHER,
      macs: parts.constants.SUPPORTED_MAC,
    },
    createOffer: (names) => createOffer(parts, names),
    createTransport: (options, events) => new LibraryTransport(parts, options, events),
    parseHostKey: (text) => parseHostKey(parts, text),
    sealPacket: (...parameters) => sealPacket(parts, ...parameters),
    openPacket: (...parameters) => openPacket(parts, ...parameters),
  }
}

// ---------------------------------------------------------------------------------------------------------------
// The private parts, as version 1.17.0 has them. Only what is used is declared.

interface Parts {
  readonly Protocol: new (config: object) => PrivateProtocol
  readonly KexInit: new (lists: object) => { lists: PrivateLists }
  readonly handlers: ((protocol: PrivateProtocol, payload: Buffer) => unknown)[]
  readonly constants: {
    readonly SUPPORTED_KEX: readonly string[]
    readonly SUPPORTED_CIPHER: readonly string[]
    readonly SUPPORTED_MAC: readonly string[]
  }
  readonly crypto: {
    readonly CIPHER_INFO: Readonly<Record<string, PrivateCipherInfo>>
    readonly MAC_INFO: Readonly<
      Record<string, { readonly len: number; readonly actualLen: number; readonly isETM: boolean }>
    >
    readonly bindingAvailable: boolean
    readonly init: Promise<void>
    createCipher(config: object): { encrypt(packet: Buffer): void; free(): void }
    createDecipher(config: object): { decrypt(data: Buffer, at: number, end: number): unknown; free(): void }
  }
  readonly sendPacket: (protocol: PrivateProtocol, packet: Buffer, bypass?: boolean) => void
  readonly parseKey: (text: string) => PrivateKey | PrivateKey[] | Error
}

interface PrivateCipherInfo {
  readonly keyLen: number
  readonly ivLen: number
  readonly blockLen: number
  readonly authLen: number
}

interface PrivateLists {
  readonly kex: { readonly array: readonly string[]; readonly buffer: Buffer }
}

interface PrivateKey {
  readonly type: string
  getPrivatePEM(): string | null
  getPublicSSH(): Buffer
}

interface PrivateProtocol {
  _offer: { readonly lists: PrivateLists }
  _kex: PrivateExchange | undefined
  _kexinit: Buffer | undefined
  _cipher: { encrypt: (packet: Buffer) => void; allocPacket: (length: number) => Buffer }
  _decipher: PrivateDecipher | undefined
  _identRaw: Buffer
  _remoteIdentRaw: Buffer
  _onPayload: (payload: Buffer) => unknown
  readonly _packetRW: {
    readonly write: {
      alloc(length: number, force?: boolean): Buffer
      allocStart: number
      allocStartKEX: number
    }
  }
  _destruct: unknown
  parse(chunk: Buffer, at: number, end: number): void
  rekey(): void
  cleanup(): void
}

interface PrivateDecipher {
  inSeqno: number
  _onPayload: (payload: Buffer) => unknown
  readonly _instance?: { free(): void }
  _tag?: Buffer
  _mac?: Buffer
  _lenBuf?: Buffer
  _block?: Buffer
}

interface PrivateExchange {
  readonly type: string
  readonly sessionID: Buffer | undefined
  readonly negotiated: {
    kex: string
    serverHostKey: string
    cs: { cipher: string }
    sc: { cipher: string; mac: string }
  }
  remoteExtInfoEnabled: boolean
  _remoteKexinit: Buffer | undefined
  convertPublicKey: (key: Buffer) => Buffer
  computeSecret: (theirs: Buffer) => Buffer | Error
  getPublicKey: () => Buffer
  start(): void
}

/**
 * Loads ssh2 beside any copy that the embedding program uses: our changes stay ours, and nothing of the installed
 * files is touched. Its client, agent and SFTP code is never loaded.
 */
function loadPrivately(ciphers: PacketCiphers | undefined): Parts {
  const require = createRequire(import.meta.url)
  const folder = join(dirname(require.resolve('ssh2/package.json')), 'lib')
  // node:module has had this function since its beginning; ssh2's `require` of its binding goes through it.
  const loader = require('node:module') as { _load: (request: string, ...rest: unknown[]) => unknown }
  const original = loader._load
  const theirs = takeFromCache(require, folder)
  loader._load = function load(request: string, ...rest: unknown[]): unknown {
    if (request.endsWith('sshcrypto.node')) {
      if (ciphers === undefined) throw new Error('No packet ciphers')
      return ciphers
    }
    // A second compiled binding, which only says whether the processor knows AES.
    if (request === 'cpu-features') throw new Error('Not needed')
    return original.call(this, request, ...rest)
  }
  try {
    const load = (file: string): never => require(join(folder, file)) as never
    const kex: { KexInit: Parts['KexInit']; onKEXPayload: (state: object, payload: Buffer) => unknown } =
      load('protocol/kex.js')
    const utils: { sendPacket: Parts['sendPacket']; doFatalError: (protocol: object, text: string) => void } =
      load('protocol/utils.js')
    const handlers: Parts['handlers'] = load('protocol/handlers.js')
    resolveLateRequires(kex, utils)
    const keys: { parseKey: Parts['parseKey'] } = load('protocol/keyParser.js')
    return {
      Protocol: load('protocol/Protocol.js'),
      KexInit: kex.KexInit,
      handlers,
      constants: load('protocol/constants.js'),
      crypto: load('protocol/crypto.js'),
      sendPacket: utils.sendPacket,
      parseKey: keys.parseKey,
    }
  } finally {
    loader._load = original
    takeFromCache(require, folder)
    Object.assign(require.cache, theirs)
  }
}

function takeFromCache(require: NodeJS.Require, folder: string): NodeJS.Dict<NodeJS.Module> {
  const taken: NodeJS.Dict<NodeJS.Module> = {}
  for (const [name, module] of Object.entries(require.cache)) {
    if (!name.startsWith(folder)) continue
    taken[name] = module
    delete require.cache[name]
  }
  return taken
}

/** Two files require a third one only when they first need it; by then our copy is no longer in the cache. */
function resolveLateRequires(
  kex: { onKEXPayload: (state: object, payload: Buffer) => unknown },
  utils: { doFatalError: (protocol: object, text: string) => void },
): void {
  const nobody = { _packetRW: { read: { read: (payload: Buffer) => payload } }, _handlers: {} }
  kex.onKEXPayload.call(nobody, {}, Buffer.of(message.ignore, 0, 0, 0, 0))
  utils.doFatalError({ disconnect() {}, _destruct() {}, _onError() {} }, 'nobody')
}

/** Says at start, in words, that another version of the library came in. The self-test then tries the rest. */
function checkParts(parts: Parts): void {
  const prototype = parts.Protocol.prototype as Record<string, unknown>
  const missing = ['parse', 'rekey', 'cleanup', 'disconnect'].filter(
    (name) => typeof prototype[name] !== 'function',
  )
  if (typeof parts.handlers[message.kexInit] !== 'function') missing.push('handlers[20]')
  if (typeof parts.sendPacket !== 'function') missing.push('sendPacket')
  if (!Array.isArray(parts.constants.SUPPORTED_KEX)) missing.push('SUPPORTED_KEX')
  if (missing.length > 0)
    throw new Error(
      `Cannot use this version of ssh2: ${missing.join(', ')} changed. Version 1.17.0 is the one we know`,
    )
}

// ---------------------------------------------------------------------------------------------------------------
// Offers and keys

function createOffer(parts: Parts, names: OfferNames): Offer {
  const lists = { cipher: names.ciphers, mac: names.macs, compress: ['none'], lang: [] }
  const handle = new parts.KexInit({
    kex: names.kex,
    serverHostKey: names.hostKeyAlgorithms,
    cs: lists,
    sc: lists,
  })
  return { names, handle }
}

function parseHostKey(parts: Parts, text: string): HostKey {
  const parsed = parts.parseKey(text)
  if (parsed instanceof Error) throw parsed
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  const pem = key?.getPrivatePEM() ?? null
  if (key === undefined || pem === null) throw new Error('There is no private key in it')
  const privateKey = createPrivateKey(pem)
  return {
    type: key.type,
    publicBlob: key.getPublicSSH(),
    sign: (data, algorithm) => signatureBlob(privateKey, data, algorithm),
  }
}

/** A signature with its algorithm's name before it (RFC 4253 section 6.6, RFC 5656, RFC 8332). */
function signatureBlob(key: KeyObject, data: Buffer, algorithm: string): Buffer {
  return Buffer.concat([sshString(algorithm), sshString(rawSignature(key, data, algorithm))])
}

function rawSignature(key: KeyObject, data: Buffer, algorithm: string): Buffer {
  if (algorithm === 'ssh-ed25519') return signWithKey(null, data, key)
  if (algorithm.startsWith('ecdsa-')) {
    const hash = algorithm.endsWith('256') ? 'sha256' : algorithm.endsWith('384') ? 'sha384' : 'sha512'
    const pair = signWithKey(hash, data, { key, dsaEncoding: 'ieee-p1363' })
    const half = pair.length / 2
    return Buffer.concat([sshMpint(pair.subarray(0, half)), sshMpint(pair.subarray(half))])
  }
  const hashes: Readonly<Record<string, string>> = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' }
  return signWithKey(hashes[algorithm] ?? 'sha1', data, key)
}

/** A host key in the form in which the library's exchange asks for it. It writes the algorithm's name itself. */
function keyForLibrary(key: HostKey): object {
  return {
    type: 'ours', // a name that the library's own conversion of signatures does not know, so that it leaves ours alone
    getPublicSSH: () => key.publicBlob,
    sign: (data: Buffer, hash: string | undefined) => {
      const rsa = hash === undefined ? 'ssh-rsa' : `rsa-sha2-${hash.slice(3)}`
      const blob = key.sign(data, key.type === 'ssh-rsa' ? rsa : key.type)
      const fields = new Fields(blob, 0)
      fields.bytes()
      return fields.bytes()
    },
  }
}

/** The names under which a host key can be asked for. */
export function hostKeyAlgorithms(key: HostKey): readonly string[] {
  return key.type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'] : [key.type]
}

// ---------------------------------------------------------------------------------------------------------------
// The transport

/** Below this, Node's own pool of small buffers is as good. */
const smallPacket = 2048

/** Messages that mean nothing may precede a first key exchange; this many are patience enough. */
const mostFillers = 64

class LibraryTransport implements Transport {
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
  /** The pool's memory in which the packet under way lies. */
  #lent: Buffer | undefined

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
      onWrite: (bytes: Uint8Array) => this.#write(bytes),
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

  begin(length: number): Buffer {
    return this.#protocol._packetRW.write.alloc(length)
  }

  #write(bytes: Uint8Array): void {
    const lent = this.#lent
    this.#lent = undefined
    this.#events.write(bytes, lent)
  }

  /** Puts our own allocation of packets in: from the pool where they are large, with padding that costs no call. */
  #usePool(pool: PacketPool): void {
    const { crypto } = this.#parts
    const { cipher, mac } = this.#protocol._kex?.negotiated.sc ?? {}
    const info = crypto.CIPHER_INFO[cipher ?? '']
    if (!crypto.bindingAvailable || info === undefined) return // the portable ciphers want packets without room for a tag
    const macInfo = info.authLen > 0 ? undefined : crypto.MAC_INFO[mac ?? '']
    const block = info.blockLen
    const clear = info.authLen > 0 || macInfo?.isETM === true ? 4 : 0
    const tail = info.authLen > 0 ? info.authLen : (macInfo?.len ?? 0)
    this.#protocol._cipher.allocPacket = (length) => {
      let padding = block - ((5 + length - clear) % block)
      if (padding < 4) padding += block
      const total = 5 + length + padding + tail
      const packet = this.#allocate(pool, total)
      packet.writeUInt32BE(1 + length + padding, 0)
      packet[4] = padding
      pool.fillPadding(packet, 5 + length, padding)
      return packet
    }
  }

  #allocate(pool: PacketPool, total: number): Buffer {
    if (total < smallPacket || total > slabBytes) return Buffer.allocUnsafe(total)
    const slab = pool.take()
    this.#lent = slab
    return slab.subarray(0, total)
  }

  commit(packet: Buffer): void {
    if (this.#closed) return
    if (this.exchanging) this.#heldBytes += packet.length
    else this.#bytesSinceExchange += packet.length
    this.#parts.sendPacket(this.#protocol, packet)
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
    const hybrid = this.#hybridInit(payload)
    const result = hybrid === undefined ? next(payload) : this.#asIfPlain(() => next(hybrid))
    const exchange = this.#protocol._kex
    if (exchange === undefined || this.#closed) return result
    if (hybrid !== undefined) {
      // What the peer really sent goes into the hash.
      exchange._remoteKexinit = payload
      exchange.negotiated.kex = hybridName
      if (this.#options.side === 'server') makeHybridServer(exchange)
      else makeHybridClient(exchange)
      if (this.#options.side === 'client') exchange.start()
    }
    if (this.#first) this.#wantsExtInfo = exchange.remoteExtInfoEnabled
    // The library's own EXT_INFO names weak algorithms and lacks a comma; ours is sent in its place.
    exchange.remoteExtInfoEnabled = false
    return result
  }

  /** Runs `action` with an offer of nothing but x25519; a client's first message of it is not sent. */
  #asIfPlain(action: () => unknown): unknown {
    const offer = this.#protocol._offer
    const cipher = this.#protocol._cipher
    const encrypt = cipher.encrypt
    const kex = { ...offer.lists.kex, array: [stand] }
    // The same object but for one list: the prototype is the offer itself.
    this.#protocol._offer = Object.create(offer, {
      lists: { value: { ...offer.lists, kex } },
    }) as typeof offer
    if (this.#options.side === 'client')
      cipher.encrypt = (packet) => {
        if (packet[5] !== firstOfExchange) encrypt.call(cipher, packet)
      }
    try {
      return action()
    } finally {
      this.#protocol._offer = offer
      cipher.encrypt = encrypt
    }
  }

  /** The peer's KEXINIT with x25519 in the place of the hybrid, or undefined when the hybrid is not the choice. */
  #hybridInit(payload: Buffer): Buffer | undefined {
    const fields = new Fields(payload, 17)
    const theirs = fields.name().split(',')
    const ours = this.#protocol._offer.lists.kex.array
    const [clients, servers] = this.#options.side === 'server' ? [theirs, ours] : [ours, theirs]
    if (clients.find((name) => servers.includes(name)) !== hybridName) return undefined
    const names = theirs.map((name) => (name === hybridName ? stand : name === stand ? hybridName : name))
    return Buffer.concat([
      payload.subarray(0, 17),
      sshString(names.join(',')),
      payload.subarray(fields.position),
    ])
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
    this.#slim(exchange)
    if (this.#options.pool !== undefined) this.#usePool(this.#options.pool)
    const { negotiated } = exchange
    this.#events.exchanged(first, {
      kex: negotiated.kex,
      hostKeyAlgorithm: negotiated.serverHostKey,
      cipherIn: negotiated.cs.cipher,
      cipherOut: negotiated.sc.cipher,
    })
  }

  /**
   * Lets go of what an exchange leaves behind: the shared secret, and small buffers that each hold a whole slab of
   * Node's pool. Together they were two thirds of an idle session's memory.
   */
  #slim(exchange: PrivateExchange): void {
    const { sessionID, negotiated, type } = exchange
    // Of a finished exchange the library reads no more than this.
    this.#protocol._kex = { sessionID, negotiated, type, remoteExtInfoEnabled: false } as PrivateExchange
    this.#protocol._remoteIdentRaw = unpooled(this.#protocol._remoteIdentRaw)
    const decipher = this.#protocol._decipher
    if (decipher === undefined) return
    for (const name of ['_tag', '_mac', '_lenBuf', '_block'] as const) {
      const buffer = decipher[name]
      if (buffer !== undefined) decipher[name] = unpooled(buffer)
    }
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

/** The exchange that the library believes in where the hybrid runs. */
const stand = 'curve25519-sha256'

const firstOfExchange = 30

function makeHybridServer(exchange: PrivateExchange): void {
  let reply = empty
  exchange.convertPublicKey = (key) => key
  exchange.computeSecret = (theirs) => {
    try {
      const answer = answerHybrid(theirs)
      reply = answer.reply
      return answer.secret
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
  }
  exchange.getPublicKey = () => reply
}

/** Only for the self-test and for tests: this server is nobody's client. */
function makeHybridClient(exchange: PrivateExchange): void {
  const hybrid = beginHybrid()
  exchange.convertPublicKey = (key) => key
  exchange.computeSecret = (reply) => hybrid.finish(reply)
  exchange.getPublicKey = () => hybrid.init
}

/** A copy with memory of its own. */
function unpooled(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}

const empty: Buffer = Buffer.alloc(0)

// ---------------------------------------------------------------------------------------------------------------
// Single packets, for the test of each cipher at start

function sealPacket(
  parts: Parts,
  cipher: string,
  mac: string,
  sequence: number,
  packet: Buffer,
  way: CipherWay,
): Buffer {
  const written: Uint8Array[] = []
  const { info, macInfo, key, iv, macKey } = testKeys(parts, cipher, mac)
  const made = parts.crypto.createCipher({
    outbound: {
      onWrite: (bytes: Uint8Array) => written.push(bytes),
      seqno: sequence,
      cipherInfo: info,
      cipherKey: key,
      cipherIV: iv,
      macInfo,
      macKey,
      forceNative: way === 'portable',
    },
  })
  const tagRoom = way === 'portable' ? 0 : info.authLen > 0 ? info.authLen : (macInfo?.len ?? 0)
  made.encrypt(Buffer.concat([packet, Buffer.alloc(tagRoom)]))
  made.free()
  return Buffer.concat(written)
}

function openPacket(
  parts: Parts,
  cipher: string,
  mac: string,
  sequence: number,
  sealed: Buffer,
  way: CipherWay,
): Buffer {
  const found: Buffer[] = []
  const { info, macInfo, key, iv, macKey } = testKeys(parts, cipher, mac)
  const made = parts.crypto.createDecipher({
    inbound: {
      onPayload: (payload: Buffer) => void found.push(payload),
      seqno: sequence,
      decipherInfo: info,
      decipherKey: key,
      decipherIV: iv,
      macInfo,
      macKey,
      forceNative: way === 'portable',
    },
  })
  const copy = Buffer.from(sealed) // decrypted where it lies
  made.decrypt(copy, 0, copy.length)
  made.free()
  const [payload] = found
  if (payload === undefined) throw new Error('No packet came out')
  return payload
}

/** Keys that mean nothing, the same at every start: what they encrypt can be held against written-down results. */
function testKeys(parts: Parts, cipher: string, mac: string) {
  const info = parts.crypto.CIPHER_INFO[cipher]
  if (info === undefined) throw new Error(`The library has no cipher "${cipher}"`)
  const macInfo = info.authLen > 0 ? undefined : parts.crypto.MAC_INFO[mac]
  const bytes = (length: number, from: number): Buffer =>
    Buffer.from(Array.from({ length }, (_, index) => (from + index * 7) & 0xff))
  return {
    info,
    macInfo,
    key: bytes(info.keyLen, 1),
    iv: bytes(info.ivLen, 50),
    macKey: bytes(macInfo?.len ?? 0, 100),
  }
}
