import { existsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSocketFolder, socketPathIn } from '../../src/wire/endpoint.ts'

describe('the folder of a socket', () => {
  it('is for this user alone, whatever the umask, and goes with what is in it', async () => {
    const before = process.umask(0)
    const folder = await openSocketFolder().finally(() => process.umask(before))
    expect(statSync(folder.path).mode & 0o777).toBe(0o700)
    writeFileSync(join(folder.path, 'socket'), '')
    await folder.close()
    expect(existsSync(folder.path)).toBe(false)
  })

  it('is short enough even where the temporary folder is not', async () => {
    const before = process.env['TMPDIR']
    process.env['TMPDIR'] = `/tmp/${'x'.repeat(90)}`
    try {
      await using folder = await openSocketFolder()
      expect(socketPathIn(folder.path).length).toBeLessThan(60)
    } finally {
      if (before === undefined) delete process.env['TMPDIR']
      else process.env['TMPDIR'] = before
    }
  })

  it('that is too long is refused with its length', () => {
    expect(() => socketPathIn(`/tmp/${'x'.repeat(100)}`)).toThrow(/is longer than \d+ bytes/)
  })
})
