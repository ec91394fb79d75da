import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { LoginAuthority, LoginConversation } from '../accounts/login-conversation.ts'
import type { Principal } from '../accounts/principal.ts'
import type { Clock } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { EventLog } from '../events/event-log.ts'
import type { ByteStream } from '../sftp/byte-stream.ts'
import type { SftpSession } from '../sftp/session.ts'
import type { ChannelStream, WindowLimits } from './channel-stream.ts'
import { Channels } from './channels.ts'
import type { ConnectionRegistry, Counted } from './connection-registry.ts'
import { parseGreeting } from './greeting.ts'
import type { HostKey, Negotiated, Offer, SshLibrary, Transport } from './library.ts'
import { Login, type LoginSettings } from './login.ts'
import { disconnectReason, message, type DisconnectReason } from './messages.ts'
import type { PacketPool } from './packet-pool.ts'
import { parseProxyHeader } from './proxy-header.ts'
import { readInto } from './read-into.ts'
import { ReadMemory, type ReadPool } from './read-memory.ts'
import type { TurnBudget } from './turn-budget.ts'
import { buildMessage, escapedForLog, ProtocolError } from './wire.ts'

/** What all connections of a server share. */
export interface ConnectionContext {
  readonly library: SshLibrary
  readonly offer: Offer
  readonly hostKeys: readonly HostKey[]
  readonly settings: ConnectionSettings
  readonly authority: LoginAuthority
  readonly registry: ConnectionRegistry<Connection>
  readonly budget: TurnBudget
  readonly pool: PacketPool
  readonly readPool: ReadPool
  readonly serve: OpenSession
  readonly log: Logger
  readonly clock: Clock
  readonly events: Pick<EventLog, 'recordLog'>
}

/** Bounds and times of connections. */
export interface ConnectionSettings {
  /** What we call ourselves, without `SSH-2.0-`. */
  readonly software: string
  readonly login: LoginSettings
  readonly windows: WindowLimits
  readonly mostChannels: number
  /** From the accepted socket to the end of the login, whatever was sent meanwhile. */
  readonly loginGraceMs: number
  /** Without SFTP requests; 0: for ever. */
  readonly idleMs: number
  readonly keepaliveMs: number
  readonly keepalivesUnanswered: number
  readonly rekeyBytes: number
  readonly rekeyMs: number
  /** A key exchange takes no longer. */
  readonly exchangeMs: number
}

/** Serves SFTP for somebody who is logged in, on a stream that waits until it is started. */
export type OpenSession = (stream: ByteStream, session: SessionOpening) => SftpSession | Promise<SftpSession>

/** Who opened a session. */
export interface SessionOpening {
  readonly principal: Principal
  /** What the client calls itself, without `SSH-2.0-`, escaped. */
  readonly clientVersion: string
}

/** Whether a PROXY header is expected before anything else. */
export type ProxyExpectation = 'none' | 'optional' | 'required' | 'ignored'

type Phase =
  /** Waiting for a PROXY header. */
  | 'proxy'
  /** The address is being checked. */
  | 'admission'
  /** Waiting for the client's first line. */
  | 'greeting'
  /** First key exchange. */
  | 'exchange'
  | 'login'
  | 'open'
  /** A goodbye was sent; waiting for the peer to hang up. */
  | 'closing'
  | 'closed'

const progressOf: Readonly<Record<Phase, number>> = {
  proxy: 0,
  admission: 1,
  greeting: 1,
  exchange: 2,
  login: 3,
  open: Infinity,
  closing: 0,
  closed: 0,
}

/** Times that no setting changes, in milliseconds. */
const proxyHeaderMs = 10_000
const optionalProxyMs = 1_000
const greetingMs = 30_000
const closingMs = 2_000
/** Output a stranger may leave unread; then it is no client. */
const strangerBacklog = 64 * 1024
/** Output past which a client that does not read is not read either. */
const guestBacklog = 4 * 1024 * 1024
/** Answers held back by a key exchange that does not end. */
const mostHeldBytes = 1024 * 1024

const nothing = Buffer.alloc(0)

interface ServedSession {
  readonly stream: ChannelStream
  session: SftpSession | undefined
  progress: number
}

