import type { AttributeChange, OpenIntent } from '../../base/file.ts'
import type { Logger } from '../../base/log.ts'
import { recovering, whenReady, type Soon } from '../../base/soon.ts'
import { displayName } from '../../base/virtual-path.ts'
import type { OpenTransfer, UserFiles } from '../../files/user-files.ts'
import type { StatusCode } from '../../sftp/protocol.ts'
import { statusOf } from '../../sftp/status.ts'

/**
 * Files that tell `log` what is asked of them and what is refused, on the level "info" and in the words of OpenSSH's
 * program: the lines are read by programs that know those words, so here a message is no constant.
 */
export function createToldFiles(files: UserFiles, log: Logger): UserFiles {
  const named = (path: string): string => `"${shown(path)}"`

  return {
    ...files,
    open: (path, intent) =>
      whenReady(
        told(`open ${named(path)} flags ${flagNames(intent)} mode ${octal(intent.mode)}`, () =>
          files.open(path, intent),
        ),
        (transfer) => toldTransfer(transfer, named(path)),
      ),
    change: (path, change, options) =>
      told(changeLines(named(path), change), () => files.change(path, change, options)),
    attributes: (path, options) => told([], () => files.attributes(path, options)),
    resolve: (path) => told([], () => files.resolve(path)),
    readLink: (path) => told([], () => files.readLink(path)),
    space: (path) => told([], () => files.space(path)),
    list: (path) =>
      whenReady(
        told(`opendir ${named(path)}`, () => files.list(path)),
        (listing) => ({
          next: (most) => listing.next(most),
          close: () => told(`closedir ${named(path)}`, () => listing.close()),
        }),
      ),
    makeDirectory: (path, mode) =>
      told(`mkdir name ${named(path)} mode ${octal(mode)}`, () => files.makeDirectory(path, mode)),
    removeDirectory: (path) => told(`rmdir name ${named(path)}`, () => files.removeDirectory(path)),
    remove: (path) => told(`remove name ${named(path)}`, () => files.remove(path)),
    rename: (from, to, options) =>
      told(`${options.replace ? 'posix-rename' : 'rename'} old ${named(from)} new ${named(to)}`, () =>
        files.rename(from, to, options),
      ),
    symbolicLink: (target, path) =>
      told(`symlink old ${named(target)} new ${named(path)}`, () => files.symbolicLink(target, path)),
    hardLink: (existing, path) =>
      told(`hardlink old ${named(existing)} new ${named(path)}`, () => files.hardLink(existing, path)),
  }

  function told<T>(lines: string | readonly string[], action: () => Soon<T>): Soon<T> {
    for (const line of typeof lines === 'string' ? [lines] : lines) log.info(line)
    return recovering(action, (error) => {
      log.info(`sent status ${statusWords[statusOf(error).code]}`)
      throw error
    })
  }

  function toldTransfer(transfer: OpenTransfer, name: string): OpenTransfer {
    let [bytesRead, bytesWritten] = [0, 0]
    const counts = (): string => `${name} bytes read ${bytesRead} written ${bytesWritten}`
    return {
      read: (into, position) =>
        whenReady(transfer.read(into, position), (bytes) => {
          bytesRead += bytes
          return bytes
        }),
      write: (chunks, position) =>
        whenReady(transfer.write(chunks, position), () => {
          for (const { length } of chunks) bytesWritten += length
        }),
      attributes: () => transfer.attributes(),
      change: (change) => told(changeLines(name, change), () => transfer.change(change)),
      sync: () => transfer.sync(),
      close: () => told(`close ${counts()}`, () => transfer.close()),
      hurry: () => transfer.hurry?.(),
      interrupt: () => told(`forced close ${counts()}`, () => transfer.interrupt()),
    }
  }
}

/** Ours say more than the number does; these are the words that are looked for. */
const statusWords: Readonly<Record<StatusCode, string>> = {
  0: 'Success',
  1: 'End of file',
  2: 'No such file',
  3: 'Permission denied',
  4: 'Failure',
  5: 'Bad message',
  8: 'Operation unsupported',
}

function flagNames({ read, write, append, create, truncate, exclusive }: OpenIntent): string {
  const flags = {
    READ: read,
    WRITE: write,
    APPEND: append,
    CREATE: create,
    TRUNCATE: truncate,
    EXCL: exclusive,
  }
  return Object.entries(flags)
    .filter(([, isSet]) => isSet)
    .map(([name]) => name)
    .join(',')
}

function changeLines(name: string, { size, mode, times, owner }: AttributeChange): string[] {
  return [
    ...(size === undefined ? [] : [`set ${name} size ${size}`]),
    ...(mode === undefined ? [] : [`set ${name} mode ${octal(mode)}`]),
    ...(times === undefined ? [] : [`set ${name} modtime ${dateText(times.modifyTime)}`]),
    ...(owner === undefined ? [] : [`set ${name} owner ${owner.uid} group ${owner.gid}`]),
  ]
}

/** What would begin a line of its own, or move somebody's screen, is shown by its number. */
function shown(name: string): string {
  // oxlint-disable-next-line no-control-regex
  return displayName(name).replace(/[\x00-\x1f\x7f]/g, (character) => {
    return `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`
  })
}

/** `20261130-08:01:20`, as the clock of this machine shows it. */
function dateText(seconds: number): string {
  const date = new Date(seconds * 1000)
  const two = (number: number): string => String(number).padStart(2, '0')
  const day = `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`
  return `${day}-${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

function octal(mode: number): string {
  return `0${mode.toString(8).padStart(3, '0')}`
}
