import { spawnSync } from 'node:child_process'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SlotName } from '../../../src/slots/index.ts'
import { buildPlugin } from '../../helpers/plugin-process.ts'
import { buildGoPrograms } from './toolchain.ts'

const built = buildGoPrograms()
const folder = 'folder' in built ? built.folder : ''
const reason = 'missing' in built ? ` (skipped: ${built.missing})` : ''

interface Report {
  readonly error?: string
  readonly negotiated: number
  readonly ping: string
  readonly answers: readonly {
    readonly ask: string
    readonly value: unknown
    readonly code: string
    readonly text: string
  }[]
  readonly stdout: string
  readonly stderr: string
  readonly log: readonly Readonly<Record<string, unknown>>[]
  readonly startMs: number
  readonly killMs: number
  readonly exited: boolean
}

describe.skipIf('missing' in built)(`a host in Go and our plugin${reason}`, () => {
  let plugin: Awaited<ReturnType<typeof buildPlugin>>
  beforeAll(async () => {
    plugin = await buildPlugin('polite')
    // As `pack` makes it: an executable that needs no PATH, because SFTPGo gives it none.
    writeFileSync(plugin.file, `#!${process.execPath}\n${readFileSync(plugin.file, 'utf8')}`)
    chmodSync(plugin.file, 0o755)
  })
  afterAll(() => plugin[Symbol.dispose]())

  describe.each([
    ['mutual TLS', ['-mtls']],
    ['plaintext', []],
    [
      'the settings of SFTPGo: nothing of its environment, mutual TLS, a checksum',
      ['-mtls', '-skip-env', '-checksum=right'],
    ],
  ])('with %s', (_name, flags) => {
    it('gets an answer to everything it asks an auth plugin', () => {
      const report = ask('auth', flags)
      expect(report).toMatchObject({ negotiated: 1, ping: 'ok', exited: true })
      expect(report.error).toBeUndefined()
      expect(report.answers).toEqual([
        {
          ask: 'right password',
          value: '{"status":1,"username":"ada","home_dir":"/srv/ada","permissions":{"/":["*"]}}',
          code: 'OK',
          text: '',
        },
        { ask: 'wrong password', value: '', code: 'PermissionDenied', text: 'Wrong name or password' },
        { ask: 'failure', value: '', code: 'Unavailable', text: 'The directory is down' },
        { ask: 'five megabytes', value: '', code: 'PermissionDenied', text: 'Wrong name or password' },
        { ask: 'right key', value: null, code: 'OK', text: '' },
        {
          ask: 'certificate',
          value: null,
          code: 'Unimplemented',
          text: 'This plugin has no "checkCertificate"',
        },
        { ask: 'begin dialogue', value: null, code: 'OK', text: '' },
        { ask: 'first step', value: ['Word: '], code: 'OK', text: '' },
        { ask: 'last step', value: 1, code: 'OK', text: '' },
      ])
      expect(report.killMs).toBeLessThan(1_000)
    })

    it('gets an answer to everything it asks the other slots', () => {
      expect(codesOf(ask('notifier', flags))).toEqual({ file: 'OK', provider: 'OK', log: 'OK' })
      expect(codesOf(ask('kms', flags))).toEqual({
        seal: 'OK',
        open: 'OK',
        'open for another': 'Unavailable',
      })
      expect(codesOf(ask('ipfilter', flags))).toEqual({
        allowed: 'OK',
        refused: 'PermissionDenied',
        reload: 'OK',
      })
    })
  })

  it('hears on its own streams what the plugin prints, byte for byte', () => {
    const text = 'one\ntwo ünï\u0000 three'.repeat(2_000)
    const report = ask('auth', ['-mtls', `-print=${text.replaceAll('\u0000', '')}`])
    expect(report.stdout).toBe(`printed while loading\n${text.replaceAll('\u0000', '')}`)
    expect(report.stderr).toBe(`err:${text.replaceAll('\u0000', '')}`)
  })

  it('reads the lines of the plugin with their level and fields', () => {
    const line = ask('auth', ['-mtls']).log.find((entry) => entry['@message'] === 'asked')
    expect(line).toMatchObject({ '@level': 'info', user: 'ada', address: '192.0.2.1' })
  })

  it('survives and reads whatever the plugin logs: no message but text, no line too long', () => {
    const { error, log } = ask('auth', ['-mtls', '-user=log-oddly'])
    expect(error).toBeUndefined()
    expect(log.find((entry) => entry['@message'] === '7')).toMatchObject({ '@level': 'warn' })
    expect(log.find((entry) => String(entry['@message']).startsWith('longlong'))).toMatchObject({
      '@level': 'error',
    })
    expect(log.find((entry) => entry['@message'] === 'two\nlines')).toMatchObject({
      '@level': 'info',
      user: 'ada',
    })
  })

  it('refuses a plugin with another checksum before it runs', () => {
    expect(ask('auth', ['-checksum=wrong']).error).toContain('checksums did not match')
  })

  it('hears that the plugin has no multiplexing when it asks for that', () => {
    expect(ask('auth', ['-mtls', '-multiplex']).error).toContain('does not support the feature')
  })

  it('starts it again and again: the certificate has no padding at any length', () => {
    for (let start = 0; start < 12; start++) expect(ask('ipfilter', ['-mtls']).error).toBeUndefined()
  })

  it('sees settings that come by the environment', () => {
    const report = ask('auth', ['-mtls', '-skip-env', '-env=SFTPGO_TS_PLUGIN_SETTINGS={"greeting":"hi"}'])
    expect(report.error).toBeUndefined()
  })

  function ask(slot: SlotName, flags: readonly string[]): Report {
    const args = [`-slot=${slot}`, ...flags, plugin.file]
    const run = spawnSync(join(folder, 'host'), args, {
      encoding: 'utf8',
      timeout: 20_000,
      maxBuffer: 64 << 20,
    })
    if (run.status !== 0) throw new Error(`The Go host ended with ${run.status}: ${run.stderr}`)
    // The program prints this and nothing else.
    return JSON.parse(run.stdout) as Report
  }
})

function codesOf({ answers }: Report): Record<string, string> {
  return Object.fromEntries(answers.map(({ ask, code }) => [ask, code]))
}
