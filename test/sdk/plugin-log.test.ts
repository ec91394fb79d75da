import { describe, expect, it } from 'vitest'
import { createPluginLog } from '../../src/sdk/plugin-log.ts'

describe('a log line of a plugin', () => {
  it('is one line of JSON with level, message, six digits of a second, and its fields', () => {
    const [line] = linesOf((log) =>
      log.with({ instance: 'a' }).warn('two\nlines', { user: 'ada', size: 12, ok: true }),
    )
    expect(line).toMatchObject({
      '@level': 'warn',
      '@message': 'two\nlines',
      instance: 'a',
      user: 'ada',
      size: 12,
      ok: true,
    })
    expect(line?.['@timestamp']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)
  })

  it('has a text as message whatever it was given: another type would end a Go host', () => {
    for (const message of [undefined, null, 7, {}, [], new Error('x'), Symbol('s'), 10n]) {
      // As a caller without types would.
      const [line] = linesOf((log) => log.info(message as string))
      expect(typeof line?.['@message']).toBe('string')
    }
  })

  it('cannot have its own words overwritten by fields', () => {
    const fields = { '@message': 7, '@level': 'off', '@timestamp': 0, __proto__: { a: 1 }, '': 'x' }
    const [line] = linesOf((log) => log.error('real', fields))
    expect(line).toMatchObject({
      '@level': 'error',
      '@message': 'real',
      message: 7,
      level: 'off',
      timestamp: 0,
    })
  })

  it('shows values that JSON has no words for', () => {
    const circle: Record<string, unknown> = {}
    circle['self'] = circle
    const [line] = linesOf((log) =>
      log.info('m', {
        big: 10n,
        error: new Error('why'),
        nothing: undefined,
        none: null,
        nan: Number.NaN,
        circle,
        list: [1n],
      }),
    )
    expect(line).toMatchObject({
      big: '10',
      error: 'why',
      none: null,
      nan: 'NaN',
      circle: '[unprintable]',
      list: '["1"]',
    })
  })

  it('stays below what hosts read as one line', () => {
    const written: string[] = []
    const log = createPluginLog({ write: (line) => written.push(line) })
    log.info('x'.repeat(200_000), { a: 'y'.repeat(200_000), ['k'.repeat(100_000)]: 1 })
    log.info(
      'm',
      Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`k${index}`, '€'.repeat(500)])),
    )
    for (const line of written) {
      expect(Buffer.byteLength(line)).toBeLessThan(64 * 1024)
      expect(JSON.parse(line)).toHaveProperty('@message')
    }
  })

  it('is left out below the level', () => {
    const written: string[] = []
    const log = createPluginLog({ write: (line) => written.push(line), level: 'warn', name: 'mine' })
    log.info('quiet')
    log.error('loud')
    expect(written).toHaveLength(1)
    expect(JSON.parse(written[0] ?? '')).toMatchObject({ '@module': 'mine' })
    expect([log.isEnabled('debug'), log.isEnabled('error')]).toEqual([false, true])
  })
})

function linesOf(use: (log: ReturnType<typeof createPluginLog>) => void): Record<string, unknown>[] {
  const written: string[] = []
  use(createPluginLog({ write: (line) => written.push(line) }))
  return written.map((line) => {
    expect(line.indexOf('\n')).toBe(line.length - 1)
    return JSON.parse(line) as Record<string, unknown>
  })
}
