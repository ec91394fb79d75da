import { systemClock, type Clock } from '../base/clock.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import { whenReady } from '../base/soon.ts'
import { nameFromText, rootPath, virtualPath } from '../base/virtual-path.ts'
import { createNameRules } from '../accounts/name-rules.ts'
import { createPermissions } from '../accounts/permissions.ts'
import type { Principal } from '../accounts/principal.ts'
import { silentEventLog, type EventLog } from '../events/event-log.ts'
import { createAccess } from './access.ts'
import { createActiveUploads, type ActiveUploads } from './active-uploads.ts'
import { attributesOf, changeAttributes, resolvePath, spaceOf } from './attributes.ts'
import type { Desk } from './desk.ts'
import { defaultFilePolicy, type FilePolicy } from './file-policy.ts'
import { createHappenings } from './happenings.ts'
import { hardLink, readLink, symbolicLink } from './links.ts'
import { listDirectory } from './list-directory.ts'
import { createMounts, type Mount } from './mounts.ts'
import { move } from './move.ts'
import { makeDirectory, removeDirectory, removeFile } from './names.ts'
import { openForReading, openForWriting } from './open-file.ts'
import { createOwnUploads } from './own-uploads.ts'
import { createPacer } from './pacer.ts'
import { forgetfulJournal, sweepParts, type PartJournal } from './part-journal.ts'
import { createTransferQuota } from './transfer-quota.ts'
import type { UsageLedger } from './usage-ledger.ts'
import type { UserFiles } from './user-files.ts'

/** What the files of one session are made of. */
export interface UserFilesOptions {
  readonly principal: Principal
  readonly home: Mount
  readonly folders?: readonly Mount[]
  readonly policy?: Partial<FilePolicy>
  readonly events?: EventLog
  /** Where first uploads and downloads are marked; counters are in the mounts' quotas. */
  readonly ledger?: UsageLedger
  /** Whether limits of what a user may move are held; default true. */
  readonly countsTransfers?: boolean
  /** Shared by all sessions of the server. */
  readonly active?: ActiveUploads
  readonly journal?: PartJournal
  readonly bandwidth?: Bandwidth
  readonly clock?: Clock
  readonly log?: Logger
  /** As SFTPGo names it in events; default `SFTP`. */
  readonly protocol?: string
  readonly sessionId?: string
}

/** Kilobytes a second of one transfer; 0 unlimited. */
export interface Bandwidth {
  readonly upload: number
  readonly download: number
}

/** Creates what one logged-in person can do with files. The backends stay the caller's. */
export function createUserFiles(options: UserFilesOptions): UserFiles {
  const desk = createDesk(options)
  const access = createAccess(desk)
  const own = createOwnUploads()
  const sweeping = sweepAll(desk)
  const { start_directory: startDirectory } = desk.user.filters
  return {
    startDirectory: startDirectory === undefined ? rootPath : virtualPath(nameFromText(startDirectory)),
    abilities: abilitiesOf(desk),
    open(path, intent) {
      if (intent.write || intent.create) {
        return whenReady(
          openForWriting(desk, access, path, intent, (upload) => own.remove(upload)),
          (upload) => {
            own.add(upload)
            return upload
          },
        )
      }
      const upload = own.at(path)
      if (upload?.hidden === undefined) return openForReading(desk, access, path, intent)
      return openForReading(desk, access, path, intent, upload.hidden.part)
    },
    attributes: (path, { follow }) => attributesOf(desk, access, own, path, follow),
    change: (path, change, { follow }) => changeAttributes(desk, access, own, path, change, follow),
    list: (path) => listDirectory(desk, access, path),
    makeDirectory(path, mode) {
      own.refuseTaken(path)
      return makeDirectory(desk, access, path, mode)
    },
    removeDirectory: (path) => removeDirectory(desk, access, path),
    remove: (path) => removeFile(desk, access, own, path),
    rename: (from, to, how) => move({ desk, access, own }, from, to, how),
    resolve: (path) => resolvePath(desk, access, path),
    space: (path) => spaceOf(access, own, path),
    readLink: (path) => readLink(access, path),
    symbolicLink(target, path) {
      own.refuseTaken(path)
      return symbolicLink(desk, access, target, path)
    },
    hardLink(existing, path) {
      own.refuseTaken(path)
      return hardLink(desk, access, existing, path)
    },
    close: () => sweeping,
  }
}

function createDesk(options: UserFilesOptions): Desk {
  const { principal, bandwidth, clock = systemClock, log = silentLogger } = options
  const { user } = principal
  return {
    user,
    mounts: createMounts(options.home, options.folders ?? []),
    policy: { ...defaultFilePolicy, ...options.policy },
    permissions: createPermissions(user.permissions),
    names: createNameRules(user.filters.file_patterns),
    happenings: createHappenings({
      ...{ principal, clock, log: options.events ?? silentEventLog },
      protocol: options.protocol ?? 'SFTP',
      sessionId: options.sessionId ?? '',
    }),
    active: options.active ?? createActiveUploads(`${process.pid}-${Date.now().toString(36)}`),
    journal: options.journal ?? forgetfulJournal,
    ledger: options.ledger,
    transfers: createTransferQuota(user, options.countsTransfers === false ? undefined : options.ledger),
    uploadPacer: () => createPacer(bandwidth?.upload ?? user.upload_bandwidth, clock),
    downloadPacer: () => createPacer(bandwidth?.download ?? user.download_bandwidth, clock),
    log,
  }
}

/** What an earlier life of the server left in the places of this person is dealt with when they come back. */
async function sweepAll({ mounts, journal, policy, log }: Desk): Promise<void> {
  for (const { backend, realRoot } of mounts.all) {
    await sweepParts(backend, realRoot, journal, { keep: policy.uploadMode === 2, log })
  }
}

function abilitiesOf({ mounts, policy }: Desk): UserFiles['abilities'] {
  const home = mounts.placeOf(rootPath).mount.backend
  return {
    symbolicLinks: policy.symbolicLinks && home.links !== undefined,
    hardLinks: policy.hardLinks && home.links !== undefined,
    space: home.space !== undefined,
  }
}
