import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import type { Principal } from '../accounts/principal.ts'
import { messageOf } from '../base/errors.ts'
import { socketAddress } from './arrival.ts'
import type { ConnectionContext, ProxyExpectation } from './connection-context.ts'
import type { Counted } from './crowd.ts'
import { Guest } from './guest.ts'
import { Keepalive } from './keepalive.ts'
import { KeyAge } from './key-age.ts'
import type { Negotiated, Transport } from './library.ts'
import { disconnectReason, message, type DisconnectReason } from './messages.ts'
import { OutputBounds } from './output-bounds.ts'
import { readInto } from './read-into.ts'
import { ReadMemory } from './read-memory.ts'
import { answerToAnybody, openServerTransport } from './server-transport.ts'
import { SocketOutput } from './socket-output.ts'
import { SocketTurns } from './socket-turns.ts'
import { Stranger, type StrangerStage } from './stranger.ts'
import { buildMessage, escapedForLog, ProtocolError } from './wire.ts'

type Phase =
  | 'stranger'
  | 'open'
  /** A goodbye was sent; waiting for the peer to hang up. */
  | 'closing'
  | 'closed'

/** How long a goodbye may take, in milliseconds. */
const closingMs = 2_000

/** One client from its socket to the goodbye. */
export class Connection implements Counted {
  readonly id = randomBytes(8).toString('hex')
  readonly since: number
  readonly #socket: Socket
  readonly #context: ConnectionContext
  readonly #stranger: Stranger
  readonly #reads: ReadMemory
  readonly #output: SocketOutput
  readonly #bounds: OutputBounds
  readonly #turns: SocketTurns
  readonly #keepalive: Keepalive
  readonly #keyAge: KeyAge
  readonly #accepted: number
  #phase: Phase = 'stranger'
  #phaseSince: number
  #address: string
  #clientVersion = ''
  #counted = false
  #transport: Transport | undefined
  #negotiated: Negotiated | undefined
  #principal: Principal | undefined
  #guest: Guest | undefined
  #draining = false

  constructor(socket: Socket, proxy: ProxyExpectation, context: ConnectionContext) {
    const { clock, pool, sender, settings } = context
    this.#socket = socket
    this.#context = context
    this.#reads = new ReadMemory(context.readPool)
    // Behind a proxy the address is not known yet.
    this.#address = proxy === 'optional' || proxy === 'required' ? '' : socketAddress(socket)
    const now = clock.monotonic()
    this.since = clock.now()
    this.#accepted = this.#phaseSince = now
    this.#stranger = new Stranger({
      ...{ id: this.id, socket, proxy, accepted: now, context },
      address: () => this.#address,
      count: (address) => this.#count(address),
      listen: () => this.#listen(),
      greeted: (clientVersion) => this.#safely(() => this.#greeted(clientVersion)),
      receive: (chunks) => this.#safely(() => chunks.forEach((each) => this.#receive(each))),
      resume: () => {
        if (this.#phase !== 'closed' && !this.#bounds.paused) socket.resume()
      },
      granted: (principal) => this.#granted(principal),
      end: (reason, text) => this.end(reason, text),
      destroy: (reason) => this.destroy(reason),
    })
    this.#output = new SocketOutput({ socket, pool, sender, drained: () => this.#drained() })
    this.#bounds = new OutputBounds(socket, this.#output)
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
    if (this.#phase === 'stranger') return this.#stranger.progress
    return this.#phase === 'open' ? Infinity : 0
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
    return this.#guest?.sessions.size ?? 0
  }

  /** Milliseconds without an SFTP request. */
  idleFor(now: number): number {
    return this.#guest?.idleFor(now) ?? now - this.#accepted
  }

  /** Starts with the socket as it was accepted: paused. */
  begin(): void {
    const socket = this.#socket
    socket.on('error', (error) => this.#context.log.debug('socket error', { error: messageOf(error) }))
    socket.on('close', () => this.#closed())
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 60_000)
    this.#stranger.begin()
  }

  /** Looks after times and silence; called for every connection about twice a second. */
  sweep(now: number): void {
    this.#keepalive.settle(now)
    switch (this.#phase) {
      case 'stranger':
        return this.#stranger.sweep(now)
      case 'open':
        return this.#sweepOpen(now)
      case 'closing':
        if (now - this.#phaseSince > closingMs) this.#socket.destroy()
        return
      case 'closed':
    }
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
    this.#guest?.channels.refuseMore()
    return this.#phase !== 'open' || this.#guest?.sessions.busy !== true
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
    const single = this.#phase === 'open' ? this.#guest?.sessions.single : undefined
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
      case 'stranger':
        return this.#stranger.data(chunk)
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

  #greeted(clientVersion: string): void {
    this.#clientVersion = clientVersion
    this.#transport = openServerTransport(this.#context, this.#output, {
      write: (bytes) => this.#turns.write(bytes),
      payload: (payload) => this.#payload(payload),
      exchanged: (first, negotiated) => this.#exchanged(first, negotiated),
      disconnected: (reason, text) => this.#hungUp(reason, text),
      failed: (error) => this.#failed(error),
    })
  }

