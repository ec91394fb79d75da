import { messageOf } from '../base/errors.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import type { ActiveUpload } from './active-uploads.ts'
import type { Desk } from './desk.ts'
import type { Mount } from './mounts.ts'
import { namesOnDisk } from './names-on-disk.ts'
import { partPathFor } from './part-names.ts'

/** The hidden file of an upload, until it has its name or is gone. */
export interface HiddenPart {
  /** Where its bytes are now; moves with a renamed directory. */
  readonly part: VirtualPath
  readonly final: VirtualPath
  /** The client gave the upload another name before it was complete. */
  retarget(final: VirtualPath): void
  /** Takes the final name, in one step; what had it is gone then and not before. */
  publish(): Soon<void>
  /** Leaves no trace. Never throws. */
  discard(): Soon<void>
  /** Takes the final name if nothing has it, else leaves no trace. Never throws; true when it was kept. */
  keep(): Soon<boolean>
}

/** Registers a hidden file for an upload to `final`; the caller opens it at `part`. */
export function beginHiddenPart(
  desk: Desk,
  mount: Mount,
  final: VirtualPath,
  exclusive: boolean,
): HiddenPart {
  const { active, journal, log } = desk
  const part = partPathFor(final, active.nextId())
  const upload: ActiveUpload = { root: mount.realRoot, part, final, exclusive }
  const record = { root: mount.realRoot, part, final }
  // Noted first: where that fails nothing has begun.
  journal.begun(record)
  active.add(upload)
  const over = (): void => {
    active.remove(upload)
    try {
      journal.over(record)
    } catch (error) {
      // The file has its name already (or is gone): what is told of it must not depend on a note for the next sweep.
      log.warn('end of an upload not noted', { path: upload.part, error: messageOf(error) })
    }
  }
  const stays = (error: unknown): void => {
    log.warn('part of an upload could not be removed', { path: upload.part, error: messageOf(error) })
    // Its record stays open, so the next life sweeps it.
    active.remove(upload)
  }
  const discard = (): Soon<void> =>
    recovering(() => whenReady(mount.backend.remove(upload.part), over), stays)
  return {
    get part() {
      return upload.part
    },
    get final() {
      return upload.final
    },
    retarget(to) {
      upload.final = to
    },
    publish: () =>
      whenReady(mount.backend.rename(upload.part, upload.final, { replace: !exclusive }), () =>
        whenReady(namesOnDisk(desk, mount, upload.part, upload.final), over),
      ),
    discard,
    keep: () =>
      recovering<boolean>(
        () =>
          whenReady(mount.backend.rename(upload.part, upload.final, { replace: false }), () => {
            over()
            return true
          }),
        () => whenReady(discard(), () => false),
      ),
  }
}
