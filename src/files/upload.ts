import { FileError } from '../base/errors.ts'
import type { AttributeChange, FileAttributes } from '../base/file.ts'
import { recovering, whenReady, type Soon } from '../base/soon.ts'
import { parentOf } from '../base/virtual-path.ts'
import type { Intent } from '../events/event-log.ts'
import type { EventStatus, FileEvent } from '../events/event.ts'
import type { OpenFile } from '../storage/backend.ts'
import { allowedChange, isEmptyChange } from './allowed-change.ts'
import type { Desk } from './desk.ts'
import type { HiddenPart } from './hidden-part.ts'
import type { Place } from './mounts.ts'
import { namesOnDisk } from './names-on-disk.ts'
import type { Pacer } from './pacer.ts'
import type { Rewrite } from './rewrite.ts'
import type { Happening } from './happenings.ts'
import { StreamHash } from './stream-hash.ts'
import type { CopySource, Loan, OpenTransfer } from './user-files.ts'

/** How an upload began. */
export interface UploadStart {
  readonly file: OpenFile
  readonly place: Place
  /** The hidden file that becomes the final one; undefined when the final one is written in place. */
  readonly hidden: HiddenPart | undefined
  /** Set where `file` is an existing one that may be rewritten from its beginning in a hidden file. */
  readonly rewrite?: Rewrite
  /** Bytes in `file` at the start. */
  readonly size: number
  /** Bytes of the old file that goes away when the upload is complete; undefined when there is none. */
  readonly replaces: number | undefined
  /** Whether one more file was counted for it. */
  readonly isNew: boolean
  readonly append: boolean
  readonly reads: boolean
  /** Written down before the first byte, where somebody wants to know of uploads. */
  readonly intent: Intent | undefined
  /** Writes down that something else will have happened when this upload is complete. */
  readonly intend: (happening: Happening) => Soon<Intent>
  /** Called when the upload is over, whatever became of it. */
  readonly onEnd: (upload: Upload) => void
}

/** A file that is written: counts, stays within the limits, and becomes the final file in one step. */
export class Upload implements OpenTransfer {
  /** What the person calls it; another name after a rename. */
  place: Place
  readonly #desk: Desk
  readonly #start: UploadStart
  readonly #pacer: Pacer | undefined
  #hash: StreamHash | undefined
  readonly #startedAt: number
  #size: number
  #taken = 0
  #bytes = 0
  #read = 0
  #failure: unknown
  #dropped = false
  #intent: Intent | undefined
  /** Whether anything made content here already. */
  #touched: boolean
  /** What all of the content is a copy of. */
  #copy: CopyFacts | undefined
  #copying = false

  constructor(desk: Desk, start: UploadStart) {
    this.#desk = desk
    this.#start = start
    this.place = start.place
    this.#size = start.size
    this.#intent = start.intent
    this.#touched = start.size > 0
    this.#pacer = desk.uploadPacer()
    const hashes = desk.policy.checksum && start.intent !== undefined
    this.#hash = hashes ? new StreamHash() : undefined
    if (start.size > 0) this.#hash?.spoil()
    this.#startedAt = desk.happenings.clock.monotonic()
  }

  get size(): number {
    return this.#size
  }

  get hidden(): HiddenPart | undefined {
    return this.#start.hidden ?? this.#start.rewrite?.hidden
  }

  /** The client removed or replaced the name before the upload was complete: it will not appear. */
  drop(): void {
    this.#dropped = true
    this.#start.onEnd(this)
  }

  read(into: Buffer, position: number): Soon<number> {
    if (!this.#start.reads) throw new FileError('bad-handle', 'Cannot read a file opened for writing')
    return whenReady(this.#start.file.read(into, position), (bytes) => {
      this.#desk.transfers.download(bytes)
      this.#read += bytes
      return bytes
    })
  }

