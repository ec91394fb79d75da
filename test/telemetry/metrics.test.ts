import { readFileSync, readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { openMeters } from '../../src/telemetry/meters.ts'
import { metrics, metricsPage } from '../../src/telemetry/metrics.ts'

describe('metrics', () => {
  it('know every name that the source counts with', () => {
    const used = readdirSync('src', { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.startsWith('telemetry/metrics'))
      .flatMap((name) => [
        ...readFileSync(`src/${name}`, 'utf8').matchAll(/\b[mM]eter\)?\.(?:add|observe|set)\(\s*'([^']+)'/g),
      ])
      .map(([, name]) => name ?? '')
    expect(used.length).toBeGreaterThan(5)
    expect([...new Set(used)].filter((name) => !(name in metrics)).toSorted()).toEqual([])
  })

  it('stand in docs/metrics.md', () => {
    const page = readFileSync('docs/metrics.md', 'utf8')
    for (const name of Object.keys(metrics)) expect(page).toContain(`\`${name}\``)
    expect(metricsPage()).toContain('| `sftpgo_connections` | gauge |')
  })

  it('count what they are told, with a bounded number of label values', async () => {
    const meter = openMeters()
    try {
      for (let index = 0; index < 150; index += 1) {
        meter.add('sftpgo_logins_total', 1, { method: `method-${index}`, verdict: 'granted' })
      }
      meter.add('sftpgo_unheard_of', 1)
      const { text } = await meter.read()
      const lines = text.split('\n').filter((line) => line.startsWith('sftpgo_logins_total{'))
      expect(lines).toHaveLength(101)
      expect(text).toContain('method="other",verdict="granted"} 50')
      expect(text).not.toContain('unheard')
    } finally {
      meter.close()
    }
  })

  it('count nothing while nobody can read them, and go on where they were', async () => {
    let isRead = false
    const meter = openMeters(undefined, () => isRead)
    try {
      const count = (): void => {
        meter.add('sftpgo_sessions_total')
        meter.observe('sftpgo_login_seconds', 0.2, { method: 'password' })
      }
      const said = async (): Promise<string[]> =>
        (await meter.read()).text
          .split('\n')
          .filter((line) => /^sftpgo_(?:sessions_total|login_seconds_count)/.test(line))
      count()
      expect(await said()).toEqual(['sftpgo_sessions_total 0'])
      isRead = true
      count()
      count()
      isRead = false
      count()
      expect(await said()).toEqual([
        'sftpgo_sessions_total 2',
        'sftpgo_login_seconds_count{method="password"} 2',
      ])
    } finally {
      meter.close()
    }
  })

  it('tell the delay of the event loop, without the pause between two looks at it', async () => {
    const meter = openMeters()
    try {
      const delayOf = async (quantile: string): Promise<number> => {
        const line = (await meter.read()).text
          .split('\n')
          .find((text) => text.includes(`{quantile="${quantile}"}`))
        return Number(line?.split(' ')[1])
      }
      await new Promise((resolve) => setTimeout(resolve, 300))
      const calm = await delayOf('0.5')
      const until = performance.now() + 200
      await new Promise((resolve) => setTimeout(resolve, 30))
      while (performance.now() < until);
      await new Promise((resolve) => setTimeout(resolve, 30))
      expect(await delayOf('1')).toBeGreaterThan(0.1)
      // A look every 20 ms: an idle loop would seem to be late by that much.
      expect(calm).toBeLessThan(0.02)
    } finally {
      meter.close()
    }
  })
})
