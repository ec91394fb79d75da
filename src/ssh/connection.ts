import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Admitted, LoginConversation } from '../accounts/login-conversation.ts'
import type { Principal } from '../accounts/principal.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { Arrival, socketAddress, type Greeted } from './arrival.ts'
import { Channels } from './channels.ts'
import type { ConnectionContext, ProxyExpectation } from './connection-context.ts'
import type { Counted } from './connection-registry.ts'
import { GuestSessions } from './guest-sessions.ts'
import { Keepalive } from './keepalive.ts'
import { KeyAge } from './key-age.ts'
import type { Negotiated, Transport } from './library.ts'
import { Login } from './login.ts'
import { disconnectReason, message, type DisconnectReason } from './messages.ts'
import { readInto } from './read-into.ts'
import { ReadMemory } from './read-memory.ts'
import { SocketOutput } from './socket-output.ts'
import { SocketTurns } from './socket-turns.ts'
import { buildMessage, escapedForLog, ProtocolError } from './wire.ts'

type Phase =
  /** A PROXY header, the check of the address, the first line. */
  | 'arriving'
  /** First key exchange. */
  | 'exchange'
  | 'login'
  | 'open'
  /** A goodbye was sent; waiting for the peer to hang up. */
  | 'closing'
  | 'closed'

/** Times that no setting changes, in milliseconds. */
const greetingMs = 30_000
const closingMs = 2_000
/** Output a stranger may leave unread; then it is no client. */
const strangerBacklog = 64 * 1024
/** Output past which a client that does not read is not read either. */
const guestBacklog = 4 * 1024 * 1024
/** Answers held back by a key exchange that does not end. */
const mostHeldBytes = 1024 * 1024

/** One client from its socket to the goodbye. */
export class Connection implements Counted {
  readonly id = randomBytes(8).toString('hex')
  readonly since: number
  readonly #socket: Socket
  readonly #context: ConnectionContext
  readonly #arrival: Arrival
  readonly #reads: ReadMemory
  readonly #output: SocketOutput
  readonly #turns: SocketTurns
  readonly #keepalive: Keepalive
  readonly #keyAge: KeyAge
  readonly #accepted: number
  #phase: Phase = 'arriving'
  #phaseSince: number
  #lastActive: number
  #address: string
  #clientVersion = ''
  #admission: Admitted | undefined
  #counted = false
  #transport: Transport | undefined
  #negotiated: Negotiated | undefined
  #login: Login | undefined
  #conversation: LoginConversation | undefined
  #principal: Principal | undefined
  #channels: Channels | undefined
  #sessions: GuestSessions | undefined
  /** Strangers' bytes that wait for their turn. */
  #queued: Buffer[] = []
  #paused = false
  #draining = false

