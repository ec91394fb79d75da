import { messageOf } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import type { Usage, UsageOwner } from './usage.ts'

/** Counters that are shared by all sessions and follow into the database: what `files` asks for as its ledger. */
export interface UsageCounters {
  user(username: string): QuotaCounter
  folder(name: string): QuotaCounter
  /** What a user has sent and fetched. */
  transfers(username: string): TransferredBytes
  /** True once in a user's lifetime for each of the two. */
  markFirst(username: string, what: 'first-upload' | 'first-download'): boolean
  /** Writes down what is not yet. */
  close(): Promise<void>
}

/** What one user or folder uses. */
export interface QuotaCounter {
  readonly size: number
  readonly files: number
  add(change: { readonly size: number; readonly files: number }): void
}

/** Bytes that one user has sent and fetched. */
export interface TransferredBytes {
  readonly upload: number
  readonly download: number
  add(moved: { readonly upload: number; readonly download: number }): void
}

const flushMs = 1_000

interface Entry {
  readonly owner: UsageOwner
  size: number
  files: number
  pendingSize: number
  pendingFiles: number
}

interface Moved {
  readonly username: string
  upload: number
  download: number
  pendingUpload: number
  pendingDownload: number
}

/** Creates the counters. They count at once and are written together, a second later at most. */
export function createUsageCounters(usage: Usage, clock: Clock, log: Logger): UsageCounters {
  const entries = new Map<string, Entry>()
  const moved = new Map<string, Moved>()
  const firsts = new Set<string>()
  let cancel: (() => void) | undefined
  let writing: Promise<void> = Promise.resolve()

  const flush = (): Promise<void> => {
    cancel = undefined
    const changed = [...entries.values()].filter((one) => one.pendingSize !== 0 || one.pendingFiles !== 0)
    const writeMoved = async (one: Moved): Promise<void> => {
      const bytes = { upload: one.pendingUpload, download: one.pendingDownload }
      one.pendingUpload = 0
      one.pendingDownload = 0
      try {
        await usage.addTransfer(one.username, bytes)
      } catch (error) {
        one.pendingUpload += bytes.upload
        one.pendingDownload += bytes.download
        log.warn('usage not written', { name: one.username, error: messageOf(error) })
      }
    }
    const movers = [...moved.values()].filter((one) => one.pendingUpload !== 0 || one.pendingDownload !== 0)
    writing = Promise.all([
      ...movers.map(writeMoved),
      ...changed.map(async (entry) => {
        const change = { size: entry.pendingSize, files: entry.pendingFiles }
        entry.pendingSize = 0
        entry.pendingFiles = 0
        try {
          await usage.addQuota(entry.owner, change)
        } catch (error) {
          // Counted again with the next change.
          entry.pendingSize += change.size
          entry.pendingFiles += change.files
          log.warn('usage not written', { name: entry.owner.name, error: messageOf(error) })
        }
      }),
    ]).then(() => {})
    return writing
  }
  const counter = (owner: UsageOwner): QuotaCounter => {
    const key = `${owner.kind} ${owner.name}`
    const entry = entries.get(key) ?? load(usage, owner)
    entries.set(key, entry)
    return {
      get size() {
        return entry.size
      },
      get files() {
        return entry.files
      },
      add({ size, files }) {
        entry.size = Math.max(0, entry.size + size)
        entry.files = Math.max(0, entry.files + files)
        entry.pendingSize += size
        entry.pendingFiles += files
        cancel ??= clock.after(flushMs, () => void flush())
      },
    }
  }
  return {
    user: (name) => counter({ kind: 'user', name }),
    folder: (name) => counter({ kind: 'folder', name }),
    transfers(username) {
      const entry = moved.get(username) ?? loadMoved(usage, username)
      moved.set(username, entry)
      return {
        get upload() {
          return entry.upload
        },
        get download() {
          return entry.download
        },
        add({ upload, download }) {
          entry.upload += upload
          entry.download += download
          entry.pendingUpload += upload
          entry.pendingDownload += download
          cancel ??= clock.after(flushMs, () => void flush())
        },
      }
    },
    markFirst(username, what) {
      const key = `${what} ${username}`
      const field = what === 'first-upload' ? 'first_upload' : 'first_download'
      if (firsts.has(key) || usage.of({ kind: 'user', name: username })[field] !== 0) return false
      firsts.add(key)
      usage.noteFirst(username, field, clock.now()).catch((error: unknown) => {
        log.warn('first transfer not written', { username, error: messageOf(error) })
      })
      return true
    },
    async close() {
      cancel?.()
      await writing
      await flush()
    },
  }
}

function load(usage: Usage, owner: UsageOwner): Entry {
  const { used_quota_size: size, used_quota_files: files } = usage.of(owner)
  return { owner, size, files, pendingSize: 0, pendingFiles: 0 }
}

function loadMoved(usage: Usage, username: string): Moved {
  const { used_upload_data_transfer: upload, used_download_data_transfer: download } = usage.of({
    kind: 'user',
    name: username,
  })
  return { username, upload, download, pendingUpload: 0, pendingDownload: 0 }
}
