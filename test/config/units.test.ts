import { describe, expect, it } from 'vitest'
import { bytesOf, millisecondsOf } from '../../src/config/units.ts'

describe('durations and sizes', () => {
  it.each([
    [120, 120_000],
    [0.25, 250],
    ['250ms', 250],
    ['30s', 30_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['30d', 2_592_000_000],
  ])('reads %s as %i milliseconds', (setting, milliseconds) => {
    expect(millisecondsOf(setting)).toBe(milliseconds)
  })

  it.each([
    [4096, 4096],
    ['10B', 10],
    ['64MiB', 67_108_864],
    ['1GB', 1_000_000_000],
    ['0.5KiB', 512],
  ])('reads %s as %i bytes', (setting, bytes) => {
    expect(bytesOf(setting)).toBe(bytes)
  })
})
