import type { Clock } from '../base/clock.ts'
import { delay } from '../base/deadline.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { EventLog } from '../events/event-log.ts'
import type { ActiveUploads } from '../files/active-uploads.ts'
import { createUserFiles } from '../files/create-user-files.ts'
import type { FilePolicy } from '../files/file-policy.ts'
import type { PartJournal } from '../files/part-journal.ts'
import type { UsageLedger } from '../files/usage-ledger.ts'
import type { User } from '../accounts/user.ts'
import { createIpSet } from '../accounts/ip-set.ts'
import type { OpenSession, SessionOpening } from '../ssh/connection-context.ts'
import { type BufferPool } from '../sftp/buffer-pool.ts'
import type { ByteStream } from '../sftp/byte-stream.ts'
import type { SftpSession } from '../sftp/session.ts'
import { peopleFor } from '../sftp/people.ts'
import { serveSession } from '../sftp/serve-session.ts'
import { symlinkOrderFor } from '../sftp/symlink-order.ts'
import { measuredFiles } from './measured-files.ts'
import { type PlaceOptions, openPlaces } from './open-places.ts'

/** What every session of a server shares. */
export interface SessionSurroundings {
  readonly places: PlaceOptions
  readonly policy: () => Partial<FilePolicy>
  readonly events: EventLog
  readonly ledger: UsageLedger
  readonly active: ActiveUploads
  readonly journal: PartJournal
  readonly buffers: BufferPool
  readonly clock: Clock
  readonly log: Logger
  readonly meter: Meter
  readonly version: string
  /** Whether somebody reads the metrics; when not, nothing is measured. */
  readonly measured: () => boolean
  /** Asked before a session opens, where somebody else counts them too; throws when it may not. */
  readonly enter?: (opening: SessionOpening) => Promise<SessionPlace>
}

/** The place that a session has taken. */
export interface SessionPlace {
  /** The session is over. */
  ended(): void
  /** Its files are in order too. */
  settled(): void
}

/** Opens sessions, and knows when they are over and done with. */
export interface SessionOpener {
  readonly open: OpenSession
  /** Returns when every session that ended has put its files in order; after `mostMs` in any case. */
  settled(mostMs: number): Promise<void>
}

/** Creates what `ssh` calls when somebody who is logged in opens the SFTP subsystem. */
export function createSessionOpener(around: SessionSurroundings): SessionOpener {
  let opened = 0
  const lives = new Set<Promise<void>>()
  const open: OpenSession = async (stream, opening) => {
    if (around.enter === undefined) return begin(stream, opening)
    const place = await around.enter(opening)
    try {
      return await begin(stream, opening, place)
    } catch (error) {
      place.ended()
      place.settled()
      throw error
    }
  }
  const begin = async (
    stream: ByteStream,
    { principal, clientVersion }: SessionOpening,
    place?: SessionPlace,
  ): Promise<SftpSession> => {
    opened += 1
    // As in SFTPGo: the protocol, the connection, and a number that tells its sessions apart.
    const sessionId = `SFTP_${principal.connectionId}_${opened}`
    const log = around.log.with({ user: principal.user.username, session: sessionId })
    const places = await openPlaces(principal.user, around.places)
    const plain = createUserFiles({
      principal,
      ...{ home: places.home, folders: places.folders, policy: around.policy(), events: around.events },
      countsTransfers: around.places.trackQuota !== 0,
      ...{ ledger: around.ledger, active: around.active, journal: around.journal, clock: around.clock },
      ...{ log, sessionId, bandwidth: bandwidthFor(principal.user, principal.address) },
    })
    const files = around.measured() ? measuredFiles(plain, around.meter) : plain
    const session = serveSession(stream, files, {
      ...{ log, buffers: around.buffers, version: around.version },
      people: peopleFor(principal.user),
      symlinkOrder: symlinkOrderFor(clientVersion),
    })
    around.meter.add('sftpgo_sessions_total')
    log.info('session opened', { address: principal.address, method: principal.method })
    const life = session.ended
      .finally(() => place?.ended())
      .then(async (end) => {
        log.info('session ended', { end, requests: session.requests })
        await files.close()
        await places.close()
      })
      .catch((error: unknown) => log.warn('session ended untidily', { error: messageOf(error) }))
      .finally(() => {
        lives.delete(life)
        place?.settled()
      })
    lives.add(life)
    return session
  }
  return {
    open,
    async settled(mostMs) {
      // A disk that hangs must not keep the server from ending.
      const enough = new AbortController()
      const tooLong = delay(mostMs, enough.signal)
      await Promise.race([Promise.all(lives), tooLong])
      enough.abort()
      if (lives.size > 0) around.log.warn('sessions left open', { count: lives.size })
    },
  }
}

/** The first limit whose networks hold the address, else the user's own. */
function bandwidthFor({ filters, upload_bandwidth, download_bandwidth }: User, address: string) {
  const special = (filters.bandwidth_limits ?? []).find(({ sources }) => createIpSet(sources).has(address))
  return {
    upload: special?.upload_bandwidth ?? upload_bandwidth,
    download: special?.download_bandwidth ?? download_bandwidth,
  }
}
