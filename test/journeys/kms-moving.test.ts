import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { RehearsalOutcome, RewrapOutcome, RotationOutcome } from '../../src/server/kms-operations.ts'
import { type FakeVault, startFakeVault } from '../helpers/fake-vault.ts'
import { sftpBatch, withoutOpenSsh } from '../helpers/openssh.ts'
import { runCommandBeside, startServerProcess, type ServerProcess } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { vaultEntry } from '../helpers/vault-plugin.ts'

const skipped = withoutOpenSsh === undefined ? '' : ` (skipped: ${withoutOpenSsh} is not installed)`
const password = 'Correct-Horse-9'

describe.skipIf(withoutOpenSsh !== undefined)(
  `the kms commands beside a running server and without one${skipped}`,
  { timeout: 90_000 },
  () => {
    it('move secrets from a local key over one plugin to another, and a passphrase to the next', async () => {
      await using old = await startFakeVault()
      await using next = await startFakeVault()
      using place = await setup(old, next)
      const { folder, command, json } = place
      place.configure('local://')
      const text = randomBytes(200_000)
      writeFileSync(folder.file('up'), text)
      writeFileSync(folder.file('first'), 'open sesame\n')
      writeFileSync(folder.file('second'), 'close sesame\n')
      let sealed = Buffer.alloc(0)
      {
        await using server = await place.serve()
        await command(['user', 'add', 'eve', '--passphrase-file', folder.file('first')], `${password}\n`)
        await sftp(server, folder.path, 'put up', 'get up back')
        sealed = readFileSync(place.home('up'))
      }

      // Without a server: the plugin that is needed is started for the command.
      place.configure('oldvault://k')
      expect(await json<RotationOutcome>('kms', 'rotate')).toMatchObject({ keeper: 'oldvault', rotated: 1 })
      expect(await json<RehearsalOutcome>('kms', 'rehearse')).toMatchObject({
        ok: true,
        sample: { files: 1 },
      })

      // With one: both plugins are configured, the old one opens, the next one seals.
      place.configure('newvault://k')
      {
        await using server = await place.serve()
        await sftp(server, folder.path, 'get up back')
        expect(await json<RehearsalOutcome>('kms', 'rehearse')).toMatchObject({
          ok: true,
          keeper: 'newvault',
        })
        expect(await json<RotationOutcome>('kms', 'rotate')).toMatchObject({
          ...{ keeper: 'newvault', rotated: 1, failed: [] },
        })
        old.deleteKey('k')
        expect(await json<RehearsalOutcome>('kms', 'rehearse')).toMatchObject({ ok: true, opened: 1 })
        await sftp(server, folder.path, 'get up back')
        expect(readFileSync(folder.file('back')).equals(text)).toBe(true)
        expect(readFileSync(place.home('up')).equals(sealed), 'contents stay as they are').toBe(true)

        await command(['user', 'set', 'eve', '--passphrase-file', folder.file('second')])
        const lost = await runCommandBeside(['kms', 'rehearse', '--config', place.config])
        expect(lost).toMatchObject({ status: 5, stdout: expect.stringContaining('(wrong-key)') })
        const rewrap = ['kms', 'rewrap', 'eve', '--earlier-passphrase-file', folder.file('first')]
        writeFileSync(place.home('theirs'), readFileSync(sftpgoFile))
        expect(await json<RewrapOutcome>(...rewrap)).toMatchObject({
          ...{ rewrapped: 1, already: 0, notOurs: 1, failed: [], finished: true },
        })
        expect(readFileSync(place.home('theirs')).equals(readFileSync(sftpgoFile))).toBe(true)
        await sftp(server, folder.path, 'get up back')
        expect(readFileSync(folder.file('back')).equals(text)).toBe(true)
        expect(server.log()).not.toMatch(/sesame/)
        for (const { token } of [old, next]) expect(server.log()).not.toContain(token)
      }
      place.configure('newvault://k', ['new'])
      expect(await json<RotationOutcome>('kms', 'rotate', '--all')).toMatchObject({ rotated: 1, failed: [] })
    })

    it('say which keeper does not work, with exit code 5, and change nothing', async () => {
      await using old = await startFakeVault()
      await using next = await startFakeVault()
      using place = await setup(old, next)
      const { folder, command } = place
      place.configure('oldvault://k')
      writeFileSync(folder.file('first'), 'open sesame\n')
      await using _ = await place.serve()
      await command(['user', 'add', 'eve', '--passphrase-file', folder.file('first')], `${password}\n`)
      old.sealed = true
      const rehearsed = await runCommandBeside(['kms', 'rehearse', '--config', place.config])
      expect(rehearsed.status).toBe(5)
      expect(rehearsed.stdout).toMatch(/keeper oldvault does not work: .* \(keeper-unavailable\)/)
      const rotated = await runCommandBeside(['kms', 'rotate', '--all', '--config', place.config])
      expect(rotated).toMatchObject({ status: 5, stdout: expect.stringContaining('(keeper-unavailable)') })
      old.sealed = false
      expect(await place.json<RotationOutcome>('kms', 'rotate', '--all')).toMatchObject({ rotated: 1 })
    })
  },
)

/** A file of SFTPGo's own format, of another passphrase. */
const sftpgoFile = join(import.meta.dirname, '../fixtures/sio/aes-70000.bin')

async function setup(old: FakeVault, next: FakeVault) {
  const folder = temporaryDirectory()
  const config = folder.file('test.config.json')
  for (const vault of [old, next]) vault.addKey('k')
  const plugins = [
    { ...(await vaultEntry(old, { scheme: 'oldvault', status: 'OldVault' })), name: 'old' },
    { ...(await vaultEntry(next, { scheme: 'newvault', status: 'NewVault' })), name: 'new' },
  ]
  const command = async (args: readonly string[], input?: string): Promise<string> => {
    const { status, stdout, stderr } = await runCommandBeside([...args, '--config', config], input)
    expect(status, `${args.join(' ')}: ${stdout}${stderr}`).toBe(0)
    return stdout
  }
  /** The JSON that a command printed. */
  const json = async <T>(...args: string[]): Promise<T> => JSON.parse(await command([...args, '--json'])) as T // looked at by the test
  mkdirSync(folder.file('state/homes'), { recursive: true, mode: 0o700 })
  return {
    ...{ folder, config, command, json },
    home: (name: string): string => folder.file(`state/homes/eve/${name}`),
    configure(url: string, names: readonly string[] = ['old', 'new']): void {
      const sftpd = { bindings: [{ port: 0, address: '127.0.0.1' }], host_keys: ['id_ed25519'] }
      const used = plugins.filter(({ name }) => names.includes(name))
      const kms = { secrets: { url } }
      writeFileSync(config, JSON.stringify({ state_dir: folder.file('state'), sftpd, kms, plugins: used }))
    },
    serve: (): Promise<ServerProcess> => startServerProcess(config),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

async function sftp({ port }: ServerProcess, cwd: string, ...batch: string[]): Promise<void> {
  const { status, output } = await sftpBatch({ port, username: 'eve', password, batch, cwd })
  expect(status, output).toBe(0)
}
