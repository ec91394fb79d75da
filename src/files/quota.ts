import { FileError } from '../base/errors.ts'
import type { SpaceInfo } from '../base/file.ts'
import type { UsageChange, UsageCounter } from './usage-ledger.ts'

/** The limits of one place, held against what is used there by everybody at this moment. */
export interface Quota {
  /** Takes room before it is used; throws `quota-exceeded` and takes nothing when there is not enough. */
  take(change: UsageChange, options?: { readonly freedLater?: number }): void
  /** Counts what nobody could refuse: things that went away, or came by a rename. */
  count(change: UsageChange): void
  /** Throws `quota-exceeded` when not even one byte more would fit. */
  requireRoom(): void
  /** The numbers of `statvfs` as far as the quota is narrower than the disk. */
  narrow(space: SpaceInfo): SpaceInfo
  /** Whether anything is counted here. */
  readonly counts: boolean
}

/** Limits of a place; 0 is unlimited. */
export interface QuotaLimits {
  readonly size: number
  readonly files: number
}

/** Creates the quota of a place; without a counter nothing is counted and nothing limited. */
export function createQuota(counter: UsageCounter | undefined, limits: QuotaLimits): Quota {
  if (counter === undefined) return unlimited
  return {
    counts: true,
    take(change, { freedLater = 0 } = {}) {
      const size = counter.size + change.size - freedLater
      if (limits.size > 0 && change.size > 0 && size > limits.size) throw exceeded()
      if (limits.files > 0 && change.files > 0 && counter.files + change.files > limits.files)
        throw exceeded()
      counter.add(change)
    },
    count: (change) => counter.add(change),
    requireRoom() {
      if (limits.size > 0 && counter.size >= limits.size) throw exceeded()
    },
    narrow: (space) => narrowed(space, limits, counter),
  }
}

const unlimited: Quota = {
  counts: false,
  take() {},
  count() {},
  requireRoom() {},
  narrow: (space) => space,
}

function exceeded(): FileError {
  return new FileError('quota-exceeded', 'Cannot use more space than the quota allows')
}

/** As SFTPGo: blocks of 4,096 bytes, made smaller by four until one fits into the quota; never more than the disk has. */
function narrowed(space: SpaceInfo, limits: QuotaLimits, used: UsageCounter): SpaceInfo {
  const files = limits.files > 0 ? fileNumbers(space, limits.files, used.files) : {}
  if (limits.size === 0) return { ...space, ...files }
  let blockSize = 4096
  while (blockSize > limits.size && blockSize > 1) blockSize /= 4
  const unit = Math.max(1, blockSize)
  const inUnits = (blocks: number): number => Math.floor((blocks * space.fragmentSize) / unit)
  const blocks = Math.min(Math.floor(limits.size / unit), inUnits(space.blocks))
  const left = Math.max(0, Math.floor((limits.size - used.size) / unit))
  const freeBlocks = Math.min(left, inUnits(space.freeBlocks), blocks)
  const availableBlocks = Math.min(left, inUnits(space.availableBlocks), blocks)
  return { ...space, ...files, blockSize: unit, fragmentSize: unit, blocks, freeBlocks, availableBlocks }
}

function fileNumbers(space: SpaceInfo, limit: number, used: number): Partial<SpaceInfo> {
  const left = Math.max(0, limit - used)
  return {
    files: Math.min(limit, space.files > 0 ? space.files : limit),
    freeFiles: space.files > 0 ? Math.min(left, space.freeFiles) : left,
    availableFiles: space.files > 0 ? Math.min(left, space.availableFiles) : left,
  }
}
