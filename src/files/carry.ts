import type { FileAttributes } from '../base/file.ts'
import { FileError } from '../base/errors.ts'
import { childOf } from '../base/virtual-path.ts'
import { copyRange } from './copy-range.ts'
import type { Desk } from './desk.ts'
import { beginHiddenPart } from './hidden-part.ts'
import type { Place } from './mounts.ts'
import { namesOnDisk } from './names-on-disk.ts'

/**
 * Moves between two places that no single rename can join: copies, then removes. A file appears under its new
 * name in one step and disappears from the old one after; a directory is moved entry by entry.
 */
export async function carry(desk: Desk, from: Place, to: Place, moved: FileAttributes): Promise<void> {
  if (moved.kind === 'file') return carryFile(desk, from, to, moved)
  if (moved.kind === 'directory') return carryDirectory(desk, from, to, moved)
  throw new FileError('cross-device', 'Cannot move this kind of file between places')
}

async function carryDirectory(desk: Desk, from: Place, to: Place, moved: FileAttributes): Promise<void> {
  await to.mount.backend.makeDirectory(to.inside, moved.mode)
  const listing = await from.mount.backend.list(from.inside)
  try {
    for (;;) {
      const entries = await listing.next(256)
      if (entries.length === 0) break
      for (const { name, attributes } of entries) {
        await carry(desk, inside(from, name), inside(to, name), attributes)
      }
    }
  } finally {
    await listing.close()
  }
  await namesOnDisk(desk, to.mount, to.inside)
  await from.mount.backend.removeDirectory(from.inside)
  await namesOnDisk(desk, from.mount, from.inside)
}

function inside({ mount, path, inside: directory }: Place, name: string): Place {
  return { mount, path: childOf(path, name), inside: childOf(directory, name) }
}

async function carryFile(desk: Desk, from: Place, to: Place, moved: FileAttributes): Promise<void> {
  const usage = { size: moved.size, files: 1 }
  to.mount.quota.take(usage)
  try {
    await copyFile(desk, from, to, moved)
  } catch (error) {
    to.mount.quota.count({ size: -usage.size, files: -1 })
    throw error
  }
  await from.mount.backend.remove(from.inside)
  await namesOnDisk(desk, from.mount, from.inside)
  from.mount.quota.count({ size: -usage.size, files: -1 })
}

async function copyFile(desk: Desk, from: Place, to: Place, moved: FileAttributes): Promise<void> {
  const hidden = beginHiddenPart(desk, to.mount, to.inside, false)
  try {
    const source = await from.mount.backend.open(from.inside, reading)
    try {
      const target = await to.mount.backend.open(hidden.part, { ...making, mode: moved.mode })
      try {
        await copyRange(source, target, 0)
        const { accessTime, modifyTime } = moved
        await target.change({ mode: moved.mode, times: { accessTime, modifyTime } })
        if (desk.policy.durable) await target.sync()
      } finally {
        await target.close()
      }
    } finally {
      await source.close()
    }
    await hidden.publish()
  } catch (error) {
    await hidden.discard()
    throw error
  }
}

const reading = {
  ...{ read: true, write: false, append: false, create: false, truncate: false, exclusive: false },
  mode: 0,
}
const making = { ...reading, write: true, create: true, exclusive: true }
