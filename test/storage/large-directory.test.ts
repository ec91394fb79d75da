import { closeSync, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { rootPath } from '../../src/base/virtual-path.ts'
import { confinement } from '../../src/native/open-directory.ts'
import { openLocalBackend } from '../../src/storage/local.ts'

/** `npm test` takes a part of what is promised; with a million in this variable all of it is shown. */
const entries = Number(process.env['SFTPGO_TS_ENTRIES'] ?? 20_000)
/** Making the names is the slow part: in memory where that is to be had. */
const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

describe.each([
  ['the kernel confines', false],
  ['the portable walk', true],
])('a large directory, %s', (_, portable) => {
  it.skipIf(!portable && !confinement().works)(
    'is listed whole, its first entries at once, in bounded memory (S-29)',
    async () => {
      const names = mkdtempSync(join(place, 'large-directory-'))
      onTestFinished(() => rmSync(names, { recursive: true }))
      for (let index = 0; index < entries; index += 1) closeSync(openSync(join(names, `name-${index}`), 'w'))
      const backend = openLocalBackend({ root: names, portable })
      const start = performance.now()
      const listing = await backend.list(rootPath)
      const seen = new Uint8Array(entries)
      let first = await listing.next(100)
      expect(performance.now() - start).toBeLessThan(200)
      const before = process.memoryUsage().rss
      let most = before
      for (let count = 0; first.length > 0; first = await listing.next(100)) {
        for (const { name } of first) seen[Number(name.slice(5))] = (seen[Number(name.slice(5))] ?? 0) + 1
        if (++count % 100 === 0) most = Math.max(most, process.memoryUsage().rss)
      }
      await listing.close()
      await backend.close()
      expect(seen.every((times) => times === 1)).toBe(true)
      // Node's own entries leave more to the garbage collector.
      expect(most - before).toBeLessThan((portable ? 96 : 32) * 2 ** 20)
    },
    Math.max(20_000, entries / 2),
  )
})
