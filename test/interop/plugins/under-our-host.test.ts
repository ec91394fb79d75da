import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PluginEntry } from '../../../src/host/plugin-entry.ts'
import type { SlotName } from '../../../src/slots/index.ts'
import type { FileNotice } from '../../../src/slots/notifier/contract.ts'
import { openTestHost } from '../../helpers/plugin-host.ts'
import { buildPlugin, until } from '../../helpers/plugin-process.ts'
import { temporaryDirectory } from '../../helpers/temporary-directory.ts'
import { buildGoPrograms } from './toolchain.ts'

const built = buildGoPrograms()
const goFolder = 'folder' in built ? built.folder : ''
const reason = 'missing' in built ? ` (skipped: ${built.missing})` : ''
const slotNames: readonly SlotName[] = ['auth', 'notifier', 'kms', 'ipfilter']
// Elsewhere, and without native code, what runs is a private file.
const sealed = process.platform === 'linux' && process.env['SFTPGO_TS_NATIVE'] !== '0'
const attempt = {
  username: 'ada',
  password: 'engine',
  address: '192.0.2.7',
  protocol: 'SSH',
  user: { id: 0 },
}

describe.skipIf('missing' in built)(`our host and plugins in Go${reason}`, () => {
  everySlot((slot) => join(goFolder, slot), { uncertain: true })

  it('hears what a Go plugin logs and prints, with level and fields', async () => {
    await using it = await openTestHost([entryOf('auth', join(goFolder, 'auth'), { logLevel: 'trace' })])
    await it.until(({ state }) => state === 'ready')
    const [plugin] = it.host.filled('auth')
    await plugin?.api.checkPassword({ ...attempt, username: 'log' })
    await plugin?.api.checkPassword({ ...attempt, username: 'print', password: 'printed\n' })
    const said = (text: string) => it.host.recentOutput('auth').find(({ message }) => message === text)
    await until(() => said('asked') !== undefined && said('printed') !== undefined, 'its lines')
    expect(said('asked')).toMatchObject({ level: 'warn', fields: { user: 'log', address: '192.0.2.7' } })
    expect(said('printed')).toMatchObject({ stream: 'stdio-stdout' })
  })

  it('runs a Go plugin as a sealed copy, and starts it again when it panics', async () => {
    await using it = await openTestHost([entryOf('auth', join(goFolder, 'auth'))])
    const { pid } = await it.until(({ state }) => state === 'ready')
    if (sealed) expect(readlinkSync(`/proc/${pid}/exe`)).toContain('memfd:')
    const [plugin] = it.host.filled('auth')
    await expect(plugin?.api.checkPassword({ ...attempt, username: 'panic' })).rejects.toMatchObject({
      code: 'exited',
    })
    await it.until(({ state, starts }) => state === 'ready' && starts === 2)
    const [again] = it.host.filled('auth')
    await expect(again?.api.checkPassword(attempt)).resolves.toMatchObject({ granted: true })
  })
})

describe('our host and plugins made with our SDK', () => {
  let polite: Awaited<ReturnType<typeof buildPlugin>>
  beforeAll(async () => {
    polite = await buildPlugin('polite')
  })
  afterAll(() => polite[Symbol.dispose]())

  everySlot(() => polite.file, { uncertain: false })

  it('never asks a plugin that does not accept its settings', async () => {
    const entry = entryOf('auth', polite.file, { settings: { greeting: '' } })
    await using it = await openTestHost([entry], { pace: { firstRestartMs: 60_000 } })
    await it.host.settled()
    const { state, reason } = it.status()
    expect(state).toBe('waiting')
    expect(reason).toMatchObject({
      code: 'exited',
      message: expect.stringContaining('An empty greeting is none'),
    })
    expect(it.host.filled('auth')).toEqual([])
  })

  it('gives a plugin its settings, closes its sealed file and leaves nothing open', async () => {
    await using it = await openTestHost([entryOf('auth', polite.file, { settings: { greeting: 'hello' } })])
    const { pid } = await it.until(({ state }) => state === 'ready')
    const [plugin] = it.host.filled('auth')
    const verdict = await plugin?.api.checkPassword({ ...attempt, username: 'greet' })
    expect(verdict).toEqual({ granted: false, reason: 'hello', certain: true })
    if (!sealed) return
    const third = readlinkOf(`/proc/${pid}/fd/3`)
    expect(third).not.toContain('memfd:')
  })
})

