import { systemClock, type Clock } from '../base/clock.ts'
import { FileError } from '../base/errors.ts'
import type { AttributeChange, FileAttributes, SpaceInfo } from '../base/file.ts'
import { silentLogger, type Logger } from '../base/log.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { nameFromText, parentOf, rootPath, virtualPath, type VirtualPath } from '../base/virtual-path.ts'
import { createNameRules } from '../accounts/name-rules.ts'
import { createPermissions } from '../accounts/permissions.ts'
import type { Principal } from '../accounts/principal.ts'
import { silentEventLog, type EventLog } from '../events/event-log.ts'
import { createAccess, type Access } from './access.ts'
import { createActiveUploads, type ActiveUploads } from './active-uploads.ts'
import { allowedChange, isEmptyChange } from './allowed-change.ts'
import type { Desk } from './desk.ts'
import { defaultFilePolicy, type FilePolicy } from './file-policy.ts'
import { createHappenings } from './happenings.ts'
import { pathOfTarget, shownTarget, storedTarget } from './link-target.ts'
import { listDirectory, mountedAttributes } from './list-directory.ts'
import { createMounts, realPathOf, seenFrom, type Mount, type Place } from './mounts.ts'
import { move } from './move.ts'
import { openForReading, openForWriting } from './open-file.ts'
import { createOwnUploads, type OwnUploads } from './own-uploads.ts'
import { createPacer } from './pacer.ts'
import { forgetfulJournal, sweepParts, type PartJournal } from './part-journal.ts'
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
    makeDirectory: (path, mode) => makeDirectory(desk, access, path, mode),
    removeDirectory: (path) => removeDirectory(desk, access, path),
    remove: (path) => removeFile(desk, access, own, path),
    rename: (from, to, how) => move({ desk, access, own }, from, to, how),
    resolve: (path) => resolvePath(desk, access, path),
    space: (path) => spaceOf(access, path),
    readLink: (path) => readLink(access, path),
    symbolicLink: (target, path) => symbolicLink(desk, access, target, path),
    hardLink: (existing, path) => hardLink(desk, access, existing, path),
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

function attributesOf(
  desk: Desk,
  access: Access,
  own: OwnUploads,
  path: VirtualPath,
  follow: boolean,
): Soon<FileAttributes> {
  const { mount, inside } = access.toSee(path, 'list')
  const upload = own.at(path)
  if (upload !== undefined) return upload.attributes()
  const leads = desk.mounts.isMountPoint(path) || desk.mounts.hasMountsBelow(path)
  if (!leads) return mount.backend.attributes(inside, { follow })
  return recovering<FileAttributes>(
    () => mount.backend.attributes(inside, { follow }),
    () => mountedAttributes(desk, path),
  )
}

function changeAttributes(
  desk: Desk,
  access: Access,
  own: OwnUploads,
  path: VirtualPath,
  asked: AttributeChange,
  follow: boolean,
): Soon<void> {
  const upload = own.at(path)
  if (upload !== undefined) return upload.change(asked)
  const place = asked.size === undefined ? access.toUse(path, 'list') : access.toUse(path, 'overwrite')
  const change = allowedChange(desk, parentOf(path), asked)
  if (isEmptyChange(change)) return undefined
  const { backend, quota } = place.mount
  const { size } = change
  if (size === undefined || !quota.counts) return backend.change(place.inside, change, { follow })
  return whenReady(backend.attributes(place.inside, { follow: true }), (before) => {
    const more = size - before.size
    if (more > 0) quota.take({ size: more, files: 0 })
    return recovering<void>(
      () =>
        whenReady(backend.change(place.inside, change, { follow }), () => {
          if (more < 0) quota.count({ size: more, files: 0 })
        }),
      (error) => {
        if (more > 0) quota.count({ size: -more, files: 0 })
        throw error
      },
    )
  })
}

function makeDirectory(desk: Desk, access: Access, path: VirtualPath, asked: number): Soon<void> {
  const { policy, user } = desk
  if (desk.mounts.isMountPoint(path)) throw new FileError('already-exists', 'Cannot make what is mounted')
  const place = access.toMake(path, 'create_dirs')
  const { backend } = place.mount
  const mode = asked & policy.modeMask & ~policy.umask
  return desk.happenings.around(
    { action: 'mkdir', place },
    () => checkOn(place, { of: 'make-directory', path: realPathOf(place) }),
    () =>
      whenReady(backend.makeDirectory(place.inside, mode), () => {
        if (user.uid <= 0 && user.gid <= 0) return undefined
        const owner = { uid: user.uid, gid: user.gid }
        return recovering<void>(
          () => backend.change(place.inside, { owner }, { follow: false }),
          () => desk.log.debug('owner of a directory not set', owner),
        )
      }),
  )
}

