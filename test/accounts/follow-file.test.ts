import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { followFile } from '../../src/accounts/follow-file.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

describe('a file that is followed', () => {
  let folder: ReturnType<typeof temporaryDirectory>
  let path = ''
  let changes = 0
  let end = (): void => {}

  beforeEach(() => {
    folder = temporaryDirectory()
    path = folder.file('followed')
    writeFileSync(path, 'one')
    changes = 0
    end = followFile(path, 10, () => (changes += 1))
  })

  afterEach(() => {
    end()
    folder[Symbol.dispose]()
  })

  it('is told of when it changes right after the first look', async () => {
    writeFileSync(path, 'two')
    await expect.poll(() => changes).toBe(1)
  })

  it('is told of when another takes its name, when it goes and when it comes back', async () => {
    writeFileSync(`${path}.new`, 'one')
    renameSync(`${path}.new`, path)
    await expect.poll(() => changes).toBe(1)
    rmSync(path)
    await expect.poll(() => changes).toBe(2)
    writeFileSync(path, 'one')
    await expect.poll(() => changes).toBe(3)
  })

  it('is told of no more after the end', async () => {
    end()
    writeFileSync(path, 'two')
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(changes).toBe(0)
  })
})
