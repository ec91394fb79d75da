import type { Socket } from 'node:net'
import type { Admitted, LoginConversation } from '../accounts/login-conversation.ts'
import type { Principal } from '../accounts/principal.ts'
import { Arrival, type Greeted } from './arrival.ts'
import type { ConnectionContext, ProxyExpectation } from './connection-context.ts'
import type { Transport } from './library.ts'
import { Login } from './login.ts'
import { disconnectReason, type DisconnectReason } from './messages.ts'

/** The connection of a stranger, as far as it concerns the stranger. */
export interface StrangerLink {
  readonly id: string
  /** As it was accepted: paused. */
  readonly socket: Socket
  readonly proxy: ProxyExpectation
  /** When it was accepted, on the clock that never jumps. */
  readonly accepted: number
  readonly context: Pick<ConnectionContext, 'authority' | 'budget' | 'events' | 'log' | 'meter' | 'settings'>
  /** Known once it is counted. */
  readonly address: () => string
  /** Takes a place among the connections under this address; false when there is none, and all is over. */
  count(address: string): boolean
  /** From now on bytes are wanted. */
  listen(): void
  /** The client said who it is; keys are exchanged next. */
  greeted(clientVersion: string): void
  /** Bytes of the protocol. */
  receive(chunks: readonly Buffer[]): void
  /** More bytes are wanted, unless all is over. */
  resume(): void
  granted(principal: Principal): void
  /** Ends the connection with a word to the client. */
  end(reason: DisconnectReason, text: string): void
  /** Ends it without one. */
  destroy(reason: string): void
}

/** What a stranger is about: a PROXY header, the check of the address and the first line; keys; the login. */
export type StrangerStage = 'arriving' | 'exchange' | 'login'

/** A first line that takes longer is no client's, in milliseconds. */
const greetingMs = 30_000

/** Somebody from the accepted socket to the login. */
export class Stranger {
  readonly #link: StrangerLink
  readonly #arrival: Arrival
  #stage: StrangerStage = 'arriving'
  #clientVersion = ''
  #admission: Admitted | undefined
  #login: Login | undefined
  #conversation: LoginConversation | undefined
  /** Bytes that wait for their turn. */
  #queued: Buffer[] = []

  constructor(link: StrangerLink) {
    this.#link = link
    const { authority, settings, log, meter } = link.context
    this.#arrival = new Arrival({
      ...{ id: link.id, socket: link.socket, proxy: link.proxy },
      ...{ authority, software: settings.software, log, meter },
      count: (address) => link.count(address),
      listen: () => link.listen(),
      greeted: (guest) => this.#greeted(guest),
      refused: (reason) => link.destroy(reason),
    })
  }

  get stage(): StrangerStage {
    return this.#stage
  }

  /** How far it got: whoever got least far makes room for others. */
  get progress(): number {
    switch (this.#stage) {
      case 'arriving':
        return this.#arrival.stage === 'proxy' ? 0 : 1
      case 'exchange':
        return 2
      case 'login':
        return 3
    }
  }

  begin(): void {
    this.#arrival.begin()
  }

  data(chunk: Buffer): void {
    if (this.#stage === 'arriving') this.#arrival.data(chunk)
    else this.#receiveInTurn(chunk)
  }

  /** One message of the login. False when it is none. */
  handle(payload: Buffer): boolean {
    return this.#login?.handle(payload) ?? false
  }

  /** There are keys: whoever it is may say so. */
  beginLogin(transport: Transport): void {
    this.#stage = 'login'
    const { id, context, address } = this.#link
    const { authority, settings, log, meter } = context
    this.#conversation = authority.begin({
      ...(this.#admission !== undefined && { admission: this.#admission }),
      connectionId: id,
      address: address(),
      clientVersion: this.#clientVersion,
    })
    this.#login = new Login({
      transport,
      conversation: this.#conversation,
      settings: settings.login,
      log: log.with({ connection: id, address: address() }),
      meter,
      granted: (principal) => this.#link.granted(principal),
      end: (reason, text) => this.#link.end(reason, text),
    })
  }

  /** Looks after the time. */
  sweep(now: number): void {
    const age = now - this.#link.accepted
    if (this.#stage === 'arriving') this.#arrival.sweep(age)
    const patience = this.#link.context.settings.loginGraceMs
    const at = this.#stage === 'arriving' ? this.#arrival.stage : this.#stage
    if (age <= (at === 'greeting' ? Math.min(patience, greetingMs) : patience)) return
    if (at === 'over') return // the arrival ended it
    this.#link.context.meter.add('sftpgo_login_grace_lapses_total', 1, { at })
    if (at === 'login') this.#link.end(disconnectReason.byApplication, 'Login grace time is over')
    else this.#link.destroy('login grace time over')
  }

  /** No stranger any more, or gone. */
  close(): void {
    this.#arrival.close()
    this.#login?.close()
    this.#conversation?.end()
    if (this.#login !== undefined && !this.#login.tried) this.recordLog(3, 'no login tried')
    this.#login = undefined
    this.#conversation = undefined
  }

  /** Writes down that somebody came and was nobody. */
  recordLog(event: 3 | 4, text: string): void {
    this.#link.context.events.recordLog({
      kind: 'log',
      event,
      username: '',
      protocol: 'SSH',
      address: this.#link.address(),
      message: text,
    })
  }

  #greeted({ clientVersion, bytes, admission }: Greeted): void {
    this.#clientVersion = clientVersion
    this.#admission = admission
    this.#link.greeted(clientVersion)
    this.#stage = 'exchange'
    this.#receiveInTurn(bytes)
  }

  /** Strangers' bytes cost most of what they can make us do: they share a budget per turn. */
  #receiveInTurn(chunk: Buffer): void {
    this.#queued.push(chunk)
    if (this.#queued.length > 1) return
    const turn = { came: false, waited: false }
    this.#link.context.budget.run(() => {
      turn.came = true
      const chunks = this.#queued
      this.#queued = []
      this.#link.receive(chunks)
      if (turn.waited) this.#link.resume()
    })
    // Most have their turn at once: stopping and going on would be two system calls for each of them.
    if (turn.came) return
    turn.waited = true
    this.#link.socket.pause()
  }
}
