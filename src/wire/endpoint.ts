import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PluginError } from '../base/errors.ts'

/** A folder that only this user can enter, for the socket of one life of one plugin. */
export interface SocketFolder extends AsyncDisposable {
  readonly path: string
  /** Removes the folder and what is in it. */
  close(): Promise<void>
}

/** Makes such a folder with a path short enough for a socket. */
export async function openSocketFolder(parent: string = shortTemporaryFolder()): Promise<SocketFolder> {
  // mkdtemp makes it 0700 whatever the umask, and its name cannot be guessed beforehand.
  const path = await mkdtemp(join(parent, 'sftpgo-ts-'))
  const close = (): Promise<void> => rm(path, { recursive: true, force: true })
  return { path, close, [Symbol.asyncDispose]: close }
}

/** A fresh socket path in `folder`. Throws when the system could not bind so long a path. */
export function socketPathIn(folder: string): string {
  const path = join(folder, `plugin${randomBytes(5).toString('hex')}`)
  if (Buffer.byteLength(path) > longestSocketPath) {
    throw new PluginError(
      'failed',
      `The socket path "${path}" is longer than ${longestSocketPath} bytes: choose a shorter temporary folder`,
    )
  }
  return path
}

// The kernel's sun_path holds 108 bytes on Linux and 104 elsewhere, the closing zero included.
const longestSocketPath = process.platform === 'linux' ? 107 : 103

// The folder's own random part, a slash and the socket's name come on top, other plugins' names included.
const longestParent = longestSocketPath - 'sftpgo-ts-XXXXXX'.length - 32

function shortTemporaryFolder(): string {
  const folder = tmpdir()
  return Buffer.byteLength(folder) > longestParent && process.platform !== 'win32' ? '/tmp' : folder
}
