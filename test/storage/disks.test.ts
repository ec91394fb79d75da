import { expect, it } from 'vitest'
import { silentMeter } from '../../src/base/meter.ts'
import { createDisks } from '../../src/storage/disks.ts'
import { manualClock } from '../helpers/manual-clock.ts'

it('a disk that turns slow is counted once for each kind of call that moves to the pool', () => {
  const counted: unknown[] = []
  const meter = { ...silentMeter, add: (...all: readonly unknown[]) => void counted.push(all) }
  const disk = createDisks({ clock: manualClock(), meter }).diskOf(1, '/')
  for (let call = 0; call < 200; call += 1) disk.calls.took(0.01)
  expect(counted).toEqual([])
  for (let call = 0; call < 200 && disk.calls.inline; call += 1) disk.calls.took(20)
  expect(disk.calls.inline).toBe(false)
  expect(counted).toEqual([['sftpgo_inline_calls_moved_total', 1, { calls: 'names' }]])
})
