import { FileError } from '../base/errors.ts'
import type { VirtualPath } from '../base/virtual-path.ts'
import type { Backend } from './backend.ts'
import { readFully } from './read-fully.ts'
import { headerBytes, isSealed, rewrappedStart } from './sealed-format.ts'

/** The user's keys before and after. */
export interface KeyChange {
  readonly from: readonly Buffer[]
  readonly to: Buffer
}

/**
 * Makes `to` the key that opens the file at `path` of `base`; its contents stay as they are.
 *
 * One write inside one sector: it happens or it does not, and doing it again is harmless.
 */
export async function rewrapFile(
  base: Backend,
  path: VirtualPath,
  { from, to }: KeyChange,
): Promise<'rewrapped' | 'already' | 'not-ours'> {
  const whole = { append: false, create: false, truncate: false, exclusive: false, mode: 0 }
  const file = await base.open(path, { ...whole, read: true, write: true })
  try {
    // Who writes it may be about to replace it whole, its key included.
    if ((await file.claim?.()) === false)
      throw new FileError('busy', 'Cannot exchange the key of a file that is being written')
    const header = Buffer.alloc(headerBytes)
    const length = await readFully(file, header, 0)
    if (!isSealed(header.subarray(0, length))) return 'not-ours'
    const { modifyTime, accessTime } = await file.attributes()
    const start = rewrappedStart(header.subarray(0, length), from, to)
    if (start === undefined) return 'already'
    await file.write([start], 0)
    await file.sync()
    await file.change({ times: { modifyTime, accessTime } })
    return 'rewrapped'
  } finally {
    await file.close()
  }
}
