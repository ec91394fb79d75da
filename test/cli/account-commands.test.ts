import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

afterEach(() => void vi.restoreAllMocks())

/** Runs commands beside each other's state, without a server; what each prints with `--json`. */
function commands(folder: string): (words: string) => Promise<unknown> {
  const config = join(folder, 'test.config.json')
  writeFileSync(config, '{}')
  return async (words) => {
    const said: string[] = []
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      said.push(String(text))
      return true
    })
    const code = await run([...words.split(' '), '--json', '--config', config])
    vi.restoreAllMocks()
    expect(code, words).toBe(0)
    return JSON.parse(said.join(''))
  }
}

describe('what commands about accounts print for programs', () => {
  it('is one JSON document each', { timeout: 60_000 }, async () => {
    using folder = temporaryDirectory()
    const json = commands(folder.path)
    const keyFile = folder.file('key.pub')
    const base64 = 'AAAAC3NzaC1lZDI1NTE5AAAAIJ2mW4HF0ZrcQFGQeGtbaGdzKCXa6aLrnPDhhkMOTL6O'
    writeFileSync(keyFile, `ssh-ed25519 ${base64} laptop\n`)
    expect(await json('user add ada --no-password')).toMatchObject({ username: 'ada', status: 1 })
    expect(await json('user set ada max_sessions=3')).toMatchObject({ username: 'ada', max_sessions: 3 })
    const added = await json(`user key add ada ${keyFile}`)
    expect(added).toEqual({ username: 'ada', fingerprint: expect.stringMatching(/^SHA256:/) })
    const { fingerprint } = added as { fingerprint: string } // as just checked
    expect(await json(`user key remove ada ${fingerprint}`)).toEqual({
      username: 'ada',
      removed: fingerprint,
    })
    expect(await json('user totp add ada')).toEqual({
      ...{ username: 'ada', secret: expect.stringMatching(/^[A-Z2-7]{32}$/) },
      uri: expect.stringMatching(/^otpauth:\/\/totp\/sftpgo-ts:ada\?secret=[A-Z2-7]{32}&issuer=sftpgo-ts/),
    })
    expect(await json('user totp remove ada')).toEqual({ username: 'ada', removed: 'totp' })
    expect(await json('user disable ada')).toEqual({ username: 'ada', status: 0 })
    expect(await json('user show ada')).toMatchObject({ username: 'ada', status: 0 })
    expect(await json('user enable ada')).toEqual({ username: 'ada', status: 1 })
    expect(await json('user list')).toMatchObject([{ username: 'ada' }])
    expect(await json('user remove ada')).toEqual({ username: 'ada', removed: true })
    expect(await json('ban add 192.0.2.7 --minutes 5')).toEqual({ address: '192.0.2.7', minutes: 5 })
    expect(await json('ban list')).toMatchObject([{ address: '192.0.2.7' }])
    expect(await json('ban remove 192.0.2.7')).toEqual({ address: '192.0.2.7', removed: true })
    const rule = { list: 'deny', network: '203.0.113.0/24' }
    expect(await json('address add deny 203.0.113.0/24')).toEqual({ ...rule, note: '' })
    expect(await json('address list')).toMatchObject([rule])
    expect(await json('address remove deny 203.0.113.0/24')).toEqual({ ...rule, removed: true })
  })

  it('is a mistake in the usage where a time of a ban is none', async () => {
    using folder = temporaryDirectory()
    const config = folder.file('test.config.json')
    writeFileSync(config, '{}')
    vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    expect(await run(['ban', 'add', '192.0.2.7', '--minutes', 'soon', '--config', config])).toBe(2)
  })
})
