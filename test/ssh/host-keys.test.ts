import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/base/log.ts'
import { fingerprintOf, loadHostKeys, type HostKeySource } from '../../src/ssh/host-keys.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { newHostKey } from '../../src/ssh/new-host-key.ts'
import { rawLibrary } from './raw-client.ts'

const without = spawnSync('ssh-keygen', ['-?']).error !== undefined
const skipped = without ? ' (skipped: ssh-keygen is missing)' : ''

const modern = (type: string): boolean => type === 'ssh-ed25519' || type === 'ssh-rsa'

describe('host keys', () => {
  it('are made on the first start, readable by nobody else, and stay the same on the second', async () => {
    using folder = temporaryDirectory()
    const first = await load({ files: [], folder: `${folder.path}/keys`, allowed: modern })
    expect(first.map((key) => key.type)).toEqual(['ssh-ed25519', 'ssh-rsa'])
    for (const name of ['id_ed25519', 'id_rsa'])
      expect(statSync(`${folder.path}/keys/${name}`).mode & 0o777).toBe(0o600)
    expect(readdirSync(`${folder.path}/keys`).sort()).toEqual(['id_ed25519', 'id_rsa'])
    const second = await load({ files: [], folder: `${folder.path}/keys`, allowed: modern })
    expect(second.map((key) => fingerprintOf(key.publicBlob))).toEqual(
      first.map((key) => fingerprintOf(key.publicBlob)),
    )
  })

  it.skipIf(without)(
    `have the fingerprints that ssh-keygen prints, and RSA has 3072 bits${skipped}`,
    async () => {
      using folder = temporaryDirectory()
      const keys = await load({ files: [], folder: folder.path, allowed: modern })
      for (const [index, name] of ['id_ed25519', 'id_rsa'].entries()) {
        const printed = execFileSync('ssh-keygen', ['-lf', folder.file(name)], { encoding: 'utf8' })
        expect(printed).toContain(fingerprintOf(keys[index]!.publicBlob))
        if (name === 'id_rsa') expect(printed).toMatch(/^3072 /)
      }
    },
  )

  it.skipIf(without)(
    `that ssh-keygen made are read: OpenSSH's own form and PEM, ECDSA where it is allowed${skipped}`,
    async () => {
      using folder = temporaryDirectory()
      const make = (name: string, ...more: string[]): void =>
        void execFileSync('ssh-keygen', ['-q', '-N', '', '-f', folder.file(name), ...more])
      make('ed', '-t', 'ed25519')
      make('rsa', '-t', 'rsa', '-b', '2048', '-m', 'PEM')
      make('ec', '-t', 'ecdsa', '-b', '384')
      const files = ['ed', 'rsa', 'ec']
      const keys = await load({ files, folder: folder.path, allowed: () => true })
      expect(keys.map((key) => key.type)).toEqual(['ssh-ed25519', 'ssh-rsa', 'ecdsa-sha2-nistp384'])
      for (const [index, name] of files.entries()) {
        const [, blob = ''] = readFileSync(folder.file(`${name}.pub`), 'utf8').split(' ')
        expect(keys[index]?.publicBlob.toString('base64')).toBe(blob)
      }
      await expect(load({ files, folder: folder.path, allowed: modern })).rejects.toThrow('is not offered')
    },
  )

  it.skipIf(without)(
    `made by us are taken by ssh-keygen, those with a zero at the beginning too${skipped}`,
    async () => {
      using folder = temporaryDirectory()
      const library = await rawLibrary()
      const isRare = (text: string): boolean => library.parseHostKey(text).publicBlob[19] === 0
      let rare = newHostKey('ed25519')
      for (let tries = 0; tries < 5000 && !isRare(rare); tries += 1) rare = newHostKey('ed25519')
      const keys = {
        rare,
        ed25519: newHostKey('ed25519'),
        rsa: newHostKey('rsa'),
        ecdsa: newHostKey('ecdsa'),
      }
      for (const [name, text] of Object.entries(keys)) {
        writeFileSync(folder.file(name), text, { mode: 0o600 })
        const key = library.parseHostKey(text)
        const printed = execFileSync('ssh-keygen', ['-yf', folder.file(name)], { encoding: 'utf8' })
        expect(printed.split(' ')[1]?.trim(), name).toBe(key.publicBlob.toString('base64'))
      }
    },
  )

  it('that others could read are closed to them', async () => {
    using folder = temporaryDirectory()
    await load({ files: ['id_ed25519'], folder: folder.path, allowed: modern })
    chmodSync(folder.file('id_ed25519'), 0o644)
    await load({ files: ['id_ed25519'], folder: folder.path, allowed: modern })
    expect(statSync(folder.file('id_ed25519')).mode & 0o777).toBe(0o600)
  })

  it("that are missing or no keys are refused with the file's name", async () => {
    using folder = temporaryDirectory()
    const one = (name: string): Promise<unknown> =>
      load({ files: [name], folder: folder.path, allowed: modern })
    await expect(one('my_key')).rejects.toMatchObject({ code: 'file-unreadable' })
    writeFileSync(folder.file('junk'), 'not a key', { mode: 0o600 })
    await expect(one('junk')).rejects.toThrow(/Cannot use the host key ".*junk"/)
  })

  it.skipIf(without)(`that are encrypted or public are refused with the file's name${skipped}`, async () => {
    using folder = temporaryDirectory()
    const one = (name: string): Promise<unknown> =>
      load({ files: [name], folder: folder.path, allowed: modern })
    execFileSync('ssh-keygen', ['-q', '-N', 'secret', '-t', 'ed25519', '-f', folder.file('locked')])
    await expect(one('locked')).rejects.toThrow(/Cannot use the host key ".*locked"/)
    writeFileSync(folder.file('public'), readFileSync(folder.file('locked.pub')), { mode: 0o600 })
    await expect(one('public')).rejects.toThrow('no private key')
  })

  it('made by two starts at once are the same', async () => {
    using folder = temporaryDirectory()
    const source = { files: ['id_ed25519'], folder: folder.path, allowed: modern }
    const both = await Promise.all([load(source), load(source)])
    const [one, two] = both.map((keys) => fingerprintOf(keys[0]!.publicBlob))
    expect(one).toBe(two)
  })

  it('are not waited for: a pipe, a device and a place that takes nothing end with a reason', async () => {
    using folder = temporaryDirectory()
    execFileSync('mkfifo', [folder.file('pipe')])
    writeFileSync(folder.file('huge'), '')
    truncateSync(folder.file('huge'), 2 ** 30)
    const reasons: Readonly<Record<string, string>> = {
      [folder.file('pipe')]: 'it is not a regular file',
      [folder.path]: 'it is not a regular file',
      [folder.file('huge')]: 'it is larger than 65536 bytes',
      '/dev/zero': 'it is not a regular file',
      '/proc/none/id_ed25519': "mkdir '/proc/none'",
      '/dev/null/id_rsa': 'ENOTDIR',
    }
    for (const [path, reason] of Object.entries(reasons))
      await expect(load({ files: [path], folder: folder.path, allowed: modern })).rejects.toMatchObject({
        code: 'file-unreadable',
        message: expect.stringMatching(`host key "${path}".*${reason}`),
      })
  })
})

async function load(source: HostKeySource) {
  return loadHostKeys(await rawLibrary(), source, silentLogger)
}