  constructor(socket: Socket, proxy: ProxyExpectation, context: ConnectionContext) {
    const { authority, clock, log, meter, pool, sender, settings } = context
    this.#socket = socket
    this.#context = context
    this.#reads = new ReadMemory(context.readPool)
    // Behind a proxy the address is not known yet.
    this.#address = proxy === 'optional' || proxy === 'required' ? '' : socketAddress(socket)
    const now = clock.monotonic()
    this.since = clock.now()
    this.#accepted = this.#phaseSince = this.#lastActive = now
    this.#arrival = new Arrival({
      ...{ id: this.id, socket, proxy, authority, software: settings.software, log, meter },
      count: (address) => this.#count(address),
      listen: () => this.#listen(),
      greeted: (guest) => this.#greeted(guest),
      refused: (reason) => this.destroy(reason),
    })
    this.#output = new SocketOutput({ socket, pool, sender, drained: () => this.#drained() })
    this.#turns = new SocketTurns(this.#output, () => this.#safely(() => this.#endTurn()))
    this.#keepalive = new Keepalive({
      everyMs: settings.keepaliveMs,
      mostUnanswered: settings.keepalivesUnanswered,
      now,
      ask: () => this.#transport?.send(buildMessage(message.globalRequest, 'keepalive@openssh.com', true)),
    })
    this.#keyAge = new KeyAge(settings, now)
  }

  get address(): string {
    return this.#address
  }

  get progress(): number {
    switch (this.#phase) {
      case 'arriving':
        return this.#arrival.stage === 'proxy' ? 0 : 1
      case 'exchange':
        return 2
      case 'login':
        return 3
      case 'open':
        return Infinity
      case 'closing':
      case 'closed':
        return 0
    }
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
    return this.#sessions?.size ?? 0
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
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 60_000)
    this.#arrival.begin()
  }

  /** Looks after times and silence; called for every connection about twice a second. */
  sweep(now: number): void {
    this.#keepalive.settle(now)
    switch (this.#phase) {
      case 'open':
        return this.#sweepOpen(now)
      case 'closing':
        if (now - this.#phaseSince > closingMs) this.#socket.destroy()
        return
      case 'closed':
        return
      case 'arriving':
        this.#arrival.sweep(now - this.#accepted)
        break
      case 'exchange':
      case 'login':
        break
    }
    this.#sweepStranger(now)
  }

  /** Says goodbye and hangs up. */
  end(reason: DisconnectReason, text: string): void {
    if (this.#phase === 'closing' || this.#phase === 'closed') return
    this.#turns.finish() // what sessions have said so far
    this.#enterPhase('closing')
    this.#transport?.disconnect(reason, text)
    this.#hangUp()
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
    return this.#phase !== 'open' || this.#sessions?.busy !== true
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
    const single = this.#phase === 'open' ? this.#sessions?.single : undefined
    const transport = this.#transport
    // What an exchange of keys has received is looked at until its end.
    const known = transport?.exchanging === true ? undefined : single?.stillNeeded
    // Copies need no memory of ours behind them: it would count twice against the bound of a session.
    const bulk = single !== undefined && transport?.inPlace === true
    return this.#reads.next(bulk, known && { ...known, partOfPacket: transport?.holdsPart === true })
  }

  #data(chunk: Buffer): void {
    this.#keepalive.heard()
    switch (this.#phase) {
      case 'open':
        return this.#safely(() => this.#receive(chunk))
      case 'exchange':
      case 'login':
        return this.#receiveInTurn(chunk)
      case 'arriving':
        return this.#arrival.data(chunk)
      case 'closing':
      case 'closed':
    }
  }

  /** Takes a place among the connections; false when there was none. */
  #count(address: string): boolean {
    const { registry, authority, log, meter } = this.#context
    if (this.#counted) registry.leave(this)
    this.#address = address
    const full = registry.enter(this)
    this.#counted = full === undefined
    if (full === undefined) return true
    meter.add('sftpgo_connections_refused_total', 1, { by: full.by })
    log.info('connection refused', { address, reason: full.refused })
    if (full.by === 'limit-address') authority.exceeded(address)
    this.destroy(full.refused)
    return false
  }

  #greeted({ clientVersion, bytes, admission }: Greeted): void {
    this.#clientVersion = clientVersion
    this.#admission = admission
    this.#transport = this.#openTransport()
    this.#enterPhase('exchange')
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
        memory: {
          allocate: (length) => this.#output.allocate(length),
          fillPadding: (packet, at, length) => this.#context.pool.fillPadding(packet, at, length),
        },
      },
      {
        write: (bytes) => this.#turns.write(bytes),
        payload: (payload) => this.#payload(payload),
        exchanged: (first, negotiated) => this.#exchanged(first, negotiated),
        disconnected: (reason, text) => this.#hungUp(reason, text),
        failed: (error) => this.#failed(error),
      },
    )
  }

  #exchanged(first: boolean, negotiated: Negotiated): void {
    this.#negotiated = negotiated
    this.#keyAge.renewed(this.#context.clock.monotonic())
    this.#context.meter.add('sftpgo_key_exchanges_total', 1, { kex: negotiated.kex })
    if (!first) return this.#channels?.pump()
    if (this.#transport !== undefined) this.#beginLogin(this.#transport)
  }

  #beginLogin(transport: Transport): void {
    this.#enterPhase('login')
    const { authority, settings, log, meter } = this.#context
    this.#conversation = authority.begin({
      ...(this.#admission !== undefined && { admission: this.#admission }),
      connectionId: this.id,
      address: this.#address,
      clientVersion: this.#clientVersion,
    })
    this.#login = new Login({
      transport,
      conversation: this.#conversation,
      settings: settings.login,
      log: log.with({ connection: this.id, address: this.#address }),
      meter,
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

  #sweepStranger(now: number): void {
    const age = now - this.#accepted
    const patience = this.#context.settings.loginGraceMs
    const at = this.#phase === 'arriving' ? this.#arrival.stage : this.#phase
    if (age <= (at === 'greeting' ? Math.min(patience, greetingMs) : patience)) return
    if (this.#phase === 'closed') return // the arrival ended it
    this.#context.meter.add('sftpgo_login_grace_lapses_total', 1, { at })
    if (at === 'login') this.end(disconnectReason.byApplication, 'Login grace time is over')
    else this.destroy('login grace time over')
  }

  // ------------------------------------------------------------------------------------------------ logged in

  #granted(principal: Principal): void {
    const transport = this.#transport
    if (transport === undefined || this.#phase !== 'login') return
    const { clock, log, registry, serve } = this.#context
    this.#enterPhase('open')
    this.#output.thrifty = false
    this.#principal = principal
    this.#lastActive = clock.monotonic()
    registry.promote(this)
    this.#login = undefined
    this.#conversation?.end()
    this.#conversation = undefined
    transport.allowRekeys()
    const own = log.with(this.#logFields())
    this.#sessions = new GuestSessions({ principal, clientVersion: this.#clientVersion, serve, log: own })
    this.#channels = this.#openChannels(transport, this.#sessions, principal, own)
    if (this.#draining) this.#channels.refuseMore()
    this.#channels.announceHostKeys()
  }

  #openChannels(transport: Transport, sessions: GuestSessions, principal: Principal, log: Logger): Channels {
    const { settings, hostKeys, registry } = this.#context
    const { username, max_sessions: most } = principal.user
    return new Channels({
      link: {
        transport,
        socketBacklog: () => this.#output.backlog,
        pool: this.#context.pool,
        allocate: (bytes) => this.#output.allocate(bytes),
        atEndOfTurn: (action) => this.#turns.atEnd(action),
        ping: (answered) => this.#keepalive.ask(answered),
      },
      windows: settings.windows,
      mostChannels: settings.mostChannels,
      hostKeys,
      log,
      enter: () => {
        const leave = registry.enterSession(username, most)
        return leave === undefined ? { refused: 'Too many sessions of this user' } : { leave }
      },
      answered: () => this.#keepalive.answered(),
      serve: (stream) => sessions.open(stream),
    })
  }

  #sweepOpen(now: number): void {
    const { idleMs } = this.#context.settings
    if (this.#sessions?.moved() === true) this.#lastActive = now
    if (idleMs > 0 && now - this.#lastActive > idleMs)
      return this.end(disconnectReason.byApplication, 'Idle for too long')
    const keys = this.#keyAge.sweep(this.#transport?.exchanging === true, now)
    if (keys === 'stuck') return this.destroy('a key exchange that does not end')
    if (keys === 'old') this.#transport?.rekey()
    if (!this.#keepalive.probe(now)) this.destroy('the client is silent')
  }

  // ---------------------------------------------------------------------------------------------- in both states

  #receive(chunk: Buffer): void {
    if (this.#phase === 'closing' || this.#phase === 'closed') return
    this.#turns.beginReceiving()
    this.#transport?.receive(chunk)
    this.#turns.endReceiving()
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

  /** Nobody makes us hold answers without end by not reading them. */
  #checkOutput(): void {
    const { backlog } = this.#output
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

  #endTurn(): void {
    this.#turns.finish()
    this.#checkOutput()
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

  // ------------------------------------------------------------------------------------------------ how it ends

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
    const { log, meter } = this.#context
    const during = this.#phase
    if (during === 'exchange') this.#recordLog(4, error.message)
    meter.add('sftpgo_connections_broken_total', 1, { during })
    const level = this.#principal === undefined ? 'debug' : 'info'
    log[level]('connection broken off', { ...this.#logFields(), during, error: error.message })
    this.#enterPhase('closing')
    this.#hangUp()
  }

  /** Ends our side of the connection and lets go of everything but the socket. */
  #hangUp(): void {
    this.#release()
    this.#turns.finish()
    this.#output.flushAll()
    this.#socket.end()
    // What still comes in is read and thrown away: hanging up on unread bytes would destroy our goodbye.
    this.#socket.resume()
  }

  #closed(): void {
    if (this.#phase === 'closed') return
    const principal = this.#principal
    this.#enterPhase('closed')
    this.#release()
    this.#output.drop()
    if (this.#counted) this.#context.registry.leave(this)
    this.#context.left(this.id)
    if (principal !== undefined) this.#context.log.info('connection closed', this.#logFields())
  }

  /** Lets go of everything but the socket. */
  #release(): void {
    this.#arrival.close()
    this.#login?.close()
    this.#conversation?.end()
    this.#channels?.drop()
    if (this.#login !== undefined && !this.#login.tried) this.#recordLog(3, 'no login tried')
    this.#login = undefined
    this.#conversation = undefined
    this.#channels = undefined
    this.#sessions?.clear()
    this.#transport?.close()
    this.#turns.drop()
    this.#reads.close()
  }

  #enterPhase(phase: Phase): void {
    this.#phase = phase
    this.#phaseSince = this.#context.clock.monotonic()
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
    const fields = { connection: this.id, address: this.#address }
    // What a stranger calls itself goes no further than memory.
    return username === undefined ? fields : { ...fields, client: this.#clientVersion, username }
  }
}

/** OpenSSH's ping (PROTOCOL section 1.9): the same string back. */
function pong(payload: Buffer): Buffer {
  const answer = Buffer.from(payload)
  answer[0] = message.pong
  return answer
}
