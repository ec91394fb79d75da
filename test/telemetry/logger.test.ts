import { describe, expect, it } from 'vitest'
import type { BoundedOutput } from '../../src/telemetry/bounded-output.ts'
import { openLogger } from '../../src/telemetry/logger.ts'

function collecting(): BoundedOutput & { readonly lines: string[] } {
  const lines: string[] = []
  return { lines, write: (line) => void lines.push(line), dropped: 3, flush: async () => {} }
}

describe('the logger', () => {
  it('writes one line of JSON for an event, with its fields and those of its parents', () => {
    const output = collecting()
    openLogger({ level: 'info', format: 'json', output })
      .with({ part: 'ssh' })
      .warn('connection refused', { address: '192.0.2.1' })
    expect(output.lines).toHaveLength(1)
    expect(JSON.parse(output.lines[0] ?? '')).toMatchObject({
      level: 'warn',
      msg: 'connection refused',
      part: 'ssh',
      address: '192.0.2.1',
    })
  })

  it('changes its level while it runs, for every child at once', () => {
    const output = collecting()
    const log = openLogger({ level: 'info', format: 'json', output })
    const child = log.with({ part: 'sftp' })
    child.debug('hidden')
    expect(child.isEnabled('debug')).toBe(false)
    log.setLevel('debug')
    child.debug('shown')
    expect(output.lines).toHaveLength(1)
    expect(child.isEnabled('debug')).toBe(true)
  })

  it('never writes fields that are named like secrets', () => {
    const output = collecting()
    const log = openLogger({ level: 'info', format: 'json', output })
    log.info('a mistake', { password: 'geheim', user: { passphrase: 'geheim' }, args: ['--token', 'geheim'] })
    expect(output.lines.join('')).not.toContain('geheim')
    expect(output.lines.join('')).toContain('(hidden)')
  })

  it('writes lines for people without control characters of strangers', () => {
    const output = collecting()
    openLogger({ level: 'info', format: 'text', output }).info('login refused', { user: 'a\u001b[2Jb\nc' })
    expect(output.lines[0]).toMatch(/^\d\d:\d\d:\d\d info +login refused {2}user=/)
    expect(output.lines[0]).not.toContain('\u001b')
    expect(output.lines[0]?.split('\n')).toHaveLength(2)
  })

  it('says how many lines nobody took', () => {
    expect(openLogger({ level: 'info', format: 'json', output: collecting() }).droppedLines).toBe(3)
  })
})
