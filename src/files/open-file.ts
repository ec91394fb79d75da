import { FileError } from '../base/errors.ts'
import type { FileAttributes, OpenIntent } from '../base/file.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { parentOf, type VirtualPath } from '../base/virtual-path.ts'
import type { Intent } from '../events/event-log.ts'
import type { OpenFile } from '../storage/backend.ts'
import type { Access } from './access.ts'
import type { Desk } from './desk.ts'
import { Download } from './download.ts'
import type { Happening } from './happenings.ts'
import { beginHiddenPart } from './hidden-part.ts'
import { realPathOf, type Place } from './mounts.ts'
import { createRewrite, type OpenPart, type Rewrite } from './rewrite.ts'
import { Upload, type UploadStart } from './upload.ts'

/** Opens a file to be read only; `part` is where the bytes are while the session's own upload has no name yet. */
export function openForReading(
  desk: Desk,
  access: Access,
  path: VirtualPath,
  intent: OpenIntent,
  part?: VirtualPath,
): Soon<Download> {
  const place = access.toUse(path, 'download')
  desk.transfers.requireDownload()
  const open = (): Soon<Download> =>
    whenReady(
      place.mount.backend.open(part ?? place.inside, intent),
      (file) => new Download(desk, file, place),
    )
  if (!desk.happenings.wants('pre-download')) return open()
  return whenReady(desk.happenings.ask({ action: 'pre-download', place }), open)
}

/** What is known of a name before it is written to. */
interface Target {
  readonly place: Place
  /** Where the bytes go: the name itself, or what a link leads to. */
  readonly inside: VirtualPath
  readonly existing: FileAttributes | undefined
}

/** Opens a file to be written, made or both. */
export function openForWriting(
  desk: Desk,
  access: Access,
  path: VirtualPath,
  intent: OpenIntent,
  onEnd: (upload: Upload) => void,
): Soon<Upload> {
  // What is hidden may not be written either, and says no more than that.
  const place = access.toMake(
    path,
    desk.permissions.allows('upload', parentOf(path)) ? 'upload' : 'overwrite',
  )
  return whenReady(findTarget(place), (target) => {
    checkTarget(desk, access, target, intent)
    if (intent.write) desk.transfers.requireUpload()
    const asked = desk.happenings.ask({
      action: 'pre-upload',
      place,
      size: target.existing?.size ?? 0,
      openFlags: target.existing === undefined ? 0 : goFlagsOf(intent),
    })
    return whenReady(asked, () => begin(desk, target, intent, onEnd))
  })
}

/** Looks at the name itself first, so that a link is followed to where the new bytes belong. */
function findTarget(place: Place): Soon<Target> {
  const { backend } = place.mount
  return whenReady(backend.find(place.inside), (existing) => {
    if (existing?.kind !== 'link') return { place, inside: place.inside, existing }
    return whenReady(backend.resolve(place.inside), (inside) =>
      whenReady(
        recovering<FileAttributes | undefined>(
          () => backend.find(inside),
          () => undefined,
        ),
        (behind) => ({ place, inside, existing: behind ?? existing }),
      ),
    )
  })
}

function checkTarget(
  desk: Desk,
  access: Access,
  { place, inside, existing }: Target,
  intent: OpenIntent,
): void {
  const directory = parentOf(place.path)
  if (existing === undefined) {
    if (!intent.create) throw new FileError('not-found', 'Cannot find this name')
    access.require('upload', directory)
    if (desk.active.isReserved(place.mount.realRoot, inside)) throw taken()
    return
  }
  if (intent.exclusive) throw taken()
  if (intent.write) access.require('overwrite', directory)
  if (existing.kind === 'directory') throw new FileError('is-a-directory', 'Cannot write to a directory')
}

function begin(
  desk: Desk,
  target: Target,
  intent: OpenIntent,
  onEnd: (upload: Upload) => void,
): Soon<Upload> {
  const { place, existing } = target
  const { quota } = place.mount
  const isNew = existing === undefined
  if (isNew) quota.take({ size: 0, files: 1 })
  const giveBack = (error: unknown): never => {
    if (isNew) quota.count({ size: 0, files: -1 })
    throw error
  }
  return recovering<Upload>(() => {
    if (intent.write && (existing === undefined || !intent.truncate)) quota.requireRoom()
    // A link that leads nowhere is written through, in place: a rename would replace the link.
    const fresh = isNew || (intent.truncate && existing.kind === 'file')
    return fresh && intent.write && desk.policy.uploadMode > 0
      ? beginHidden(desk, target, intent, onEnd)
      : beginInPlace(desk, target, intent, onEnd)
  }, giveBack)
}

function beginHidden(
  desk: Desk,
  { place, inside, existing }: Target,
  intent: OpenIntent,
  onEnd: (upload: Upload) => void,
): Soon<Upload> {
  const { mount } = place
  const hidden = beginHiddenPart(desk, mount, inside, intent.exclusive)
  const partIntent: OpenIntent = {
    ...{ read: true, write: true, append: intent.append, create: true, truncate: false, exclusive: true },
    mode: existing?.mode ?? newMode(desk, intent),
  }
  const giveUp = (error: unknown): Soon<never> =>
    whenReady(hidden.discard(), () => {
      throw error
    })
  return recovering<Upload>(
    () =>
      whenReady(mount.backend.open(hidden.part, partIntent), (file) =>
        whenReady(own(desk, file, existing), () =>
          start(desk, {
            ...{ file, place, hidden, size: 0, replaces: existing?.size, isNew: existing === undefined },
            ...{ append: intent.append, reads: intent.read, onEnd },
          }),
        ),
      ),
    giveUp,
  )
}

