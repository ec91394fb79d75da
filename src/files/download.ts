import { FileError } from '../base/errors.ts'
import type { AttributeChange, FileAttributes } from '../base/file.ts'
import { whenReady, type Soon } from '../base/soon.ts'
import type { OpenFile } from '../storage/backend.ts'
import { parentOf } from '../base/virtual-path.ts'
import { allowedChange } from './allowed-change.ts'
import type { Desk } from './desk.ts'
import type { Place } from './mounts.ts'
import type { Pacer } from './pacer.ts'
import type { CopySource, Loan, OpenTransfer } from './user-files.ts'

/** A file that is only read. */
export class Download implements OpenTransfer, CopySource {
  readonly place: Place
  readonly #desk: Desk
  readonly #file: OpenFile
  readonly #pacer: Pacer | undefined
  readonly #startedAt: number
  #bytes = 0
  #failed = false
  /** Copies tell of what was read here. */
  #lent = false
  #ended: 'no' | 'silently' | 'told' = 'no'

  constructor(desk: Desk, file: OpenFile, place: Place) {
    this.#desk = desk
    this.#file = file
    this.place = place
    this.#pacer = desk.downloadPacer()
    this.#startedAt = desk.happenings.clock.monotonic()
  }

  get copySource(): CopySource {
    return this
  }

  lend(): Loan {
    const before = this.#bytes
    let lent = 0
    return {
      end: () => {
        lent = this.#bytes - before
        this.#bytes = before
        this.#lent = true
      },
      takeBack: () => {
        this.#bytes += lent
        this.#lent = false
        return this.#ended === 'silently' ? this.#tell(this.#failed) : undefined
      },
    }
  }

  read(into: Buffer, position: number): Soon<number> {
    const value = this.#file.read(into, position)
    if (value instanceof Promise) {
      return value.then(
        (bytes) => this.#moved(bytes),
        (error: unknown) => {
          this.#failed = true
          throw error
        },
      )
    }
    return this.#moved(value)
  }

  /** Only without a bandwidth to keep, which is waited for. */
  readNow(pieces: readonly Buffer[], position: number): number | undefined {
    if (this.#pacer !== undefined) return undefined
    try {
      const bytes = this.#file.readNow?.(pieces, position)
      if (bytes !== undefined) this.#count(bytes)
      return bytes
    } catch (error) {
      this.#failed = true
      throw error
    }
  }

  write(): never {
    throw new FileError('bad-handle', 'Cannot write to a file opened for reading')
  }

  attributes(): Soon<FileAttributes> {
    return this.#file.attributes()
  }

  change(change: AttributeChange): Soon<void> {
    if (change.size !== undefined)
      throw new FileError('bad-handle', 'Cannot resize a file opened for reading')
    return this.#file.change(allowedChange(this.#desk, parentOf(this.place.path), change))
  }

  sync(): Soon<void> {
    return this.#file.sync()
  }

  close(): Soon<void> {
    return this.#end(this.#failed)
  }

  hurry(): void {
    this.#pacer?.stop()
  }

  interrupt(): Soon<void> {
    return this.#end(true)
  }

  #count(bytes: number): void {
    this.#desk.transfers.download(bytes)
    this.#bytes += bytes
  }

  #moved(bytes: number): Soon<number> {
    try {
      this.#count(bytes)
    } catch (error) {
      this.#failed = true
      throw error
    }
    const wait = this.#pacer?.moved(bytes)
    return wait === undefined ? bytes : wait.then(() => bytes)
  }

  #end(failed: boolean): Soon<void> {
    const { happenings } = this.#desk
    const closed = this.#file.close()
    // Nothing went to the person: the copy is what happened.
    const isCopied = this.#lent && this.#bytes === 0 && !this.#failed
    this.#ended = isCopied ? 'silently' : 'told'
    if (isCopied || (!happenings.wants('download') && !happenings.wants('first-download'))) return closed
    return whenReady(closed, () => this.#tell(failed))
  }

  #tell(failed: boolean): Soon<void> {
    const { happenings, ledger, user } = this.#desk
    const elapsedMs = Math.round(happenings.clock.monotonic() - this.#startedAt)
    const facts = { place: this.place, size: this.#bytes, elapsedMs }
    return whenReady(happenings.record({ ...facts, action: 'download', status: failed ? 2 : 1 }), () =>
      !failed && ledger?.markFirst(user.username, 'first-download') === true
        ? happenings.record({ ...facts, action: 'first-download' })
        : undefined,
    )
  }
}
