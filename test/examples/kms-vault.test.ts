import { mkdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createTransit, readTransitSettings } from '../../examples/kms-vault/transit.ts'
import { connectControl } from '../../src/control/control-client.ts'
import type { RehearsalOutcome, RotationOutcome } from '../../src/server/kms-operations.ts'
import { openTestPlugin } from '../../src/sdk/test-plugin.ts'
import { kmsCases } from '../../src/slots/kms/cases.ts'
import { startFakeVault } from '../helpers/fake-vault.ts'
import { startServer } from '../helpers/start-server.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'
import { vaultEntry } from '../helpers/vault-plugin.ts'

const never = new AbortController().signal

describe('examples/kms-vault over a fake of transit', () => {
  it.each(kmsCases)('$promise', async (one) => {
    await using vault = await startFakeVault()
    vault.addKey('k')
    const settings = readTransitSettings({ url: vault.url, token: vault.token })
    await using served = await openTestPlugin('kms', createTransit(settings, never))
    expect(await one.run(served.api, { url: 'hashivault://k' })).toBe('kept')
  })

  it('takes the key of its settings where the address names none', async () => {
    await using vault = await startFakeVault()
    vault.addKey('usual')
    const keeper = createTransit(
      readTransitSettings({ url: vault.url, token: vault.token, key: 'usual' }),
      never,
    )
    const request = { additionalData: 'ada', url: 'hashivault://', masterKey: '' }
    const sealed = await keeper.seal({ ...request, payload: 'x' })
    expect(sealed.payload).toMatch(/^vault:v1:/)
    expect(await keeper.open({ ...request, ...sealed })).toBe('x')
  })

  it('tells a Vault that is away or sealed from one that says no', async () => {
    const vault = await startFakeVault()
    vault.addKey('k')
    const request = { payload: 'x', additionalData: '', url: 'hashivault://k', masterKey: '' }
    const keeper = createTransit(readTransitSettings({ url: vault.url, token: vault.token }), never)
    const stranger = createTransit(readTransitSettings({ url: vault.url, token: 'guessed' }), never)
    const refusal = await stranger.seal(request).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(Error)
    expect(refusal).not.toHaveProperty('code')
    expect(String(refusal)).toContain('403')
    vault.sealed = true
    await expect(keeper.seal(request)).rejects.toMatchObject({ code: 'failed' })
    await vault[Symbol.asyncDispose]()
    await expect(keeper.seal(request)).rejects.toMatchObject({ code: 'failed' })
  })

  it.each([
    [{ token: 'x' }, 'settings.url'],
    [{ url: 'ftp://x', token: 'x' }, 'settings.url'],
    [{ url: 'http://x' }, 'settings.token'],
  ])('says what is missing in %j', (settings, what) => {
    expect(() => readTransitSettings(settings)).toThrow(what)
  })
})

describe('a secret sealed by examples/kms-vault', () => {
  it('opens after a restart of everything, and moves to a scheme of its own while both are configured', async () => {
    await using vault = await startFakeVault()
    await using other = await startFakeVault()
    vault.addKey('one')
    other.addKey('two')
    using folder = temporaryDirectory()
    mkdirSync(folder.path, { recursive: true })
    const hashivault = await vaultEntry(vault)
    const own = await vaultEntry(other, { scheme: 'ourvault', status: 'OurVault' })
    const secrets = { url: 'hashivault://one' }
    const moved = { url: 'ourvault://two' }

    await run(folder.path, { plugins: [hashivault], kms: { secrets } }, async (ask) => {
      const passphrase = { status: 'Plain', payload: 'open sesame' }
      const record = { filesystem: { provider: 4, cryptconfig: { passphrase } } }
      await ask('user add', { username: 'eve', password: 'Correct-Horse-9', record, actor: 'test' })
      const [rehearsal] = await ask('kms rehearse', {})
      expect(rehearsal).toMatchObject({ rehearsal: { ok: true, keeper: 'hashivault', opened: 1 } })
    })
    const both = { plugins: [hashivault, own], kms: { secrets: moved } }
    await run(folder.path, both, async (ask) => {
      // Sealed under the old address, which is configured no more.
      const before = (await ask('kms rehearse', {}))[0] as { rehearsal: RehearsalOutcome } // as it answers
      expect(before.rehearsal).toMatchObject({ ok: true, keeper: 'ourvault', opened: 1 })
      const items = await ask('kms rotate', {})
      const last = items.at(-1) as { rotation: RotationOutcome } // as it answers
      expect(last.rotation).toMatchObject({ rotated: 1, failed: [] })
    })
    vault.deleteKey('one')
    await run(folder.path, { plugins: [own], kms: { secrets: moved } }, async (ask) => {
      const [rehearsal] = await ask('kms rehearse', {})
      expect(rehearsal).toMatchObject({ rehearsal: { ok: true, opened: 1, failed: [] } })
    })
  })
})

/** Runs a server in `folder` while `action` asks it things; answers that come in parts come as a list. */
async function run(
  folder: string,
  settings: Readonly<Record<string, unknown>>,
  action: (ask: (operation: string, input: object) => Promise<unknown[]>) => Promise<void>,
): Promise<void> {
  await using server = await startServer(settings, {}, folder)
  const control = await connectControl(`${server.folder}/test.config.state/control.sock`)
  try {
    await action(async (operation, input) => {
      const items: unknown[] = []
      for await (const item of control?.follow(operation, input) ?? []) items.push(item)
      return items
    })
  } finally {
    control?.close()
  }
}
