import { repeating, whenReady, type Soon } from '../base/soon.ts'
import type { OpenFile } from './backend.ts'

/** Reads until `into` is full or the file ends; the number of bytes read. */
export function readFully(file: OpenFile, into: Buffer, position: number): Soon<number> {
  let length = 0
  const all = repeating(() =>
    whenReady(file.read(into.subarray(length), position + length), (read) => {
      length += read
      return read > 0 && length < into.length
    }),
  )
  return whenReady(all, () => length)
}
