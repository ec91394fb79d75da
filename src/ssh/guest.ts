import type { Principal } from '../accounts/principal.ts'
import type { Logger } from '../base/log.ts'
import { Channels } from './channels.ts'
import type { ConnectionContext } from './connection-context.ts'
import { GuestSessions } from './guest-sessions.ts'
import type { Keepalive } from './keepalive.ts'
import type { Transport } from './library.ts'
import type { SocketOutput } from './socket-output.ts'
import type { SocketTurns } from './socket-turns.ts'

/** Who is logged in, and over what. */
export interface GuestOptions {
  readonly principal: Principal
  readonly clientVersion: string
  readonly transport: Transport
  readonly output: SocketOutput
  readonly turns: SocketTurns
  readonly keepalive: Keepalive
  readonly context: Pick<ConnectionContext, 'settings' | 'hostKeys' | 'pool' | 'registry' | 'serve'>
  readonly log: Logger
  /** When the login was granted. */
  readonly now: number
}

/** Somebody who is logged in: the channels, the sessions on them, and how long nothing was asked. */
export class Guest {
  readonly channels: Channels
  readonly sessions: GuestSessions
  #lastActive: number

  constructor(options: GuestOptions) {
    const { principal, clientVersion, transport, output, turns, keepalive, context, log } = options
    const { settings, hostKeys, pool, registry, serve } = context
    const { username, max_sessions: most } = principal.user
    this.#lastActive = options.now
    this.sessions = new GuestSessions({ principal, clientVersion, serve, log })
    this.channels = new Channels({
      link: {
        transport,
        pool,
        socketBacklog: () => output.backlog,
        allocate: (bytes) => output.allocate(bytes),
        atEndOfTurn: (action) => turns.atEnd(action),
        ping: (answered) => keepalive.ask(answered),
      },
      windows: settings.windows,
      mostChannels: settings.mostChannels,
      hostKeys,
      log,
      enter: () => {
        const leave = registry.enterSession(username, most)
        return leave === undefined ? { refused: 'Too many sessions of this user' } : { leave }
      },
      answered: () => keepalive.answered(),
      serve: (stream) => this.sessions.open(stream),
    })
  }

  /** Milliseconds without an SFTP request. */
  idleFor(now: number): number {
    return now - this.#lastActive
  }

  /** Notes whether anything moved since the last call. */
  settle(now: number): void {
    if (this.sessions.moved()) this.#lastActive = now
  }

  /** The connection is gone. */
  close(): void {
    this.channels.drop()
    this.sessions.clear()
  }
}
