import { expect, it } from 'vitest'
import { fuzzCodec } from './fuzz-codec.ts'

it('survives 100,000 packets, valid and mutated, with one reply each', async () => {
  const report = await fuzzCodec({ seed: 20_260_101, packets: 100_000 })
  expect(report.packets).toBeGreaterThanOrEqual(100_000)
  expect(report.replies).toBeGreaterThan(50_000)
  expect(report.protocolErrors).toBeGreaterThan(0)
}, 60_000)
