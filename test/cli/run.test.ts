import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { commandTable } from '../../src/cli/command-table.ts'
import { runCommand } from '../helpers/server-process.ts'
import { temporaryDirectory } from '../helpers/temporary-directory.ts'

describe('the command line', () => {
  it('leaves with 2 and says which command was probably meant', () => {
    const { status, stdout, stderr } = runCommand(['confg', 'check'])
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toContain('There is no command "confg check". Did you mean "sftpgo-ts config check"?')
    expect(runCommand(['serv', '--config', 'x']).stderr).toContain('Did you mean "sftpgo-ts serve"?')
    expect(runCommand(['frobnicate']).stderr).toBe(
      'There is no command "frobnicate". "sftpgo-ts --help" lists them all.\n',
    )
  })

  it('leaves with 2 at an unknown option, with the one that was meant', () => {
    const { status, stderr } = runCommand(['config', 'show', '--jsn'])
    expect(status).toBe(2)
    expect(stderr).toContain("unknown option '--jsn'")
    expect(stderr).toContain('Did you mean --json?')
    expect(stderr).toContain('sftpgo-ts config show --help')
  })

  it('leaves with 2 at an argument too many or too few, and at a wrong value', () => {
    expect(runCommand(['version', 'now']).status).toBe(2)
    expect(runCommand(['config', 'import']).status).toBe(2)
    using folder = temporaryDirectory()
    expect(runCommand(['init', folder.file('a.json'), '--port', 'many']).status).toBe(2)
    expect(existsSync(folder.file('a.json'))).toBe(false)
    writeFileSync(folder.file('b.json'), '{}')
    const level = runCommand(['serve', '--config', folder.file('b.json'), '--log-level', 'loud'])
    expect([level.status, level.stderr]).toEqual([2, expect.stringContaining('not "loud"')])
  })

  it('prints the list of commands when asked, and with exit code 2 when nothing is asked', () => {
    const asked = runCommand(['--help'])
    expect(asked.status).toBe(0)
    for (const { words } of commandTable) expect(asked.stdout).toContain(`  ${words} `)
    expect(runCommand([])).toMatchObject({ status: 2, stdout: asked.stdout })
    expect(runCommand(['config'])).toMatchObject({
      status: 2,
      stdout: expect.stringContaining('config check'),
    })
    expect(runCommand(['config', '--help']).status).toBe(0)
  })

  // test/cli/help.test.ts asks every command, each in a test of its own.
  it('has help with an example', () => {
    const { status, stdout } = runCommand(['config', 'show', '--help'])
    expect(status).toBe(0)
    expect(stdout).toContain('Examples:\n  sftpgo-ts config show\n')
  })
})

describe('init', () => {
  it('writes a configuration that is in order, and never over another', () => {
    using folder = temporaryDirectory()
    const file = folder.file('new/place/sftpgo.config.json')
    expect(runCommand(['init', file, '--port', '2200', '--address', '']).status).toBe(0)
    expect(runCommand(['config', 'check', file])).toMatchObject({
      status: 0,
      stdout: `${file} is in order\n`,
    })
    const { stdout } = runCommand(['config', 'show', '--config', file, '--changed'])
    expect(stdout).toMatch(/sftpd\.bindings\[0\]\.port +2200 +\S+sftpgo\.config\.json:\d+:\d+/)
    const other = folder.file('other.json')
    expect(runCommand(['init', other, '--state-dir', folder.file('keep')]).status).toBe(0)
    const { stdout: places } = runCommand(['paths', '--config', other, '--json'])
    expect(JSON.parse(places)).toMatchObject({
      state: folder.file('keep'),
      hostKeys: [folder.file('keep/certs/id_ed25519'), folder.file('keep/certs/id_rsa')],
    })
    const before = readFileSync(file, 'utf8')
    expect(runCommand(['init', file])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('exists already'),
    })
    expect(readFileSync(file, 'utf8')).toBe(before)
  })
})

