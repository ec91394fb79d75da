import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { AuthDefinition } from '../../../src/gen/slots/auth.ts'
import type { PasswordAttempt } from '../../../src/slots/auth/contract.ts'
import type { FileNotice } from '../../../src/slots/notifier/contract.ts'
import { connectSlot, slots, type SlotName } from '../../../src/slots/index.ts'
import { createIdentity } from '../../../src/wire/certificate.ts'
import { openChannel, type Channel } from '../../../src/wire/client.ts'
import { announcementVariables } from '../../../src/wire/environment.ts'
import { parseHandshake } from '../../../src/wire/handshake.ts'
import {
  runToEnd,
  startPlugin,
  until,
  type PluginProcess,
  type StartOptions,
} from '../../helpers/plugin-process.ts'
import { temporaryDirectory } from '../../helpers/temporary-directory.ts'
import { buildGoPrograms } from './toolchain.ts'

const built = buildGoPrograms()
const folder = 'folder' in built ? built.folder : ''
const reason = 'missing' in built ? ` (skipped: ${built.missing})` : ''

const attempt: PasswordAttempt = {
  username: 'ada',
  password: 'engine',
  address: '192.0.2.7',
  protocol: 'SSH',
  user: { id: 0, username: 'ada' },
}

describe.skipIf('missing' in built)(`our channel and a plugin in Go${reason}`, () => {
  describe.each([
    ['mutual TLS', true],
    ['plaintext', false],
  ])('over %s', (_name, mutualTls) => {
    it('asks an auth plugin', async () => {
      await using go = await start('auth', { mutualTls })
      const api = connectSlot('auth', go.channel, { timeoutMs: 5_000 })
      await expect(api.checkPassword(attempt)).resolves.toEqual({
        granted: true,
        user: {
          username: 'ada',
          homeDirectory: '/srv/ada',
          permissions: { '/': ['*'] },
          record: { username: 'ada', home_dir: '/srv/ada', permissions: { '/': ['*'] }, status: 1 },
        },
      })
      await expect(api.checkPublicKey({ ...attempt, publicKey: 'ssh-ed25519 good' })).resolves.toEqual({
        granted: true,
      })
      const told = await api.checkPassword({ ...attempt, username: 'echo', user: { id: 5, email: 'a@b' } })
      expect(told).toMatchObject({ user: { record: { description: '{"id":5,"email":"a@b"}192.0.2.7SSH' } } })
    })

    it('asks a notifier plugin', async () => {
      using directory = temporaryDirectory()
      const notices = directory.file('notices')
      await using go = await start('notifier', { mutualTls, environment: { NOTICES: notices } })
      const api = connectSlot('notifier', go.channel, { timeoutMs: 5_000 })
      await api.notifyFile(notice)
      await expect(api.notifyFile({ ...notice, username: 'broken' })).rejects.toMatchObject({
        code: 'refused-or-failed',
      })
      expect(JSON.parse(readFileSync(notices, 'utf8'))).toEqual({
        ...{ action: 'rename', username: 'ädä', path: '/srv/a', target_path: '/srv/b', virtual_path: '/a' },
        ...{
          virtual_target_path: '/b',
          file_size: 1024,
          fs_provider: 1,
          bucket: 'bu',
          endpoint: 'en',
          status: 2,
        },
        ...{
          protocol: 'SFTP',
          ip: '192.0.2.7',
          session_id: 's',
          timestamp: 1234567890123456,
          open_flags: 577,
        },
        ...{ role: 'r', elapsed: 12, ssh_cmd: 'cmd', metadata: { event_id: 'e' } },
      })
    })

    it('asks a kms plugin', async () => {
      await using go = await start('kms', { mutualTls })
      const api = connectSlot('kms', go.channel, { timeoutMs: 5_000 })
      const asked = { additionalData: 'ada', url: 'vault://key', masterKey: 'm' }
      const sealed = await api.seal({ ...asked, payload: 'sécret' })
      expect(sealed).toEqual({ payload: 'tercés|ada', key: 'vault://keym', mode: 7 })
      await expect(api.open({ ...asked, ...sealed })).resolves.toBe('sécret')
      await expect(api.open({ ...asked, ...sealed, additionalData: 'bob' })).rejects.toMatchObject({
        code: 'failed',
      })
      await expect(api.seal({ ...asked, url: 'down://', payload: 'x' })).rejects.toMatchObject({
        code: 'failed',
      })
    })

    it('asks an ipfilter plugin', async () => {
      await using go = await start('ipfilter', { mutualTls })
      const api = connectSlot('ipfilter', go.channel, { timeoutMs: 5_000 })
      await expect(api.check({ address: '192.0.2.1', protocol: 'SSH' })).resolves.toEqual({ allowed: true })
      await expect(api.check({ address: '203.0.113.9', protocol: 'SSH' })).resolves.toEqual({
        allowed: false,
        reason: 'Refused or failed: listed for SSH',
        certain: false,
      })
      await expect(api.reload()).resolves.toBeUndefined()
    })

    it('is told to leave and hears that it left', async () => {
      await using go = await start('auth', { mutualTls })
      const begin = performance.now()
      await expect(go.channel.shutdown()).resolves.toBe(true)
      expect(await go.process.exited()).toEqual({ code: 0, signal: null })
      expect(performance.now() - begin).toBeLessThan(1_000)
    })
  })

  it('tells a refusal, a failure and an answer that says nothing from each other', async () => {
    await using go = await start('auth')
    const api = connectSlot('auth', go.channel, { timeoutMs: 5_000 })
    await expect(api.checkPassword({ ...attempt, username: 'no' })).resolves.toEqual({
      ...{ granted: false, reason: 'not you', certain: true },
    })
    await expect(api.checkPassword({ ...attempt, password: 'x' })).resolves.toEqual({
      ...{ granted: false, reason: 'Refused or failed: wrong name or password', certain: false },
    })
    await expect(api.checkPassword({ ...attempt, username: 'down' })).rejects.toMatchObject({
      code: 'failed',
    })
    await expect(api.checkPassword({ ...attempt, username: 'big' })).rejects.toMatchObject({
      code: 'too-large',
    })
  })

  it('walks through a dialogue', async () => {
    await using go = await start('auth')
    const api = connectSlot('auth', go.channel, { timeoutMs: 5_000 })
    await expect(api.beginDialogue(attempt)).resolves.toEqual({ granted: true })
    const step = { dialogueId: 'd', username: 'ada', address: '192.0.2.7', password: '' }
    await expect(api.continueDialogue({ ...step, step: 1, answers: [], questions: [] })).resolves.toEqual({
      ...{
        next: 'ask',
        instructions: 'Say it',
        questions: [{ text: 'Word: ', echo: false }],
        serverChecks: 'totp',
      },
    })
    const last = { ...step, step: 2, questions: ['Word: '] }
    await expect(api.continueDialogue({ ...last, answers: ['engine'] })).resolves.toEqual({ next: 'grant' })
    await expect(api.continueDialogue({ ...last, answers: ['x'] })).resolves.toMatchObject({ next: 'refuse' })
  })

  it('takes a client certificate with an RSA key too', async () => {
    const identity = await createIdentity('rsa2048')
    await using process = await startPlugin('', { command: [join(folder, 'auth')], identity })
    const channel = await process.connect()
    await expect(channel.health()).resolves.toBe('serving')
    await channel.close()
  })

  it('refuses a plugin that is not the one that announced itself, and a host that is not ours', async () => {
    await using one = await start('auth')
    await using two = await start('auth')
    const { identity, handshake } = one.process
    const other = two.process.handshake.certificate ?? Buffer.alloc(0)
    const { address } = handshake
    await expect(openChannel({ address, tls: { identity, pluginCertificate: other } })).rejects.toMatchObject(
      {
        code: 'untrusted-certificate',
      },
    )
    const stranger = await createIdentity()
    const pluginCertificate = handshake.certificate ?? Buffer.alloc(0)
    await expect(
      openChannel({ address, tls: { identity: stranger, pluginCertificate } }),
    ).rejects.toMatchObject({
      code: 'untrusted-certificate',
    })
    await expect(openChannel({ address })).rejects.toMatchObject({ code: 'connection-refused' })
  })

  it('is reached over TCP although its certificate names localhost only', async () => {
    await using go = await start('auth')
    const { address, certificate = Buffer.alloc(0) } = go.process.handshake
    if (address.network !== 'unix') throw new Error('It should listen on a Unix socket')
    const relay = createServer((near) => {
      const far = connect(address.path)
      near.on('error', () => far.destroy()).pipe(far)
      far.on('error', () => near.destroy()).pipe(near)
    })
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve))
    // An address of a listening TCP server is no text.
    const { port } = relay.address() as AddressInfo
    const channel = await openChannel({
      address: { network: 'tcp', host: '127.0.0.1', port },
      tls: { identity: go.process.identity, pluginCertificate: certificate },
    })
    const api = connectSlot('auth', channel, { timeoutMs: 5_000 })
    await expect(api.checkPassword(attempt)).resolves.toMatchObject({ granted: true })
    await channel.close()
    relay.close()
  })

  it('may answer with five megabytes', async () => {
    await using go = await start('auth')
    const { checkUserAndPass } = go.channel.caller(AuthDefinition, { timeoutMs: 10_000 })
    const request = { username: 'big', password: '', ip: '', protocol: 'SSH', user: Buffer.alloc(0) }
    const { user } = await checkUserAndPass(request)
    expect(user.length).toBe(5 << 20)
  })

  it.each([
    [[1, 2, 3], ['2'], 2],
    [[1, 2, 3], ['1', '2', '3'], 3],
    [[2, 1], ['1', '2', '3'], 2],
    [[2, 9], ['1', '2', '3'], 2],
    [[1], ['1', '2', '3'], 1],
    [[1, 2, 3], ['4'], undefined],
  ])('of versions %j and a plugin with %j: %s is spoken', async (versions, own, spoken) => {
    using directory = temporaryDirectory()
    const { cookie } = slots.ipfilter
    const child = spawn(join(folder, 'versions'), own, {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: announcementVariables({ cookie, versions, socketFolder: directory.path }),
    })
    const line = await new Promise<string>((resolve) =>
      child.stdout.once('data', (bytes: Buffer) => resolve(String(bytes))),
    )
    child.kill('SIGKILL')
    const parse = () => parseHandshake(line, { versions, mutualTls: false })
    if (spoken === undefined)
      expect(parse).toThrow('The plugin has version 4 of the protocol and the host has 1, 2, 3')
    else expect(parse()).toMatchObject({ version: spoken })
  })

  it('says plainly that a plaintext plugin is one', async () => {
    await using plain = await startPlugin('', { command: [join(folder, 'auth')], mutualTls: false })
    const identity = await createIdentity()
    const { address } = plain.handshake
    const opening = openChannel({ address, tls: { identity, pluginCertificate: identity.certificateDer } })
    await expect(opening).rejects.toMatchObject({ code: 'untrusted-certificate' })
  })

  it('speaks TLS 1.3', async () => {
    await using go = await start('auth')
    expect(go.channel.tlsVersion).toBe('TLSv1.3')
  })

  it('hears a megabyte that it prints, complete and in order, while calls go on', async () => {
    await using go = await start('auth')
    const api = connectSlot('auth', go.channel, { timeoutMs: 10_000 })
    const heard = { stdout: '', stderr: '' }
    void (async () => {
      for await (const { from, bytes } of go.channel.output()) heard[from] += bytes.toString('latin1')
    })()
    const text = Array.from({ length: 20_000 }, (_, index) => `${index} `.padEnd(52, 'x')).join('\n')
    await api.checkPassword({ ...attempt, username: 'print', password: text })
    await until(
      () => heard.stdout.length >= text.length && heard.stderr.length >= text.length + 4,
      'all output',
    )
    expect(heard.stdout).toBe(text)
    expect(heard.stderr).toBe(`err:${text}`)
  })

  it('ends calls at once when it panics, exits or is killed', async () => {
    for (const [how, code] of [
      ['panic', 2],
      ['exit', 3],
    ] as const) {
      await using go = await start('auth')
      const api = connectSlot('auth', go.channel, { timeoutMs: 10_000 })
      await expect(api.checkPassword({ ...attempt, username: how })).rejects.toMatchObject({ code: 'exited' })
      expect((await go.process.exited()).code).toBe(code)
      await expect(api.checkPassword(attempt)).rejects.toMatchObject({ code: 'exited' })
    }
    await using go = await start('auth')
    const api = connectSlot('auth', go.channel, { timeoutMs: 10_000 })
    const slow = expect(api.checkPassword({ ...attempt, username: 'slow' })).rejects.toMatchObject({
      code: 'exited',
    })
    go.process.child.kill('SIGKILL')
    await slow
  })

  it('keeps deadlines and lets go of a call that nobody waits for', async () => {
    await using go = await start('auth')
    const api = connectSlot('auth', go.channel, { timeoutMs: 100 })
    const slow = { ...attempt, username: 'slow' }
    await expect(api.checkPassword(slow)).rejects.toMatchObject({ code: 'deadline' })
    const controller = new AbortController()
    const given = expect(api.checkPassword(slow, { signal: controller.signal })).rejects.toMatchObject({
      code: 'cancelled',
    })
    controller.abort()
    await given
    await expect(api.checkPassword(attempt)).resolves.toMatchObject({ granted: true })
  })

  it('gets only the variables of the protocol and those it was given', async () => {
    await using go = await start('auth', { environment: { MINE: 'yes' } })
    const api = connectSlot('auth', go.channel, { timeoutMs: 5_000 })
    const verdict = await api.checkPassword({ ...attempt, username: 'environment' })
    const text = verdict.granted ? String(verdict.user?.record?.['description']) : ''
    expect(text).not.toContain('PRIVATE KEY')
    const names = text.split('\n').flatMap((line) => /^([A-Z_]+)=/.exec(line)?.[1] ?? [])
    expect(names.toSorted()).toEqual([
      ...['MINE', 'PLUGIN_CLIENT_CERT', 'PLUGIN_MAX_PORT', 'PLUGIN_MIN_PORT', 'PLUGIN_PROTOCOL_VERSIONS'],
      ...['PLUGIN_UNIX_SOCKET_DIR', 'SFTPGO_PLUGIN_AUTH'],
    ])
  })

  it('says why when it cannot start', async () => {
    const environment = {
      ...announcementVariables({ cookie: slots.auth.cookie, versions: [1] }),
      LINES_BEFORE: '1',
    }
    const { code, stdout, stderr } = await runToEnd([join(folder, 'auth')], environment)
    expect({ code, stdout, stderr }).toEqual({
      code: 4,
      stdout: '',
      stderr: '[ERROR] cannot reach the directory\n',
    })
  })

  it('refuses a question above its own four megabytes, and says so', async () => {
    await using go = await start('auth')
    const api = connectSlot('auth', go.channel, { timeoutMs: 5_000 })
    const long = { ...attempt, password: 'x'.repeat(5 << 20) }
    await expect(api.checkPassword(long)).rejects.toMatchObject({ code: 'too-large' })
    await expect(api.checkPassword(attempt)).resolves.toMatchObject({ granted: true })
  })
})

const notice: FileNotice = {
  ...{
    timestamp: 1234567890123456n,
    action: 'rename',
    username: 'ädä',
    storagePath: '/srv/a',
    sshCommand: 'cmd',
  },
  ...{
    storageTargetPath: '/srv/b',
    size: 1024n,
    protocol: 'SFTP',
    status: 2,
    address: '192.0.2.7',
    path: '/a',
  },
  ...{
    targetPath: '/b',
    sessionId: 's',
    filesystemProvider: 1,
    bucket: 'bu',
    endpoint: 'en',
    openFlags: 577,
  },
  ...{ role: 'r', elapsedMs: 12n, metadata: { event_id: 'e' } },
}

async function start(slot: SlotName, options: StartOptions = {}) {
  const process: PluginProcess = await startPlugin('', { ...options, slot, command: [join(folder, slot)] })
  const channel: Channel = await process.connect()
  return {
    process,
    channel,
    async [Symbol.asyncDispose]() {
      await channel.close()
      await process[Symbol.asyncDispose]()
    },
  }
}
