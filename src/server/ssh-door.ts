import type { LoginAuthority } from '../accounts/login-conversation.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { Config } from '../config/load-config.ts'
import type { EventLog } from '../events/event-log.ts'
import type { OpenSession } from '../ssh/connection-context.ts'
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
}

/** The SSH server, which a reload may exchange: who is inside stays with the old one until they are done. */
export interface SshDoor {
  /** The one that takes new connections. */
  readonly ssh: SshServer
  connections(): readonly ConnectionInfo[]
  sessionsOf(username: string): number
  disconnect(matches: (connection: ConnectionInfo) => boolean, text: string): number
  /** Listens anew with other settings. When that fails, the old ones are in force again and the error is thrown. */
  replace(config: Config): Promise<void>
  close(graceMs: number): Promise<void>
}

/** Opens the door. */
export async function openSshDoor(options: SshDoorOptions): Promise<SshDoor> {
  const { authority, serve, events, log, meter, loopbackOnly } = options
  const start = async (config: Config, before?: SshServer): Promise<SshServer> => {
    const settings = sshOptions(config, { loopbackOnly })
    // A port that was chosen freely stays the same when the server listens anew.
    const bindings = settings.bindings.map((binding, index) =>
      binding.port === 0 ? { ...binding, port: before?.addresses[index]?.port ?? 0 } : binding,
    )
    return startSshServer({ ...settings, bindings, authority, serve, events, log, meter })
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

  return {
    get ssh() {
      return ssh
    },
    connections: () => all().flatMap((server) => server.connections()),
    sessionsOf: (username) => all().reduce((sum, server) => sum + server.sessionsOf(username), 0),
    disconnect: (matches, text) => all().reduce((sum, server) => sum + server.disconnect(matches, text), 0),
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
    async close(graceMs) {
      await Promise.all(all().map((server) => server.close(graceMs)))
    },
  }
}
