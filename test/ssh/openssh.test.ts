import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { chooseAlgorithms, type AlgorithmSettings } from '../../src/ssh/algorithms.ts'
import { eventually, startTestServer, type TestServer } from './test-server.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

const missing = spawnSync('ssh', ['-V']).error !== undefined
/** A Python that has asyncssh 2.21 or later, which speaks the hybrid exchange. */
const python = [process.env['ASYNCSSH_PYTHON'], 'python3'].find(
  (name) =>
    name !== undefined &&
    spawnSync(name, [
      '-c',
      'import sys; from asyncssh.crypto import mlkem_available as m; sys.exit(0 if m else 1)',
    ]).status === 0,
)

describe.skipIf(missing)("OpenSSH's client (needs ssh)", () => {
  const modern = chooseAlgorithms({})
  const legacy = chooseAlgorithms({ profile: 'legacy' })
  const spoken = (kind: string): string[] =>
    execFileSync('ssh', ['-Q', kind], { encoding: 'utf8' }).trim().split('\n')

  it('brings bytes back unchanged with every cipher of the offer', async () => {
    await using test = await startTestServer()
    using keys = userKey()
    for (const cipher of modern.ciphers.filter((name) => spoken('cipher').includes(name)))
      await expectEcho(test, keys.path, 600_000, ['-c', cipher])
  })

  it('brings bytes back with every MAC and exchange, the legacy ones too', async () => {
    await using test = await startTestServer({ algorithms: { profile: 'legacy' } })
    using keys = userKey()
    for (const mac of legacy.macs.filter((name) => spoken('mac').includes(name)))
      await expectEcho(test, keys.path, 70_000, ['-c', 'aes128-ctr', '-m', mac])
    for (const kex of legacy.kex.filter((name) => spoken('kex').includes(name)))
      await expectEcho(test, keys.path, 1000, ['-o', `KexAlgorithms=${kex}`])
    await expectEcho(test, keys.path, 70_000, ['-c', 'aes256-cbc', '-m', 'hmac-sha2-256'])
  })

  it('takes each kind of host key', async () => {
    await using test = await startTestServer({
      algorithms: { profile: 'legacy' },
      hostKeys: { files: [], folder: temporaryDirectory().path },
    })
    using keys = userKey()
    for (const name of ['ssh-ed25519', 'rsa-sha2-512', 'rsa-sha2-256', 'ecdsa-sha2-nistp256'])
      await expectEcho(test, keys.path, 1000, ['-o', `HostKeyAlgorithms=${name}`])
  })

  it('exchanges keys every megabyte while bytes flow both ways (C-89)', async () => {
    await using test = await startTestServer({ rekeyBytes: 3 * 1024 * 1024 })
    using keys = userKey()
    for (const cipher of ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes256-ctr'])
      await expectEcho(test, keys.path, 12_000_000, ['-c', cipher, '-o', 'RekeyLimit=1M'])
  })

  it('learns our other host keys and believes their proof (UpdateHostKeys)', async () => {
    using folder = temporaryDirectory()
    using keys = userKey()
    await using test = await startTestServer({ hostKeys: { files: [], folder: folder.path } })
    const known = folder.file('known_hosts')
    const options = ['-o', `UserKnownHostsFile=${known}`, '-o', 'HostKeyAlgorithms=ssh-ed25519,rsa-sha2-512']
    await expectEcho(test, keys.path, 100, options) // the first key, accepted unseen
    const learning = run(
      test,
      keys.path,
      [...options, '-o', 'UpdateHostKeys=yes', '-s'],
      ['sftp'],
      undefined,
      true,
    )
    const lines = (): string[] => readFileSync(known, 'utf8').trim().split('\n')
    await eventually(() => lines().length === 2)
    const learnt = execFileSync('ssh-keygen', ['-lf', known], { encoding: 'utf8' })
    expect(learnt).toContain('(ED25519)')
    expect(learnt).toContain('(RSA)')
    test.server.disconnect(() => true, 'Done')
    await learning
  })

  it('is refused a shell and a program politely, and forwards nothing (C-95)', async () => {
    await using test = await startTestServer()
    using keys = userKey()
    const shell = await run(test, keys.path, ['-tt'], [])
    expect(shell.code).not.toBe(0)
    expect(shell.errors).toMatch(/shell request failed|PTY allocation request failed/)
    const program = await run(test, keys.path, [], ['ls'])
    expect(program.errors).toContain('exec request failed')
    const forward = await run(
      test,
      keys.path,
      ['-N', '-R', '0:127.0.0.1:1', '-o', 'ExitOnForwardFailure=yes'],
      [],
    )
    expect(forward.errors).toContain('remote port forwarding failed')
    await eventually(() => test.server.connections().length === 0)
  })

  it('sees an exit status of zero when its input ends', async () => {
    await using test = await startTestServer()
    using keys = userKey()
    const { code } = await run(test, keys.path, ['-s'], ['sftp'], Buffer.from('x'))
    expect(code).toBe(0)
  })

  it('is told why it was sent away', async () => {
    await using test = await startTestServer()
    using keys = userKey()
    const running = run(test, keys.path, ['-s'], ['sftp'], undefined, true)
    await eventually(() => test.sessions.length === 1)
    test.server.disconnect(() => true, 'Account disabled')
    expect((await running).errors).toContain('Account disabled')
  })
})

describe.skipIf(python === undefined)(
  'asyncssh (needs Python with asyncssh 2.21 and ASYNCSSH_PYTHON)',
  () => {
    it('exchanges keys in the post-quantum way, again and again', async () => {
      await using test = await startTestServer()
      using keys = userKey()
      const program = [
        'import asyncssh, asyncio, sys',
        'async def main():',
        '  async with asyncssh.connect("127.0.0.1", int(sys.argv[1]), username="ada", known_hosts=None,',
        '      client_keys=[sys.argv[2]], kex_algs=["mlkem768x25519-sha256"], rekey_bytes=300000) as c:',
        '    p = await c.create_process(subsystem="sftp", encoding=None)',
        '    data = bytes(range(256)) * 8000',
        '    async def write():',
        '      p.stdin.write(data); await p.stdin.drain(); p.stdin.write_eof()',
        '    _, back = await asyncio.gather(write(), p.stdout.read())',
        '    print(back == data)',
        'asyncio.run(main())',
      ].join('\n')
      const result = await started(python!, ['-c', program, String(test.port), keys.path])
      expect(result.output.toString()).toBe('True\n')
      expect(test.logged.filter(({ level }) => level === 'error')).toEqual([])
    })
  },
)

/** The newest ssh-audit, and the one that most people have. */
describe.each([
  ['ssh-audit', process.env['SSH_AUDIT'] ?? 'ssh-audit'],
  ['ssh-audit 3.3', process.env['SSH_AUDIT_3_3'] ?? 'ssh-audit-3.3'],
])('%s', (name, program) => {
  const missing = spawnSync(program, ['--help']).error !== undefined
  const needs = missing ? ` (needs ${name})` : ''

  it.skipIf(missing)(
    `has no failure to tell of, and no warning but that x25519 is not post-quantum (S-14)${needs}`,
    async () => {
      const lines = (await auditOf(program, {})).split('\n')
      expect(lines.some((line) => line.includes('mlkem768x25519-sha256'))).toBe(true)
      expect(lines.filter((line) => line.includes('[fail]'))).toEqual([])
      const warnings = lines.filter((line) => line.includes('[warn]'))
      expect(warnings.filter((line) => !/^\(kex\) curve25519-sha256.*post-quantum/.test(line))).toEqual([])
    },
  )

  it.skipIf(missing)(`has nothing at all to tell of the strict profile (S-14)${needs}`, async () => {
    const output = await auditOf(program, { profile: 'strict' })
    expect(output).toContain('mlkem768x25519-sha256')
    expect(output).not.toMatch(/\[fail\]|\[warn\]/)
  })
})

async function auditOf(program: string, algorithms: AlgorithmSettings): Promise<string> {
  using folder = temporaryDirectory()
  await using test = await startTestServer({ algorithms, hostKeys: { files: [], folder: folder.path } })
  const { output } = await started(program, ['-n', '--skip-rate-test', '-p', String(test.port), '127.0.0.1'])
  return output.toString()
}

function userKey(): Disposable & { readonly path: string } {
  const folder = temporaryDirectory()
  const path = folder.file('user')
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path])
  return { path, [Symbol.dispose]: () => folder[Symbol.dispose]() }
}

