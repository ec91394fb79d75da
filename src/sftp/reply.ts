import type { DirectoryEntry, FileAttributes } from '../base/file.ts'
import type { Status } from './status.ts'

/** What answers a request, before it is bytes. DATA is not here: it goes from the storage to the stream. */
export type Reply =
  | { readonly is: 'status'; readonly status: Status }
  | { readonly is: 'handle'; readonly number: number }
  | { readonly is: 'attributes'; readonly attributes: FileAttributes }
  /** A path alone, without attributes: REALPATH, READLINK and their like. */
  | { readonly is: 'path'; readonly path: string }
  | { readonly is: 'entries'; readonly entries: readonly DirectoryEntry[] }
  | { readonly is: 'extended'; readonly body: Buffer }
  | { readonly is: 'empty-data' }

/** Answers with a status. */
export function statusReply(status: Status): Reply {
  return { is: 'status', status }
}
