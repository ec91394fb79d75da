import type { Backend } from '../storage/backend.ts'
import { backends } from '../storage/index.ts'

/** Gives the place of a root, the same one each time, for as long as the server lives. */
export type MemoryPlaces = (root: string) => Backend

/** Most that one place of a workshop holds. */
const largestBytes = 256 << 20

/** Creates places that live in memory and end with the process. */
export function createMemoryPlaces(): MemoryPlaces {
  const places = new Map<string, Backend>()
  return (root) => {
    const known = places.get(root)
    if (known !== undefined) return known
    const place = backends.memory({ mostBytes: largestBytes })
    places.set(root, place)
    return place
  }
}
