import { mkdirSync, writeFileSync } from 'node:fs'
import { describe, expect, it, vi } from 'vitest'
import { PluginError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/log.ts'
import { virtualPath } from '../../src/base/virtual-path.ts'
import { run } from '../../src/cli/run.ts'
import { loadConfig } from '../../src/config/load-config.ts'
import { openControlServer } from '../../src/control/control-server.ts'
import { openDatabase } from '../../src/database/open-database.ts'
import { openEventArchive } from '../../src/events/event-archive.ts'
import { createEventOperations } from '../../src/events/event-operations.ts'
import type { EventView } from '../../src/events/event-operations.ts'
import { openEventLog } from '../../src/events/open-event-log.ts'
import { stateLayout } from '../../src/server/state-layout.ts'
import { createListener, eventually, uploadOf, type Listener } from '../events/sample-events.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

/** A state folder in which a listener named "ear" was told of some events, and a way to run commands on it. */
async function setup() {
  const folder = temporaryDirectory()
  const file = folder.file('sftpgo.config.json')
  const plugin = {
    ...{ name: 'ear', type: 'notifier', cmd: '/bin/true', required: false, sha256sum: '0'.repeat(64) },
    notifier_options: { fs_events: ['upload', 'rename', 'delete'] },
  }
  writeFileSync(file, JSON.stringify({ state_dir: folder.file('state'), plugins: [plugin] }))
  const { config } = loadConfig(file)
  if (config === undefined) throw new Error('the configuration is wrong')
  const layout = stateLayout(config)
  mkdirSync(config.stateFolder, { recursive: true })

  /** Runs `action` while a server holds the events; where `listens`, commands reach it. */
  async function live(
    ear: Listener,
    action: (upload: (user: string, path: string) => Promise<void>) => Promise<void>,
  ) {
    const database = await openDatabase({ path: layout.database })
    const log = await openEventLog({ database, notifiers: [ear.entry] })
    const archive = openEventArchive({ database, notifiers: () => [ear.entry], now: () => Date.now() })
    const operations = createEventOperations({ archive, log: silentLogger, tailMs: 5 })
    const control = await openControlServer({ socketPath: layout.control, operations, log: silentLogger })
    await action(async (user, path) => log.record(uploadOf(user, path)))
    await control.close()
    await log.close(100)
    await database.close()
  }

  return {
    live,
    /** Starts a command; what it says can be looked at while it runs. */
    start(...args: string[]) {
      const said = { out: '', err: '' }
      const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
        said.out += String(text)
        return true
      })
      const err = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
        said.err += String(text)
        return true
      })
      const code = run([...args, '--config', file]).finally(() => {
        out.mockRestore()
        err.mockRestore()
      })
      return { said, code }
    },
    async command(...args: string[]): Promise<{ code: number; out: string; err: string }> {
      const { said, code } = this.start(...args)
      return { code: await code, ...said }
    },
    async json<T>(...args: string[]): Promise<T> {
      const { out } = await this.command(...args, '--json')
      return JSON.parse(out) as T // what the command prints is looked at by the test
    },
    paths: async function (...args: string[]): Promise<string[]> {
      return (await this.json<EventView[]>(...args)).map(({ path }) => path)
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

/** A listener that refuses one path for good. */
function choosy(refused: string): Listener {
  const ear = createListener('ear', { delivery: { maxAttempts: 1 } })
  ear.on = async ({ path }) => {
    if (path === refused) throw new PluginError('failed', 'Column too short')
  }
  return ear
}

describe('the commands about events', () => {
  it('list what happened, newest first, with or without a server', async () => {
    using it = await setup()
    const ear = createListener('ear')
    await it.live(ear, async (upload) => {
      await upload('ada', '/1.txt')
      await upload('bob', '/2.txt')
      await upload('ada', '/deep/3.txt')
      await eventually('all are told', () => ear.heard.length === 3)
      expect(await it.paths('events', 'list')).toEqual(['/deep/3.txt', '/2.txt', '/1.txt'])
    })
    expect(await it.paths('events', 'list', '--user', 'ada')).toEqual(['/deep/3.txt', '/1.txt'])
    expect(await it.paths('events', 'list', '--path', '/deep/*')).toEqual(['/deep/3.txt'])
    expect(await it.paths('events', 'list', '--limit', '1')).toEqual(['/deep/3.txt'])
    expect(await it.paths('events', 'list', '--since', '1h')).toHaveLength(3)
    expect(await it.paths('events', 'list', '--until', '1h')).toEqual([])
    expect((await it.command('events', 'list')).out).toMatch(
      /upload +ada +done 5 B +- +[0-9a-f-]{36} +\/1\.txt/,
    )
  })

  it('show one event, and say with exit code 4 that there is none', async () => {
    using it = await setup()
    const ear = createListener('ear')
    await it.live(ear, (upload) => upload('ada', '/a'))
    const [event] = await it.json<EventView[]>('events', 'list')
    const { out, code } = await it.command('events', 'show', event?.id ?? '')
    expect([code, out]).toEqual([0, expect.stringContaining('/srv/ada/a')])
    expect((await it.command('events', 'show', 'nothing')).code).toBe(4)
  })

  it('list what is parked, and have it told again', async () => {
    using it = await setup()
    await it.live(choosy('/poison'), async (upload) => {
      await upload('ada', '/poison')
      await upload('ada', '/good')
    })
    const ear = choosy('/poison')
    await it.live(ear, async () => {
      await vi.waitFor(async () => {
        expect((await it.command('events', 'parked')).out).toMatch(
          /ear +1 +upload +ada +\/poison +Column too short/,
        )
      })
      ear.on = async () => {}
      expect(await it.json('events', 'replay', '--parked')).toEqual({ events: 1, deliveries: 1 })
      await eventually('it is told', () => ear.paths().includes('/poison'))
    })
    expect(await it.paths('events', 'parked')).toEqual([])
  })

  it('have what was heard told again, in order, to a server that starts later too', async () => {
    using it = await setup()
    const first = createListener('ear')
    await it.live(first, async (upload) => {
      for (const path of ['/1', '/2', '/3']) await upload('ada', path)
      await upload('bob', '/4')
      await eventually('all are told', () => first.heard.length === 4)
    })
    expect(await it.json('events', 'replay', '--user', 'ada')).toEqual({ events: 3, deliveries: 3 })
    const ear = createListener('ear')
    await it.live(ear, async () => eventually('all are told again', () => ear.heard.length === 3))
    expect(ear.paths()).toEqual(['/1', '/2', '/3'])
    const ids = (heard: Listener) =>
      heard.heard.filter(({ username }) => username === 'ada').map(({ metadata }) => metadata['event_id'])
    expect(ids(ear)).toEqual(ids(first))
  })

  it('refuse to replay or drop everything by leaving everything out', async () => {
    using it = await setup()
    await it.live(createListener('ear'), (upload) => upload('ada', '/a'))
    expect((await it.command('events', 'replay')).code).toBe(2)
    expect((await it.command('events', 'drop', '--reason', 'x')).code).toBe(2)
  })

  it('drop what is owed only with a reason, and then it is never told', async () => {
    using it = await setup()
    const away = createListener('ear')
    away.setReady(false)
    await it.live(away, async (upload) => {
      await upload('ada', '/1')
      await upload('bob', '/2')
      expect((await it.command('events', 'drop', '--user', 'ada')).code).toBe(2)
      expect(await it.json('events', 'drop', '--user', 'ada', '--reason', 'a test upload')).toEqual({
        events: 1,
        deliveries: 1,
      })
    })
    const ear = createListener('ear')
    await it.live(ear, async () => eventually('the other one is told', () => ear.heard.length === 1))
    expect(ear.paths()).toEqual(['/2'])
  })

  it('never let a name of a file move the cursor', async () => {
    using it = await setup()
    await it.live(createListener('ear'), (upload) => upload('ada', virtualPath('/\x1b[2Jevil\rname')))
    const { out } = await it.command('events', 'list')
    expect(out).toContain('/\\x1b[2Jevil\\x0dname')
    expect(out).not.toContain('\x1b')
  })

  it('follow what happens', async () => {
    using it = await setup()
    let ended: Promise<unknown> = Promise.resolve()
    await it.live(createListener('ear'), async (upload) => {
      await upload('ada', '/before')
      const following = it.start('events', 'tail', '--user', 'ada', '--json')
      // It begins with what is new when it has connected, so something new happens until it says something.
      for (let n = 0; n < 1_000 && !following.said.out.includes('\n'); n += 1) {
        await upload(n % 2 === 0 ? 'ada' : 'bob', `/${n}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      const [line = ''] = following.said.out.split('\n')
      expect(JSON.parse(line)).toMatchObject({
        action: 'upload',
        username: 'ada',
        path: expect.stringMatching(/^\/\d+$/),
      })
      expect(following.said.out).not.toContain('before')
      ended = following.code
    })
    await ended
  })
})
