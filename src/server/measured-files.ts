import { FileError } from '../base/errors.ts'
import type { Meter } from '../base/meter.ts'
import { type Soon, recovering, whenReady } from '../base/soon.ts'
import type { OpenTransfer, UserFiles } from '../files/user-files.ts'

/**
 * Counts what a person does with files: operations by outcome and time, transfers, bytes. Reads and writes are summed
 * up for a file and told at its end, so that a packet costs an addition.
 */
export function measuredFiles(files: UserFiles, meter: Meter): UserFiles {
  const timed = <T>(operation: string, action: () => Soon<T>): Soon<T> => {
    const began = performance.now()
    const told = (status: string): void => {
      meter.add('sftpgo_operations_total', 1, { operation, status })
      meter.observe('sftpgo_operation_seconds', (performance.now() - began) / 1000, { operation })
    }
    return recovering(
      () =>
        whenReady(action(), (value) => {
          told('ok')
          return value
        }),
      (error) => {
        told(statusOf(error))
        throw error
      },
    )
  }
  return {
    startDirectory: files.startDirectory,
    abilities: files.abilities,
    open: (path, intent) =>
      whenReady(
        timed('open', () => files.open(path, intent)),
        (transfer) => measuredTransfer(transfer, intent.write ? 'upload' : 'download', meter, timed),
      ),
    attributes: (path, how) => timed('stat', () => files.attributes(path, how)),
    change: (path, change, how) => timed('setstat', () => files.change(path, change, how)),
    list: (path) => timed('opendir', () => files.list(path)),
    makeDirectory: (path, mode) => timed('mkdir', () => files.makeDirectory(path, mode)),
    removeDirectory: (path) => timed('rmdir', () => files.removeDirectory(path)),
    remove: (path) => timed('remove', () => files.remove(path)),
    rename: (from, to, how) => timed('rename', () => files.rename(from, to, how)),
    resolve: (path) => timed('realpath', () => files.resolve(path)),
    space: (path) => timed('statvfs', () => files.space(path)),
    readLink: (path) => timed('readlink', () => files.readLink(path)),
    symbolicLink: (target, path) => timed('symlink', () => files.symbolicLink(target, path)),
    hardLink: (existing, path) => timed('hardlink', () => files.hardLink(existing, path)),
    close: () => files.close(),
  }
}

/** An observation costs more than a small read: most reads and writes are only counted. */
const timedEvery = 64

function statusOf(error: unknown): string {
  return error instanceof FileError ? error.code : 'failed'
}

function measuredTransfer(
  transfer: OpenTransfer,
  direction: 'upload' | 'download',
  meter: Meter,
  timed: <T>(operation: string, action: () => Soon<T>) => Soon<T>,
): OpenTransfer {
  const sums = { read: 0, readBytes: 0, write: 0, writtenBytes: 0 }
  const failed =
    (operation: string) =>
    (error: unknown): never => {
      meter.add('sftpgo_operations_total', 1, { operation, status: statusOf(error) })
      throw error
    }
  const [readFailed, writeFailed] = [failed('read'), failed('write')]
  const tellTime = (operation: string, began: number): void =>
    meter.observe('sftpgo_operation_seconds', (performance.now() - began) / 1000, { operation })
  const tell = (outcome: string): void => {
    if (sums.read > 0) meter.add('sftpgo_operations_total', sums.read, { operation: 'read', status: 'ok' })
    if (sums.write > 0) meter.add('sftpgo_operations_total', sums.write, { operation: 'write', status: 'ok' })
    meter.add('sftpgo_transfer_bytes_total', sums.writtenBytes, { direction: 'upload' })
    meter.add('sftpgo_transfer_bytes_total', sums.readBytes, { direction: 'download' })
    meter.add('sftpgo_transfers_total', 1, { direction, outcome })
  }
  const ended = (action: () => Soon<void>, outcome: string): Soon<void> =>
    recovering(
      () => whenReady(action(), () => tell(outcome)),
      (error) => {
        tell('failed')
        throw error
      },
    )
  return {
    read(into, position) {
      const began = sums.read % timedEvery === 0 ? performance.now() : 0
      return recovering(
        () =>
          whenReady(transfer.read(into, position), (bytes) => {
            if (began > 0) tellTime('read', began)
            sums.read += 1
            sums.readBytes += bytes
            return bytes
          }),
        readFailed,
      )
    },
    readNow(pieces, position) {
      const began = sums.read % timedEvery === 0 ? performance.now() : 0
      try {
        const bytes = transfer.readNow?.(pieces, position)
        if (bytes === undefined) return undefined
        if (began > 0) tellTime('read', began)
        sums.read += 1
        sums.readBytes += bytes
        return bytes
      } catch (error) {
        return readFailed(error)
      }
    },
    write(chunks, position) {
      const began = sums.write % timedEvery === 0 ? performance.now() : 0
      return recovering(
        () =>
          whenReady(transfer.write(chunks, position), () => {
            if (began > 0) tellTime('write', began)
            sums.write += 1
            for (const chunk of chunks) sums.writtenBytes += chunk.length
          }),
        writeFailed,
      )
    },
    attributes: () => timed('fstat', () => transfer.attributes()),
    change: (change) => timed('fsetstat', () => transfer.change(change)),
    sync: () => timed('fsync', () => transfer.sync()),
    close: () => ended(() => transfer.close(), 'complete'),
    interrupt: () => ended(() => transfer.interrupt(), 'interrupted'),
    ...(transfer.hurry === undefined ? {} : { hurry: () => transfer.hurry?.() }),
    ...(transfer.copySource === undefined ? {} : { copySource: transfer.copySource }),
    ...(transfer.copyOf === undefined
      ? {}
      : { copyOf: (source, work) => transfer.copyOf?.(source, work) ?? work() }),
  }
}
