import { createHash, randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { chmod, link, open, rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { ConfigError, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { makeFolders } from '../base/make-folders.ts'
import type { HostKey, SshLibrary } from './library.ts'
import { newHostKey, type NewKeyType } from './new-host-key.ts'

/** Where host keys come from. */
export interface HostKeySource {
  /** Files named by the administrator; relative ones lie in `folder`. Empty: `id_ed25519` and `id_rsa` of `folder`. */
  readonly files: readonly string[]
  readonly folder: string
  /** The kinds of keys that may be used; a file with another one is refused. */
  readonly allowed: (type: string) => boolean
}

/** Loads host keys, and makes those of the default names that are not there yet. Throws a `ConfigError`. */
export async function loadHostKeys(
  library: SshLibrary,
  source: HostKeySource,
  log: Logger,
): Promise<readonly HostKey[]> {
  const named = source.files.length > 0
  const files = named ? source.files : Object.keys(kinds).filter((name) => source.allowed(kinds[name] ?? ''))
  const keys: HostKey[] = []
  for (const name of files) {
    const path = name.startsWith('/') ? name : join(source.folder, name)
    const key = await loadHostKey(library, path, log)
    if (!source.allowed(key.type))
      throw new ConfigError('out-of-range', `Cannot use the host key "${path}": ${key.type} is not offered`)
    keys.push(key)
    log.info('host key', { path, type: key.type, fingerprint: fingerprintOf(key.publicBlob) })
  }
  if (keys.length === 0) throw new ConfigError('missing-key', 'Cannot start without a host key')
  return keys
}

/** A key's fingerprint as `ssh-keygen -l` prints it. */
export function fingerprintOf(publicBlob: Buffer): string {
  return `SHA256:${createHash('sha256').update(publicBlob).digest('base64').replace(/=+$/, '')}`
}

/** The names under which keys are made, in the order of the offer. ECDSA only where it is offered. */
const kinds: Readonly<Record<string, string>> = {
  id_ed25519: 'ssh-ed25519',
  id_rsa: 'ssh-rsa',
  id_ecdsa: 'ecdsa-sha2-nistp256',
}

async function loadHostKey(library: SshLibrary, path: string, log: Logger): Promise<HostKey> {
  try {
    return await readHostKey(library, path, log)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  const type = typeFromName(path)
  if (type === undefined) throw new ConfigError('file-unreadable', `Cannot find the host key "${path}"`)
  await makeHostKey(path, newHostKey(type))
  log.info('host key made', { path })
  return readHostKey(library, path, log)
}

/** SFTPGo makes keys for these names when they are missing, and so do we. */
function typeFromName(path: string): NewKeyType | undefined {
  const name = path.slice(path.lastIndexOf('/') + 1)
  if (name === 'id_ed25519') return 'ed25519'
  if (name === 'id_rsa') return 'rsa'
  if (name === 'id_ecdsa') return 'ecdsa'
  return undefined
}

async function readHostKey(library: SshLibrary, path: string, log: Logger): Promise<HostKey> {
  const { text, mode } = await readSmallFile(path)
  if ((mode & 0o077) !== 0) {
    log.warn('host key was readable by others', { path, mode: (mode & 0o777).toString(8) })
    await chmod(path, 0o600).catch((error: unknown) => {
      log.warn('host key stays readable by others', { path, error: messageOf(error) })
    })
  }
  try {
    return library.parseHostKey(text)
  } catch (cause) {
    // The parser's own words name the format, never the key.
    throw new ConfigError('syntax', `Cannot use the host key "${path}": ${messageOf(cause)}`, { cause })
  }
}

/** The text of a regular file, and its mode. A pipe or a device is neither read nor waited for. */
async function readSmallFile(path: string): Promise<{ readonly text: string; readonly mode: number }> {
  const unusable = (how: string, cause?: unknown): ConfigError =>
    new ConfigError('file-unreadable', `Cannot read the host key "${path}": ${how}`, { cause })
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((cause: unknown) => {
    if (isMissing(cause)) throw cause
    throw unusable(messageOf(cause), cause)
  })
  try {
    const stats = await file.stat()
    if (!stats.isFile()) throw unusable('it is not a regular file')
    if (stats.size > largestKeyFile) throw unusable(`it is larger than ${largestKeyFile} bytes`)
    return { text: await file.readFile('utf8'), mode: stats.mode }
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause
    throw unusable(messageOf(cause), cause)
  } finally {
    await file.close()
  }
}

/** An RSA key of 16,384 bits takes a fifth of it. */
const largestKeyFile = 65_536

/** Writes a new key so that it is there whole or not at all, and never readable by others; who comes second takes the first one's. */
async function makeHostKey(path: string, text: string): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString('hex')}.new`
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  try {
    makeFolders(dirname(path), 0o700)
    const file = await open(draft, flags, 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await link(draft, path).catch((error: unknown) => {
      if (hasCode(error, 'EEXIST')) return undefined
      // A file system without hard links: the last of two starts at once wins.
      if (hasCode(error, 'EPERM') || hasCode(error, 'ENOTSUP')) return rename(draft, path)
      throw error
    })
  } catch (cause) {
    throw new ConfigError('file-unreadable', `Cannot write the host key "${path}": ${messageOf(cause)}`, {
      cause,
    })
  } finally {
    await unlink(draft).catch(() => {})
  }
}

function isMissing(error: unknown): boolean {
  return hasCode(error, 'ENOENT')
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
