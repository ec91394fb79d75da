import { setImmediate } from 'node:timers/promises'
import { FileError } from '../base/errors.ts'
import { whenReady, type Soon } from '../base/soon.ts'
import { mostInOneTurn, type SealedPlace } from './chunk-workshop.ts'
import { readFully } from './read-fully.ts'
import {
  chunkBytes,
  chunkOffset,
  chunkOverhead,
  cutShort,
  plainSizeOf,
  sealedSizeOf,
  type FileKeys,
  type SealedState,
} from './sealed-format.ts'

/** How many plain bytes a file has, by what its header says and by how long it is. */
export async function plainSizeIn(
  place: SealedPlace,
  { keys, state }: { readonly keys: FileKeys; readonly state: SealedState },
  sealedSize: number,
): Promise<number> {
  if (state.at === 'complete') {
    if (sealedSize !== sealedSizeOf(state.size)) throw cutShort('it was cut or extended')
    return state.size
  }
  const size = plainSizeOf(sealedSize)
  if (size < state.size) throw cutShort('it was cut')
  return withoutTornChunks(place, keys, { size, atLeast: state.size })
}

/** Who wrote the file was stopped: what was on its way to the disk at that moment is given up, from the end. */
async function withoutTornChunks(
  place: SealedPlace,
  keys: FileKeys,
  { size, atLeast }: { readonly size: number; readonly atLeast: number },
): Promise<number> {
  let left = size
  for (let looked = 1; left > atLeast; looked += 1) {
    if (looked % mostInOneTurn === 0) await setImmediate()
    const index = Math.ceil(left / chunkBytes) - 1
    try {
      await checkChunk(place, keys, index, left - index * chunkBytes)
      return left
    } catch (error) {
      if (!(error instanceof FileError) || (error.code !== 'corrupted' && error.code !== 'cut-short'))
        throw error
      left = Math.max(atLeast, index * chunkBytes)
    }
  }
  return left
}

/** Throws when chunk `index`, of `length` plain bytes, is not what was written there. */
function checkChunk(place: SealedPlace, keys: FileKeys, index: number, length: number): Soon<void> {
  return place.chunks.withBuffer((room) => {
    const sealed = room.subarray(0, length + chunkOverhead)
    return whenReady(readFully(place.file, sealed, chunkOffset(index)), (read) => {
      place.chunks.sealer.open(keys, index, sealed.subarray(0, read))
    })
  })
}
