import type {
  AskedOfWorker,
  LinkToPrimary,
  StartedWorker,
  ToldToWorker,
  WorkerFigures,
  WorkerStart,
} from '../cluster/contract.ts'
import { createRemoteAuthority, type RemoteAuthority } from '../cluster/remote-authority.ts'
import { createRemoteEvents } from '../cluster/remote-events.ts'
import { createRemoteMeter } from '../cluster/remote-meter.ts'
import { createRemoteUploads } from '../cluster/remote-uploads.ts'
import { createRemoteUsage, type RemoteUsage, type UsageOwner } from '../cluster/remote-usage.ts'
import type { User } from '../accounts/user.ts'
import { FileError } from '../base/errors.ts'
import { Scope } from '../base/scope.ts'
import type { Keepers } from '../secrets/keepers.ts'
import { millisecondsOf } from '../config/units.ts'
import { Secret } from '../secrets/secret.ts'
import type { SessionOpening } from '../ssh/connection-context.ts'
import type { ConnectionInfo } from '../ssh/ssh-server.ts'
import type { ProgramLogger } from '../telemetry/logger.ts'
import { createEncryptedPlaces } from './encrypted-places.ts'
import { metricsAreRead } from './metrics-are-read.ts'
import { journalName, openFileWing } from './open-files.ts'
import type { SessionPlace } from './open-sessions.ts'
import { configOfSent } from './sent-config.ts'
import { openSshDoor } from './ssh-door.ts'

/** The SSH front and the file wing of one worker: the same parts as in a server of one process, over the primary's word. */
export interface FrontWorker {
  listening(): StartedWorker
  replace(input: AskedOfWorker['replace'][0]): Promise<StartedWorker>
  connections(): readonly ConnectionInfo[]
  readonly show: RemoteAuthority['show']
  measure(): WorkerFigures
  take(news: ToldToWorker['take']): void
  disconnect(news: ToldToWorker['disconnect']): void
  setWanted(news: ToldToWorker['wanted']): void
  takeUsage(news: ToldToWorker['usage']): void
  takeBoard(news: ToldToWorker['board']): void
  setLives(news: ToldToWorker['lives']): void
  close(graceMs: number): Promise<void>
}

/** Opens it: when this returns, people can connect. */
export async function openFrontWorker(
  start: WorkerStart,
  link: LinkToPrimary,
  log: ProgramLogger,
): Promise<FrontWorker> {
  log.setLevel(start.logLevel)
  const scope = new Scope()
  const current = { config: configOfSent(start.config) }
  const meter = scope.own(createRemoteMeter(link, () => metricsAreRead(current.config)))
  const logins = createRemoteAuthority(link)
  const events = createRemoteEvents(link, start.wanted)
  const usage = createRemoteUsage(link)
  const uploads = createRemoteUploads(link, start.life)
  const encrypted = createEncryptedPlaces({
    ...{ keepers: remoteKeepers(link), log: log.with({ part: 'secrets' }) },
    cacheTimeMs: millisecondsOf(current.config.settings.kms.cache_time),
  })
  const serve = openFileWing(
    {
      ...{ current, events, encrypted, log, meter, ledger: usage.ledger, active: uploads.active },
      journal: journalName(start.number),
      enter: (opening) => enter(opening, link, usage),
      inMemory: false,
    },
    scope,
  )
  const door = await openSshDoor({
    ...{ config: current.config, loopbackOnly: start.loopbackOnly, serve, events, meter },
    authority: logins.authority,
    log: log.with({ part: 'ssh' }),
    left: (id) => link.tell('left', { id }),
  })
  const listening = (): StartedWorker => ({ addresses: door.ssh.addresses, status: door.ssh.status })

  return {
    listening,
    async replace({ config }) {
      await door.replace(configOfSent(config))
      return listening()
    },
    connections: () => door.connections(),
    show: (id, page) => logins.show(id, page),
    measure() {
      meter.flush()
      const { user, system } = process.cpuUsage()
      const { rss: residentBytes } = process.memoryUsage()
      return { residentBytes, cpuSeconds: (user + system) / 1e6, droppedLogLines: log.droppedLines }
    },
    take({ config, logLevel }) {
      current.config = configOfSent(config)
      log.setLevel(logLevel)
    },
    disconnect({ ids, text }) {
      const ended = new Set(ids)
      door.end(({ id }) => ended.has(id), text)
    },
    setWanted: (actions) => events.setWanted(actions),
    takeUsage: (news) => usage.take(news),
    takeBoard: (news) => uploads.take(news),
    setLives: (lives) => uploads.setLives(lives),
    async close(graceMs) {
      await door.close(graceMs)
      await scope.close()
      usage.flush()
      await log.close()
    },
  }
}

/** A plugin of the kms slot may have to be asked. */
const secretMs = 60_000

function remoteKeepers(link: LinkToPrimary): Pick<Keepers, 'open' | 'nameOf'> {
  return {
    open: async (stored) => new Secret(await link.ask('secret', stored, secretMs)),
    // Who it is has the primary in its log.
    nameOf: ({ status = '' }) => status,
  }
}

/** What the user's sessions count, with the limits that hold for it. */
function usageOwnersOf(user: User): readonly UsageOwner[] {
  const { username, virtual_folders: folders = [], total_data_transfer: total = 0 } = user
  // Megabytes; a total stands above the other two, and either may use it up.
  const bytes = (megabytes = 0): number => (total > 0 ? total : megabytes) * 2 ** 20
  return [
    { key: `user ${username}`, mostA: user.quota_size, mostB: user.quota_files },
    {
      key: `moved ${username}`,
      mostA: bytes(user.upload_data_transfer),
      mostB: bytes(user.download_data_transfer),
    },
    ...folders.map(({ name, quota_size: size, quota_files: files }): UsageOwner => ({
      ...{ key: `folder ${name}`, mostA: Math.max(0, size), mostB: Math.max(0, files) },
    })),
  ]
}

/** Asks the primary for a place among the user's sessions, which brings what the user has used so far. */
async function enter(
  { principal: { user, connectionId: id } }: SessionOpening,
  link: LinkToPrimary,
  usage: RemoteUsage,
): Promise<SessionPlace> {
  const held = usage.hold(usageOwnersOf(user))
  try {
    const entry = await link.ask('session', { id })
    if (!entry.entered)
      throw new FileError('too-many-open', 'Cannot open a session: the user has too many already')
    held.begin(entry)
  } catch (error) {
    held.release()
    throw error
  }
  return { ended: () => link.tell('sessionOver', { id }), settled: () => held.release() }
}
