import type { Soon } from '../base/soon.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import type { Opened, OpenedFile } from './handles.ts'
import type { Reply } from './reply.ts'

/**
 * A request read from its packet and ready to run. `at` says what it touches, and so what it waits for:
 * requests for one open file, or for names that meet, take effect in the order sent; all others side by side.
 */
export type Task =
  | { readonly at: 'once'; readonly run: () => Soon<Reply> }
  | {
      readonly at: 'names'
      readonly paths: readonly VirtualPath[]
      readonly changes: boolean
      readonly run: () => Soon<Reply>
    }
  | {
      readonly at: 'handle'
      readonly opened: Opened
      /** Whether later requests for the file's name must see its effect. */
      readonly changes: boolean
      readonly run: () => Soon<Reply>
    }
  | {
      readonly at: 'two-handles'
      readonly from: OpenedFile
      readonly into: OpenedFile
      readonly run: () => Soon<Reply>
    }
  | { readonly at: 'read'; readonly opened: OpenedFile; readonly position: number; readonly length: number }
  | {
      readonly at: 'write'
      readonly opened: OpenedFile
      readonly position: number
      readonly chunks: readonly Buffer[]
      readonly length: number
    }

/** A request that was received: what its answer needs. */
export interface Receipt {
  readonly id: number
  /** Bytes of the stream that it holds until it is answered. */
  readonly cost: number
  /** Its place in the order of arrival. */
  readonly order: number
}