function beginInPlace(
  desk: Desk,
  target: Target,
  intent: OpenIntent,
  onEnd: (upload: Upload) => void,
): Soon<Upload> {
  const { place, existing } = target
  const { quota } = place.mount
  return whenReady(openInPlace(desk, target, intent), ({ file, rewrite }) => {
    const before = existing?.kind === 'file' ? existing.size : 0
    if (intent.truncate) quota.count({ size: -before, files: 0 })
    return whenReady(existing === undefined ? own(desk, file, undefined) : undefined, () =>
      start(desk, {
        ...{ file, ...(rewrite === undefined ? {} : { rewrite }) },
        ...{ place, hidden: undefined, size: intent.truncate ? 0 : before, replaces: undefined },
        ...{ isNew: existing === undefined, append: intent.append, reads: intent.read, onEnd },
      }),
    )
  })
}

interface OpenInPlace {
  readonly file: OpenFile
  readonly rewrite?: Rewrite
}

function openInPlace(desk: Desk, target: Target, intent: OpenIntent): Soon<OpenInPlace> {
  const { place, inside } = target
  const exact = { ...intent, mode: newMode(desk, intent) }
  const plainly = (): Soon<OpenInPlace> =>
    whenReady(place.mount.backend.open(inside, exact), (file) => ({ file }))
  if (!mayRewrite(desk, target, intent)) return plainly()
  // What is not rewritten is read from the old file; where that may not be read, it is written as ever.
  return recovering<OpenInPlace>(
    () =>
      whenReady(place.mount.backend.open(inside, { ...exact, read: true }), (old) => {
        const rewrite = rewriteOf(desk, target, old)
        return { file: rewrite, rewrite }
      }),
    plainly,
  )
}

/** Where uploads are atomic, so is writing an existing file anew without emptying it first, as `scp` does. */
function mayRewrite(desk: Desk, { existing }: Target, intent: OpenIntent): boolean {
  const writesAll = intent.write && !intent.append && !intent.truncate
  return writesAll && existing?.kind === 'file' && desk.policy.uploadMode > 0
}

function rewriteOf(desk: Desk, { place, inside }: Target, old: OpenFile): Rewrite {
  const { mount } = place
  const partIntent = {
    read: true,
    write: true,
    append: false,
    create: true,
    truncate: false,
    exclusive: true,
  }
  const beginPart = async (): Promise<OpenPart> => {
    const existing = await old.attributes()
    const hidden = beginHiddenPart(desk, mount, inside, false)
    try {
      const file = await mount.backend.open(hidden.part, { ...partIntent, mode: existing.mode })
      await own(desk, file, existing)
      return { hidden, file }
    } catch (error) {
      await hidden.discard()
      throw error
    }
  }
  return createRewrite(old, beginPart)
}

/** The intent is written down with the open, which is slow already, and so costs the CLOSE one note, not two. */
function start(desk: Desk, facts: Omit<UploadStart, 'intent' | 'intend'>): Soon<Upload> {
  const { place, size } = facts
  const known = { ...facts, intend: (happening: Happening) => intend(desk, facts, happening) }
  if (!desk.happenings.wants('upload')) return new Upload(desk, { ...known, intent: undefined })
  return whenReady(
    recovering<Intent>(
      () => known.intend({ action: 'upload', place, size, status: 2 }),
      (error) =>
        whenReady(facts.file.close(), () => {
          throw error
        }),
    ),
    (intent) => new Upload(desk, { ...known, intent }),
  )
}

function intend(
  desk: Desk,
  { file, place, hidden }: Omit<UploadStart, 'intent' | 'intend'>,
  happening: Happening,
): Soon<Intent> {
  return whenReady(file.attributes(), ({ inode }) => {
    const at = (inside: VirtualPath): string => realPathOf({ ...place, inside })
    const event = desk.happenings.eventOf(happening)
    if (place.mount.realRoot === '') return desk.happenings.log.intend({ event, check: { of: 'unknown' } })
    return desk.happenings.log.intend({
      event,
      check:
        hidden === undefined
          ? { of: 'in-place', finalPath: at(place.inside), inode }
          : { of: 'publish', partPath: at(hidden.part), finalPath: at(hidden.final), inode },
    })
  })
}

/** What replaces a file belongs to whom that belonged, as far as we may give it away; what is new, to the user. */
function own(desk: Desk, file: OpenFile, existing: FileAttributes | undefined): Soon<void> {
  const { uid, gid } = existing ?? desk.user
  if (existing === undefined && uid <= 0 && gid <= 0) return undefined
  if (uid === process.getuid?.() && gid === process.getgid?.()) return undefined
  return recovering(
    () => file.change({ owner: { uid, gid } }),
    () => desk.log.debug('owner of an upload not set', { uid, gid }),
  )
}

function newMode({ policy }: Desk, { mode }: OpenIntent): number {
  return mode & policy.modeMask & ~policy.umask
}

function taken(): FileError {
  return new FileError('already-exists', 'Cannot make a file that exists')
}

/** The flags of Go's `os.OpenFile` on Linux, as SFTPGo's plugins read them. */
function goFlagsOf({ read, truncate, create, exclusive }: OpenIntent): number {
  return (read ? 2 : 1) | (create ? 64 : 0) | (exclusive ? 128 : 0) | (truncate ? 512 : 0)
}
