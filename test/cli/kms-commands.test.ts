import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { virtualPath } from '../../src/base/virtual-path.ts'
import type { RehearsalOutcome, RewrapOutcome, RotationOutcome } from '../../src/server/kms-operations.ts'
import { createEncryptedBackend } from '../../src/storage/encrypted.ts'
import { intent } from '../../src/storage/cases/backend-case.ts'
import { openLocalBackend } from '../../src/storage/local.ts'
import { userKeyOf } from '../../src/storage/user-key.ts'
import { connectControl } from '../../src/control/control-client.ts'
import { startFakeVault } from '../helpers/fake-vault.ts'
import { startServer } from '../helpers/start-server.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { vaultEntry } from '../helpers/vault-plugin.ts'

/** A state folder, a configuration that can be exchanged, and commands on them in this process. */
function setup() {
  const folder = temporaryDirectory()
  const file = folder.file('test.config.json')
  const configure = (kms: object, plugins: readonly object[] = []): void =>
    writeFileSync(file, JSON.stringify({ state_dir: folder.file('state'), kms, plugins }))
  async function command(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const said = { out: '', err: '' }
    const out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      said.out += String(text)
      return true
    })
    const err = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      said.err += String(text)
      return true
    })
    try {
      return { code: await run([...args, '--config', file]), ...said }
    } finally {
      out.mockRestore()
      err.mockRestore()
    }
  }
  return {
    ...{ folder, file, configure, command },
    progress: folder.file('state/kms-rotation.json'),
    async addUser(name: string): Promise<void> {
      writeFileSync(folder.file('passphrase'), `open sesame for ${name}\n`)
      const added = await command(
        ...['user', 'add', name, '--no-password', '--passphrase-file', folder.file('passphrase')],
      )
      expect(added.code, added.err).toBe(0)
    },
    async upload(name: string): Promise<string> {
      const root = folder.file(`state/homes/${name}`)
      mkdirSync(root, { recursive: true })
      const key = await userKeyOf(Buffer.from(`open sesame for ${name}`))
      const backend = createEncryptedBackend({
        base: openLocalBackend({ root }),
        keys: { userKey: () => key },
      })
      const open = await backend.open(virtualPath('/file'), intent())
      await open.write([randomBytes(100_000)], 0)
      await open.close()
      await backend.close()
      return join(root, 'file')
    },
    /** The JSON that a command printed. */
    async json<T>(...args: string[]): Promise<T> {
      return JSON.parse((await command(...args, '--json')).out) as T // looked at by the test
    },
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

describe('kms rotate and rehearse, where no server runs', () => {
  it('move every secret to another keeper and leave the files as they are', async () => {
    using place = setup()
    place.configure({ secrets: { url: 'local://' } })
    for (const name of ['ada', 'bob', 'eve']) await place.addUser(name)
    const file = await place.upload('ada')
    const before = readFileSync(file)

    place.configure({ secrets: { url: 'builtin://' } })
    expect(await place.json<RotationOutcome>('kms', 'rotate')).toEqual({
      ...{ keeper: 'builtin', rotated: 3, kept: 0, readOnly: [], failed: [] },
      ...{ resumedAfter: '', finished: true },
    })
    expect(await place.json<RotationOutcome>('kms', 'rotate')).toMatchObject({ rotated: 0, kept: 3 })
    expect(readFileSync(file).equals(before)).toBe(true)
    const rehearsal = await place.json<RehearsalOutcome>('kms', 'rehearse')
    expect(rehearsal).toMatchObject({
      ok: true,
      keeper: 'builtin',
      opened: 3,
      sample: { files: 1, failed: [] },
    })
  })

  it('say which secrets and which files do not open any more', async () => {
    using place = setup()
    place.configure({ secrets: { url: 'local://', master_key: 'the first master key' } })
    await place.addUser('ada')
    const file = await place.upload('ada')
    const bytes = readFileSync(file)
    bytes[200] = (bytes[200] ?? 0) ^ 1
    writeFileSync(file, bytes)
    const spoilt = await place.command('kms', 'rehearse')
    expect(spoilt.code).toBe(5)
    expect(spoilt.out).toContain('user/ada:/file')
    expect(spoilt.out).toContain('(corrupted)')

    place.configure({ secrets: { url: 'local://', master_key: 'quite another key' } })
    const lost = await place.json<RehearsalOutcome>('kms', 'rehearse')
    expect(lost).toMatchObject({
      ok: false,
      opened: 0,
      failed: [{ place: 'user/ada/filesystem.cryptconfig.passphrase', code: 'wrong-key' }],
    })
    const rotated = await place.json<RotationOutcome>('kms', 'rotate', '--all')
    expect(rotated).toMatchObject({ rotated: 0, failed: [{ code: 'wrong-key' }] })
    expect(JSON.stringify([lost, rotated, spoilt])).not.toContain('sesame')
  })

  it('open what lies under an earlier key, also after the user was changed', async () => {
    await using vault = await startFakeVault()
    for (const key of ['old', 'new']) vault.addKey(key)
    const plugins = [await vaultEntry(vault)]
    using place = setup()
    place.configure({ secrets: { url: 'hashivault://old' } }, plugins)
    await place.addUser('ada')
    place.configure({ secrets: { url: 'hashivault://new' } }, plugins)
    expect((await place.command('user', 'set', 'ada', 'description=changed')).code).toBe(0)
    expect(await place.json<RehearsalOutcome>('kms', 'rehearse')).toMatchObject({ ok: true, opened: 1 })
    expect(await place.json<RotationOutcome>('kms', 'rotate')).toMatchObject({ rotated: 1 })
    vault.deleteKey('old')
    expect(await place.json<RehearsalOutcome>('kms', 'rehearse')).toMatchObject({ ok: true, opened: 1 })
  })

  it('go on where a round over everything was cut', async () => {
    using place = setup()
    place.configure({ secrets: { url: 'builtin://' } })
    for (const name of ['ada', 'bob', 'eve']) await place.addUser(name)
    const after = 'user/bob/filesystem.cryptconfig.passphrase'
    // As a process that was killed after "bob" leaves it.
    writeFileSync(place.progress, JSON.stringify({ url: 'builtin://', after, failed: [] }))
    const { resumedAfter, rotated } = await place.json<RotationOutcome>('kms', 'rotate', '--all')
    expect({ resumedAfter, rotated }).toEqual({ resumedAfter: after, rotated: 1 })
    expect(existsSync(place.progress)).toBe(false)
    expect(await place.json<RotationOutcome>('kms', 'rotate', '--all')).toMatchObject({ rotated: 3 })
  })

  it('keep a mark while a keeper fails, and take the failed ones up again', async () => {
    await using vault = await startFakeVault()
    vault.addKey('k')
    using place = setup()
    place.configure({ secrets: { url: 'local://' } })
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) await place.addUser(name)
    place.configure({ secrets: { url: 'hashivault://k' } }, [await vaultEntry(vault)])
    vault.sealed = true
    const cut = await place.json<RotationOutcome>('kms', 'rotate', '--all')
    expect(cut).toMatchObject({ finished: false, rotated: 0 })
    expect(cut.failed.map(({ code }) => code)).toEqual(Array(5).fill('keeper-unavailable'))
    expect(JSON.parse(readFileSync(place.progress, 'utf8'))).toMatchObject({ url: 'hashivault://k' })
    vault.sealed = false
    const rest = await place.json<RotationOutcome>('kms', 'rotate', '--all')
    expect(rest).toMatchObject({ finished: true, rotated: 7, failed: [] })
  })
})

