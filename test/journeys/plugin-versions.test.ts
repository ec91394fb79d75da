import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { expect, it } from 'vitest'
import { openSftpSession, sftpBatch, withoutOpenSsh } from '../helpers/openssh.ts'
import { runCommand, startServerProcess, type CommandResult } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { makePackage } from '../packages/make-package.ts'

const skipped = withoutOpenSsh !== undefined
const title = skipped ? ` (skipped: no ${withoutOpenSsh})` : ''

it.skipIf(skipped)(
  `switches between stored versions without a gap, and goes on with the old one when the new one does not start${title}`,
  { timeout: 120_000 },
  async () => {
    await using work = await workplace()
    const { plugin, install, config, port } = work
    for (const version of ['1.0.0', '1.1.0', '2.0.0']) await install(version)
    expect(await plugin('enable', 'acme-auth@1.0.0')).toMatchObject({
      status: 0,
      stdout: said('enabled and ready'),
    })
    await using session = openSftpSession({ port, username: 'ada', password: 'x' })
    await session.answer('mkdir 1.0.0', 'mkdir 1.0.0')

    const logins = loginsUntilStopped(port)
    expect(await plugin('enable', 'acme-auth@1.1.0')).toMatchObject({
      status: 0,
      stdout: said('enabled and ready'),
    })
    expect(await homeAfterLogin(port)).toBe('1.1.0')
    const before = { config: readFileSync(config, 'utf8'), lock: readFileSync(work.lock, 'utf8') }

    const failed = await plugin('enable', 'acme-auth@2.0.0')
    expect(failed).toMatchObject({ status: 1, stderr: said('so nothing was changed') })
    expect(failed.stderr).toContain('no longer starts')
    expect(readFileSync(config, 'utf8')).toBe(before.config)
    expect(readFileSync(work.lock, 'utf8')).toBe(before.lock)
    expect(await homeAfterLogin(port)).toBe('1.1.0')
    const { refused, granted } = await logins.stop()
    expect(refused).toBe(0)
    expect(granted).toBeGreaterThan(2)
    await session.answer('mkdir still-there', 'mkdir still-there')

    const listed = JSON.parse((await plugin('list', '--json')).stdout) as readonly object[]
    expect(listed).toEqual([
      expect.objectContaining({ name: 'acme-auth', stored: ['1.0.0', '1.1.0', '2.0.0'], state: 'ready' }),
    ])
    expect(await plugin('remove', 'acme-auth')).toMatchObject({
      status: 9,
      stderr: said('plugin disable acme-auth'),
    })
    expect(await plugin('remove', 'acme-auth@2.0.0')).toMatchObject({ status: 0, stdout: said('2.0.0') })
    expect(await plugin('disable', 'acme-auth')).toMatchObject({
      status: 0,
      stdout: said('disabled and stopped'),
    })
    expect(await plugin('remove', 'acme-auth')).toMatchObject({ status: 0, stdout: said('1.0.0, 1.1.0') })
  },
)

it.skipIf(skipped)(
  `takes an update from a catalog at once, and back again when it does not start${title}`,
  { timeout: 120_000 },
  async () => {
    await using work = await workplace()
    const { plugin, archive, folder, port, about } = work
    const key = /ed25519:\S+/.exec(runCommand(['catalog', 'key', folder.file('corp.key')]).stdout)?.[0] ?? ''
    const publish = async (version: string): Promise<void> => {
      const args = ['publish', folder.file('corp'), await archive(version), '--key', folder.file('corp.key')]
      expect(runCommand(['catalog', ...args]).status).toBe(0)
    }
    await publish('1.0.0')
    expect(await about('catalog', 'add', 'corp', folder.file('corp'), '--key', key)).toMatchObject({
      status: 0,
    })
    expect(await plugin('install', 'acme-auth')).toMatchObject({ status: 0 })
    expect(await plugin('enable', 'acme-auth')).toMatchObject({ status: 0 })

    await publish('1.1.0')
    const lock = readFileSync(work.lock, 'utf8')
    const shown = await plugin('update', 'acme-auth')
    expect(shown).toMatchObject({ status: 0, stdout: said('version      1.0.0 -> 1.1.0') })
    expect(shown.stdout).toContain('environment  +ACME_1_1_0')
    expect(shown.stdout).toContain('settings     +greeting_1_1_0 -greeting_1_0_0')
    expect(readFileSync(work.lock, 'utf8')).toBe(lock)
    expect(await plugin('update', 'acme-auth', '--yes')).toMatchObject({
      status: 0,
      stdout: said('server has taken it'),
    })
    expect(await homeAfterLogin(port)).toBe('1.1.0')

    await publish('2.0.0')
    const within = await plugin('update', 'acme-auth', '--yes')
    expect(within.stdout).toContain('1.1.0 is the newest that fits')
    expect(within.stdout).toContain('2.0.0 is outside of the declared "^1.0.0"')
    const failed = await plugin('update', 'acme-auth@^2', '--yes')
    expect(failed).toMatchObject({ status: 1, stderr: said('so nothing was changed') })
    expect(JSON.parse(readFileSync(work.lock, 'utf8')).plugins['acme-auth'].version).toBe('1.1.0')
    expect(await homeAfterLogin(port)).toBe('1.1.0')
  },
)

it('refuses other bytes under a version that is stored', async () => {
  using folder = temporaryDirectory()
  const config = folder.file('one.json')
  writeFileSync(config, '{}')
  const install = async (content: string): Promise<CommandResult> =>
    runCommand(['plugin', 'install', await makePackage(folder.path, { content }), '--config', config])
  expect((await install('one')).status).toBe(0)
  expect(await install('two')).toMatchObject({ status: 5, stderr: said('stored already with other bytes') })
  expect((await install('one')).status).toBe(0)
})

