import { describe, expect, it } from 'vitest'
import { lastLife, prepareEventRig } from './event-rig.ts'
import { moments } from './programs/failpoints.ts'

describe('every acknowledged operation is told, in order, though', () => {
  it.each(moments)('the server dies %s', { timeout: 60_000 }, async (moment) => {
    await using rig = await prepareEventRig()
    await rig.startNotifier()
    for (const [occurrence, durable] of [
      [1, false],
      [8, false],
      [4, true],
    ] as const) {
      const crashAt = `${moment}#${occurrence}`
      const server = rig.startServer({ sessions: 10, turns: 10, durable, crashAt })
      const ended = new Promise<unknown>((resolve) =>
        server.process.once('close', (_code, signal) => resolve(signal)),
      )
      expect(await ended).toBe('SIGKILL')
    }
    await lastLife(rig)
    expect(rig.problem()).toBeUndefined()
  })
})
