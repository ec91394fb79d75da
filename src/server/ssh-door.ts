import type { LoginAuthority } from '../accounts/login-conversation.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { Config } from '../config/load-config.ts'
import type { EventLog } from '../events/event-log.ts'
import type { OpenSession } from '../ssh/connection-context.ts'
import type { ConnectionChoice } from '../accounts/session-guard.ts'
import type { Soon } from '../base/soon.ts'
import { Crowd } from '../ssh/crowd.ts'
import { type ConnectionInfo, type SshServer, startSshServer } from '../ssh/ssh-server.ts'
import { sshOptions } from './ssh-options.ts'

/** What stands behind the door: who decides, and what people get. */
export interface SshDoorOptions {
  readonly config: Config
  readonly loopbackOnly: boolean
  readonly authority: LoginAuthority
  readonly serve: OpenSession
  readonly events: Pick<EventLog, 'recordLog'>
  readonly log: Logger
  readonly meter: Meter
  readonly left?: (connectionId: string) => void
}

/** The SSH server, which a reload may exchange: who is inside stays with the old one until they are done. */
export interface SshDoor {
  /** What takes new connections. */
  readonly ssh: Pick<SshServer, 'addresses' | 'status'>
  connections(): Soon<readonly ConnectionInfo[]>
  counts(): DoorCounts
  usernames(): ReadonlySet<string>
  sessionsOf(username: string): number
  disconnect(which: ConnectionChoice, text: string): number
  /** Listens anew with other settings. When that fails, the old ones are in force again and the error is thrown. */
  replace(config: Config): Promise<void>
  /** Settings that are read each time they are needed have changed, or what notifiers want to hear. */
  tell(config: Config): void
  /** Fetches what other processes have measured, and sets what is known of them. Left out where there are none. */
  measure?(meter: Meter): Promise<void>
  /** Lines that other processes gave up. */
  droppedLogLines?(): number
  /** How the processes behind the door are, where they are others than this one. */
  workers?(): { readonly ready: boolean; readonly detail: string }
  close(graceMs: number): Promise<void>
}

/** How many people there are. */
export interface DoorCounts {
  readonly connections: number
  /** Connections that are not logged in. */
  readonly halfOpen: number
  readonly sessions: number
}

/** A door that this very process keeps. */
export interface OwnDoor extends SshDoor {
  connections(): readonly ConnectionInfo[]
  /** Ends the connections for which `matches` says so. */
  end(matches: (connection: ConnectionInfo) => boolean, text: string): number
}

/** Opens the door. */
export async function openSshDoor(options: SshDoorOptions): Promise<OwnDoor> {
  const { loopbackOnly, config: _first, ...behind } = options
  // Who is inside a server that was replaced is still counted.
  const crowd = new Crowd(options.meter)
  const start = async (config: Config, before?: SshServer): Promise<SshServer> => {
    const settings = sshOptions(config, { loopbackOnly })
    // A port that was chosen freely stays the same when the server listens anew.
    const bindings = settings.bindings.map((binding, index) =>
      binding.port === 0 ? { ...binding, port: before?.addresses[index]?.port ?? 0 } : binding,
    )
    return startSshServer({ ...settings, bindings, crowd, ...behind })
  }
  let config = options.config
  let ssh = await start(config)
  // Servers that only wait for those who are inside.
  const leaving = new Set<SshServer>()
  const all = (): SshServer[] => [ssh, ...leaving]

  function retire(server: SshServer): void {
    leaving.add(server)
    void server.retire().finally(() => leaving.delete(server))
  }

  const connections = (): readonly ConnectionInfo[] => all().flatMap((server) => server.connections())
  const end: OwnDoor['end'] = (matches, text) =>
    all().reduce((sum, server) => sum + server.disconnect(matches, text), 0)

  return {
    get ssh() {
      return ssh
    },
    connections,
    counts: () => countsOf(connections()),
    usernames: () => new Set(connections().flatMap(({ username }) => username ?? [])),
    sessionsOf: (username) => crowd.sessionsOf(username),
    end,
    disconnect: (which, text) =>
      end(
        ({ id, username }) => ('connection' in which ? id === which.connection : username === which.username),
        text,
      ),
    async replace(next) {
      const before = ssh
      retire(before)
      try {
        ssh = await start(next, before)
        config = next
      } catch (error) {
        ssh = await start(config, before)
        throw error
      }
    },
    // The configuration in force is shared with whoever reads it here.
    tell() {},
    async close(graceMs) {
      await Promise.all(all().map((server) => server.close(graceMs)))
    },
  }
}

function countsOf(connections: readonly ConnectionInfo[]): DoorCounts {
  return {
    connections: connections.length,
    halfOpen: connections.filter(({ username }) => username === undefined).length,
    sessions: connections.reduce((sum, { sessions }) => sum + sessions, 0),
  }
}
