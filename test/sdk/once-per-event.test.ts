import { appendFileSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createOncePerEvent } from '../../src/sdk/once-per-event.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

describe('the memory of a notifier', () => {
  it('does the work of an event once, however often it is told', async () => {
    const once = createOncePerEvent()
    let done = 0
    const work = async (): Promise<void> =>
      void (await new Promise((resolve) => setTimeout(resolve, 5)), (done += 1))
    await Promise.all([once.run('a', work), once.run('a', work), once.run('b', work)])
    await once.run('a', work)
    expect(done).toBe(2)
  })

  it('does it again after it failed', async () => {
    const once = createOncePerEvent()
    await expect(once.run('a', async () => Promise.reject(new Error('down')))).rejects.toThrow('down')
    let done = false
    await once.run('a', async () => void (done = true))
    expect(done).toBe(true)
  })

  it('forgets the oldest when it is full', async () => {
    const once = createOncePerEvent({ remember: 2 })
    const done: string[] = []
    for (const id of ['a', 'b', 'c', 'a', 'c']) await once.run(id, async () => void done.push(id))
    expect(done).toEqual(['a', 'b', 'c', 'a'])
  })

  it('knows in the next process what was done in the one before, where it has a file', async () => {
    using folder = temporaryDirectory()
    const file = folder.file('done')
    const done: string[] = []
    const doAll = async (ids: readonly string[], remember = 3): Promise<void> => {
      const once = createOncePerEvent({ file, remember })
      for (const id of ids) await once.run(id, async () => void done.push(id)).catch(() => {})
    }
    const failing = createOncePerEvent({ file })
    await expect(failing.run('a', async () => Promise.reject(new Error('down')))).rejects.toThrow('down')
    await doAll(['a', 'b'])
    await doAll(['a', 'b', 'c'])
    expect(done).toEqual(['a', 'b', 'c'])
    // What a kill cut off was never noted.
    appendFileSync(file, 'd')
    await doAll(['c', 'd'])
    expect(done).toEqual(['a', 'b', 'c', 'd'])
    await doAll(['e', 'f', 'g', 'h', 'i', 'j', 'k'])
    expect(readFileSync(file, 'utf8').split('\n').length).toBeLessThan(8)
    await doAll(['i', 'j', 'k', 'a'])
    expect(done.slice(4).join('')).toBe('efghijka')
  })
})