  #exchanged(first: boolean, negotiated: Negotiated): void {
    this.#negotiated = negotiated
    this.#keyAge.renewed(this.#context.clock.monotonic())
    this.#context.meter.add('sftpgo_key_exchanges_total', 1, { kex: negotiated.kex })
    if (!first) return this.#guest?.channels.pump()
    if (this.#transport !== undefined) this.#stranger.beginLogin(this.#transport)
  }

  // ------------------------------------------------------------------------------------------------ logged in

  #granted(principal: Principal): void {
    const transport = this.#transport
    if (transport === undefined || this.#phase !== 'stranger') return
    const context = this.#context
    const { clock, log, registry } = context
    this.#enterPhase('open')
    this.#output.thrifty = false
    this.#principal = principal
    registry.promote(this)
    this.#stranger.close()
    transport.allowRekeys()
    this.#guest = new Guest({
      ...{ principal, clientVersion: this.#clientVersion, context, now: clock.monotonic() },
      ...{ transport, output: this.#output, turns: this.#turns, keepalive: this.#keepalive },
      log: log.with(this.#logFields()),
    })
    if (this.#draining) this.#guest.channels.refuseMore()
    this.#guest.channels.announceHostKeys()
  }

  #sweepOpen(now: number): void {
    const { idleMs } = this.#context.settings
    this.#guest?.settle(now)
    if (idleMs > 0 && this.idleFor(now) > idleMs)
      return this.end(disconnectReason.byApplication, 'Idle for too long')
    const keys = this.#keyAge.sweep(this.#transport?.exchanging === true, now)
    if (keys === 'stuck') return this.destroy('a key exchange that does not end')
    if (keys === 'old') this.#transport?.rekey()
    if (!this.#keepalive.probe(now)) return this.destroy('the client is silent')
    // What was asked leaves at once: a thousand connections that are asked together would each hold memory until the end of the turn.
    this.#safely(() => this.#endTurn())
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
    if (this.#transport !== undefined) answerToAnybody(payload, this.#transport)
  }

  /** Before the login nothing but the login's own messages means anything (S-2); after it, these mean nothing. */
  #handled(payload: Buffer): boolean {
    const type = payload[0] ?? 0
    if (type === message.extInfo) return true // nothing in a client's is of use here
    if (this.#guest !== undefined) {
      if (type >= message.userauthRequest && type < message.globalRequest) return true // RFC 4252 section 5.1
      return this.#guest.channels.handle(payload)
    }
    if (type >= message.globalRequest && type < 128)
      throw new ProtocolError(`Message ${type} before the login`)
    return this.#stranger.handle(payload)
  }

  #checkOutput(): void {
    const why = this.#bounds.excess(this.#phase === 'open', this.#transport?.heldBytes ?? 0)
    if (why !== undefined) this.destroy(why)
  }

  #drained(): void {
    this.#safely(() => this.#guest?.channels.pump())
    this.#bounds.drained()
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
    const during: Phase | StrangerStage = this.#phase === 'stranger' ? this.#stranger.stage : this.#phase
    if (during === 'exchange') this.#stranger.recordLog(4, error.message)
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
    this.#stranger.close()
    this.#guest?.close()
    this.#guest = undefined
    this.#transport?.close()
    this.#turns.drop()
    this.#reads.close()
  }

  #enterPhase(phase: Phase): void {
    this.#phase = phase
    this.#phaseSince = this.#context.clock.monotonic()
  }

  #logFields(): Readonly<Record<string, unknown>> {
    const username = this.#principal?.user.username
    const fields = { connection: this.id, address: this.#address }
    // What a stranger calls itself goes no further than memory.
    return username === undefined ? fields : { ...fields, client: this.#clientVersion, username }
  }
}
