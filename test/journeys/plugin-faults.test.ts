import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client, type SFTPWrapper } from 'ssh2'
import { describe, expect, it } from 'vitest'
import { connectControl } from '../../src/control/control-client.ts'
import type { PluginStatus } from '../../src/host/plugin-status.ts'
import { fixturePlugin } from '../helpers/fixture-plugin.ts'
import { startServer, type TestServer } from '../helpers/start-server.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'

const logins = 30

describe('with a real server and clients', { timeout: 30_000 }, () => {
  it(`an auth plugin killed with ${logins} logins under way refuses those, and sessions go on (F-1)`, async () => {
    const { cmd, sha256sum } = await fixturePlugin()
    using folder = temporaryDirectory()
    const home = folder.file('home')
    mkdirSync(home)
    const hold = folder.file('hold')
    const user = { username: 'ada', status: 1, home_dir: home, permissions: { '/': ['*'] } }
    writeFileSync(folder.file('users.json'), JSON.stringify({ users: [user] }))
    await using server = await startServer({
      common: { max_per_host_connections: 0 },
      data_provider: { users_file: folder.file('users.json') },
      plugins: [
        {
          ...{ name: 'ldap', type: 'auth', cmd, sha256sum, args: ['answers-without-file', hold] },
          ...{ auth_options: { scope: 1 }, call_timeout: '20s' },
        },
      ],
    })
    const running = { ...server, username: 'ada', password: 'whatever the plugin takes' }
    const before = await login(running)
    const sftp = await sftpOf(before)
    const { pid = 0 } = await statusOf(running)
    // However long so many clients take to come that far: none is answered before the last one asks.
    writeFileSync(hold, '')
    const outcomes = Array.from({ length: logins }, () => outcomeOf(running))
    await until(
      'all logins ask the plugin',
      async () => (await statusOf(running)).calls.running === logins,
      15_000,
    )
    const killed = performance.now()
    process.kill(pid, 'SIGKILL')
    rmSync(hold)
    const meanwhile = statsWhile(sftp, () => performance.now() - killed < 1500)
    expect(await Promise.all(outcomes)).toEqual(Array.from({ length: logins }, () => 'refused'))
    expect(performance.now() - killed).toBeLessThan(5_000)
    expect(Math.max(...(await meanwhile))).toBeLessThan(1_000)
    await until('the plugin is back', () => isBack(running, pid), 5_000)
    const after = await login(running)
    after.end()
    before.end()
    // Nobody is banned for what was not their fault.
    expect(running.logLines.join('')).not.toMatch(/banned/i)
  })

  it.each([
    ['refuse', 'refused'],
    ['allow', 'in'],
  ])(
    'a filter that is gone: "when_down": "%s" decides, and a filter that is back is asked again (F-3)',
    async (whenDown, expected) => {
      const { cmd, sha256sum } = await fixturePlugin()
      using folder = temporaryDirectory()
      const mode = folder.file('mode')
      writeFileSync(mode, 'polite')
      await using running = await startServer({
        plugins: [
          {
            ...{ name: 'lists', type: 'ipfilter', cmd, sha256sum, args: ['as-file-says', mode] },
            ...{ when_down: whenDown },
          },
        ],
      })
      expect(await outcomeOf(running)).toBe('in')
      const { pid = 0 } = await statusOf(running)
      // Its next process never says anything, so the filter stays away.
      writeFileSync(mode, 'silent')
      process.kill(pid, 'SIGKILL')
      await until('it is gone', async () => (await statusOf(running)).state !== 'ready')
      expect(await outcomeOf(running)).toBe(expected)
      writeFileSync(mode, 'polite')
      const control = await connectControl(join(running.folder, 'test.config.state/control.sock'))
      await control?.ask('plugin-restart', { name: 'lists' })
      control?.close()
      await until('the filter is back', () => isBack(running, pid), 5_000)
      expect(await outcomeOf(running)).toBe('in')
    },
  )
})

type Login = Pick<TestServer, 'port' | 'username' | 'password'>

/** How the only plugin stands, asked over the control socket as `plugin status` does. */
async function statusOf({ folder }: Pick<TestServer, 'folder'>): Promise<PluginStatus> {
  const control = await connectControl(join(folder, 'test.config.state/control.sock'))
  // The operation answers with the host's own list.
  const plugins = (await control?.ask('plugin-status')) as readonly PluginStatus[] | undefined
  const plugin = plugins?.[0]
  control?.close()
  if (plugin === undefined) throw new Error('There is no plugin')
  return plugin
}

async function isBack(running: Pick<TestServer, 'folder'>, pid: number): Promise<boolean> {
  const { pid: now, state } = await statusOf(running)
  return state === 'ready' && now !== pid
}

function connectAs({ port, username, password }: Login): Client {
  return new Client().connect({ host: '127.0.0.1', port, username, password, readyTimeout: 15_000 })
}

async function login(running: Login): Promise<Client> {
  const client = connectAs(running)
  await once(client, 'ready')
  client.on('error', () => {})
  return client
}

function outcomeOf(running: Login): Promise<'in' | 'refused'> {
  return new Promise((resolve) => {
    const client = connectAs(running)
    const end = (outcome: 'in' | 'refused'): void => {
      resolve(outcome)
      client.end()
    }
    client
      .on('ready', () => end('in'))
      .on('error', () => end('refused'))
      .on('close', () => end('refused'))
  })
}

function sftpOf(client: Client): Promise<SFTPWrapper> {
  return new Promise((resolve, reject) => {
    client.sftp((error, sftp) => {
      if (error === undefined) resolve(sftp)
      else reject(error)
    })
  })
}

/** How long each STAT took, one after the other. */
async function statsWhile(sftp: SFTPWrapper, wanted: () => boolean): Promise<number[]> {
  const times: number[] = []
  while (wanted()) {
    const asked = performance.now()
    await new Promise<void>((resolve, reject) => {
      sftp.stat('/', (error) => {
        if (error === undefined) resolve()
        else reject(error)
      })
    })
    times.push(performance.now() - asked)
  }
  return times
}