describe('kms rewrap', () => {
  it('gives the files of a user to a new passphrase and leaves their contents and times as they are', async () => {
    using place = setup()
    place.configure({ secrets: { url: 'local://' } })
    await place.addUser('ada')
    const file = await place.upload('ada')
    const [before, { mtimeMs }] = [readFileSync(file), statSync(file)]
    writeFileSync(place.folder.file('new'), 'another passphrase\n')
    expect(
      (await place.command('user', 'set', 'ada', '--passphrase-file', place.folder.file('new'))).code,
    ).toBe(0)
    expect(await place.json<RehearsalOutcome>('kms', 'rehearse')).toMatchObject({
      sample: { failed: [{ code: 'wrong-key' }] },
    })

    const rewrap = ['kms', 'rewrap', 'ada', '--earlier-passphrase-file', place.folder.file('passphrase')]
    expect(await place.json<RewrapOutcome>(...rewrap)).toMatchObject({
      ...{ owner: 'user/ada', rewrapped: 1, already: 0, failed: [], finished: true },
    })
    expect(await place.json<RehearsalOutcome>('kms', 'rehearse')).toMatchObject({ ok: true })
    expect(readFileSync(file).subarray(96).equals(before.subarray(96))).toBe(true)
    // SFTP's own times, in which files are set, are whole seconds.
    expect(Math.floor(statSync(file).mtimeMs / 1000)).toBe(Math.floor(mtimeMs / 1000))
    // As after a round that was cut: what is done is seen and left.
    expect(await place.json<RewrapOutcome>(...rewrap)).toMatchObject({ rewrapped: 0, already: 1 })
  })

  it('says which files have neither passphrase, and who has no encrypted files', async () => {
    using place = setup()
    place.configure({ secrets: { url: 'local://' } })
    await place.addUser('ada')
    await place.upload('ada')
    for (const [name, text] of [
      ['new', 'another passphrase'],
      ['wrong', 'never used'],
    ] as const)
      writeFileSync(place.folder.file(name), text)
    await place.command('user', 'set', 'ada', '--passphrase-file', place.folder.file('new'))
    const wrong = ['--earlier-passphrase-file', place.folder.file('wrong')]
    const { code, out } = await place.command('kms', 'rewrap', 'ada', ...wrong)
    expect({ code, out }).toEqual({ code: 5, out: expect.stringMatching(/\/file: .*\(wrong-key\)/) })
    expect((await place.command('kms', 'rewrap', 'nobody', ...wrong)).code).not.toBe(0)
    expect((await place.command('kms', 'rewrap', 'ada')).code).toBe(2)
  })
})

describe('kms rotate and rehearse, in a running server', () => {
  it('seal by the plugin of that server, with progress', async () => {
    await using vault = await startFakeVault()
    vault.addKey('k')
    await using server = await startServer({
      plugins: [await vaultEntry(vault)],
      kms: { secrets: { url: 'hashivault://k' } },
    })
    const control = await connectControl(join(server.folder, 'test.config.state/control.sock'))
    const passphrase = { status: 'Plain', payload: 'open sesame' }
    const filesystem = { provider: 4, cryptconfig: { passphrase } }
    await control?.ask('user add', { username: 'eve', password: 'x-Long-1-enough', record: { filesystem } })
    const items: unknown[] = []
    for await (const item of control?.follow('kms rotate', { all: true }) ?? []) items.push(item)
    for await (const item of control?.follow('kms rehearse', { files: 2 }) ?? []) items.push(item)
    control?.close()
    expect(items).toMatchObject([
      { progress: { done: 1, total: 1, place: 'user/eve/filesystem.cryptconfig.passphrase' } },
      { rotation: { keeper: 'hashivault', rotated: 1, finished: true } },
      { rehearsal: { ok: true, keeper: 'hashivault', opened: 1 } },
    ])
  })
})