/** One client from its socket to the goodbye. */
export class Connection implements Counted {
  readonly id = randomBytes(8).toString('hex')
  readonly since: number
  readonly #socket: Socket
  readonly #context: ConnectionContext
  readonly #proxy: ProxyExpectation
  #phase: Phase
  #phaseSince: number
  #address: string
  #clientVersion = ''
  #received: Buffer | undefined
  #transport: Transport | undefined
  #login: Login | undefined
  #conversation: LoginConversation | undefined
  /** An address filter could not answer, and its entry lets such addresses in. */
  #unchecked = false
  #channels: Channels | undefined
  #principal: Principal | undefined
  #negotiated: Negotiated | undefined
  readonly #sessions = new Set<ServedSession>()
  #counted = false
  #heard = true
  #unanswered = 0
  #lastHeard: number
  #lastProbe: number
  #lastActive: number
  #exchangeSince: number
  #exchangeWatched = false
  #receiving = false
  #corked = false
  #turnPlanned = false
  #endOfTurn: (() => void)[] = []
  #queued: Buffer[] = []
  readonly #reads: ReadMemory
  /** The pool's memory that this turn's packets lie in. */
  #lent: Buffer[] = []
  #paused = false
  #draining = false
  /** Our questions that are not answered yet, oldest first. */
  readonly #asked: (() => void)[] = []

  constructor(socket: Socket, proxy: ProxyExpectation, context: ConnectionContext) {
    this.#socket = socket
    this.#context = context
    this.#proxy = proxy
    this.#reads = new ReadMemory(context.readPool)
    // Behind a proxy the address is not known yet.
    this.#address =
      proxy === 'optional' || proxy === 'required' ? '' : plainAddress(socket.remoteAddress ?? '')
    const now = context.clock.monotonic()
    this.since = context.clock.now()
    this.#phase = proxy === 'none' ? 'admission' : 'proxy'
    this.#phaseSince = this.#lastHeard = this.#lastProbe = this.#lastActive = this.#exchangeSince = now
    this.#accepted = now
  }

  readonly #accepted: number

  get address(): string {
    return this.#address
  }

