import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { makePackage } from '../packages/make-package.ts'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { runCommand, startServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const schema = {
  type: 'object',
  additionalProperties: false,
  properties: { greeting: { type: 'string', default: 'hello' } },
}

describe('an entry that names a package', () => {
  let program: string
  beforeAll(async () => {
    program = (await fixturePlugin()).cmd
  })

  it('runs what was installed, also with --frozen, and is told from the file what is wrong with it', async () => {
    using folder = temporaryDirectory()
    const config = folderWith(folder.path, { version: '^1.0.0', settings: {} })
    expect(
      runCommand(['plugin', 'install', await archiveIn(folder.path, program), '--config', config]),
    ).toMatchObject({
      status: 0,
    })
    const shown = runCommand(['config', 'show', '--config', config]).stdout
    expect(shown).toMatch(/plugins\[0\]\.settings\.greeting +"hello" +default of the plugin/)
    await using server = await startServerProcess(config, { args: ['--frozen'] })
    expect(server.screen).toContain('ipfilter: geo ready')

    const settings = readFileSync(config, 'utf8')
    writeFileSync(config, settings.replace('"settings":{}', '"settings":{"greting":"hi"}'))
    const checked = runCommand(['config', 'check', config])
    expect(checked.status).toBe(3)
    expect(checked.stdout).toMatch(
      /one\.json:1:\d+: plugins\[0\]\.settings\.greting: is no setting of this plugin; did you mean "greeting"\?/,
    )
    const refused = runCommand(['reload', '--config', config])
    expect(refused).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('plugins[0].settings.greting'),
    })
    expect(runCommand(['status', '--config', config]).status).toBe(0)
    expect(await server.stop()).toBe(0)
    const start = runCommand(['serve', '--config', config])
    expect(start).toMatchObject({ status: 3, stderr: expect.stringMatching(/one\.json:1:\d+: .*greting/) })
  })

  it('keeps the server from starting while it is not installed, or locked at another version', async () => {
    using folder = temporaryDirectory()
    const config = folderWith(folder.path, { version: '^2.0.0' })
    const absent = runCommand(['serve', '--config', config])
    expect(absent.status).not.toBe(0)
    expect(absent.stderr).toContain('run "sftpgo-ts plugin install acme-filter@^2.0.0"')
    runCommand(['plugin', 'install', await archiveIn(folder.path, program), '--config', config])
    const older = runCommand(['serve', '--config', config])
    expect(older.status).not.toBe(0)
    expect(older.stderr).toContain('is locked at 1.0.0, outside "^2.0.0"')
  })

  it('may be missing where it is not required: the server runs and says so', async () => {
    using folder = temporaryDirectory()
    const config = folderWith(folder.path, { required: false })
    await using server = await startServerProcess(config)
    expect(server.screen).toContain('geo')
    expect(server.log()).toContain('plugin install acme-filter')
    expect(await server.stop()).toBe(0)
  })
})

describe('--frozen', () => {
  it('refuses a program that the lock does not name, which runs without it', async () => {
    using folder = temporaryDirectory()
    const { cmd, sha256sum } = await fixturePlugin()
    const entry = { type: 'ipfilter', name: 'geo', cmd, sha256sum, args: ['polite'] }
    const config = configWith(folder.path, entry)
    const frozen = runCommand(['serve', '--frozen', '--config', config])
    expect(frozen.status).not.toBe(0)
    expect(frozen.stderr).toContain(
      'Cannot start "geo": the server is frozen and the lock does not name its program',
    )
    await using server = await startServerProcess(config)
    expect(server.screen).toContain('ipfilter: geo ready')
    expect(await server.stop()).toBe(0)
  })
})

function folderWith(folder: string, entry: object): string {
  return configWith(folder, {
    type: 'ipfilter',
    name: 'geo',
    source: 'acme-filter',
    args: ['polite'],
    ...entry,
  })
}

function archiveIn(folder: string, program: string): Promise<string> {
  const content = readFileSync(program, 'utf8')
  return makePackage(folder, { name: 'acme-filter', slot: 'ipfilter', entry: 'plugin.mjs', content, schema })
}

function configWith(folder: string, entry: object): string {
  const file = join(folder, 'one.json')
  const sftpd = { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['id_ed25519'] }
  writeFileSync(file, JSON.stringify({ sftpd, plugins: [entry] }))
  return file
}