function everySlot(cmdOf: (slot: SlotName) => string, expected: { readonly uncertain: boolean }): void {
  describe.each([
    ['mutual TLS', true],
    ['plaintext', false],
  ])('over %s', (_name, autoMtls) => {
    it('answer in every slot, verified, and leave when the server stops', async () => {
      using folder = temporaryDirectory()
      const notices = folder.file('notices')
      const entries = slotNames.map((slot) => entryOf(slot, cmdOf(slot), { autoMtls, envVars: ['NOTICES'] }))
      const environment = { NOTICES: notices }
      await using it = await openTestHost(entries, { allowPlaintext: true, environment })
      for (const { name } of entries) await it.until(({ state }) => state === 'ready', 15_000, name)
      const [auth, notifier, kms, ipfilter] = [
        it.host.filled('auth')[0]?.api,
        it.host.filled('notifier')[0]?.api,
        it.host.filled('kms')[0]?.api,
        it.host.filled('ipfilter')[0]?.api,
      ]
      await expect(auth?.checkPassword(attempt)).resolves.toMatchObject({
        granted: true,
        user: { username: 'ada' },
      })
      await expect(auth?.checkPassword({ ...attempt, password: 'x' })).resolves.toMatchObject({
        ...{ granted: false, certain: !expected.uncertain },
      })
      await expect(auth?.checkPassword({ ...attempt, username: 'down' })).rejects.toMatchObject({
        code: 'failed',
      })
      await notifier?.notifyFile(notice)
      const asked = { additionalData: 'ada', url: 'vault://key', masterKey: '' }
      const sealed = await kms?.seal({ ...asked, payload: 'secret' })
      expect(sealed).toBeDefined()
      if (sealed !== undefined) await expect(kms?.open({ ...asked, ...sealed })).resolves.toBe('secret')
      await expect(ipfilter?.check({ address: '192.0.2.1', protocol: 'SSH' })).resolves.toEqual({
        allowed: true,
      })
      await expect(ipfilter?.check({ address: '203.0.113.9', protocol: 'SSH' })).resolves.toMatchObject({
        allowed: false,
      })
      await expect(ipfilter?.reload()).resolves.toBeUndefined()
      const begin = performance.now()
      await it.host.close()
      expect(performance.now() - begin).toBeLessThan(3_000)
    })
  })
}

function entryOf(type: SlotName, cmd: string, more: Partial<PluginEntry> = {}): PluginEntry {
  const sha256sum = createHash('sha256').update(readFileSync(cmd)).digest('hex')
  const keeper = type === 'kms' ? { keeper: { scheme: 'hashivault', encryptedStatus: 'VaultTransit' } } : {}
  return { name: type, type, cmd, args: [], sha256sum, envPrefix: 'none', scope: 15, ...keeper, ...more }
}

function readlinkOf(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

const notice: FileNotice = {
  ...{
    timestamp: 1n,
    action: 'upload',
    username: 'ada',
    storagePath: '/srv/a',
    sshCommand: '',
    storageTargetPath: '',
  },
  ...{
    size: 1n,
    protocol: 'SFTP',
    status: 1,
    address: '192.0.2.7',
    path: '/a',
    targetPath: '',
    sessionId: 's',
  },
  ...{ filesystemProvider: 0, bucket: '', endpoint: '', openFlags: 0, role: '', elapsedMs: 1n, metadata: {} },
}