  get progress(): number {
    return progressOf[this.#phase]
  }

  get principal(): Principal | undefined {
    return this.#principal
  }

  get clientVersion(): string {
    return this.#clientVersion
  }

  get negotiated(): Negotiated | undefined {
    return this.#negotiated
  }

  get sessionCount(): number {
    return this.#sessions.size
  }

  /** Milliseconds without an SFTP request. */
  idleFor(now: number): number {
    return now - this.#lastActive
  }

  /** Starts with the socket as it was accepted: paused. */
  begin(): void {
    const socket = this.#socket
    socket.on('error', (error) => this.#context.log.debug('socket error', { error: messageOf(error) }))
    socket.on('close', () => this.#closed())
    socket.on('drain', () => this.#drained())
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 60_000)
    if (this.#phase === 'admission') return this.#enter()
    if (!this.#count()) return
    this.#listen()
    socket.resume()
  }

  /** Looks after times and silence; called for every connection about twice a second. */
  sweep(now: number): void {
    if (this.#heard) {
      this.#heard = false
      this.#unanswered = 0
      this.#lastHeard = now
    }
    switch (this.#phase) {
      case 'open':
        return this.#sweepOpen(now)
      case 'closing':
        if (now - this.#phaseSince > closingMs) this.#socket.destroy()
        return
      case 'closed':
        return
      case 'proxy':
        if (
          this.#proxy === 'optional' &&
          this.#received === undefined &&
          now - this.#accepted > optionalProxyMs
        )
          return this.#enter()
        if (now - this.#accepted > proxyHeaderMs) return this.destroy('no PROXY header in time')
        break
      case 'admission':
      case 'greeting':
      case 'exchange':
      case 'login':
        break
    }
    this.#sweepStranger(now)
  }

  /** Says goodbye and hangs up. */
  end(reason: DisconnectReason, text: string): void {
    if (this.#phase === 'closing' || this.#phase === 'closed') return
    this.#finishTurn() // what sessions have said so far
    this.#enterPhase('closing')
    this.#transport?.disconnect(reason, text)
    this.#hangUp()
  }

  /** Ends our side of the connection and lets go of everything but the socket. */
  #hangUp(): void {
    this.#release()
    this.#finishTurn()
    this.#socket.end()
    // What still comes in is read and thrown away: hanging up on unread bytes would destroy our goodbye.
    this.#socket.resume()
  }

  /** Hangs up without a word. */
  destroy(reason: string): void {
    if (this.#phase === 'closed') return
    this.#context.log.debug('connection ended', { ...this.#logFields(), reason })
    this.#socket.destroy()
    this.#closed()
  }

  /** Takes no new work; true once nothing is under way. */
  drain(): boolean {
    this.#draining = true
    this.#channels?.refuseMore()
    if (this.#phase !== 'open') return true
    for (const { session, stream } of this.#sessions) {
      if (session === undefined || session.outstanding > 0 || stream.queuedBytes > 0) return false
    }
    return true
  }

  // ------------------------------------------------------------------------------------------ before the login

  #listen(): void {
    const own = readInto(this.#socket, {
      next: () => this.#nextRead(),
      received: (length) => this.#data(this.#reads.received(length, this.#phase !== 'open')),
    })
    if (!own) this.#socket.on('data', (chunk) => this.#data(chunk))
  }

  /** Where the next bytes go. Bulk is what a single session receives; other bytes are few. */
  #nextRead(): Buffer {
    const [served, second] = this.#sessions
    const single = this.#phase === 'open' && second === undefined ? served : undefined
    // What an exchange of keys has received is looked at until its end.
    const known = this.#transport?.exchanging === true ? undefined : single
    return this.#reads.next(single !== undefined, known?.stream.stillNeeded)
  }

  #data(chunk: Buffer): void {
    this.#heard = true
    switch (this.#phase) {
      case 'open':
        return this.#safely(() => this.#receive(chunk))
      case 'exchange':
      case 'login':
        return this.#receiveInTurn(chunk)
      case 'proxy':
        this.#collect(chunk)
        return this.#readProxyHeader()
      case 'greeting':
        this.#collect(chunk)
        return this.#readGreeting()
      case 'admission':
        this.#socket.pause()
        return this.#collect(chunk)
      case 'closing':
      case 'closed':
    }
  }

  #collect(chunk: Buffer): void {
    this.#received = this.#received === undefined ? chunk : Buffer.concat([this.#received, chunk])
  }

  #readProxyHeader(): void {
    const bytes = this.#received ?? Buffer.alloc(0)
    const header = parseProxyHeader(bytes)
    switch (header.at) {
      case 'incomplete':
        return
      case 'malformed':
        return this.destroy('malformed PROXY header')
      case 'absent':
        if (this.#proxy === 'required') return this.destroy('no PROXY header')
        return this.#enter()
      case 'present': {
        const rest = bytes.subarray(header.length)
        this.#received = rest.length > 0 ? rest : undefined
        return this.#enter(this.#proxy === 'ignored' ? undefined : header.address)
      }
    }
  }

  /** Counts the connection under its real address and asks whether that may connect. */
  #enter(said?: string): void {
    if (this.#counted) this.#context.registry.leave(this)
    this.#address = plainAddress(said ?? this.#socket.remoteAddress ?? '')
    this.#enterPhase('admission')
    this.#socket.pause()
    if (!this.#count()) return
    this.#context.authority.admit(this.#address).then(
      (admission) => {
        if (this.#phase !== 'admission') return
        if (admission.admitted) {
          this.#unchecked = admission.unchecked === true
          return this.#greet()
        }
        this.#context.log.info('connection refused', { address: this.#address, reason: admission.reason })
        this.destroy(admission.reason)
      },
      (error: unknown) => {
        this.#context.log.error('address could not be checked', { error: messageOf(error) })
        this.destroy('address could not be checked')
      },
    )
  }

  /** Takes a place among the connections; false when there was none. */
  #count(): boolean {
    const full = this.#context.registry.enter(this)
    this.#counted = full === undefined
    if (full === undefined) return true
    this.#context.log.info('connection refused', { address: this.#address, reason: full.refused })
    this.destroy(full.refused)
    return false
  }

  #greet(): void {
    this.#enterPhase('greeting')
    this.#socket.write(`SSH-2.0-${this.#context.settings.software}\r\n`)
    if (this.#proxy === 'none') this.#listen()
    this.#socket.resume()
    if (this.#received !== undefined) this.#readGreeting()
  }

  #readGreeting(): void {
    const bytes = this.#received ?? Buffer.alloc(0)
    const greeting = parseGreeting(bytes)
    if (greeting.at === 'incomplete') return
    if (greeting.at === 'refused') {
      this.#context.log.debug('connection refused', { address: this.#address, reason: greeting.reason })
      return this.destroy(greeting.reason)
    }
    this.#clientVersion = escapedForLog(greeting.version)
    this.#received = undefined
    this.#transport = this.#openTransport()
    this.#enterPhase('exchange')
    this.#exchangeWatched = true
    this.#receiveInTurn(bytes)
  }

  #openTransport(): Transport {
    const { library, offer, hostKeys, settings } = this.#context
    return library.createTransport(
      {
        side: 'server',
        software: settings.software,
        offer,
        hostKeys,
        signatureAlgorithms: settings.login.publicKeyAlgorithms,
        rekeyBytes: settings.rekeyBytes,
        firstExchangesOnly: true,
        pool: this.#context.pool,
      },
      {
        write: (bytes, lent) => this.#write(bytes, lent),
        payload: (payload) => this.#payload(payload),
        exchanged: (first, negotiated) => this.#exchanged(first, negotiated),
        disconnected: (reason, text) => this.#hungUp(reason, text),
        failed: (error) => this.#failed(error),
      },
    )
  }

  #exchanged(first: boolean, negotiated: Negotiated): void {
    this.#negotiated = negotiated
    this.#exchangeSince = this.#context.clock.monotonic()
    this.#exchangeWatched = false
    if (!first) return this.#channels?.pump()
    this.#enterPhase('login')
    const { authority, settings, log } = this.#context
    const transport = this.#transport
    if (transport === undefined) return
    this.#conversation = authority.begin({
      ...(this.#unchecked && { unchecked: true }),
      connectionId: this.id,
      address: this.#address,
      clientVersion: this.#clientVersion,
    })
    this.#login = new Login({
      transport,
      conversation: this.#conversation,
      settings: settings.login,
      log: log.with({ connection: this.id, address: this.#address }),
      granted: (principal) => this.#granted(principal),
      end: (reason, text) => this.end(reason, text),
    })
  }

  /** Strangers' bytes cost most of what they can make us do: they share a budget per turn. */
  #receiveInTurn(chunk: Buffer): void {
    this.#queued.push(chunk)
    if (this.#queued.length > 1) return
    this.#socket.pause()
    this.#context.budget.run(() => {
      const chunks = this.#queued
      this.#queued = []
      this.#safely(() => chunks.forEach((each) => this.#receive(each)))
      if (this.#phase !== 'closed' && !this.#paused) this.#socket.resume()
    })
  }

