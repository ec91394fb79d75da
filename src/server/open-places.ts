import { chownSync } from 'node:fs'
import { makeFolders } from '../base/make-folders.ts'
import type { FilesystemConfig, User, VirtualFolder } from '../accounts/user.ts'
import { FileError } from '../base/errors.ts'
import { Scope } from '../base/scope.ts'
import { nameFromText, rootPath, virtualPath } from '../base/virtual-path.ts'
import type { Mount } from '../files/mounts.ts'
import { createQuota } from '../files/quota.ts'
import type { UsageLedger } from '../files/usage-ledger.ts'
import { backends } from '../storage/index.ts'
import type { EncryptedPlaces } from './encrypted-places.ts'
import type { MemoryPlaces } from './memory-places.ts'
import type { Backend } from '../storage/backend.ts'
import type { Disks } from '../storage/disks.ts'

/** What places are opened with. */
export interface PlaceOptions {
  readonly disks: Disks
  readonly encrypted: EncryptedPlaces
  readonly ledger: UsageLedger
  /** SFTPGo's `track_quota`: 0 off, 1 everybody, 2 only where there is a limit, and folders. */
  readonly trackQuota: 0 | 1 | 2
  /** Where real directories are not wanted. */
  readonly memory?: MemoryPlaces
}

/** The home and the folders of somebody who is logged in. */
export interface OpenPlaces {
  readonly home: Mount
  readonly folders: readonly Mount[]
  close(): Promise<void>
}

/** Opens the places of a user, making a home that is missing. Throws a `FileError`. */
export async function openPlaces(user: User, options: PlaceOptions): Promise<OpenPlaces> {
  const scope = new Scope()
  try {
    const home = openHome(user, options, scope)
    const folders = (user.virtual_folders ?? []).map((folder) => openFolder(user, folder, options, scope))
    return { home, folders, close: () => scope.close() }
  } catch (error) {
    await scope.close()
    throw error
  }
}

function openHome(user: User, options: PlaceOptions, scope: Scope): Mount {
  if (user.filters.disable_fs_checks !== true && options.memory === undefined)
    makeDirectory(user.home_dir, user)
  const limited = user.quota_size > 0 || user.quota_files > 0 || (user.virtual_folders ?? []).length > 0
  const counts = options.trackQuota === 1 || (options.trackQuota === 2 && limited)
  return {
    at: rootPath,
    backend: scope.own(openBackend(user.filesystem, user.home_dir, user.username, options)),
    realRoot: nameFromText(user.home_dir),
    provider: user.filesystem.provider,
    quota: createQuota(counts ? options.ledger.user(user.username) : undefined, {
      size: user.quota_size,
      files: user.quota_files,
    }),
  }
}

function openFolder(user: User, folder: VirtualFolder, options: PlaceOptions, scope: Scope): Mount {
  const { mapped_path: path = '', filesystem = { provider: 0 } } = folder
  if (path === '') throw new FileError('not-found', `Cannot open the folder "${folder.name}": it has no path`)
  if (options.memory === undefined) makeDirectory(path, user)
  // As in SFTPGo: -1 counts in the user's quota, everything else on its own.
  const inUsers = folder.quota_size < 0 && folder.quota_files < 0
  const counter = inUsers ? options.ledger.user(user.username) : options.ledger.folder(folder.name)
  const limits = inUsers ? user : folder
  return {
    at: virtualPath(nameFromText(folder.virtual_path)),
    backend: scope.own(openBackend(filesystem, path, `${user.username}:${folder.name}`, options)),
    realRoot: nameFromText(path),
    provider: filesystem.provider,
    quota: createQuota(options.trackQuota === 0 ? undefined : counter, {
      size: limits.quota_size,
      files: limits.quota_files,
    }),
  }
}

function openBackend(
  filesystem: FilesystemConfig,
  root: string,
  owner: string,
  options: PlaceOptions,
): Backend {
  const { provider } = filesystem
  if (provider !== 0 && provider !== 4) {
    throw new FileError(
      'unsupported',
      `Cannot open "${root}": filesystem provider ${provider} is not supported`,
    )
  }
  if (options.memory !== undefined) return options.memory(root)
  const local = backends.local({ root, disks: options.disks })
  return provider === 0 ? local : options.encrypted.wrap(local, filesystem, owner)
}

function makeDirectory(path: string, { uid, gid }: User): void {
  if (makeFolders(path, 0o700) && (uid > 0 || gid > 0)) chownSync(path, uid, gid)
}
