import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const missing =
  process.platform !== 'linux' || spawnSync('strace', ['-V']).status !== 0 ? ' (skipped: needs strace)' : ''

describe('the keys of host and plugin', () => {
  it.skipIf(missing !== '')(
    `are in no system call from the start to the stop of a plugin (S-60)${missing}`,
    { timeout: 20_000 },
    async () => {
      using folder = temporaryDirectory()
      const host = await fixturePlugin('one-cycle')
      const plugin = await fixturePlugin('misbehaving')
      const trace = folder.file('trace')
      const run = spawnSync(
        'strace',
        [
          ...[
            '-f',
            '-v',
            '-qq',
            '-s',
            '100000',
            '-o',
            trace,
            '-e',
            'trace=execve,openat,creat,write,pwrite64,writev,rename',
          ],
          ...[process.execPath, host.cmd, plugin.cmd, plugin.sha256sum, join(folder.path, 'state'), 'polite'],
        ],
        { encoding: 'utf8', timeout: 20_000 },
      )
      expect(run.stderr).toBe('')
      expect(run.stdout).toBe('{"allowed":true}\n')
      const calls = readFileSync(trace, 'latin1').split('\n')
      // What is looked for would be found: the certificate goes into the environment of the plugin.
      expect(calls.some((call) => call.includes('PLUGIN_CLIENT_CERT=-----BEGIN CERTIFICATE'))).toBe(true)
      expect(calls.filter((call) => call.includes('PRIVATE KEY'))).toEqual([])
      const written = calls
        .filter((call) => /\bopenat\(|\bcreat\(/.test(call) && /O_WRONLY|O_RDWR|creat\(/.test(call))
        .flatMap((call) => /"([^"]+)"/.exec(call)?.[1] ?? [])
        .filter((path) => !path.startsWith('/dev/') && !path.includes('/state/run/copy-'))
      expect(new Set(written)).toEqual(new Set([join(folder.path, 'state/plugins.json.new')]))
    },
  )
})
