import type { LoginAuthority } from '../accounts/login-conversation.ts'
import type { Principal } from '../accounts/principal.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { EventLog } from '../events/event-log.ts'
import type { SocketSender } from '../native/socket-sender.ts'
import type { ByteStream } from '../sftp/byte-stream.ts'
import type { SftpSession } from '../sftp/session.ts'
import type { Connection } from './connection.ts'
import type { ConnectionRegistry } from './connection-registry.ts'
import type { HostKey, Offer, SshLibrary } from './library.ts'
import type { LoginSettings } from './login.ts'
import type { PacketPool } from './packet-pool.ts'
import type { ReadPool } from './read-memory.ts'
import type { WindowLimits } from './receive-window.ts'
import type { TurnBudget } from './turn-budget.ts'

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
  /** The way past Node's streams for what is sent, where there is one. */
  readonly sender: SocketSender | undefined
  readonly readPool: ReadPool
  readonly serve: OpenSession
  /** Told of each connection that is over. */
  readonly left: (connectionId: string) => void
  readonly log: Logger
  readonly meter: Meter
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