interface Result {
  readonly code: number | null
  readonly output: Buffer
  readonly errors: string
}

async function expectEcho(
  test: TestServer,
  key: string,
  length: number,
  options: readonly string[],
): Promise<void> {
  const bytes = randomBytes(length)
  const { code, output, errors } = await run(test, key, [...options, '-s'], ['sftp'], bytes)
  expect(code, `${options.join(' ')}: ${errors}`).toBe(0)
  expect(output.equals(bytes), options.join(' ')).toBe(true)
}

function run(
  test: TestServer,
  key: string,
  options: readonly string[],
  command: readonly string[],
  input?: Buffer,
  keepOpen = false,
): Promise<Result> {
  const all = ['-F', 'none', '-i', key, '-p', String(test.port), '-o', 'StrictHostKeyChecking=no']
  if (!options.some((option) => option.startsWith('UserKnownHostsFile')))
    all.push('-o', 'UserKnownHostsFile=/dev/null')
  return started('ssh', [...all, ...options, 'ada@127.0.0.1', ...command], input, keepOpen)
}

function started(
  command: string,
  parameters: readonly string[],
  input?: Buffer,
  keepOpen = false,
): Promise<Result> {
  const child = spawn(command, parameters, { stdio: ['pipe', 'pipe', 'pipe'] })
  const [output, errors]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (bytes: Buffer) => output.push(bytes))
  child.stderr.on('data', (bytes: Buffer) => errors.push(bytes))
  child.stdin.on('error', () => {})
  if (!keepOpen) child.stdin.end(input)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      resolve({ code, output: Buffer.concat(output), errors: Buffer.concat(errors).toString() })
    })
  })
}