function removeDirectory(desk: Desk, access: Access, path: VirtualPath): Soon<void> {
  const { mounts } = desk
  if (path === '/' || mounts.isMountPoint(path) || mounts.hasMountsBelow(path)) {
    throw new FileError('permission-denied', 'Cannot remove a directory that holds a mounted folder')
  }
  const place = access.toUse(path, 'delete_dirs')
  return desk.happenings.around(
    { action: 'rmdir', place },
    () => checkOn(place, { of: 'remove', path: realPathOf(place) }),
    () => place.mount.backend.removeDirectory(place.inside),
  )
}

function removeFile(desk: Desk, access: Access, own: OwnUploads, path: VirtualPath): Soon<void> {
  const { happenings } = desk
  const place = access.toUse(path, 'delete_files')
  const { backend, quota } = place.mount
  const upload = own.at(path)
  const told = happenings.wants('delete') || happenings.wants('pre-delete')
  if (upload === undefined && !told && !quota.counts) return backend.remove(place.inside)
  return whenReady(lookFor(place), (before) => {
    upload?.drop()
    if (before === undefined) {
      if (upload === undefined) throw new FileError('not-found', 'Cannot find this name')
      return undefined
    }
    const size = before.kind === 'file' ? before.size : 0
    return whenReady(happenings.ask({ action: 'pre-delete', place, size }), () =>
      happenings.around(
        { action: 'delete', place, size },
        () => checkOn(place, { of: 'remove', path: realPathOf(place) }),
        () =>
          whenReady(backend.remove(place.inside), () => {
            // Another name still holds the bytes.
            if (before.kind === 'file' && before.links <= 1) quota.count({ size: -size, files: -1 })
          }),
      ),
    )
  })
}

function resolvePath(desk: Desk, access: Access, path: VirtualPath): Soon<VirtualPath> {
  const { mount, inside } = access.toSee(path)
  // Who may not list hears nothing about the disk.
  if (!desk.permissions.allows('list', parentOf(path))) return path
  if (desk.mounts.isMountPoint(path) || desk.mounts.hasMountsBelow(path)) return path
  return whenReady(mount.backend.resolve(inside), (resolved) => seenFrom(mount, resolved))
}

function spaceOf(access: Access, path: VirtualPath): Soon<SpaceInfo> {
  const { mount, inside } = access.toSee(path, 'list')
  if (mount.backend.space === undefined)
    throw new FileError('unsupported', 'Cannot tell how full this place is')
  return whenReady(mount.backend.space(inside), (space) => mount.quota.narrow(space))
}

function readLink(access: Access, path: VirtualPath): Soon<string> {
  const place = access.toSee(path, 'list')
  const { links } = place.mount.backend
  if (links === undefined) throw new FileError('not-a-link', 'Cannot read a link where there are none')
  return whenReady(links.read(place.inside), (stored) => shownTarget(stored, place))
}

function symbolicLink(
  { policy, mounts }: Desk,
  access: Access,
  target: string,
  path: VirtualPath,
): Soon<void> {
  const place = access.toMake(path, 'create_symlinks')
  const { links } = place.mount.backend
  if (!policy.symbolicLinks || links === undefined)
    throw new FileError('unsupported', 'Cannot make links here')
  const leadsTo = pathOfTarget(path, target)
  access.require('create_symlinks', parentOf(leadsTo))
  access.toSee(leadsTo)
  if (mounts.placeOf(leadsTo).mount !== place.mount) {
    throw new FileError('unsupported', 'Cannot link between different places')
  }
  return links.symbolic(storedTarget(target, place, leadsTo), place.inside)
}

function hardLink({ policy }: Desk, access: Access, existing: VirtualPath, path: VirtualPath): Soon<void> {
  const source = access.toUse(existing, 'create_symlinks')
  const place = access.toMake(path, 'create_symlinks')
  const { links } = place.mount.backend
  if (!policy.hardLinks || links === undefined) throw new FileError('unsupported', 'Cannot make links here')
  if (source.mount !== place.mount) throw new FileError('unsupported', 'Cannot link between different places')
  return links.hard(source.inside, place.inside)
}

function lookFor({ mount, inside }: Place): Soon<FileAttributes | undefined> {
  return recovering<FileAttributes | undefined>(
    () => mount.backend.attributes(inside, { follow: false }),
    (error) => {
      if (error instanceof FileError && error.code === 'not-found') return undefined
      throw error
    },
  )
}

function checkOn<T>({ mount }: Place, check: T): T | { readonly of: 'unknown' } {
  return mount.realRoot === '' ? { of: 'unknown' } : check
}
