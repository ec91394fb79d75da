import { describe, expect, it } from 'vitest'
import { recordFigure } from '../helpers/soak-figures.ts'
import { prepareUploadRig } from './upload-rig.ts'

/** `npm run soak` kills more often. */
const rounds = Number(process.env['SFTPGO_TS_SERVER_CRASHES'] ?? 5)
/** So many rounds on one folder: what is judged afterwards stays small, and a failure comes early. */
const roundsPerFolder = 5
const folders = Array.from({ length: Math.ceil(rounds / roundsPerFolder) }, (_, n) => n + 1)
/** So many operations are acknowledged before anything is killed: 20 clients log in first, which takes its time. */
const atWork = 20
const sum = { rounds: 0, acknowledged: 0 }

describe('with a real server, clients and plugin, every acknowledged operation is told in order though', () => {
  it.each(folders)(
    `the server is killed at ${roundsPerFolder} random moments of 200 uploads (part %i of ${folders.length})`,
    { timeout: 240_000 },
    async () => {
      await using rig = await prepareUploadRig()
      for (let round = 0; round < roundsPerFolder; round += 1) {
        const server = await rig.start()
        const uploading = rig.upload(server, round)
        await rig.atWork(atWork)
        await pause(Math.random() * 700)
        // Every third time the plugin goes with it.
        if (round % 3 === 2) rig.killPlugin()
        await server.stop('SIGKILL')
        await uploading
      }
      await rig.lastLife()
      expect(rig.ledger.length).toBeGreaterThanOrEqual(roundsPerFolder * atWork)
      expect(rig.problem()).toBeUndefined()
      note(rig.ledger.length)
    },
  )

  it(
    'the plugin is killed under load, and the server is stopped with SIGTERM',
    { timeout: 60_000 },
    async () => {
      await using rig = await prepareUploadRig()
      const server = await rig.start()
      const uploading = rig.upload(server, 0)
      await rig.atWork(atWork)
      for (let kill = 0; kill < 2; kill += 1) {
        await pause(400)
        rig.killPlugin()
      }
      await server.stop('SIGTERM')
      await uploading
      await rig.lastLife()
      expect(rig.ledger.length).toBeGreaterThan(atWork)
      expect(rig.problem()).toBeUndefined()
    },
  )
})

function note(acknowledged: number): void {
  sum.rounds += roundsPerFolder
  sum.acknowledged += acknowledged
  if (sum.rounds < rounds) return
  recordFigure(
    `F-10 ${sum.rounds} kills of the whole server amid 200 uploads, every third with the plugin`,
    `${sum.acknowledged} operations acknowledged: all told, in order`,
    'none lost, none without its operation',
  )
}

/** A random moment is the point of these tests, not a wait for something. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
