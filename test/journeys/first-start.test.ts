import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { sftpBatch, withoutOpenSsh } from '../helpers/openssh.ts'
import { runCommand, startServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const skipped = withoutOpenSsh === undefined ? '' : ` (skipped: ${withoutOpenSsh} is not installed)`

describe('the first start', () => {
  it.skipIf(withoutOpenSsh !== undefined)(
    `lets a newcomer put, list and get a file with the printed line${skipped}`,
    async () => {
      using folder = temporaryDirectory()
      const config = folder.file('one.config.json')
      expect(runCommand(['init', config, '--port', '0']).status).toBe(0)
      await using server = await startServerProcess(config)

      expect(server.screen.split('\n').length).toBeLessThanOrEqual(24)
      expect(server.screen).toMatch(/Host key +SHA256:\S{43} \(ssh-ed25519\)/)
      expect(server.screen).toMatch(/Try it +sftp -P \d+ demo@127\.0\.0\.1/)
      for (const slot of ['auth', 'notifier', 'kms', 'ipfilter'])
        expect(server.screen).toContain(`${slot}: empty`)

      const bytes = randomBytes(300_000)
      writeFileSync(folder.file('up'), bytes)
      const { status, output } = await sftpBatch({
        port: server.port,
        password: server.password ?? '',
        batch: ['put up', 'ls -l', 'get up down', 'rm up'],
        cwd: folder.path,
      })
      expect(output).toContain('300000')
      expect(status).toBe(0)
      expect(readFileSync(folder.file('down')).equals(bytes)).toBe(true)
      expect(await server.stop()).toBe(0)
    },
  )

  it('keeps the password as a hash only, and its state to itself', async () => {
    using folder = temporaryDirectory()
    const config = folder.file('one.config.json')
    runCommand(['init', config, '--port', '0'])
    await using server = await startServerProcess(config)
    await server.stop()
    expect(server.password).toMatch(/^[A-Za-z0-9]{16}$/)
    expect(server.log()).not.toContain(server.password)
    const database = readFileSync(folder.file('one.config.state/sftpgo.db'))
    expect(database.includes(server.password ?? '')).toBe(false)
    expect(database.includes('$argon2id$')).toBe(true)
    for (const path of ['one.config.state', 'certs']) expect(statSync(folder.file(path)).mode & 0o077).toBe(0)
    expect(statSync(folder.file('certs/id_ed25519')).mode & 0o777).toBe(0o600)
  })

  it(
    'is followed by warm ones: no account is made, and they are ready within two seconds',
    { timeout: 60_000 },
    async () => {
      using folder = temporaryDirectory()
      const config = folder.file('one.config.json')
      runCommand(['init', config, '--port', '0'])
      await using first = await startServerProcess(config)
      await first.stop()
      // Other tests use the processors too: how long a start takes is what it takes at its best, or, where it never had
      // a processor to itself, what it used of one.
      const times: number[] = []
      for (let start = 0; start < 3 && !times.some((ms) => ms < 2000); start += 1) {
        await using warm = await startServerProcess(config)
        expect(warm.password).toBeUndefined()
        expect(warm.screen).toContain('sftp -P')
        times.push(warm.readyMs, processorMs(warm.process.pid))
        expect(await warm.stop('SIGINT')).toBe(0)
      }
      expect(Math.min(...times)).toBeLessThan(2000)
    },
  )
})

/** What a process and its ended children have used of the processors; infinite where the kernel does not tell. */
function processorMs(pid = 0): number {
  if (!existsSync(`/proc/${pid}/stat`)) return Number.POSITIVE_INFINITY
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // Fields 14 to 17, counted after the name, in hundredths of a second.
  const ticks = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
  return ticks.reduce((sum, each) => sum + Number(each) * 10, 0)
}
