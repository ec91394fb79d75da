import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { isRunning, misbehaving, openTestHost } from '../helpers/plugin-host.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const here = { address: '127.0.0.1', protocol: 'SSH' }
const tools = ['/usr/bin/setpriv', '/usr/bin/prlimit'].every((path) => existsSync(path))
const sealing = process.platform === 'linux' && process.env['SFTPGO_TS_NATIVE'] !== '0'
const asRoot = process.getuid?.() === 0
const why = !tools
  ? ' (skipped: needs setpriv and prlimit)'
  : !sealing
    ? ' (skipped: needs sealed memory)'
    : ''

// Only root can become somebody else. Who is not root shows that it is refused.
if (asRoot) describe('a plugin that runs as another user (S-65)', asAnotherUser)
else
  it('a plugin that runs as another user is refused by a server that is not root', async () => {
    await using it = await openTestHost([await misbehaving('polite', { runAs: 'nobody' })])
    await it.host.settled()
    expect(it.status().reason?.message).toMatch(/only a server started as root/)
  })

function asAnotherUser(): void {
  it.skipIf(why !== '')(`is that user for good, alone in its socket folder, and answers${why}`, async () => {
    await using it = await openTestHost([await misbehaving('polite', { runAs: '65534:65534' })])
    await it.host.settled()
    expect(it.status()).toMatchObject({ state: 'ready' })
    expect(await it.host.ask('ipfilter', 'it').check(here)).toEqual({ allowed: true })
    const { pid = 0 } = it.status()
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    expect(status).toMatch(/^Uid:\t65534\t65534\t65534\t65534$/m)
    expect(status).toMatch(/^Gid:\t65534\t65534\t65534\t65534$/m)
    expect(status).toMatch(/^Groups:\t\s*$/m)
    expect(status).toMatch(/^NoNewPrivs:\t1$/m)
    expect(status).toMatch(/^CapEff:\t0{16}$/m)
    const [, folder = ''] =
      /PLUGIN_UNIX_SOCKET_DIR=([^\0]+)/.exec(readFileSync(`/proc/${pid}/environ`, 'latin1')) ?? []
    expect(statSync(folder)).toMatchObject({ uid: 65534 })
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    await it.host.close()
    expect(await isRunning(pid)).toBe(false)
    expect(existsSync(folder)).toBe(false)
  })

  it.skipIf(why !== '')(`cannot read what the server alone may read${why}`, async () => {
    using folder = temporaryDirectory()
    const key = folder.file('key')
    writeFileSync(key, 'a host key', { mode: 0o600 })
    const said = async (more: { readonly runAs?: string }): Promise<string | undefined> => {
      const entry = await misbehaving('reads-file', { args: ['reads-file', key], ...more })
      await using it = await openTestHost([entry])
      await it.host.settled()
      return it.host.recentOutput('it')[0]?.message
    }
    expect(await said({ runAs: 'nobody' })).toBe('[INFO] EACCES')
    expect(await said({})).toBe('[INFO] read a host key')
  })

  it.skipIf(why !== '')(`never runs as somebody else than its entry says${why}`, async () => {
    for (const [more, says] of [
      [{ runAs: 'no-such-user' }, /this machine has no user "no-such-user"/],
      [{ runAs: 'root' }, /names root, which is no confinement/],
      [{ runAs: 'nobody', runFrom: 'file' }, /only sealed memory goes with "run_as"/],
    ] as const) {
      await using it = await openTestHost([await misbehaving('polite', more)])
      await it.host.settled()
      expect(it.status()).toMatchObject({
        state: 'failed',
        reason: { code: 'cannot-confine', message: expect.stringMatching(says) },
      })
    }
  })
}

describe('a plugin that asks for nothing', () => {
  it.skipIf(why !== '')(`leaves no core file, and has what the server has (S-69)${why}`, async () => {
    await using it = await openTestHost([await misbehaving('polite')])
    await it.host.settled()
    const limitsOf = (pid: number | string) => readFileSync(`/proc/${pid}/limits`, 'latin1').split('\n')
    const [own, its] = [limitsOf('self'), limitsOf(it.status().pid ?? 0)]
    expect(its.find((line) => line.startsWith('Max core'))).toMatch(/^Max core file size\s+0\s+0\s/)
    expect(its.filter((line) => !line.startsWith('Max core'))).toEqual(
      own.filter((line) => !line.startsWith('Max core')),
    )
  })
})

describe('a plugin with limits', () => {
  it.skipIf(why !== '')(`has them, and leaves no core file${why}`, async () => {
    const limits = { files: 100, ...(asRoot && { processes: 60 }) }
    const entry = await misbehaving('polite', { limits, ...(asRoot && { runAs: 'nobody' }) })
    await using it = await openTestHost([entry])
    await it.host.settled()
    expect(it.status()).toMatchObject({ state: 'ready' })
    const kept = readFileSync(`/proc/${it.status().pid}/limits`, 'latin1')
    expect(kept).toMatch(/^Max open files\s+100\s+100\s/m)
    expect(kept).toMatch(/^Max core file size\s+0\s+0\s/m)
    if (asRoot) expect(kept).toMatch(/^Max processes\s+60\s+60\s/m)
  })
})
