import { describe, expect, it } from 'vitest'
import { prepareEventRig } from './event-rig.ts'

/** `npm run soak` kills more often. */
const rounds = Number(process.env['SFTPGO_TS_CRASHES'] ?? 30)

/** The steps of an upload between which the process can die (intent, effect, commit, answer), and those of telling. */
const steps = [
  ...['before-open', 'before-intent', 'after-intent', 'half-written', 'before-rename', 'after-rename'],
  ...['commit-begun', 'after-commit', 'after-answer', 'before-call', 'after-call'],
]

describe('every acknowledged upload is told, in order, though', () => {
  it(`the server is killed at ${rounds} random moments of 200 uploads`, { timeout: 1_000_000 }, async () => {
    await using rig = await prepareEventRig()
    await rig.startNotifier()
    for (let round = 0; round < rounds; round += 1) {
      const server = rig.startServer()
      // Every other time after the first answer, so that there is something to lose.
      await server.line(round % 2 === 0 ? 'settled' : 'done')
      await pause(Math.random() * 150)
      await server.stop('SIGKILL')
      rig.takeLedger(server)
    }
    await lastLife(rig)
    expect(rig.ledger.length).toBeGreaterThan(rounds * 10)
    expect(rig.problem()).toBeUndefined()
  })

  it.each(steps)('the server dies at the step "%s"', async (step) => {
    await using rig = await prepareEventRig()
    await rig.startNotifier()
    for (const occurrence of [1, 7]) {
      const server = rig.startServer({ sessions: 8, uploads: 30, crashAt: `${step}:${occurrence}` })
      const ended = new Promise<unknown>((resolve) =>
        server.process.once('close', (_code, signal) => resolve(signal)),
      )
      expect(await ended).toBe('SIGKILL')
      rig.takeLedger(server)
    }
    await lastLife(rig)
    expect(rig.problem()).toBeUndefined()
  })

  it('server and notifier are killed together', { timeout: 60_000 }, async () => {
    await using rig = await prepareEventRig()
    for (let round = 0; round < 5; round += 1) {
      const notifier = await rig.startNotifier()
      const server = rig.startServer()
      await server.line('done')
      await pause(Math.random() * 200)
      await Promise.all([server.stop('SIGKILL'), notifier.stop('SIGKILL')])
      rig.takeLedger(server)
    }
    await rig.startNotifier()
    await lastLife(rig)
    expect(rig.problem()).toBeUndefined()
  })

  it(
    'the notifier is killed again and again, with at most one repetition per user and kill',
    { timeout: 60_000 },
    async () => {
      await using rig = await prepareEventRig()
      const server = rig.startServer({ sessions: 40, uploads: 100 })
      const kills = 5
      for (let round = 0; round < kills; round += 1) {
        const notifier = await rig.startNotifier()
        await server.line('done')
        await pause(100 + Math.random() * 100)
        await notifier.stop('SIGKILL')
      }
      await rig.startNotifier()
      await ending(server)
      rig.takeLedger(server)
      expect(rig.ledger).toHaveLength(4_000)
      expect(rig.problem()).toBeUndefined()
      const { told, events } = rig.heard()
      expect(events).toBe(4_000)
      expect(told - events).toBeLessThanOrEqual(20 * kills)
    },
  )

  it('the server is stopped with SIGTERM', { timeout: 60_000 }, async () => {
    await using rig = await prepareEventRig()
    await rig.startNotifier()
    for (let round = 0; round < 3; round += 1) {
      const server = rig.startServer()
      await server.line('done')
      await pause(Math.random() * 200)
      await server.stop('SIGTERM')
      rig.takeLedger(server)
    }
    await lastLife(rig)
    expect(rig.problem()).toBeUndefined()
  })

  it('nothing at all goes wrong, and then none is told twice', { timeout: 60_000 }, async () => {
    await using rig = await prepareEventRig()
    await rig.startNotifier()
    const server = rig.startServer({ sessions: 200, uploads: 10 })
    await ending(server)
    rig.takeLedger(server)
    expect(rig.ledger).toHaveLength(2_000)
    expect(rig.problem()).toBeUndefined()
    expect(rig.heard()).toEqual({ told: 2_000, events: 2_000 })
  })
})

type Rig = Awaited<ReturnType<typeof prepareEventRig>>

/** A life without a fault: what waited is told, and the process ends when nothing is owed any more. */
async function lastLife(rig: Rig): Promise<void> {
  const server = rig.startServer({ sessions: 20, uploads: 2 })
  await ending(server)
  rig.takeLedger(server)
}

async function ending(server: ReturnType<Rig['startServer']>): Promise<void> {
  const code = await new Promise((resolve) => server.process.once('close', resolve))
  expect(code).toBe(0)
}

/** A random moment is the point of these tests, not a wait for something. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
