import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLimiter } from '../../src/base/limiter.ts'
import { confinement } from '../../src/native/open-directory.ts'
import type { Backend } from '../../src/storage/backend.ts'
import { backendCases } from '../../src/storage/backend-cases.ts'
import type { CallPace } from '../../src/storage/call-pace.ts'
import type { Disks } from '../../src/storage/disks.ts'
import { openLocalBackend } from '../../src/storage/local.ts'

const kernel = confinement()

/** Ways to the disk: which walk, and where its calls run. */
const ways = [
  { way: 'the kernel confines, inline', portable: false, inline: true },
  { way: 'the kernel confines, in the pool', portable: false, inline: false },
  { way: 'the portable walk, inline', portable: true, inline: true },
  { way: 'the portable walk, in the pool', portable: true, inline: false },
]

let folder: string
let backend: Backend

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'local-backend-'))
})

afterEach(async () => {
  await backend.close()
  rmSync(folder, { recursive: true })
})

describe.each(ways)('a local backend: $way', ({ portable, inline }) => {
  it.skipIf(!portable && !kernel.works).each(backendCases)('$sentence', async (one) => {
    backend = openLocalBackend({ root: folder, portable, disks: disksThatAre(inline) })
    await expect(one.run(backend)).resolves.toBeUndefined()
  })
})

/** Disks whose calls stay where they are told to. */
function disksThatAre(inline: boolean): Disks {
  const pace: CallPace = { inline, took() {}, median: () => 0 }
  const disk = { calls: pace, bytes: pace, limiter: createLimiter({ atOnce: 2, inLine: 10_000 }) }
  return { diskOf: () => disk }
}