it('takes no more than the configuration allows', async () => {
  using folder = temporaryDirectory()
  const config = folder.file('one.json')
  const archive = await makePackage(folder.path, { content: 'x'.repeat(5_000) })
  const install = (limits: object): CommandResult => {
    writeFileSync(config, JSON.stringify({ plugin_host: { package_limits: limits } }))
    return runCommand(['plugin', 'install', archive, '--config', config])
  }
  expect(install({ packed: 100 })).toMatchObject({ status: 5, stderr: said('at most 100 are allowed') })
  expect(install({ unpacked: '4KiB' })).toMatchObject({ status: 5, stderr: said('at most 4096') })
  expect(install({ entries: 1 })).toMatchObject({ status: 5, stderr: said('too many entries') })
  expect(install({})).toMatchObject({ status: 0 })
})

it('installs side by side: what one command locks, another does not lose', async () => {
  using folder = temporaryDirectory()
  const config = folder.file('one.json')
  writeFileSync(config, '{}')
  const names = ['a', 'b', 'c', 'c']
  const archives = await Promise.all(names.map((name) => makePackage(folder.path, { name })))
  const codes = await Promise.all(
    archives.map(
      (archive) =>
        new Promise((settle) => {
          const args = [resolve('dist/main.js'), 'plugin', 'install', archive, '--config', config]
          spawn(process.execPath, args, { stdio: 'ignore' }).once('close', settle)
        }),
    ),
  )
  expect(codes).toEqual([0, 0, 0, 0])
  expect(Object.keys(JSON.parse(readFileSync(folder.file('one.lock.json'), 'utf8')).plugins)).toEqual([
    'a',
    'b',
    'c',
  ])
})

/** A running server, and archives of a plugin whose users get a home that names its version; 2.0.0 does not start. */
async function workplace() {
  const folder = temporaryDirectory()
  const config = folder.file('one.json')
  const sftpd = { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['id_ed25519'] }
  writeFileSync(config, JSON.stringify({ sftpd, plugins: [] }), { mode: 0o600 })
  const content = await bundledPlugin(folder.path)
  const server = await startServerProcess(config)
  const about = (...args: readonly string[]): Promise<CommandResult> =>
    runBeside([...args, '--config', config])
  const archive = (version: string): Promise<string> =>
    makePackage(folder.path, {
      ...{ version, entry: 'plugin.mjs', content: `process.env.ACME = '${version}'; ${content}` },
      schema: {
        type: 'object',
        properties: { [`greeting_${version.replaceAll('.', '_')}`]: { type: 'string' } },
      },
      manifest: { permissions: { environment: [`ACME_${version.replaceAll('.', '_')}`] } },
    })
  return {
    ...{ folder, config, about, archive, port: server.port, lock: folder.file('one.lock.json') },
    plugin: (...args: readonly string[]) => about('plugin', ...args),
    install: async (version: string): Promise<void> => {
      expect(await about('plugin', 'install', await archive(version))).toMatchObject({ status: 0 })
    },
    async [Symbol.asyncDispose]() {
      await server.stop()
      folder[Symbol.dispose]()
    },
  }
}

async function bundledPlugin(folder: string): Promise<string> {
  const source = `import { servePlugin } from ${JSON.stringify(resolve('src/sdk.ts'))}
    import { mkdirSync } from 'node:fs'
    const version = process.env['ACME'] ?? ''
    if (version === '2.0.0') throw new Error('it no longer starts')
    const homeDirectory = ${JSON.stringify(join(folder, 'homes'))} + '/' + version
    await servePlugin({ auth: { async checkPassword({ username }) {
      mkdirSync(homeDirectory + '/is-' + version, { recursive: true })
      return { granted: true, user: { username, homeDirectory, permissions: ['*'] } }
    } } })`
  mkdirSync(join(folder, 'source'))
  writeFileSync(join(folder, 'source/plugin.ts'), source)
  const { outputFiles } = await build({
    ...{ entryPoints: [join(folder, 'source/plugin.ts')], bundle: true, write: false },
    ...{ platform: 'node', format: 'esm', target: 'node20' },
    banner: {
      js: "import { createRequire as make } from 'node:module'; const require = make(process.execPath);",
    },
  })
  // Imports stand first, so that a line may come before the rest.
  return outputFiles[0]?.text ?? ''
}

function said(text: string): unknown {
  return expect.stringContaining(text)
}

/** Runs a command while everything else goes on. */
function runBeside(args: readonly string[]): Promise<CommandResult> {
  return new Promise((settle) => {
    const child = spawn(process.execPath, [resolve('dist/main.js'), ...args])
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()))
    child.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()))
    child.once('close', (status) => settle({ status, stdout, stderr }))
  })
}

/** Which version answered: its home holds a folder of that name. */
async function homeAfterLogin(port: number): Promise<string | undefined> {
  const { output } = await sftpBatch({ port, username: 'ada', password: 'x', batch: ['ls'] })
  return /is-(\S+)/.exec(output)?.[1]
}

/** Logs in again and again, one login after the other. */
function loginsUntilStopped(port: number) {
  const state = { stopped: false }
  const counts = { granted: 0, refused: 0 }
  const loop = (async () => {
    while (!state.stopped) {
      const { status } = await sftpBatch({ port, username: 'ada', password: 'x', batch: ['pwd'] })
      counts[status === 0 ? 'granted' : 'refused'] += 1
    }
  })()
  return {
    async stop() {
      state.stopped = true
      await loop
      return counts
    },
  }
}
