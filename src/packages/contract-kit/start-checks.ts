import { expectThat } from '../../slots/contract-case.ts'
import { createIdentity } from '../../wire/certificate.ts'
import type { KitCheck } from './kit-check.ts'
import { runByHand } from './plugin-run.ts'

/** What a plugin promises before it is asked anything. */
export const startChecks: readonly KitCheck[] = [
  {
    promise: 'prints a handshake that every host takes as its first line',
    async run(kit) {
      const { line } = await kit.run()
      const fields = line.trimEnd().split('|')
      expectThat(
        fields.length === 6,
        `It has ${fields.length} fields where 6 are read: older hosts take a seventh for part of the certificate`,
      )
      expectThat(
        !(fields[5] ?? '').endsWith('='),
        'Its certificate is padded with "=", which hosts in Go refuse',
      )
      return 'kept'
    },
  },
  {
    promise: 'answers soon after its start',
    async run(kit) {
      const { startMs } = await kit.run()
      expectThat(
        startMs <= kit.budgets.startMs,
        `It took ${Math.round(startMs)} ms where ${kit.budgets.startMs} ms are allowed`,
      )
      return 'kept'
    },
  },
  {
    promise: 'lets nobody in but the host that started it',
    async run(kit) {
      const run = await kit.run()
      for (const [who, identity] of [
        ['with another certificate', await createIdentity()],
        ['without a certificate', undefined],
      ] as const) {
        const stranger = await run.connectAs(identity).catch(() => undefined)
        await stranger?.close()
        expectThat(stranger === undefined, `It answered somebody ${who}`)
      }
      return 'kept'
    },
  },
  {
    promise: 'says that it is well, if it has a health service',
    async run(kit) {
      const health = await (await kit.run()).channel.health({ timeoutMs: 2_000 })
      if (health === 'unimplemented')
        return { skipped: 'It has no health service: hosts notice a hang later' }
      expectThat(health === 'serving', 'It says that it is not serving')
      return 'kept'
    },
  },
  {
    promise: 'leaves at once when a person starts it',
    async run(kit) {
      const { exit, printed } = await runByHand(kit.request, Math.min(kit.budgets.startMs, 10_000))
      expectThat(exit !== undefined, 'Started without the cookie of a host it stays')
      expectThat(exit.code !== 0, 'Started without the cookie of a host it ends as if all were well')
      expectThat(!printed, 'Started without the cookie of a host it prints to its standard output')
      return 'kept'
    },
  },
]
