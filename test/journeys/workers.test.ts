import { connect } from 'node:net'
import { writeFileSync } from 'node:fs'
import type { SFTPWrapper } from 'ssh2'
import { describe, expect, it } from 'vitest'
import { sftpBatch, withoutOpenSsh } from '../helpers/openssh.ts'
import { runCommand, startServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { until } from '../helpers/until.ts'
import { namesIn, startWorkers } from '../helpers/workers-rig.ts'

const some = Buffer.alloc(40_000, 'x')

describe.skipIf(withoutOpenSsh !== undefined)('a server with two workers, and OpenSSH as its client', () => {
  it('logs in with a password and moves a file both ways', async () => {
    using folder = temporaryDirectory()
    const config = folder.file('two.config.json')
    const sftpd = {
      bindings: [{ port: 0, address: '127.0.0.1' }],
      ...{ host_keys: ['id_ed25519'], workers: 2 },
    }
    writeFileSync(config, JSON.stringify({ sftpd }))
    writeFileSync(folder.file('one'), some)
    await using server = await startServerProcess(config)
    const password = server.password ?? ''
    for (const name of ['a', 'b']) {
      const batch = [`put one ${name}`, `get ${name} ${name}.back`, 'ls -l']
      const { status, output } = await sftpBatch({ port: server.port, password, batch, cwd: folder.path })
      expect(output).toContain('40000')
      expect(status).toBe(0)
    }
    expect(namesIn(folder.path)).toContain('b.back')
    expect(await server.stop()).toBe(0)
  })
})

describe('a server with two workers', { timeout: 60_000 }, () => {
  it('spreads connections, and tells the notifier of uploads in both', async () => {
    await using rig = await startWorkers()
    const [one, two] = await rig.connectToBoth('ada')
    expect(rig.workers().size).toBe(2)
    await Promise.all([one.put('/one', some), two.put('/two', some)])
    await until('all is told', () => rig.told().length >= 3)
    expect(
      rig
        .told()
        .map(({ action }) => action)
        .sort(),
    ).toEqual(['first-upload', 'upload', 'upload'])
  })

  it('lists the sessions of both, and ends those of a user in both', async () => {
    await using rig = await startWorkers()
    const [one, two] = await rig.connectToBoth('ada')
    const other = await rig.connect('ben')
    const listed = runCommand(['user', 'sessions', '--config', rig.config, '--json'])
    const sessions = JSON.parse(listed.stdout) as { username: string }[] // the command's own
    expect(sessions.map(({ username }) => username).sort()).toEqual(['ada', 'ada', 'ben'])
    expect(runCommand(['user', 'disconnect', 'ada', '--config', rig.config]).status).toBe(0)
    await Promise.all([one.closed, two.closed])
    await other.put('/still', some)
  })

  it('lets one of them at a time write an encrypted file, and says so', async () => {
    const passphrase = { status: 'Plain', payload: 'open sesame' }
    const filesystem = { provider: 4, cryptconfig: { passphrase } }
    await using rig = await startWorkers({ common: { upload_mode: 0 } }, { ada: { filesystem } })
    const [one, two] = await rig.connectToBoth('ada')
    const upload = await one.hold('/file', some)
    await expect(two.put('/file', some)).rejects.toMatchObject({ code: 4, message: 'Busy' })
    await two.put('/other', some)
    expect(rig.server.log()).toMatch(/"path":"\/file","code":"busy".*"msg":"encrypted file in use"/)
    await upload.write(Buffer.from('more'))
    await upload.close()
    const read = (sftp: SFTPWrapper): Promise<Buffer> =>
      new Promise((resolve, reject) => {
        sftp.readFile('/file', (error, bytes) => (error === undefined ? resolve(bytes) : reject(error)))
      })
    const whole = Buffer.concat([some, Buffer.from('more')])
    expect((await read(two.sftp)).equals(whole)).toBe(true)
    await two.put('/file', Buffer.from('anew'))
    expect((await read(one.sftp)).toString()).toBe('anew')
  })

  it('gives an encrypted file that a killed worker was writing to another', async () => {
    const passphrase = { status: 'Plain', payload: 'open sesame' }
    const filesystem = { provider: 4, cryptconfig: { passphrase } }
    await using rig = await startWorkers({ common: { upload_mode: 0 } }, { ada: { filesystem } })
    const [one, two] = await rig.connectToBoth('ada')
    await one.hold('/file', some)
    process.kill(rig.workers().get(1) ?? 0, 'SIGKILL')
    await one.closed
    await two.put('/file', Buffer.from('anew'))
  })

  it('counts sessions of a user in both', async () => {
    await using rig = await startWorkers({}, { ada: { max_sessions: 2 } })
    const [one] = await rig.connectToBoth('ada')
    await expect(rig.connect('ada')).rejects.toThrow()
    await expect(rig.connect('ada')).rejects.toThrow()
    await one.end()
    const again = await rig.connect('ada')
    await again.put('/fits', some)
  })

  it('counts connections of an address in both', async () => {
    await using rig = await startWorkers({ common: { max_per_host_connections: 3 } })
    const clients = [await rig.connect('ada'), await rig.connect('ada'), await rig.connect('ben')]
    expect(new Set(clients.map(({ worker }) => worker)).size).toBe(2)
    await expect(rig.connect('ben')).rejects.toThrow()
    await clients[0]?.end()
    await rig.connect('ben')
  })

  it('bans an address in both for what it did in either', async () => {
    await using rig = await startWorkers({
      common: { defender: { enabled: true, threshold: 4, score_invalid: 2 } },
    })
    for (let attempt = 0; attempt < 2; attempt += 1) await expect(rig.connect('nobody')).rejects.toThrow()
    await until('the ban', () => rig.server.log().includes('address banned'))
    for (let attempt = 0; attempt < 2; attempt += 1) expect(await greetingOf(rig.port)).toBe('')
    expect(runCommand(['ban', 'remove', '127.0.0.1', '--config', rig.config]).status).toBe(0)
    await rig.connectToBoth('ada')
  })

  it('holds a quota over uploads in both', async () => {
    await using rig = await startWorkers({}, { ada: { quota_size: 100_000, quota_files: 10 } })
    const [one, two] = await rig.connectToBoth('ada')
    await one.put('/one', some)
    await two.put('/two', some)
    await expect(one.put('/three', some)).rejects.toThrow()
    await expect(two.put('/three', some)).rejects.toThrow()
    await new Promise<void>((resolve, reject) =>
      one.sftp.unlink('/two', (error) => (error ? reject(error) : resolve())),
    )
    await until('the room is known', () =>
      two.put('/three', some).then(
        () => true,
        () => false,
      ),
    )
    expect(namesIn(rig.home('ada'))).toEqual(['one', 'three'])
  })

  it('renames a folder in one while the other uploads into it', async () => {
    await using rig = await startWorkers()
    const [one, two] = await rig.connectToBoth('ada')
    await new Promise<void>((resolve, reject) =>
      one.sftp.mkdir('/old', (error) => (error ? reject(error) : resolve())),
    )
    const upload = await two.hold('/old/file', some)
    await new Promise<void>((resolve, reject) =>
      one.sftp.rename('/old', '/new', (error) => (error ? reject(error) : resolve())),
    )
    await upload.write(some)
    await upload.close()
    expect(namesIn(`${rig.home('ada')}/new`)).toEqual(['file'])
  })

  it('takes settings over in both at SIGHUP', async () => {
    await using rig = await startWorkers()
    rig.configure({ common: { server_version: 'short' }, log: { level: 'debug' } })
    rig.server.process.kill('SIGHUP')
    await until('it is read', () => rig.server.log().includes('configuration read again'))
    for (let attempt = 0; attempt < 4; attempt += 1) expect(await greetingOf(rig.port)).toContain('SFTPGoTS')
    const [one, two] = await rig.connectToBoth('ada')
    // A goodbye is a line of that level.
    for (const worker of [1, 2]) await (await rig.connectTo(worker, 'ben')).end()
    const goodbyes = (): number => rig.server.log().split('client says goodbye').length - 1
    await until('both tell', () => goodbyes() >= 2)
    // What is read each time it is needed disturbs nobody.
    rig.configure({ common: { server_version: 'short', upload_mode: 0 }, log: { level: 'info' } })
    rig.server.process.kill('SIGHUP')
    await until('it is read again', () => rig.server.log().split('configuration read again').length > 2)
    const upload = await (await rig.connectTo(two.worker, 'ben')).hold('/direct', some)
    expect(namesIn(rig.home('ben'))).toEqual(['direct'])
    await upload.close()
    await Promise.all([one.put('/one', some), two.put('/two', some)])
  })

  it('loses with a worker that is killed its sessions alone, replaces it, and delivers what it acknowledged', async () => {
    await using rig = await startWorkers({}, { ada: { max_sessions: 2 } })
    const [one, two] = await rig.connectToBoth('ada')
    const acknowledged = Array.from({ length: 20 }, (_, n) => `/a${n}`)
    await Promise.all(acknowledged.map((path) => one.put(path, some)))
    await one.hold('/cut', some)
    const kept = await two.hold('/kept', some)
    const pid = rig.workers().get(one.worker) ?? 0
    process.kill(pid, 'SIGKILL')
    await one.closed
    await kept.write(some)
    await kept.close()
    await until('it is replaced', () => {
      const next = rig.workers().get(one.worker)
      return next !== undefined && next !== pid
    })
    const uploads = (): readonly string[] =>
      rig.told().flatMap(({ action, path, status }) => (action === 'upload' ? [`${path} ${status}`] : []))
    await until('everything is told', () => uploads().length === acknowledged.length + 2)
    expect([...uploads()].sort()).toEqual(
      [...acknowledged.map((path) => `${path} 1`), '/cut 2', '/kept 1'].sort(),
    )
    // Its place among the user's sessions is free, and the hidden file of what was cut is swept.
    const again = await rig.connectTo(one.worker, 'ada')
    await again.put('/after', some)
    await until('the part is gone', () => namesIn(rig.home('ada')).every((name) => !name.startsWith('.')))
  })

  it('ends its workers when the main process is killed, and starts again at once', async () => {
    await using rig = await startWorkers()
    const [one] = await rig.connectToBoth('ada')
    await one.put('/done', some)
    await one.hold('/cut', some)
    const pids = [...rig.workers().values()]
    await rig.server.stop('SIGKILL')
    await rig.start()
    await until('the old workers are gone', () => pids.every((pid) => !lives(pid)), 3_000)
    await until('what was cut is told', () => rig.told().some(({ path }) => path === '/cut'))
    expect(rig.told().filter(({ path, status }) => path === '/done' && status === 1)).toHaveLength(2)
    await rig.connectToBoth('ada')
  })

  it('lets transfers in all of them end when it is told to stop, and leaves nobody behind', async () => {
    await using rig = await startWorkers({ common: { grace_time: 20 } })
    const [one, two] = await rig.connectToBoth('ada')
    const uploads = [await one.hold('/one', some), await two.hold('/two', some)]
    const pids = [...rig.workers().values()]
    rig.server.process.kill('SIGTERM')
    await until('it stops', () => rig.server.log().includes('stopping'))
    await until('nobody gets in', async () => (await greetingOf(rig.port)) === '')
    for (const upload of uploads) {
      await upload.write(some)
      await upload.close()
    }
    expect(await rig.server.ended).toBe(0)
    expect(pids.filter(lives)).toEqual([])
    expect(rig.told().filter(({ action, status }) => action === 'upload' && status === 1)).toHaveLength(2)
  })

  it('starts with the mistake of a worker when it cannot listen', async () => {
    await using rig = await startWorkers()
    using folder = temporaryDirectory()
    const config = folder.file('two.config.json')
    const sftpd = {
      bindings: [{ port: rig.port, address: '127.0.0.1' }],
      ...{ host_keys: ['id_ed25519'], workers: 2 },
    }
    writeFileSync(config, JSON.stringify({ sftpd }))
    const { status, stderr } = runCommand(['serve', '--config', config])
    expect(stderr).toContain(`Cannot listen on 127.0.0.1:${rig.port}`)
    expect(status).toBe(1)
  })
})

/** The first line of the server; empty when it hangs up without one, or does not take the connection. */
function greetingOf(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1')
    socket.end()
  })
  socket.on('error', () => {})
  return new Promise((resolve) => socket.once('close', () => resolve(text)))
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