  write(chunks: readonly Buffer[], position: number): Soon<void> {
    if (!this.#copying && this.#copy !== undefined)
      return whenReady(
        this.#remembering(() => this.#becomeUpload()),
        () => this.write(chunks, position),
      )
    this.#touched = true
    let length = 0
    for (const chunk of chunks) length += chunk.length
    const at = this.#start.append ? this.#size : position
    return this.#remembering(() => {
      this.#desk.transfers.upload(length)
      this.#grow(Math.max(this.#size, at + length))
      this.#hash?.written(chunks, at)
      this.#bytes += length
      const written = this.#start.file.write(chunks, position)
      const wait = this.#pacer?.moved(length)
      return wait === undefined ? written : Promise.all([written, wait]).then(() => {})
    })
  }

  attributes(): Soon<FileAttributes> {
    return this.#start.file.attributes()
  }

  change(asked: AttributeChange): Soon<void> {
    const change = allowedChange(this.#desk, parentOf(this.place.path), asked)
    if (isEmptyChange(change)) return undefined
    const { size } = change
    if (size === undefined) return this.#start.file.change(change)
    if (this.#copy !== undefined && size !== this.#size)
      return whenReady(
        this.#remembering(() => this.#becomeUpload()),
        () => this.change(asked),
      )
    this.#touched ||= size > 0
    return this.#remembering(() => {
      this.#hash?.spoil()
      if (size > this.#size) this.#grow(size)
      return whenReady(this.#start.file.change(change), () => {
        if (size < this.#size) this.#shrink(size)
      })
    })
  }

  sync(): Soon<void> {
    return this.#start.file.sync()
  }

  async copyOf(source: CopySource, work: () => Promise<void>): Promise<void> {
    if (this.#touched) return work()
    this.#touched = true
    const { size } = await source.attributes()
    const copy = { source: source.place, size, loan: source.lend() }
    await this.#tellAs(copy)
    this.#copying = true
    try {
      await work().finally(() => copy.loan.end())
    } catch (error) {
      // Where writing did not fail, what came so far is content like any other, and the person may go on.
      if (this.#failure === undefined) await this.#becomeUpload()
      throw error
    } finally {
      this.#copying = false
    }
  }

  close(): Soon<void> {
    this.#pacer?.stop()
    if (this.#dropped) return this.#vanish()
    if (this.#intent !== undefined) return this.#closeTelling(this.#intent)
    return this.#failure === undefined ? this.#complete() : this.#fail()
  }

  hurry(): void {
    this.#pacer?.stop()
  }

  interrupt(): Soon<void> {
    if (this.#dropped) return this.#vanish()
    const ended = whenReady(this.#closeFile(), () => this.#leaveOrKeep())
    const intent = this.#intent
    if (intent === undefined) return ended
    return whenReady(ended, () => intent.commit(this.#event(this.#overQuota ? 3 : 2)))
  }

  /** Remembers the first failure: a file with a hole where a write failed must not look complete. */
  #remembering(action: () => Soon<void>): Soon<void> {
    return recovering(action, (error) => {
      this.#failure ??= error
      throw error
    })
  }

  #grow(size: number): void {
    const more = size - this.#size
    if (more <= 0) return
    const most = this.#desk.user.filters.max_upload_file_size ?? 0
    if (most > 0 && size > most) throw new FileError('too-large', 'Cannot upload a file larger than allowed')
    this.#quota.take({ size: more, files: 0 }, { freedLater: this.#start.replaces ?? 0 })
    this.#taken += more
    this.#size = size
  }

  #shrink(size: number): void {
    this.#quota.count({ size: size - this.#size, files: 0 })
    this.#taken -= this.#size - size
    this.#size = size
  }

  get #quota(): Place['mount']['quota'] {
    return this.#start.place.mount.quota
  }

  get #overQuota(): boolean {
    return this.#failure instanceof FileError && ['quota-exceeded', 'too-large'].includes(this.#failure.code)
  }

  /** On the disk if that was promised, closed, and under its final name. */
  #complete(): Soon<void> {
    return recovering(
      () =>
        whenReady(this.#start.rewrite?.settle(), () =>
          whenReady(this.#desk.policy.durable ? this.#start.file.sync() : undefined, () =>
            whenReady(this.#closeFile(), () => whenReady(this.#settleName(), () => this.#count())),
          ),
        ),
      (error) => {
        this.#failure ??= error
        return this.#fail()
      },
    )
  }

  #settleName(): Soon<void> {
    if (this.hidden !== undefined) return this.hidden.publish()
    const { isNew, place } = this.#start
    return isNew ? namesOnDisk(this.#desk, place.mount, place.inside) : undefined
  }

  #count(): void {
    const { replaces } = this.#start
    if (this.hidden !== undefined && replaces !== undefined) this.#quota.count({ size: -replaces, files: 0 })
    this.#start.onEnd(this)
  }

  /** Ends without the final name and throws why. */
  #fail(): Soon<never> {
    return whenReady(this.#closeFile(), () =>
      whenReady(this.#leave(), () => {
        throw this.#failure
      }),
    )
  }

  #vanish(): Soon<void> {
    const intent = this.#intent
    const gone = whenReady(this.#closeFile(), () => this.#leave())
    // The client hears OK and no file appears: whoever waits for it is told that it was not completed.
    return intent === undefined ? gone : whenReady(gone, () => intent.commit(this.#event(2)))
  }

  #leave(): Soon<void> {
    this.#start.onEnd(this)
    if (this.hidden === undefined) return undefined
    this.#quota.count({ size: -this.#taken, files: this.#start.isNew ? -1 : 0 })
    return this.hidden.discard()
  }

  #leaveOrKeep(): Soon<void> {
    const keeps = this.#desk.policy.uploadMode === 2 && this.#start.replaces === undefined
    if (this.hidden === undefined || !keeps || this.#failure !== undefined) return this.#leave()
    return whenReady(this.hidden.keep(), (kept) => {
      this.#start.onEnd(this)
      if (!kept) this.#quota.count({ size: -this.#taken, files: this.#start.isNew ? -1 : 0 })
    })
  }

  #closed = false

  #closeFile(): Soon<void> {
    if (this.#closed) return undefined
    this.#closed = true
    return this.#start.file.close()
  }

  #closeTelling(intent: Intent): Soon<void> {
    if (this.#bytes === 0 && this.#read > 0) return this.#closeAsDownload(intent)
    return whenReady(
      recovering<string | undefined>(
        () => this.#completeHashed(),
        (error) => this.#tellFailure(intent, error),
      ),
      (sha256) =>
        whenReady(intent.commit(this.#event(1, sha256 === undefined ? undefined : { sha256 })), () =>
          this.#tellFirst(),
        ),
    )
  }

  #completeHashed(): Soon<string | undefined> {
    if (this.#failure !== undefined) return this.#fail()
    return whenReady(this.#hash?.of(this.#start.file, this.#size), (sha256) =>
      whenReady(this.#complete(), () => sha256),
    )
  }

  /** The effect did not take place; what is told is that it failed. */
  #tellFailure(intent: Intent, error: unknown): Soon<never> {
    return whenReady(intent.abandon(), () =>
      whenReady(this.#desk.happenings.log.record(this.#event(this.#overQuota ? 3 : 2)), () => {
        throw error
      }),
    )
  }

  /** The content is something else than a copy of one file after all. */
  async #becomeUpload(): Promise<void> {
    const loan = this.#copy?.loan
    await this.#tellAs(undefined)
    await loan?.takeBack()
  }

  /** The new intent first: a crash may tell twice of what it cut, but never not at all. */
  async #tellAs(copy: CopyFacts | undefined): Promise<void> {
    const before = this.#intent
    const { happenings, policy } = this.#desk
    const isWanted = happenings.wants(copy === undefined ? 'upload' : 'copy')
    const intent = isWanted ? await this.#start.intend(this.#happening(2, copy)) : undefined
    if (isWanted && policy.checksum) this.#hash ??= new StreamHash()
    this.#intent = intent
    this.#copy = copy
    await before?.abandon()
  }

  #tellFirst(): Soon<void> {
    const { happenings, ledger, user } = this.#desk
    if (this.#copy !== undefined) return undefined
    if (ledger?.markFirst(user.username, 'first-upload') !== true) return undefined
    return happenings.record({ action: 'first-upload', place: this.place, size: this.#size })
  }

  /** Opened for both and only read: SFTPGo calls that a download. */
  #closeAsDownload(intent: Intent): Soon<void> {
    return whenReady(this.#complete(), () =>
      whenReady(intent.abandon(), () =>
        this.#desk.happenings.record({ action: 'download', place: this.place, size: this.#read }),
      ),
    )
  }

  #event(status: EventStatus, metadata?: Readonly<Record<string, string>>): FileEvent {
    const happening = this.#happening(status, this.#copy)
    return this.#desk.happenings.eventOf(metadata === undefined ? happening : { ...happening, metadata })
  }

  #happening(status: EventStatus, copy: CopyFacts | undefined): Happening {
    const elapsedMs = Math.round(this.#desk.happenings.clock.monotonic() - this.#startedAt)
    const common = { status, elapsedMs }
    return copy === undefined
      ? { ...common, action: 'upload', place: this.place, size: status === 3 ? 0 : this.#size }
      : { ...common, action: 'copy', place: copy.source, target: this.place, size: copy.size }
  }
}

/** The copy that makes the content. */
interface CopyFacts {
  readonly source: Place
  /** Of the source when the copy began. */
  readonly size: number
  readonly loan: Loan
}
