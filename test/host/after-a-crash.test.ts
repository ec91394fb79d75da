import { expect, it } from 'vitest'
import type { Meter } from '../../src/base/meter.ts'
import { misbehaving, openTestHost } from '../helpers/plugin-host.ts'

it('three plugins are asked in the same order and counted under the same names after the second one crashed', async () => {
  const counted = new Map<string, number>()
  const meter: Meter = {
    add: (name, amount = 1, labels = {}) => {
      const series = `${name} ${JSON.stringify(labels)}`
      counted.set(series, (counted.get(series) ?? 0) + amount)
    },
    observe() {},
    set() {},
  }
  const names = ['first', 'second', 'third']
  const entries = await Promise.all(names.map((name) => misbehaving('polite', { name })))
  await using opened = await openTestHost(entries, { meter })
  const { host } = opened
  await host.settled()
  const askAll = async (): Promise<readonly string[]> => {
    const asked: string[] = []
    for (const { name, api } of host.filled('ipfilter')) {
      await api.check({ address: '192.0.2.1', protocol: 'SSH' })
      asked.push(name)
    }
    return asked
  }
  expect(await askAll()).toEqual(names)
  const before = [...counted.keys()].sort()
  const calls = 'sftpgo_plugin_calls_total {"slot":"ipfilter","outcome":"answered"}'
  const starts = 'sftpgo_plugin_starts_total {"instance":"second","outcome":"ready"}'
  const was = { calls: counted.get(calls) ?? 0, starts: counted.get(starts) ?? 0 }
  expect(was.calls).toBeGreaterThanOrEqual(3)

  const { pid } = opened.status('second')
  process.kill(pid ?? 0, 'SIGKILL')
  await opened.until((status) => status.state === 'ready' && status.pid !== pid, 10_000, 'second')
  expect(await askAll()).toEqual(names)
  expect([...counted.keys()].sort()).toEqual(before)
  expect(counted.get(calls)).toBe(was.calls + 3)
  expect(counted.get(starts)).toBe(was.starts + 1)
})
