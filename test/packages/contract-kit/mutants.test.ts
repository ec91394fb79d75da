import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openHostDeath, type HostDeath } from '../../../src/host/host-death.ts'
import { runContractKit, type KitReport } from '../../../src/packages/contract-kit/run-kit.ts'
import type { SlotName } from '../../../src/slots/index.ts'
import { defects, moreDefects, type Defect } from '../../fixtures/mutants/defects.ts'
import { fixturePlugin, type FixturePlugin } from '../../helpers/fixture-plugin.ts'
import { temporaryDirectory } from '../../helpers/temporary-directory.ts'

const samples: Readonly<Record<SlotName, Readonly<Record<string, unknown>>>> = {
  auth: { accepted: { username: 'ada', password: 'engine' } },
  notifier: {},
  kms: {},
  ipfilter: { allowed: '192.0.2.1', refused: '192.0.2.66' },
}

let mutant: FixturePlugin
let hostDeath: HostDeath
beforeAll(async () => {
  mutant = await fixturePlugin('../mutants/mutant')
  hostDeath = await openHostDeath()
})
afterAll(() => hostDeath.close())

async function report(name: string, slot: SlotName, only?: string): Promise<KitReport> {
  using folder = temporaryDirectory()
  return runContractKit({
    plugin: {
      ...{ name, slot, schema: undefined, environment: [] },
      program: { ...mutant, args: [name] },
      fixtures: { settings: {}, samples: samples[slot] },
    },
    ...{ settings: {}, secrets: [], environment: [], folder: folder.path, hostDeath },
    budgets: name === 'slow-start' ? { startMs: 3_000 } : {},
    // What only the process can break is found before any promise is looked at.
    ...(only !== undefined && { only }),
  })
}

const broken = ({ results }: KitReport) =>
  results.filter(({ outcome }) => outcome === 'broken').map(({ promise }) => promise)

describe('the contract kit', () => {
  it.for(['auth', 'notifier', 'kms', 'ipfilter'] as const)(
    'finds nothing wrong with a healthy plugin in the slot %s',
    { timeout: 40_000 },
    async (slot) => {
      const found = await report('healthy', slot)
      expect(found.results.filter(({ outcome }) => outcome === 'broken')).toEqual([])
      expect(found.kept).toBeGreaterThan(20)
    },
  )

  it('knows twenty seeded defects', () => {
    expect(new Set(defects.map(({ name }) => name)).size).toBe(20)
  })

  it.for([...defects, ...moreDefects])('catches a plugin that does this: $says', catches)
})

async function catches({ name, slot, breaks }: Defect): Promise<void> {
  const found = broken(await report(name, slot, breaks))
  expect(
    found.filter((promise) => promise.startsWith(breaks)),
    `broken are: ${found.join('; ')}`,
  ).not.toEqual([])
}

describe('the page about testing', () => {
  it('lists every seeded defect with the promise that it breaks', () => {
    const page = readFileSync(resolve('docs/plugins/testing.md'), 'utf8')
    const cells = page.split('\n').map((line) => line.replaceAll(/\s*\|\s*/g, '|'))
    for (const { says, breaks } of [...defects, ...moreDefects])
      expect(
        cells.some((line) => line.includes(`|${says}|`) && line.includes(`|${breaks}`)),
        says,
      ).toBe(true)
  })
})
