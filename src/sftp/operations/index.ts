import type { UserFiles } from '../../files/user-files.ts'
import { stringBytes } from '../outbox.ts'
import { requestType } from '../protocol.ts'
import { mkdir, opendir, readdir, rmdir } from './directories.ts'
import {
  copyDataOperation,
  expandPath,
  fstatvfs,
  fsync,
  homeDirectory,
  limits,
  lsetstat,
  posixRename,
  statvfs,
  usersGroupsById,
  vendorId,
} from './extensions.ts'
import { close, fsetstat, fstat, open, read, write } from './files.ts'
import { hardlink, readlink, symlink } from './links.ts'
import { lstat, realpath, remove, rename, setstat, stat } from './names.ts'
import type { Operation } from './operation.ts'

/** What each request of the draft does, by its number. */
export const operations: Readonly<Record<number, Operation>> = {
  [requestType.open]: open,
  [requestType.close]: close,
  [requestType.read]: read,
  [requestType.write]: write,
  [requestType.lstat]: lstat,
  [requestType.fstat]: fstat,
  [requestType.setstat]: setstat,
  [requestType.fsetstat]: fsetstat,
  [requestType.opendir]: opendir,
  [requestType.readdir]: readdir,
  [requestType.remove]: remove,
  [requestType.mkdir]: mkdir,
  [requestType.rmdir]: rmdir,
  [requestType.realpath]: realpath,
  [requestType.stat]: stat,
  [requestType.rename]: rename,
  [requestType.readlink]: readlink,
  [requestType.symlink]: symlink,
}

/** What each extension does, its name and version on the wire, and whether it works for this person. */
export interface Extension {
  readonly wireName: string
  readonly data: string
  readonly operation: Operation
  readonly works: (files: UserFiles) => boolean
}

/** The extensions, in the order in which they are announced. */
export const extensions: readonly Extension[] = [
  row('posix-rename@openssh.com', '1', posixRename),
  row('statvfs@openssh.com', '2', statvfs, (files) => files.abilities.space),
  row('fstatvfs@openssh.com', '2', fstatvfs, (files) => files.abilities.space),
  row('hardlink@openssh.com', '1', hardlink, (files) => files.abilities.hardLinks),
  row('fsync@openssh.com', '1', fsync),
  row('lsetstat@openssh.com', '1', lsetstat),
  row('limits@openssh.com', '1', limits),
  row('expand-path@openssh.com', '1', expandPath),
  row('copy-data', '1', copyDataOperation),
  row('home-directory', '1', homeDirectory),
  row('users-groups-by-id@openssh.com', '1', usersGroupsById),
]

/** `vendor-id` tells who we are when the session begins; clients may answer with theirs. */
export const vendorExtension = row('vendor-id', '', vendorId)

/** The names that `-p`, `-P` and `-Q` of `sftp-server` know, as OpenSSH spells them. */
export const requestNames: readonly string[] = [
  ...Object.values(operations).map(({ name }) => name),
  ...extensions.map(({ operation }) => operation.name),
]

/** The data of our `vendor-id`: vendor, product, version, build number. */
export function vendorData(version: string): Buffer {
  return Buffer.concat([
    stringBytes('sftpgo-ts'),
    stringBytes('sftpgo-ts'),
    stringBytes(version),
    Buffer.alloc(8),
  ])
}

function row(
  wireName: string,
  data: string,
  operation: Operation,
  works: (files: UserFiles) => boolean = () => true,
): Extension {
  return { wireName, data, operation, works }
}