  // ------------------------------------------------------------------------------------------------ logged in

  #granted(principal: Principal): void {
    const transport = this.#transport
    if (transport === undefined || this.#phase !== 'login') return
    this.#enterPhase('open')
    this.#principal = principal
    this.#lastActive = this.#context.clock.monotonic()
    this.#context.registry.promote(this)
    this.#login = undefined
    this.#conversation?.end()
    this.#conversation = undefined
    transport.allowRekeys()
    this.#channels = this.#openChannels(transport, principal)
    if (this.#draining) this.#channels.refuseMore()
    this.#channels.announceHostKeys()
  }

  #openChannels(transport: Transport, principal: Principal): Channels {
    const { settings, hostKeys, registry, log } = this.#context
    const { username, max_sessions: most } = principal.user
    return new Channels({
      link: {
        transport,
        socketBacklog: () => this.#socket.writableLength,
        pool: this.#context.pool,
        atEndOfTurn: (action) => this.#atEndOfTurn(action),
        ping: (answered) => this.#ping(answered),
      },
      windows: settings.windows,
      mostChannels: settings.mostChannels,
      hostKeys,
      log: log.with({ connection: this.id, username }),
      enter: () => {
        const leave = registry.enterSession(username, most)
        return leave === undefined ? { refused: 'Too many sessions of this user' } : { leave }
      },
      answered: () => this.#asked.shift()?.(),
      serve: (stream) => this.#serve(stream, principal),
    })
  }

