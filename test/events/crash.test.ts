import { describe, expect, it } from 'vitest'
import { recordFigure } from '../helpers/soak-figures.ts'
import { ending, lastLife, prepareEventRig } from './event-rig.ts'

/** `npm run soak` kills more often. */
const rounds = Number(process.env['SFTPGO_TS_CRASHES'] ?? 100)
/** So many rounds on one folder: what is judged afterwards stays small, and a failure comes early. */
const roundsPerFolder = 10
const folders = Array.from({ length: Math.ceil(rounds / roundsPerFolder) }, (_, n) => n + 1)

const sum = { rounds: 0, acknowledged: 0, told: 0, events: 0 }

describe('every acknowledged operation is told, in order, though', () => {
  it.each(folders)(
    `the server is killed at ${roundsPerFolder} random moments of 200 sessions (part %i of ${folders.length})`,
    { timeout: 120_000 },
    async (part) => {
      await using rig = await prepareEventRig()
      await rig.startNotifier()
      for (let round = 0; round < roundsPerFolder; round += 1) {
        const server = rig.startServer({ durable: part % 2 === 0 })
        // Every other time after the first answer, so that there is something to lose.
        await server.line(round % 2 === 0 ? 'settled' : 'done')
        await pause(Math.random() * 150)
        await server.stop('SIGKILL')
      }
      await lastLife(rig)
      const acknowledged = rig.ledger().length
      expect(acknowledged).toBeGreaterThan(roundsPerFolder * 10)
      expect(rig.problem()).toBeUndefined()
      note(acknowledged, rig.heard())
    },
  )

  it('server and notifier are killed together', { timeout: 60_000 }, async () => {
    await using rig = await prepareEventRig()
    for (let round = 0; round < 5; round += 1) {
      const notifier = await rig.startNotifier()
      const server = rig.startServer()
      await server.line('done')
      await pause(Math.random() * 200)
      await Promise.all([server.stop('SIGKILL'), notifier.stop('SIGKILL')])
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
      const server = rig.startServer({ sessions: 40, turns: 50 })
      const kills = 5
      for (let round = 0; round < kills; round += 1) {
        const notifier = await rig.startNotifier()
        await server.line('done')
        await pause(100 + Math.random() * 100)
        await notifier.stop('SIGKILL')
      }
      await rig.startNotifier()
      await ending(server)
      expect(rig.ledger()).toHaveLength(operationsIn(40, 50))
      expect(rig.problem()).toBeUndefined()
      const { told, events } = rig.heard()
      expect(events).toBe(operationsIn(40, 50))
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
    }
    await lastLife(rig)
    expect(rig.problem()).toBeUndefined()
  })

  it('nothing at all goes wrong, and then none is told twice', { timeout: 60_000 }, async () => {
    await using rig = await prepareEventRig()
    await rig.startNotifier()
    const server = rig.startServer({ sessions: 200, turns: 5 })
    await ending(server)
    const operations = operationsIn(200, 5)
    expect(rig.ledger()).toHaveLength(operations)
    expect(rig.problem()).toBeUndefined()
    expect(rig.heard()).toEqual({ told: operations, events: operations })
  })
})

/** How many operations the worker does: each session takes another kind in each turn. */
function operationsIn(sessions: number, turns: number): number {
  let operations = 0
  for (let session = 0; session < sessions; session += 1) {
    for (let turn = 0; turn < turns; turn += 1)
      operations += operationsOfKind[(session + turn) % operationsOfKind.length] ?? 0
  }
  return operations
}

const operationsOfKind = [2, 2, 2, 4, 3, 3]

function note(acknowledged: number, { told, events }: { told: number; events: number }): void {
  sum.rounds += roundsPerFolder
  sum.acknowledged += acknowledged
  sum.told += told
  sum.events += events
  if (sum.rounds < rounds) return
  recordFigure(
    `F-10 ${sum.rounds} kills of the file and event wing amid 200 sessions`,
    `${sum.acknowledged} operations acknowledged: all told, in order; ${sum.told - sum.events} of ${sum.told} told twice`,
    'none lost, none without its operation',
  )
}

/** A random moment is the point of these tests, not a wait for something. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
