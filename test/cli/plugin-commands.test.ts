import { chmodSync, copyFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import { openControlServer } from '../../src/control/control-server.ts'
import { run } from '../../src/cli/run.ts'
import { silentLogger } from '../../src/base/log.ts'
import { loadConfig } from '../../src/config/load-config.ts'
import { pluginEntries } from '../../src/server/plugin-entries.ts'
import { pluginOperations } from '../../src/server/plugin-operations.ts'
import { controlSocketOf } from '../../src/server/state-layout.ts'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { openTestHost } from '../helpers/plugin-host.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

interface Said {
  readonly code: number
  readonly out: string
}

/** A folder with a configuration of one plugin per mode of the fixture. */
async function setup(modes: readonly string[], more: object = {}) {
  const folder = temporaryDirectory()
  const { cmd, sha256sum } = await fixturePlugin()
  const program = folder.file('plugin.mjs')
  copyFileSync(cmd, program)
  const file = folder.file('sftpgo.config.json')
  const plugins = modes.map((mode) => ({
    ...{ name: mode, type: 'ipfilter', cmd: program, args: [mode], sha256sum, required: false },
    ...more,
  }))
  writeFileSync(
    file,
    JSON.stringify({ state_dir: folder.file('state'), plugins, plugin_host: { start_timeout: 2 } }),
  )
  return {
    program,
    sha256sum,
    file,
    folder,
    async command(...args: string[]): Promise<Said> {
      const lines: string[] = []
      const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
        lines.push(String(text))
        return true
      })
      try {
        const code = await run([...args, '--config', file])
        return { code, out: lines.join('') }
      } finally {
        write.mockRestore()
      }
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

describe('plugin checksum', () => {
  it('prints the line to paste', async () => {
    using it = await setup([])
    const lines: string[] = []
    const write = vi
      .spyOn(process.stdout, 'write')
      .mockImplementation((text) => (lines.push(String(text)), true))
    const code = await run(['plugin', 'checksum', it.program])
    write.mockRestore()
    expect([code, lines.join('')]).toEqual([0, `"sha256sum": "${it.sha256sum}"\n`])
  })
})

describe('plugin verify', () => {
  it('says which programs have their approved bytes', async () => {
    using it = await setup(['polite'])
    expect(await it.command('plugin', 'verify')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^polite +verified/),
    })
    writeFileSync(it.program, 'other')
    chmodSync(it.program, 0o755)
    const changed = await it.command('plugin', 'verify')
    expect(changed).toMatchObject({ code: 5, out: expect.stringContaining('NOT VERIFIED') })
    expect((await it.command('plugin', 'verify', 'nobody')).code).toBe(4)
  })
})

describe('plugin probe', () => {
  it('shows every step with its time', async () => {
    using it = await setup(['polite'])
    const { code, out } = await it.command('plugin', 'probe', 'polite')
    expect(code).toBe(0)
    const steps = out
      .trim()
      .split('\n')
      .map((line) => /^ok\s+(\S+(?: line)?)\s+[\d.]+ ms {2}\S/.exec(line)?.[1])
    expect(steps).toEqual(['verify', 'launch', 'first line', 'connect', 'health', 'methods', 'stop'])
    expect(out).toContain('has CheckIP, Reload')
  })

  it.each([
    ['silent', 8, 'printed no first line'],
    ['wrong-line', 6, 'not a handshake'],
    ['wrong-version', 6, 'has version 7'],
    ['wrong-certificate', 5, 'certificate'],
    ['dies-before', 1, 'exit code 3'],
  ])('(%s) fails with exit code %i', async (mode, exitCode, says) => {
    using it = await setup([mode])
    const { code, out } = await it.command('plugin', 'probe', mode)
    expect([code, out]).toEqual([exitCode, expect.stringMatching(new RegExp(`FAIL .*${says}`))])
  })

  it('finds out that a program fills another slot', async () => {
    using it = await setup(['polite'], { type: 'notifier', notifier_options: { fs_events: ['upload'] } })
    const { code, out } = await it.command('plugin', 'probe', 'polite')
    expect([code, out]).toEqual([6, expect.stringContaining('it fills another slot')])
  })
})

describe('commands that ask a running server about its plugins', () => {
  async function server(modes: readonly string[]) {
    const it = await setup(modes)
    const { config } = loadConfig(it.file)
    if (config === undefined) throw new Error('The configuration is wrong')
    const host = await openTestHost(pluginEntries(config), { pace: { firstRestartMs: 60_000 } })
    await host.host.settled()
    const { mkdirSync } = await import('node:fs')
    mkdirSync(config.stateFolder, { recursive: true })
    const control = await openControlServer({
      socketPath: controlSocketOf(config.stateFolder),
      operations: pluginOperations(host.host),
      log: silentLogger,
    })
    return {
      ...it,
      host,
      async [Symbol.asyncDispose]() {
        await control.close()
        await host[Symbol.asyncDispose]()
        it[Symbol.dispose]()
      },
    }
  }

  it('show state, reason and remedy', async () => {
    await using it = await server(['polite', 'wrong-line'])
    const { code, out } = await it.command('plugin', 'status')
    expect(code).toBe(1)
    expect(out).toMatch(/^polite +ipfilter +ready for \d+ s/m)
    expect(out).toMatch(/^wrong-line +ipfilter +waiting for \d+ s, again in \d+ s/m)
    expect(out).toContain('wrong-line: bad-handshake')
    expect(out).toContain('To do: ')
    expect((await it.command('plugin', 'status', 'polite')).code).toBe(0)
    expect(await it.command('plugin', 'list')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/polite .* ready/),
    })
  })

  it('tell the whole story of one', async () => {
    await using it = await server(['dies-before'])
    const { code, out } = await it.command('plugin', 'why', 'dies-before')
    expect(code).toBe(1)
    expect(out).toContain('Because: "dies-before" ended before its first line, with exit code 3')
    expect(out).toContain('To do: "sftpgo-ts plugin logs dies-before" shows its last lines')
    expect(out).toContain('[ERROR] the directory at ldap.example cannot be reached')
  })

  it('restart one and show its log', async () => {
    await using it = await server(['polite'])
    const { pid } = it.host.status()
    expect((await it.command('plugin', 'restart', 'polite')).out).toMatch(/polite: ready/)
    expect(it.host.status().pid).not.toBe(pid)
    const again = await it.command('plugin', 'restart', 'polite', '--json')
    expect(JSON.parse(again.out)).toMatchObject({ name: 'polite', state: 'ready' })
    const logs = await it.command('plugin', 'logs', 'polite', '--level', 'info')
    expect(logs.code).toBe(0)
    for (const words of ['restart', 'why', 'logs'])
      expect((await it.command('plugin', words, 'nobody')).code, words).toBe(4)
  })
})
