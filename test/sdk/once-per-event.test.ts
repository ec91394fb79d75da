import { describe, expect, it } from 'vitest'
import { createOncePerEvent } from '../../src/sdk/once-per-event.ts'

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
})