  #serve(stream: ChannelStream, principal: Principal): void {
    const served: ServedSession = { stream, session: undefined, progress: 0 }
    this.#sessions.add(served)
    const over = (): void => void this.#sessions.delete(served)
    const began = (session: SftpSession): void => {
      served.session = session
      session.ended.then(over, over)
    }
    const failed = (error: unknown): void => {
      over()
      this.#context.log.error('session could not be opened', {
        ...this.#logFields(),
        error: messageOf(error),
      })
      stream.end(1)
    }
    try {
      const opening = this.#context.serve(stream, { principal, clientVersion: this.#clientVersion })
      if (opening instanceof Promise) opening.then(began, failed)
      else began(opening)
    } catch (error) {
      failed(error)
    }
  }

  #sweepOpen(now: number): void {
    const { settings } = this.#context
    for (const served of this.#sessions) {
      const progress = served.stream.progress
      const working = (served.session?.outstanding ?? 0) > 0 && served.stream.queuedBytes === 0
      if (progress !== served.progress || working) this.#lastActive = now
      served.progress = progress
    }
    if (settings.idleMs > 0 && now - this.#lastActive > settings.idleMs)
      return this.end(disconnectReason.byApplication, 'Idle for too long')
    this.#sweepExchange(now)
    if (now - this.#exchangeSince > settings.rekeyMs) this.#transport?.rekey()
    this.#probe(now)
  }

  /** A peer that is gone without a word is noticed by its silence. */
  #probe(now: number): void {
    const { keepaliveMs, keepalivesUnanswered } = this.#context.settings
    if (keepaliveMs <= 0 || now - Math.max(this.#lastHeard, this.#lastProbe) < keepaliveMs) return
    if (this.#unanswered >= keepalivesUnanswered) return this.destroy('the client is silent')
    this.#unanswered += 1
    this.#lastProbe = now
    this.#ping(() => {})
  }

  #ping(answered: () => void): void {
    this.#asked.push(answered)
    this.#transport?.send(buildMessage(message.globalRequest, 'keepalive@openssh.com', true))
  }

  #sweepStranger(now: number): void {
    const age = now - this.#accepted
    const patience = this.#context.settings.loginGraceMs
    if (age <= (this.#phase === 'greeting' ? Math.min(patience, greetingMs) : patience)) return
    if (this.#phase === 'login') this.end(disconnectReason.byApplication, 'Login grace time is over')
    else this.destroy('login grace time over')
  }

  #sweepExchange(now: number): void {
    const exchanging = this.#transport?.exchanging === true
    if (exchanging && !this.#exchangeWatched) this.#exchangeSince = now
    this.#exchangeWatched = exchanging
    if (exchanging && now - this.#exchangeSince > this.#context.settings.exchangeMs)
      this.destroy('a key exchange that does not end')
  }

  // ---------------------------------------------------------------------------------------------- in both states

  #receive(chunk: Buffer): void {
    if (this.#phase === 'closing' || this.#phase === 'closed') return
    this.#receiving = true
    this.#transport?.receive(chunk)
    this.#receiving = false
    this.#finishTurn()
    this.#checkOutput()
  }

  #payload(payload: Buffer): void {
    if (this.#handled(payload)) return
    const type = payload[0] ?? 0
    if (type === message.ignore || type === message.debug || type === message.unimplemented) return
    if (type === message.ping) return this.#transport?.send(pong(payload))
    const sequence = this.#transport?.lastSequence ?? 0
    this.#transport?.send(buildMessage(message.unimplemented, sequence))
  }

  /** Before the login nothing but the login's own messages means anything (S-2); after it, these mean nothing. */
  #handled(payload: Buffer): boolean {
    const type = payload[0] ?? 0
    if (type === message.extInfo) return true // nothing in a client's is of use here
    if (this.#channels !== undefined) {
      if (type >= message.userauthRequest && type < message.globalRequest) return true // RFC 4252 section 5.1
      return this.#channels.handle(payload)
    }
    if (type >= message.globalRequest && type < 128)
      throw new ProtocolError(`Message ${type} before the login`)
    return this.#login?.handle(payload) ?? false
  }

  #hungUp(reason: number, text: string): void {
    this.#context.log.debug('client says goodbye', {
      ...this.#logFields(),
      reason,
      text: escapedForLog(text, 100),
    })
    this.#enterPhase('closing')
    this.#hangUp()
  }

  #failed(error: Error): void {
    const during = this.#phase
    if (during === 'exchange') this.#recordLog(4, error.message)
    const level = this.#principal === undefined ? 'debug' : 'info'
    this.#context.log[level]('connection broken off', { ...this.#logFields(), during, error: error.message })
    this.#enterPhase('closing')
    this.#hangUp()
  }

  #write(bytes: Uint8Array, lent: Buffer | undefined): void {
    if (lent !== undefined) this.#lent.push(lent)
    if (!this.#corked) {
      // One system call for the packets of a turn.
      this.#corked = true
      this.#socket.cork()
      this.#planTurn()
    }
    this.#socket.write(bytes)
  }

  #atEndOfTurn(action: () => void): void {
    this.#endOfTurn.push(action)
    this.#planTurn()
  }

  #planTurn(): void {
    if (this.#receiving || this.#turnPlanned) return
    this.#turnPlanned = true
    setImmediate(() => {
      this.#turnPlanned = false
      this.#safely(() => {
        this.#finishTurn()
        this.#checkOutput()
      })
    })
  }

  /** A mistake of ours ends one connection, never the process. */
  #safely(action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#context.log.error('connection failed', { ...this.#logFields(), error: messageOf(error) })
      this.destroy('internal error')
    }
  }

  #finishTurn(): void {
    const actions = this.#endOfTurn
    if (actions.length > 0) {
      this.#endOfTurn = []
      for (const action of actions) action()
    }
    if (this.#corked) {
      this.#corked = false
      if (this.#lent.length > 0) this.#giveBackWhenSent()
      this.#socket.uncork()
    }
    if (this.#endOfTurn.length > 0) this.#planTurn()
  }

  /** The pool's memory of this turn is free when everything up to here is sent; on an error it is left to the collector. */
  #giveBackWhenSent(): void {
    const lent = this.#lent
    this.#lent = []
    const { pool } = this.#context
    this.#socket.write(nothing, (error) => {
      if (!error) for (const slab of lent) pool.give(slab)
    })
  }

  /** Nobody makes us hold answers without end by not reading them. */
  #checkOutput(): void {
    const backlog = this.#socket.writableLength
    if ((this.#transport?.heldBytes ?? 0) > mostHeldBytes)
      return this.destroy('too much held by a key exchange')
    if (this.#phase !== 'open') {
      if (backlog > strangerBacklog) this.destroy('output not read before the login')
      return
    }
    if (backlog > guestBacklog && !this.#paused) {
      this.#paused = true
      this.#socket.pause()
    }
  }

  #drained(): void {
    this.#safely(() => this.#channels?.pump())
    if (!this.#paused) return
    this.#paused = false
    this.#socket.resume()
  }

  #enterPhase(phase: Phase): void {
    this.#phase = phase
    this.#phaseSince = this.#context.clock.monotonic()
  }

  /** Lets go of everything but the socket. */
  #release(): void {
    this.#login?.close()
    this.#conversation?.end()
    this.#channels?.drop()
    if (this.#login !== undefined && !this.#login.tried) this.#recordLog(3, 'no login tried')
    this.#login = undefined
    this.#conversation = undefined
    this.#channels = undefined
    this.#sessions.clear()
    this.#transport?.close()
    this.#endOfTurn = []
    this.#received = undefined
    this.#reads.close()
  }

  #closed(): void {
    if (this.#phase === 'closed') return
    const principal = this.#principal
    this.#enterPhase('closed')
    this.#release()
    if (this.#counted) this.#context.registry.leave(this)
    if (principal !== undefined) this.#context.log.info('connection closed', this.#logFields())
  }

  #recordLog(event: 3 | 4, text: string): void {
    this.#context.events.recordLog({
      kind: 'log',
      event,
      username: '',
      protocol: 'SSH',
      address: this.#address,
      message: text,
    })
  }

  #logFields(): Readonly<Record<string, unknown>> {
    const username = this.#principal?.user.username
    const fields = { connection: this.id, address: this.#address, client: this.#clientVersion }
    return username === undefined ? fields : { ...fields, username }
  }
}

/** OpenSSH's ping (PROTOCOL section 1.9): the same string back. */
function pong(payload: Buffer): Buffer {
  const answer = Buffer.from(payload)
  answer[0] = message.pong
  return answer
}

/** An address as people write it: IPv4 inside IPv6 is IPv4. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}