describe('paths', () => {
  it('names every place as JSON', () => {
    using folder = temporaryDirectory()
    const file = folder.file('one.json')
    writeFileSync(file, '{ "state_dir": "keep" }')
    const { status, stdout } = runCommand(['paths', '--json', '--config', file])
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toEqual({
      configuration: file,
      environment: folder.file('env.d'),
      state: folder.file('keep'),
      database: folder.file('keep/sftpgo.db'),
      eventJournal: folder.file('keep/events.journal'),
      homes: folder.file('keep/homes'),
      lock: folder.file('keep/server.lock'),
      control: folder.file('keep/control.sock'),
      plugins: folder.file('keep/plugins'),
      packages: folder.file('keep/packages'),
      packageLock: folder.file('one.lock.json'),
      rotation: folder.file('keep/kms-rotation.json'),
      hostKeys: [folder.file('certs/id_ed25519'), folder.file('certs/id_rsa')],
    })
    expect(existsSync(folder.file('keep'))).toBe(false)
  })
})

describe('explain', () => {
  it('says what a code means and what to do, and which code was meant', () => {
    const known = runCommand(['explain', 'checksum-mismatch'])
    expect(known.status).toBe(0)
    expect(known.stdout).toMatch(/What it means: .{20}[\s\S]+What to do: +.{20}/)
    const near = runCommand(['explain', 'checksum-mismach'])
    expect(near).toMatchObject({
      status: 4,
      stderr: expect.stringContaining('did you mean "checksum-mismatch"'),
    })
    const all = JSON.parse(runCommand(['explain', '--json']).stdout) as readonly { code: string }[] // its own JSON
    expect(all.length).toBeGreaterThan(50)
  })
})

describe('doctor', () => {
  it('says what is in order, and finds what stands in the way', async () => {
    using folder = temporaryDirectory()
    const file = folder.file('one.json')
    const other = createServer()
    await new Promise<void>((settle) => other.listen(0, '127.0.0.1', settle))
    const address = other.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    mkdirSync(folder.file('one.state'), { mode: 0o755 })
    writeFileSync(folder.file('key'), 'x', { mode: 0o644 })
    writeFileSync(folder.file('plugin'), '#!/bin/sh\n', { mode: 0o755 })
    const wrong = {
      sftpd: { bindings: [{ address: '127.0.0.1', port }], host_keys: ['key'] },
      plugins: [{ name: 'geo', type: 'ipfilter', cmd: 'plugin', sha256sum: '0'.repeat(64) }],
    }
    writeFileSync(file, JSON.stringify(wrong))
    const ill = found(file)
    other.close()
    expect(ill.status).toBe(1)
    expect(ill.findings).toMatchObject({
      'state folder': { outcome: 'warning', message: expect.stringContaining('chmod 700') },
      'host keys': { outcome: 'warning', message: expect.stringContaining('chmod 600') },
      'SFTP port': { outcome: 'failure', message: expect.stringContaining('EADDRINUSE') },
      'plugin geo': {
        outcome: 'failure',
        message: expect.stringContaining('does not have the approved bytes'),
      },
      configuration: { outcome: 'ok' },
    })

    writeFileSync(file, JSON.stringify({ sftpd: { bindings: [{ address: '127.0.0.1', port: 0 }] } }))
    const well = found(file)
    expect(well.status).toBe(0)
    for (const subject of [
      'Node',
      'system',
      'database',
      'clock',
      'open files',
      'homes confined by the kernel',
    ])
      expect(well.findings, subject).toHaveProperty([subject])
    expect(statSync(folder.file('one.state')).mode & 0o777).toBe(0o755)
  })

  it('says what missing native code costs', () => {
    using folder = temporaryDirectory()
    writeFileSync(folder.file('one.json'), '{ "sftpd": { "bindings": [{ "port": 0 }] } }')
    const { status, findings } = found(folder.file('one.json'), { SFTPGO_TS_NATIVE: '0' })
    expect(status).toBe(0)
    expect(findings).toMatchObject({
      'sealed memory files': {
        outcome: 'warning',
        message: expect.stringContaining('plugins run from a private copy'),
      },
      'homes confined by the kernel': {
        outcome: 'warning',
        message: expect.stringContaining('step by step'),
      },
      'service manager': { outcome: 'warning', message: expect.stringContaining('Type=exec') },
    })
  })
})

type Findings = Readonly<Record<string, { readonly outcome: string; readonly message: string }>>

function found(
  file: string,
  env: Readonly<Record<string, string>> = {},
): { status: number | null; findings: Findings } {
  const { status, stdout } = runCommand(['doctor', '--json', '--config', file], { env })
  const { findings } = JSON.parse(stdout) as {
    findings: readonly { subject: string; outcome: string; message: string }[]
  } // its own JSON
  return { status, findings: Object.fromEntries(findings.map(({ subject, ...rest }) => [subject, rest])) }
}
