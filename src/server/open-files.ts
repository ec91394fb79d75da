import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Meter } from '../base/meter.ts'
import type { Scope } from '../base/scope.ts'
import type { Config } from '../config/load-config.ts'
import type { EventLog } from '../events/event-log.ts'
import type { ActiveUploads } from '../files/active-uploads.ts'
import { openPartJournal, sweepAllParts } from '../files/part-journal.ts'
import type { UsageLedger } from '../files/usage-ledger.ts'
import { createBufferPool } from '../sftp/buffer-pool.ts'
import { packetBufferBytes } from '../sftp/serve-session.ts'
import type { OpenSession } from '../ssh/connection-context.ts'
import { createDisks, type Disks } from '../storage/disks.ts'
import { backends } from '../storage/index.ts'
import type { EncryptedPlaces } from './encrypted-places.ts'
import { filePolicy } from './file-policy.ts'
import { createMemoryPlaces } from './memory-places.ts'
import { metricsAreRead } from './metrics-are-read.ts'
import { type SessionSurroundings, createSessionOpener } from './open-sessions.ts'
import { programVersion } from './version.ts'

/** What the file wing of one process stands on. */
export interface FileWingOptions {
  readonly current: { readonly config: Config }
  readonly ledger: UsageLedger
  readonly events: EventLog
  readonly encrypted: EncryptedPlaces
  readonly active: ActiveUploads
  /** Its name in the state folder: one process, one journal. */
  readonly journal: string
  readonly enter?: SessionSurroundings['enter']
  readonly log: Logger
  readonly meter: Meter
  readonly inMemory: boolean
}

/** Opens the file wing of this process: what `ssh` calls for somebody who is logged in. */
export function openFileWing(options: FileWingOptions, scope: Scope): OpenSession {
  const { current, ledger, events, encrypted, active, enter, log, meter, inMemory } = options
  const { settings, stateFolder } = current.config
  const clock = systemClock
  const disks = createDisks({ clock, log: log.with({ part: 'storage' }), meter })
  const journal = scope.own(openPartJournal(join(stateFolder, options.journal)))
  const sweeping = sweepAllParts(journal, localBackends(disks), sweepOptions(current.config, log))
  scope.defer(() => sweeping)
  const opener = createSessionOpener({
    places: {
      ...(inMemory && { memory: createMemoryPlaces() }),
      ...{ disks, encrypted, ledger, trackQuota: settings.data_provider.track_quota },
    },
    policy: () => filePolicy(current.config.settings),
    ...{ events, ledger, clock, meter, log: log.with({ part: 'sftp' }), version: programVersion() },
    ...{ active, journal, ...(enter !== undefined && { enter }) },
    measured: () => metricsAreRead(current.config),
    buffers: createBufferPool({ bufferBytes: packetBufferBytes, keep: 64 }),
  })
  // The door has closed when this runs; what sessions were doing is finished before the journal and the database close.
  scope.defer(() => opener.settled(lastEffortsMs))
  return opener.open
}

/** For files to be put in order after everybody is gone. */
const lastEffortsMs = 10_000

/** The journal of the server's own file wing, and that of a worker. */
export function journalName(worker?: number): string {
  return worker === undefined ? 'uploads.journal' : `uploads-${worker}.journal`
}

/** Whether a file of the state folder is a journal that nobody of this life of the server writes. */
export function isLeftJournal(name: string, workers: number): boolean {
  const number = /^uploads(?:-(\d+))?\.journal$/.exec(name)
  if (number === null) return false
  if (workers === 1) return number[1] !== undefined
  return number[1] === undefined || Number(number[1]) > workers
}

/** Sweeps what processes left behind that this life of the server does not have. */
export async function sweepOldJournals(
  config: Config,
  names: readonly string[],
  log: Logger,
  meter: Meter,
): Promise<void> {
  const disks = createDisks({ clock: systemClock, log: log.with({ part: 'storage' }), meter })
  for (const name of names) {
    const journal = openPartJournal(join(config.stateFolder, name))
    await sweepAllParts(journal, localBackends(disks), sweepOptions(config, log))
    journal.close()
    await rm(join(config.stateFolder, name), { force: true })
  }
}

function localBackends(disks: Disks): Parameters<typeof sweepAllParts>[1] {
  return (realRoot) => backends.local({ root: Buffer.from(realRoot, 'latin1').toString(), disks })
}

function sweepOptions({ settings }: Config, log: Logger): Parameters<typeof sweepAllParts>[2] {
  return { keep: settings.common.upload_mode === 2, log: log.with({ part: 'files' }) }
}
